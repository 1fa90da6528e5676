"""Reads the multicast memberships of a namespace, which only /proc/net has in full."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterator

from cnitest.kernel.rows.records import MulticastAddress


def memberships(read_own: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """(link, group) for MAC, IPv4 and IPv6 groups; ``read_own`` reads a file of /proc/net."""
    return tuple((row.link, row.address) for row in addresses(read_own))


def addresses(read_own: Callable[[str], str]) -> tuple[MulticastAddress, ...]:
    """The same as rows; a MAC that somebody has entered is ``static``."""
    return _addresses(*map(read_own, ("dev_mcast", "igmp6", "igmp")))


@functools.lru_cache(maxsize=256)
def _addresses(hardware: str, version6: str, version4: str) -> tuple[MulticastAddress, ...]:
    return tuple(sorted({*_hardware(hardware), *_version6(version6), *_version4(version4)}))


def _hardware(text: str) -> Iterator[MulticastAddress]:
    for _, link, _, entered, address in map(str.split, text.splitlines()):
        yield MulticastAddress(link, bytes.fromhex(address).hex(":"), entered != "0")


def _version6(text: str) -> Iterator[MulticastAddress]:
    for fields in map(str.split, text.splitlines()):
        yield MulticastAddress(fields[1], str(ipaddress.IPv6Address(bytes.fromhex(fields[2]))), False)


def _version4(text: str) -> Iterator[MulticastAddress]:
    link = ""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if line.startswith("\t"):
            yield MulticastAddress(link, str(ipaddress.IPv4Address(bytes.fromhex(fields[0])[::-1])), False)
        else:
            link = fields[1].removesuffix(":")  # "%-10s:" in the kernel's igmp.c: no blank behind a longer name
