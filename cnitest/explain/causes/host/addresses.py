"""Addresses that are not there, or not yet: gone, on a link that is down, refused by duplicate address detection."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_interface

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import declared, detours, fib, next_hops
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.leg import travelled
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words
from cnitest.topology.building.steps import AddAddress

_LEAST_OF_IPV6 = 1280
_WHERE = (Stage.ROUTING, Stage.NEIGHBOUR)


@cause("host.namespace-gone", *_WHERE, Stage.WIRE, Stage.BRIDGE, order=-9)
def namespace_gone(loss: Loss) -> Found | None:
    """The place that had the address is gone with its network namespace."""
    step, place = _lost(loss) or (None, None)
    if step is None or place is not None:
        return None
    return Found(
        "namespace gone",
        f"{_ip(step)} was {step.place}'s, which is no more",
        "neighbour",
        (f"the topology declares {step.address} on {step.place}:{step.link.name}",),
        f"make {step.place} again",
    )


@cause("host.ipv6-disabled", *_WHERE, Stage.SOCKET_OUT, order=-8)
def ipv6_disabled(loss: Loss) -> Found | None:
    """IPv6 is disabled on the link that had the address, or on the sender's link."""
    if loss.six and loss.received and loss.sysctl(f"ipv6/conf/{loss.incoming}/disable_ipv6") == "1":
        return _disabled(loss, loss.place, loss.incoming)
    step, place = _lost(loss) or _passed_by(loss) or (None, None)
    name = f"ipv6/conf/{step.link.name}/disable_ipv6" if step else ""
    if step is None or place is None or not loss.six or loss.sysctl(name, place) != "1":
        return _disabled_at_sender(loss)
    return _disabled(loss, place, step.link.name)


def _disabled_at_sender(loss: Loss) -> Found | None:
    """The same of a place that the topology gives no address, as a sandbox that plugins attached: it has no route of
    IPv6, and its only link has no IPv6."""
    links = [link.name for link in loss.links().values() if link.kind != "loopback"]
    if not loss.six or loss.link or len(links) != 1 or not isinstance(loss.routed, NoRoute):
        return None
    off = loss.sysctl(f"ipv6/conf/{links[0]}/disable_ipv6") == "1" and not declared.addresses(loss.place)
    return _disabled(loss, loss.place, links[0]) if off else None


def _disabled(loss: Loss, place: Place, link: str) -> Found:
    everywhere = loss.sysctl("ipv6/conf/all/disable_ipv6", place) == "1"
    name = f"ipv6/conf/{'all' if everywhere else link}/disable_ipv6"
    declared_there = (step for step in declared.addresses(place) if everywhere or step.link.name == link)
    gone = [step for step in declared_there if ":" in step.address]
    return Found(
        "disable_ipv6",
        f"{place.full_name}:{link} has no IPv6: {sysctl_name(name)}=1",
        "routing",
        tuple(f"the topology declares {step.address} there, which is gone" for step in gone),
        " && ".join((set_to(0, name), *(_add(loss, step) for step in gone))),
        place.full_name,
    )


@cause("host.mtu-below-ipv6", *_WHERE, Stage.SOCKET_OUT, order=-8)
def mtu_below_ipv6(loss: Loss) -> Found | None:
    """The MTU of a link was set below 1280, so that the kernel has taken IPv6 and all its addresses from it."""
    step, place = _lost(loss) or _passed_by(loss) or (None, None)
    link = loss.links(place).get(step.link.name) if step and place and loss.six else None
    if step is None or place is None or link is None or not 0 < link.mtu < _LEAST_OF_IPV6:
        return None
    gone = [one for one in declared.addresses(place) if one.link.name == link.name and ":" in one.address]
    return Found(
        "MTU below IPv6",
        f"{place.full_name}:{link.name} has no IPv6: its MTU is {link.mtu}, and IPv6 needs {_LEAST_OF_IPV6}",
        "routing",
        tuple(f"the topology declares {one.address} there, which is gone" for one in gone),
        " && ".join((f"ip link set dev {link.name} mtu {_LEAST_OF_IPV6}", *(_add(loss, one) for one in gone))),
        place.full_name,
    )


