"""What a test may take for itself: networks, ports and names that neither the subject nor its topology uses."""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Iterator
from functools import cache

from cnitest.conformance.model.subject import Subject
from cnitest.topology import find, load

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
# Where to look for what is free: ranges for tests (RFC 2544) and documentation (RFC 3849) first, then private ones.
_POOLS = {4: ("198.18.0.0/15", "172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"), 6: ("2001:db8:c000::/34", "fd00::/8")}
_LENGTHS = {4: 24, 6: 64}
_ADDRESS = re.compile(r"(?<![\w.:])[0-9a-fA-F]*[.:][0-9a-fA-F.:]+(?:/\d+)?")
_WORD = re.compile(r"\w[\w.-]*")


def network(subject: Subject, family: int = 4, nth: int = 0) -> IPNetwork:
    """The ``nth`` network of a family (/24 or /64) that overlaps nothing which configuration, profile, first result or
    topology name. Those of different numbers do not overlap."""
    return next(itertools.islice(_free(subject, family), nth, None))


def address(subject: Subject, family: int = 4, nth: int = 0, host: int = 1) -> str:
    """An address of such a network, without prefix."""
    return str(network(subject, family, nth)[host])


def port(subject: Subject, wanted: int) -> int:
    """The port nearest above ``wanted`` that is no number of the configuration, the profile or the topology."""
    numbers = {int(word) for word in _WORD.findall(_texts(subject)) if word.isdecimal()}
    return next(number for number in range(wanted, 65536) if number not in numbers)


def name(subject: Subject, wanted: str) -> str:
    """``wanted``, or with a number behind it where that is the name of something."""
    words = set(_WORD.findall(_texts(subject)))
    numbered = (f"{wanted}{number}" for number in itertools.count())
    return next(found for found in itertools.chain([wanted], numbered) if found not in words)


def families(subject: Subject) -> tuple[int, ...]:
    """The families of addresses that its first result has, else its configuration; IPv4 where nothing says."""
    for document in (subject.result.get("ips") or [], [subject.conf, *subject.before]):
        found = {one.version for one in named(json.dumps(document)) if one.prefixlen or one.version == 6}
        if found:
            return tuple(sorted(found))
    return (4,)


def taken(subject: Subject) -> tuple[IPNetwork, ...]:
    """The networks that configuration, profile, first result and topology name, the way to everywhere apart."""
    return tuple(found for found in named(_texts(subject)) if found.prefixlen)


def _texts(subject: Subject) -> str:
    """Everything that a person wrote or a plugin answered."""
    setting = subject.setting
    documents = (subject.conf, subject.before, setting.second, setting.capabilities, setting.args, subject.result)
    commands = (*setting.host_setup, *setting.container_setup)
    return " ".join([*(json.dumps(each) for each in documents), *map(" ".join, commands), _topology(setting.topology)])


@cache
def _topology(where: str) -> str:
    return repr(load(find(where)))


def _free(subject: Subject, family: int) -> Iterator[IPNetwork]:
    others = [found for found in taken(subject) if found.version == family]
    for pool in map(ipaddress.ip_network, _POOLS[family]):
        at, length = int(pool.network_address), _LENGTHS[family]
        while at <= int(pool.broadcast_address):
            candidate = ipaddress.ip_network((at, length))
            taken_here = [int(other.broadcast_address) for other in others if candidate.overlaps(other)]
            if not taken_here:
                yield candidate
            at = max([int(candidate.broadcast_address), *taken_here]) + 1  # past all of a larger network at once


@cache
def of_topology(where: str) -> tuple[IPNetwork, ...]:
    """The networks of a topology, by its name or file."""
    return named(_topology(where))


def named(texts: str) -> tuple[IPNetwork, ...]:
    """Every network and address in a text; an address without a prefix is its whole network's."""
    return tuple({found for text in _ADDRESS.findall(texts) if (found := _read(text)) is not None})


def _read(text: str) -> IPNetwork | None:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return None
    if "/" in text:
        return found.network
    return ipaddress.ip_network((found.ip, _LENGTHS[found.version]), strict=False)
