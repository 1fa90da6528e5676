"""Reads the multicast memberships of a namespace, which only /proc/net tells in full."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable


def memberships(read_own: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    """(link, group) for MAC, IPv4 and IPv6 groups; ``read_own`` reads a file of /proc/net."""
    found = set()
    for fields in map(str.split, read_own("dev_mcast").splitlines()):
        found.add((fields[1], bytes.fromhex(fields[4]).hex(":")))
    for fields in map(str.split, read_own("igmp6").splitlines()):
        found.add((fields[1], str(ipaddress.IPv6Address(bytes.fromhex(fields[2])))))
    link = ""
    for line in read_own("igmp").splitlines()[1:]:
        fields = line.split()
        if line.startswith("\t"):
            found.add((link, str(ipaddress.IPv4Address(bytes.fromhex(fields[0])[::-1]))))
        else:
            link = fields[1]
    return tuple(sorted(found))