@cause("host.address-link-down", *_WHERE, order=-7)
def address_link_down(loss: Loss) -> Found | None:
    """The link that has the address is down, so the address is not answered for."""
    step, place = _lost(loss) or (None, None)
    there = [row for row in loss.state().addresses if row.ip == loss.destination] if loss.received else []
    if there and isinstance(loss.routed, Route) and loss.routed.kind == "local":
        return None
    if step and place and (place is not loss.place or _is_holder(loss)):
        link, again = step.link.name, f" && {_add(loss, step)}"
    elif there:
        link, again, place = there[0].link, "", loss.place
    else:
        return None
    found = loss.links(place).get(link)
    if found is None or found.up:
        return None
    return Found(
        "link of the address down",
        f"{loss.destination} belongs to {place.full_name}:{link}, which is down",
        "routing",
        (),
        f"ip link set {link} up{again}",
        place.full_name,
    )


@cause("host.address-missing", *_WHERE, Stage.SOCKET_OUT, order=-6)
def address_missing(loss: Loss) -> Found | None:
    """The address that the topology declares is not on its link any more, which is up."""
    step, place = _lost(loss) or (None, None)
    link = loss.links(place).get(step.link.name) if step and place else None
    if step is None or place is None or link is None or not link.up:
        return None
    return Found(
        "address missing",
        f"{place.full_name}:{step.link.name} does not have {_ip(step)}",
        "routing",
        (f"the topology declares {step.address} there", "no place of the lab has it"),
        _add(loss, step),
        place.full_name,
    )


@cause("host.dad-failed", *_WHERE, Stage.SOCKET_OUT, order=-5)
def dad_failed(loss: Loss) -> Found | None:
    """Duplicate address detection has refused the address: somebody else on the link had it."""
    place, row = _flagged(loss, lambda row: "dadfailed" in row.flags) or (None, None)
    if place is None or row is None:
        return None
    change = f"{row.address} dev {row.link}"
    return Found(
        "DAD failed",
        f"{place.full_name}:{row.link} must not use {row.ip}: duplicate address detection found it in use",
        "neighbour",
        (f"ip address shows {row.ip} as dadfailed",),
        f"ip address del {change} && ip address add {change} nodad",
        place.full_name,
    )


@cause("host.tentative", *_WHERE, Stage.SOCKET_OUT, order=-5)
def tentative(loss: Loss) -> Found | None:
    """The address is still checked for duplicates, and not used before that ends."""
    place, row = _flagged(loss, lambda row: row.tentative) or (None, None)
    if place is None or row is None:
        return None
    change = f"{row.address} dev {row.link}"
    return Found(
        "tentative address",
        f"{place.full_name}:{row.link} does not use {row.ip} yet: it is checked for duplicates",
        "neighbour",
        (f"ip address shows {row.ip} as tentative",),
        f"ip address del {change} && ip address add {change} nodad",
        place.full_name,
    )


@cause("host.ra-refused", Stage.SOCKET_OUT, Stage.ROUTING, order=-2)
def ra_refused(loss: Loss) -> Found | None:
    """Routers advertise themselves on a link, and the place is set not to listen, so it has no route."""
    if not loss.six or not next_hops.routed(loss) or not isinstance(loss.routed, NoRoute) or loss.decision:
        return None
    for link in loss.links().values():
        accepts, forwards = (f"ipv6/conf/{link.name}/{name}" for name in ("accept_ra", "forwarding"))
        forwarding = loss.sysctl(forwards) == "1"
        refused = loss.sysctl(accepts) == "0" or (forwarding and loss.sysctl(accepts) == "1")
        heard = _advertised(loss, link.name) if refused else 0
        if heard:
            value = loss.sysctl(accepts)
            return Found(
                "RA refused",
                f"{loss.place.full_name} does not learn routes on {link.name}: {sysctl_name(accepts)}={value}"
                f"{' while it forwards' if forwarding else ''}",
                "routing",
                (f"{heard} router advertisements came in by {link.name}",),
                set_to(2 if forwarding else 1, accepts),
            )
    return None


def _advertised(loss: Loss, link: str) -> int:
    """How many router advertisements ever came in by a link."""
    lines = loss.place.lab.own_file_reader(loss.place.namespace)(f"dev_snmp6/{link}").splitlines()
    found = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(found.get("Icmp6InRouterAdvertisements", 0))


def _lost(loss: Loss) -> tuple[AddAddress, Place | None] | None:
    """Where the address that nobody answers for was declared, and that place if there still is one; of a packet
    without a route what the place itself had, and its route with it."""
    crossing = loss.spot.out or loss.bridged
    places = {place.full_name: place for place in loss.place.lab.places}
    passed = _passed_through(loss)
    if passed:
        return passed[0], places.get(passed[0].place)
    if loss.link and not loss.forwarded and not crossing:
        return None
    if not crossing and isinstance(loss.routed, NoRoute) and not _is_holder(loss):
        step = None if loss.decision else _own_lost(loss)
        return (step, loss.place) if step else None
    wanted = _wanted(loss)
    steps = declared.holders(loss.place, wanted) if wanted and loss.owner(wanted) is None else []
    return (steps[0], places.get(steps[0].place)) if steps else None


