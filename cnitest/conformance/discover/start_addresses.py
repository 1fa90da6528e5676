"""Prefixes, ranges, gateways and routes of a configuration that no address plugin takes, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.conformance.discover import start_ranges
from cnitest.plugins import files
from cnitest.text import quoted
from cnitest.topology.words.address import Prefix, expected_prefix, ip, prefix, repaired_address, suggest_prefix

_NETWORKS = ("subnet", "dst")
_WITH_HOST = ("address",)
_INSIDE = ("gateway", "rangeStart", "rangeEnd")
_SMALLEST = {4: 30, 6: 126}
_DEFAULT = ". Did you mean '0.0.0.0/0', or '::/0'?"


def faults(conf: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the addresses of one plugin's configuration; its keys are those of the IPAM plugins."""
    for where, section in _sections(conf, ""):
        yield from _of_section(where, section)
    ipam = conf.get("ipam")
    if isinstance(ipam, Mapping):
        known = files.known(str(ipam.get("type", "")))
        declared = conf.get("capabilities")
        taken = [key for key, on in declared.items() if on] if isinstance(declared, Mapping) else []
        if known.allocation == "ranges":
            yield from start_ranges.faults(ipam, more="ipRanges" in taken)
        if known.allocation == "listed" and not ipam.get("addresses") and "ips" not in taken:
            yield f"ipam has no 'addresses': {known.name} gives those alone, and what a runtime asks for"
        if known.allocation:
            yield from _of_routes(ipam)


def _sections(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        yield where, value
        for key, item in value.items():
            yield from _sections(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _sections(item, f"{where}[{number}]")


def _of_section(where: str, section: Mapping[str, Any]) -> Iterator[str]:
    for key in (*_NETWORKS, *_WITH_HOST):
        text = section.get(key)
        if isinstance(text, str) and text and prefix(text) is None:
            advice = _advice(key, text)
            yield f"{where}.{key}: {quoted(text)} is not {expected_prefix(text)}{advice}".lstrip(".")
    subnet = _prefix(section.get("subnet"))
    if subnet is not None:
        yield from _of_subnet(where, section, subnet)
    address = _prefix(section.get("address"))
    if address is not None:
        yield from _of_address(where, section, address)


def _advice(key: str, text: str) -> str:
    """What may have been meant; the destination of a route is one host, if it is no network of the usual length."""
    if text == "default":
        return _DEFAULT
    if text in ("0.0.0.0", "::"):
        return f". Did you mean '{text}/0'?"
    found = ip(text)
    host = found is not None and bool(found.value & (0xFF if found.family == 4 else (1 << 64) - 1))
    return suggest_prefix(text, host=not (key == "dst" and host))


def _of_subnet(where: str, section: Mapping[str, Any], subnet: Prefix) -> Iterator[str]:
    if subnet.network != subnet:
        yield f"{where}.subnet: {section['subnet']!r} has bits of a host; the network is {str(subnet.network)!r}"
    if subnet.length > _SMALLEST[subnet.family]:
        yield (
            f"{where}.subnet: {section['subnet']!r} is too small: a network to give addresses from is "
            f"a /{_SMALLEST[subnet.family]} or larger"
        )
    for key in _INSIDE:
        text = section.get(key)
        found = ip(text) if isinstance(text, str) else None
        if isinstance(text, str) and text and found is None:
            yield f"{where}.{key}: {quoted(text)} is not an address{_without_prefix(text)}"
        elif found is not None and not subnet.network.covers(found):
            yield f"{where}.{key}: {text} is not in the subnet {subnet.network}"
        elif found is not None and (why := _reserved(found, subnet)):
            yield f"{where}.{key}: {text} is {why} of {subnet.network}, not one for a host"
    first, last = (ip(text) if isinstance(text := section.get(key), str) else None for key in _INSIDE[1:])
    if first and last and first.family == last.family and first.value > last.value:
        yield f"{where}: rangeStart {section['rangeStart']} lies behind rangeEnd {section['rangeEnd']}"


def _of_address(where: str, section: Mapping[str, Any], address: Prefix) -> Iterator[str]:
    """An address that is given, and its gateway."""
    if why := _reserved(address, address):
        yield f"{where}.address: {section['address']} is {why} of its network, not one for a host"
    text = section.get("gateway")
    gateway = ip(text) if isinstance(text, str) and text else None
    if isinstance(text, str) and text and gateway is None:
        yield f"{where}.gateway: {quoted(text)} is not an address{_without_prefix(text)}"
    elif gateway is not None and not address.network.covers(gateway) and not gateway.is_link_local:
        yield f"{where}.gateway: {text} is not in the network {address.network} of the address"


def _of_routes(ipam: Mapping[str, Any]) -> Iterator[str]:
    routes = ipam.get("routes")
    sections = [section for _, section in _sections(ipam, "")]
    nets = [found for section in sections for key in ("subnet", "address") if (found := _net(section, key))]
    for number, route in enumerate(routes if isinstance(routes, (list, tuple)) else ()):
        if isinstance(route, Mapping):
            yield from _of_route(f"ipam.routes[{number}]", route, nets)


def _of_route(where: str, route: Mapping[str, Any], nets: list[Prefix]) -> Iterator[str]:
    """A route without a destination, with bits of a host, or by a gateway that no address here reaches."""
    to, text = _prefix(route.get("dst")), route.get("gw")
    if not route.get("dst"):
        yield f"{where} has no 'dst': the network that it leads to, such as '0.0.0.0/0'"
    if to is not None and to.network != to:
        yield f"{where}.dst: {route['dst']!r} has bits of a host; the network is {str(to.network)!r}"
    gateway = ip(text) if isinstance(text, str) and text else None
    if isinstance(text, str) and text and gateway is None:
        yield f"{where}.gw: {quoted(text)} is not an address{_without_prefix(text)}"
    elif gateway is not None and to is not None and gateway.family != to.family:
        yield f"{where}: gw {text} is IPv{gateway.family}, and dst {route['dst']} is IPv{to.family}"
    elif gateway is not None and nets and not _is_reached(gateway, nets):
        yield f"{where}.gw: {text} is in none of the networks here ({', '.join(map(str, nets))})"


def _is_reached(gateway: Prefix, nets: list[Prefix]) -> bool:
    return gateway.is_link_local or any(net.covers(gateway) for net in nets)


def _net(section: Mapping[str, Any], key: str) -> Prefix | None:
    found = _prefix(section.get(key))
    return found.network if found else None


def _reserved(address: Prefix, subnet: Prefix) -> str:
    """What an address of a network is for, where it is for no host."""
    spare = subnet.bits - subnet.length
    if subnet.family == 6 or spare < 2:
        return ""
    host = address.value & ((1 << spare) - 1)
    return "the first address" if host == 0 else "the broadcast address" if host == (1 << spare) - 1 else ""


def _without_prefix(text: str) -> str:
    """What an address was meant by one with a prefix, a zone, blanks or zeros in front of its numbers."""
    found = prefix(text) or ip(repaired_address(text))
    return f". Did you mean {found.address!r}?" if found else ""


def _prefix(text: Any) -> Prefix | None:
    return prefix(text) if isinstance(text, str) else None
