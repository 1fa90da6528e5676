"""Prefixes, ranges, gateways and routes of a configuration that no address plugin takes, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.topology.words.address import Prefix, expected_prefix, ip, prefix, suggest_prefix

_NETWORKS = ("subnet", "dst")
_WITH_HOST = ("address",)
_INSIDE = ("gateway", "rangeStart", "rangeEnd")
_SMALLEST = {4: 30, 6: 126}


def faults(conf: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the addresses of one plugin's configuration; its keys are those of the IPAM plugins."""
    for where, section in _sections(conf, ""):
        yield from _of_section(where, section)


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
        if isinstance(text, str) and text and prefix(text) is None and not (key == "dst" and text == "default"):
            advice = suggest_prefix(text, host=True)
            yield f"{where}.{key}: {text!r} is not {expected_prefix(text)}{advice}".lstrip(".")
    subnet = _prefix(section.get("subnet"))
    if subnet is not None:
        yield from _of_subnet(where, section, subnet)


def _of_subnet(where: str, section: Mapping[str, Any], subnet: Prefix) -> Iterator[str]:
    if subnet.network != subnet:
        yield f"{where}.subnet: {section['subnet']!r} has bits of a host; the network is {str(subnet.network)!r}"
    if subnet.length > _SMALLEST[subnet.family]:
        yield f"{where}.subnet: {section['subnet']!r} is too small: a network to give addresses from is a /30 or larger"
    for key in _INSIDE:
        text = section.get(key)
        found = ip(text) if isinstance(text, str) else None
        if isinstance(text, str) and text and found is None:
            yield f"{where}.{key}: {text!r} is not an address"
        elif found is not None and not subnet.network.covers(found):
            yield f"{where}.{key}: {text} is not in the subnet {subnet.network}"
    first, last = (ip(text) if isinstance(text := section.get(key), str) else None for key in _INSIDE[1:])
    if first and last and first.family == last.family and first.value > last.value:
        yield f"{where}: rangeStart {section['rangeStart']} lies behind rangeEnd {section['rangeEnd']}"


def _prefix(text: Any) -> Prefix | None:
    return prefix(text) if isinstance(text, str) else None