def _passed_through(loss: Loss) -> list[AddAddress]:
    """Where the destination was declared, if nobody has it and the packet came through there."""
    if loss.owner(loss.destination) is not None:
        return []
    way = {one.place for one in loss.seen.sightings if one.returning == loss.returning and not one.frame.out}
    return [step for step in declared.holders(loss.place, loss.destination) if step.place in way]


def _passed_by(loss: Loss) -> tuple[AddAddress, Place] | None:
    """The address whose subnet a place has lost, so that it sends what is for that to its gateway; and that place."""
    return next(((one.lost, one.place) for one in detours.bypasses(loss) if one.lost), None)


def _wanted(loss: Loss) -> str:
    """The address whose owner was to get the packet next; empty when there is no route."""
    if _is_holder(loss):
        return loss.destination
    if loss.spot.out or loss.bridged:
        leg = loss.once(travelled)
        return leg.next_hop if leg else ""
    return next_hops.unanswered(loss)


def _own_lost(loss: Loss) -> AddAddress | None:
    """The address that the place was declared to have, in whose subnet the destination or its gateway is."""
    via = declared.gateway(loss.place, loss.question) or loss.destination
    for step in declared.addresses(loss.place):
        near = (":" in step.address) == loss.six and ip_address(via) in ip_interface(step.address).network
        if near and not loss.owns(_ip(step)):
            return step
    return None


def _is_holder(loss: Loss) -> bool:
    """Whether the packet is where its destination was declared."""
    return any(step.place == loss.place.full_name for step in declared.holders(loss.place, loss.destination))


def _flagged(loss: Loss, wanted: Callable[[Address], bool]) -> tuple[Place, Address] | None:
    """The address that the packet waits for, or that it was to be sent from, with a flag; and its place."""
    if not next_hops.routed(loss):
        return None
    own = [row for row in loss.state().addresses if row.scope == "global" and ":" in row.address] if loss.six else []
    if not loss.link and isinstance(loss.attempt.error, OSError):
        return next(((loss.place, row) for row in own if wanted(row)), None)
    hop = next_hops.unanswered(loss)
    place = loss.owner(hop) if hop else None
    rows = loss.state(place).addresses if place else ()
    found = next((row for row in rows if row.ip == hop and wanted(row)), None)
    return (place, found) if place and found else None


def _ip(step: AddAddress) -> str:
    return step.address.partition("/")[0]


def _add(loss: Loss, step: AddAddress) -> str:
    """The command that gives an address back, and the routes of its place that went with it."""
    dad = " nodad" if ":" in step.address else ""
    place = next((one for one in loss.place.lab.places if one.full_name == step.place), None)
    gone = declared.gone_with(place, loss.state(place), step.address) if place else []
    routes = (f"ip {'-6 ' if ':' in step.address else ''}route replace {words}" for words in gone)
    how = "replace" if step.replace else "add"
    return " && ".join((f"ip address {how} {step.address} dev {step.link.name}{dad}", *routes))


@cause("host.no-local-route", Stage.SOCKET_OUT, Stage.ROUTING)
def no_local_route(loss: Loss) -> Found | None:
    """The place has the address, and no local route for it, or no rule that asks the local table first."""
    address = loss.packet.destination
    here = loss.received or not loss.link
    if loss.returning or not here or not loss.owns(address) or address != loss.destination:
        return None
    if loss.decision and loss.decision.kind == "local":
        return None
    family = "-6 " if loss.six else ""
    link = next(row.link for row in loss.state().addresses if row.ip == address)
    routes = [row for row in loss.state().routes if row.table == fib.LOCAL and row.kind == "local"]
    there = any(row.to.partition("/")[0] == address for row in routes)
    rule, route = "rule add pref 0 lookup local", f"route add local {address} dev {link} table local"
    lacks = "no rule that asks its local table first" if there else "no local route for it"
    taken = words.route_key(loss.decision.route) if loss.decision and loss.decision.route else ""
    return Found(
        "no rule for the local table" if there else "no local route",
        f"{loss.place.full_name} has {address}, and {lacks}: it does not take it for its own",
        hook="routing",
        evidence=(f"what it would take is {taken}",) if taken else (),
        remedy=f"ip {family}{rule if there else route}",
    )
