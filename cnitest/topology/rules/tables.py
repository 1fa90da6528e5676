"""Rules about static neighbours, forwarding entries, tunnels, further names and the VLANs of ports."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.topology.model import Bridge, FdbEntry, Neighbour
from cnitest.topology.problem import Problem
from cnitest.topology.rules.names import link_name_fault
from cnitest.topology.rules.routes import bare, ranges
from cnitest.topology.survey import Item, Spot, Survey
from cnitest.topology.words.address import ip, mac_fault
from cnitest.topology.words.symbols import range_of
from cnitest.typos import did_you_mean

_VLAN_IDS = range(1, 4095)
_PORTS = range(1, 65536)
_VNIS = range(1 << 24)
_LONGEST_ALTNAME = 127
_NO_MAC = "00:00:00:00:00:00"


def neighbours(survey: Survey) -> Iterator[Problem]:
    """A static neighbour has an address, a link that is there and a MAC, unless the link answers for it."""
    for spot in survey.spots.values():
        for number, entry in enumerate(spot.body.neighbours if spot.body else ()):
            path = f"{spot.path}.neighbours[{number}]"
            yield from bare(f"{path}.to", entry.to)
            yield from _known_link(survey, spot, path, entry.link)
            yield from _neighbour_mac(path, entry)


def _neighbour_mac(path: str, entry: Neighbour) -> Iterator[Problem]:
    if entry.proxy:
        if entry.mac:
            yield Problem(f"{path}.mac", "a proxy entry is answered with the link's own MAC; leave it out")
    elif entry.mac is None:
        yield Problem(path, "needs 'mac' (ip's lladdr), or 'proxy'", needs=(f"{path}.mac", f"{path}.proxy"))
    elif fault := mac_fault(entry.mac, groups=True):
        yield Problem(f"{path}.mac", fault)


def forwarding(survey: Survey) -> Iterator[Problem]:
    """A forwarding entry has a MAC, a link that is there, and a table that the link has."""
    for spot in survey.spots.values():
        for number, entry in enumerate(spot.body.fdb if spot.body else ()):
            path = f"{spot.path}.fdb[{number}]"
            if entry.mac != _NO_MAC and (fault := mac_fault(entry.mac, groups=True)):
                yield Problem(f"{path}.mac", fault)
            yield from _known_link(survey, spot, path, entry.link)
            yield from bare(f"{path}.dst", entry.dst)
            yield from ranges(
                path,
                {
                    "vlan": (entry.vlan, _VLAN_IDS, None),
                    "vni": (entry.vni, _VNIS, None),
                    "port": (entry.port, _PORTS, None),
                },
            )
            yield from _table(survey, spot, path, entry)


def _table(survey: Survey, spot: Spot, path: str, entry: FdbEntry) -> Iterator[Problem]:
    item = survey.links[spot.name].get(entry.link)
    if item and entry.bridged and not survey.bridge_of(item):
        needs = (f"{path}.bridged", f"{item.path}.bridge")
        yield Problem(f"{path}.bridged", f"{entry.link!r} is no bridge's port; leave 'master' out", needs)
    if item and entry.dst and not (item.row and item.row.fdb_dst):
        yield Problem(f"{path}.dst", f"{entry.link!r} is a {item.kind}; only a vxlan sends to an address")


def _known_link(survey: Survey, spot: Spot, path: str, name: str) -> Iterator[Problem]:
    known = [*survey.links[spot.name], "lo"]
    if name not in known:
        message = f"unknown link {name!r} in {spot.name!r}{did_you_mean(name, known)}"
        yield Problem(f"{path}.link", message, survey.names_at(spot.name, name))


def tunnels(survey: Survey) -> Iterator[Problem]:
    """The ends of a link that leads to an address are addresses, of one family."""
    for item in survey.declared:
        if item.row and item.row.ends is not None:
            yield from bare(f"{item.path}.remote", getattr(item.link, "remote", None))
            yield from bare(f"{item.path}.local", getattr(item.link, "local", None))
            yield from _ends(item, item.row.ends)


def _ends(item: Item, wanted: int) -> Iterator[Problem]:
    ends = {name: ip(getattr(item.link, name) or "") for name in ("local", "remote")}
    needs = (f"{item.path}.local", f"{item.path}.remote")
    if len({each.family for each in ends.values() if each}) > 1:
        yield Problem(f"{item.path}.local", "is of another family than 'remote'", needs)
    for name, end in ends.items():
        if end and wanted and end.family != wanted:
            yield Problem(f"{item.path}.{name}", f"a tunnel of mode {item.kind!r} has IPv{wanted} ends", needs)
    remote = ends["remote"]
    if remote and remote.is_multicast and not getattr(item.link, "parent", item):
        yield Problem(f"{item.path}.remote", "a group needs the link that it is on: 'parent'", needs)


def names(survey: Survey) -> Iterator[Problem]:
    """A further name is one that the kernel takes, and nobody else's."""
    for item in survey.items:
        for number, name in enumerate(item.link.altnames):
            path = f"{item.path}.altnames[{number}]"
            short = name[:15] if len(name.encode()) <= _LONGEST_ALTNAME else name
            if fault := link_name_fault(short):
                yield Problem(path, fault.replace(repr(short), repr(name)))
            elif name in survey.links.get(item.place, {}):
                yield Problem(path, f"{item.place!r} has a link {name!r}: {survey.links[item.place][name].path}")


def port_vlans(survey: Survey) -> Iterator[Problem]:
    """VLANs are those of a port of a bridge that filters them, or of such a bridge."""
    for item in survey.items:
        bridge = item if item.kind == "bridge" else survey.bridge_of(item)
        for number, vlan in enumerate(item.link.vlans):
            path = f"{item.path}.vlans[{number}]"
            found = range_of(vlan.vid, 4094)
            if found is None or not found[0]:
                yield Problem(f"{path}.vid", f"{vlan.vid!r} is not a VLAN (1-4094), or a range such as '10-20'")
            elif vlan.pvid and found[0] != found[1]:
                yield Problem(f"{path}.pvid", "one VLAN is that of frames without a tag, not a range")
        if item.link.vlans:
            yield from _filters(item, bridge)


def _filters(item: Item, bridge: Item | None) -> Iterator[Problem]:
    path = f"{item.path}.vlans"
    if bridge is None:
        yield Problem(path, "only a bridge's port has VLANs; say which 'bridge'", needs=(f"{item.path}.bridge",))
    elif not isinstance(bridge.link, Bridge) or not bridge.link.vlan_filtering:
        needs = (f"{bridge.path}.vlan_filtering",)
        yield Problem(path, f"{bridge.name!r} does not heed VLANs; give it 'vlan_filtering: true'", needs)


RULES = (neighbours, forwarding, tunnels, names, port_vlans)
