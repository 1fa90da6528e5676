"""IPAM sections of configurations: host-local and static, of both families, from plain to strange."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import cache
from typing import Any

from cnitest.fuzz.generate.choices import Choices
from cnitest.plugins import files

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
#: And those that every one has to reject, with what is wrong.
_REJECTED: tuple[tuple[str, Section], ...] = (
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
_LISTS_REJECTED: tuple[tuple[str, Section], ...] = (
    ("an address without a prefix", {"addresses": [{"address": "10.1.0.9"}]}),
    ("an address that is none", {"addresses": [{"address": "somewhere/24"}]}),
    ("addresses that are no list", {"addresses": "10.1.0.9/24"}),
    ("a gateway that is no address", {"addresses": [{"address": "10.1.0.9/24", "gateway": "zz"}]}),
)


Maker = Callable[[Choices], Section]
_MAKERS: dict[str, Maker] = {}


def maker(plugin: str) -> Callable[[Maker], Maker]:
    """Registers what draws valid sections of an IPAM plugin, less its type."""

    def register(function: Maker) -> Maker:
        _MAKERS[plugin] = function
        return function

    return register


def _range(choices: Choices, subnets: tuple[str, ...]) -> Section:
    """One range; what is optional is left out at its simplest."""
    network = _network(choices.pick(subnets))
    row: Section = {"subnet": str(network)}
    if choices.flag():
        row["rangeStart"] = str(network[choices.number(2, 4)])
    if choices.flag():
        row["rangeEnd"] = str(network[choices.number(5, 6)])
    if choices.flag():
        row["gateway"] = str(network[1])
    return row


@cache
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


@maker("host-local")
def host_local(choices: Choices) -> Section:
    """A valid section of host-local: the old form with a subnet, or sets of ranges."""
    section: Section = {}
    shape = choices.pick(("subnet", "ranges", "dual"))
    if shape == "subnet":
        section.update(_range(choices, _V4))
    else:
        section["ranges"] = [[_range(choices, _V4)]]
    if shape == "dual":
        section["ranges"].append([_range(choices, _V6)])
    if choices.flag():
        section["routes"] = choices.some(_ROUTES, 2, least=1)
        if shape == "dual" and choices.flag():
            section["routes"].append(choices.pick(_ROUTES6))
    return section


@maker("static")
def static(choices: Choices) -> Section:
    """A valid section of static."""
    addresses: list[Section] = [{"address": "10.1.0.9/24"}]
    section: Section = {"addresses": addresses}
    if choices.flag():
        addresses[0]["gateway"] = "10.1.0.1"
    if choices.flag():
        addresses.append({"address": "2001:db8:1::9/64"})
    if choices.flag():
        section["routes"] = [{"dst": "10.200.0.0/16", "gw": "10.1.0.1"}]
    if choices.flag():
        section["dns"] = {"nameservers": ["192.0.2.53"], "domain": "example.com"}
    return section


def valid(choices: Choices, plugin: str = "") -> Section:
    """A section that works: of one plugin, or of any."""
    kind = plugin if plugin in _MAKERS else choices.pick(tuple(_MAKERS))
    return {"type": kind, **_MAKERS[kind](choices)}


def boundary(choices: Choices, plugin: str = "") -> Section:
    """A section at an edge."""
    if _is_listed(plugin) or (not plugin and choices.flag(out_of=8)):
        return {"type": _of("listed"), "addresses": []}
    row, name = choices.pick(_EDGES), _of("ranges")
    return {"type": name, "ranges": [[row]]} if choices.flag() else {"type": name, **row}


def invalid(choices: Choices, plugin: str = "") -> tuple[str, Section]:
    """What is wrong with a section, and the section, which has to be rejected."""
    kind = plugin or choices.pick((_of("ranges"), _of("listed")))
    why, row = choices.pick(_LISTS_REJECTED if _is_listed(kind) else _REJECTED)
    return why, {"type": kind, **row}


def _is_listed(plugin: str) -> bool:
    return files.known(plugin).allocation == "listed"


def _of(allocation: str) -> str:
    """The IPAM plugin that gives addresses in a way."""
    return next(plugin.name for plugin in files.every() if plugin.allocation == allocation)
