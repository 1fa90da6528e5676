"""Which addresses an IPAM plugin has to give: independent models of host-local's allocator, and of static.

host-local walks each set of ranges from the last address it gave on, leaves out gateways and what is reserved, and
begins again at the end (plugins/ipam/host-local/README.md, "Allocation"). The model reads the same files, and nothing
else.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import form
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles.attached import Attached
from cnitest.plugins import files

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_DIRECTORY = "/var/lib/cni/networks"
_MOST = 4096


class Range(NamedTuple):
    """From one address to another, less the gateway."""

    first: Ip
    last: Ip
    gateway: Ip


class Expected(NamedTuple):
    """The addresses to give, one a set, and by which plugin; ``exhausted`` when there is a set without a free one."""

    addresses: tuple[str, ...] = ()
    exhausted: bool = False
    known: bool = False
    plugin: str = ""


def expected(bench: Bench, example: Example) -> Expected:
    """What the allocator has to give next for a network, as far as the model knows its configuration."""
    if len(example.ipam) != 1:
        return Expected()
    plugin, section = example.ipam[0]
    if not files.known(plugin).allocation or _is_asked(example, section):
        return Expected()
    if files.known(plugin).allocation == "listed":
        return _listed(plugin, section)
    try:
        sets = [[range_of(row) for row in rows] for rows in _sets(section) if rows]
        known = all(one.first.version == one.last.version for ranges in sets for one in ranges)
    except (KeyError, TypeError, ValueError, IndexError):
        return Expected()
    if not known:
        return Expected()
    directory = os.path.join(str(section.get("dataDir") or _DIRECTORY), str(example.network.get("name")))
    reserved, last = bench.inside(lambda: _read(directory))
    found = [following(ranges, reserved, last.get(number)) for number, ranges in enumerate(sets)]
    if None in found:
        return Expected(exhausted=True, known=True, plugin=plugin)
    return Expected(tuple(str(address) for address in found), known=True, plugin=plugin)


def _listed(plugin: str, section: Mapping[str, Any]) -> Expected:
    """static gives what its configuration lists (plugins/ipam/static/README.md)."""
    try:
        rows = [ipaddress.ip_interface(row["address"]) for row in section["addresses"]]
    except (KeyError, TypeError, ValueError):
        return Expected()
    return Expected(tuple(str(row.ip) for row in rows), known=True, plugin=plugin)


def _is_asked(example: Example, section: Mapping[str, Any]) -> bool:
    """Whether somebody asks for an address, or brings ranges of its own."""
    asked = {"ips", "ipRanges"} & set(example.capabilities) or "IP" in example.args
    return bool(asked) or any("args" in conf for conf in example.plugins) or "args" in section


def _sets(section: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    legacy = [[section]] if section.get("subnet") else []
    return [*legacy, *section.get("ranges", [])]


def range_of(row: Mapping[str, Any]) -> Range:
    """A range as a configuration says it. Raises KeyError, TypeError, ValueError and IndexError for none."""
    network = ipaddress.ip_network(row["subnet"])
    end = network[-2] if network.version == 4 else network[-1]
    first = ipaddress.ip_address(row["rangeStart"]) if row.get("rangeStart") else network[1]
    last = ipaddress.ip_address(row["rangeEnd"]) if row.get("rangeEnd") else end
    return Range(first, last, ipaddress.ip_address(row["gateway"]) if row.get("gateway") else network[1])


def _read(directory: str) -> tuple[set[str], dict[int, str]]:
    """The reserved addresses, and the last one given by the number of its set."""
    reserved: set[str] = set()
    last: dict[int, str] = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        if name.startswith("last_reserved_ip."):
            with open(os.path.join(directory, name), encoding="ascii", errors="replace") as file:
                number = name.rpartition(".")[2]
                last[int(number) if number.isdecimal() else -1] = file.read().strip()
        elif name != "lock":
            reserved.add(name)
    return reserved, last


def following(ranges: Sequence[Range], reserved: Collection[str], last: str | None) -> Ip | None:
    """The address to give next from one set: after ``last``, neither reserved nor a gateway; None for none is free."""
    gateways = {one.gateway for one in ranges}
    for number, address in enumerate(_walk(ranges, last)):
        if str(address) not in reserved and address not in gateways:
            return address
        if number > _MOST:
            break
    return None


def _walk(ranges: Sequence[Range], last: str | None) -> Iterator[Ip]:
    """All addresses of a set, beginning after the last one given."""
    position, at = 0, None
    if last:
        known = ipaddress.ip_address(last)
        for number, one in enumerate(ranges):
            if one.first.version == known.version and int(one.first) <= int(known) <= int(one.last):
                position, at = number, known
    if at is not None and int(at) < int(ranges[position].last):
        yield from _between(at + 1, ranges[position].last)
    for step in range(1 if at is not None else 0, len(ranges) + 1):
        one = ranges[(position + step) % len(ranges)]
        yield from _between(one.first, one.last)


def _between(first: Ip, last: Ip) -> Iterator[Ip]:
    for number in range(int(first), int(last) + 1):
        yield type(first)(number)


def misallocated(one: Attached, wanted: Expected, others: Sequence[Attached]) -> list[Violation]:
    """What is wrong with the addresses of a result: others than the model's, or somebody else's."""
    given = [ip.address.partition("/")[0] for ip in form.ips(one.result or {}, one.version)]
    name = one.target.network
    taken = {
        ip.address.partition("/")[0]
        for other in others
        if other.target.network == name and other.example.chooses_addresses
        for ip in form.ips(other.result or {}, other.version)
    }
    found = [f"the address {address} is given twice" for address in given if address in taken]
    found += _gateways(one)
    if wanted.known and not found and sorted(map(_canonical, given)) != sorted(map(_canonical, wanted.addresses)):
        expected_words = "none, for it is exhausted" if wanted.exhausted else ", ".join(wanted.addresses)
        found.append(f"the addresses are {', '.join(given) or 'none'}; {wanted.plugin} has to give {expected_words}")
    return [Violation("address", wanted.plugin if wanted.known else "", words) for words in found]


def _gateways(one: Attached) -> list[str]:
    """Addresses that are their own gateway's, from a plugin that chooses them."""
    if not one.example.chooses_addresses:
        return []
    ips = [ip for ip in form.ips(one.result or {}, one.version) if ip.gateway]
    same = [ip.gateway for ip in ips if _canonical(ip.gateway or "") == _canonical(ip.address.partition("/")[0])]
    return [f"the address {address} is the gateway's" for address in same]


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
