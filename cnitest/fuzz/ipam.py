"""IPAM sections of configurations: host-local and static, of both families, from plain to strange."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Section = dict[str, Any]

_V4 = ("10.1.0.0/24", "10.1.2.0/28", "172.20.0.0/16", "192.168.7.0/29")
_V6 = ("2001:db8:1::/64", "2001:db8:2::/120", "fd00:7::/48")
_ROUTES = ({"dst": "0.0.0.0/0"}, {"dst": "10.200.0.0/16"}, {"dst": "192.0.2.0/24"})
_ROUTES6 = ({"dst": "::/0"}, {"dst": "2001:db8:ff::/48"})

#: host-local ranges that are small, huge, or at their own edges; some releases take them, some do not.
_EDGES: tuple[Section, ...] = (
    {"subnet": "10.1.0.0/30"},
    {"subnet": "10.1.0.0/31"},
    {"subnet": "10.1.0.1/32"},
    {"subnet": "10.0.0.0/8"},
    {"subnet": "2001:db8:1::/126"},
    {"subnet": "2001:db8:1::/127"},
    {"subnet": "2001:db8::/32"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.7", "rangeEnd": "10.1.0.7"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.0"},
    {"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.255"},
    {"subnet": "10.1.0.0/24", "gateway": "10.9.9.9"},
    {"subnet": "10.1.0.0/24", "gateway": "10.1.0.254"},
)
#: And those that every one has to refuse, with what is wrong.
_REFUSED: tuple[tuple[str, Section], ...] = (
    ("a subnet with host bits", {"subnet": "10.1.0.1/24"}),
    ("a subnet that is none", {"subnet": "10.1.0.0"}),
    ("a subnet that is no text", {"subnet": 7}),
    ("a subnet of 33 bits", {"subnet": "10.1.0.0/33"}),
    ("rangeStart after rangeEnd", {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.5"}),
    ("rangeStart outside the subnet", {"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.9"}),
    ("rangeEnd outside the subnet", {"subnet": "10.1.0.0/24", "rangeEnd": "10.2.0.9"}),
    ("a gateway that is no address", {"subnet": "10.1.0.0/24", "gateway": "here"}),
    ("ranges that overlap", {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.1.0.0/25"}]]}),
    ("families mixed in a set", {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "2001:db8::/64"}]]}),
    ("a set without a range", {"ranges": [[]]}),
    ("ranges that are no list", {"ranges": {"subnet": "10.1.0.0/24"}}),
    ("a route that is none", {"subnet": "10.1.0.0/24", "routes": [{"dst": "everywhere"}]}),
    ("routes that are no list", {"subnet": "10.1.0.0/24", "routes": "0.0.0.0/0"}),
    ("no subnet", {}),
)
_STATIC_REFUSED: tuple[tuple[str, Section], ...] = (
    ("an address without a prefix", {"addresses": [{"address": "10.1.0.9"}]}),
    ("an address that is none", {"addresses": [{"address": "somewhere/24"}]}),
    ("addresses that are no list", {"addresses": "10.1.0.9/24"}),
    ("a gateway that is no address", {"addresses": [{"address": "10.1.0.9/24", "gateway": "zz"}]}),
)


@st.composite
def _range(draw: st.DrawFn, subnets: tuple[str, ...]) -> Section:
    """One range; what is optional is left out at its simplest."""
    import ipaddress

    network = ipaddress.ip_network(draw(st.sampled_from(subnets)))
    row: Section = {"subnet": str(network)}
    first = draw(st.integers(2, 4)) if draw(st.booleans()) else 0
    if first:
        row["rangeStart"] = str(network[first])
    if draw(st.booleans()):
        row["rangeEnd"] = str(network[max(first, draw(st.integers(3, 6)))])  # one address, and a few
    if draw(st.booleans()):
        row["gateway"] = str(network[1])
    return row


@st.composite
def host_local(draw: st.DrawFn, *, chained_families: bool = True) -> Section:
    """A valid section of host-local: the old form with a subnet, or sets of ranges."""
    section: Section = {"type": "host-local"}
    shape = draw(st.sampled_from(["subnet", "ranges", "dual"] if chained_families else ["subnet", "ranges"]))
    if shape == "subnet":
        section.update(draw(_range(_V4)))
    else:
        section["ranges"] = [[draw(_range(_V4))]]
    if shape == "dual":
        section["ranges"].append([draw(_range(_V6))])
    if draw(st.booleans()):
        section["routes"] = draw(st.lists(st.sampled_from(_ROUTES), min_size=1, max_size=2, unique_by=str))
        if shape == "dual" and draw(st.booleans()):
            section["routes"] = [*section["routes"], draw(st.sampled_from(_ROUTES6))]
    return section


@st.composite
def static(draw: st.DrawFn) -> Section:
    """A valid section of static."""
    addresses: list[Section] = [{"address": "10.1.0.9/24"}]
    if draw(st.booleans()):
        addresses[0]["gateway"] = "10.1.0.1"
    if draw(st.booleans()):
        addresses.append({"address": "2001:db8:1::9/64"})
    section: Section = {"type": "static", "addresses": addresses}
    if draw(st.booleans()):
        section["routes"] = [{"dst": "10.200.0.0/16", "gw": "10.1.0.1"}]
    if draw(st.booleans()):
        section["dns"] = {"nameservers": ["192.0.2.53"], "domain": "example.com"}
    return section


def valid(plugin: str = "") -> SearchStrategy[Section]:
    """A section that works: of one plugin, or of any."""
    found: dict[str, SearchStrategy[Section]] = {"host-local": host_local(), "static": static()}
    return found[plugin] if plugin in found else st.one_of(found["host-local"], found["static"])


def boundary(plugin: str = "") -> SearchStrategy[Section]:
    """A section at an edge."""
    edges = st.sampled_from(_EDGES).map(lambda row: {"type": "host-local", **row})
    sets = st.sampled_from(_EDGES).map(lambda row: {"type": "host-local", "ranges": [[row]]})
    many = st.just({"type": "static", "addresses": []})
    return {"static": many}.get(plugin, st.one_of(edges, sets) if plugin else st.one_of(edges, sets, many))


def invalid(plugin: str = "") -> SearchStrategy[tuple[str, Section]]:
    """A section that has to be refused, and what is wrong with it."""
    local = st.sampled_from(_REFUSED).map(lambda pair: (pair[0], {"type": "host-local", **pair[1]}))
    fixed = st.sampled_from(_STATIC_REFUSED).map(lambda pair: (pair[0], {"type": "static", **pair[1]}))
    return {"host-local": local, "static": fixed}.get(plugin, st.one_of(local, fixed))
