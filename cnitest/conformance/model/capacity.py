"""How many attachments a network has room for, as far as its configurations say it.

Not every network that works has room for the ten containers that a test adds at once: a range of addresses may be
tiny, and a device of the host can be moved into one container only.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.conformance.model.deviation import nickname
from cnitest.conformance.model.subject import Subject
from cnitest.plugins.knowledge import Plugin


def capacity(subject: Subject) -> float:
    """The most attachments at a time; infinity where nothing is said."""
    confs = {str(conf.get("type")): conf for conf in subject.before}
    confs[nickname(subject)] = subject.conf
    found = [size for name, conf in confs.items() for size in (*_devices(subject.known(name), conf), *_addresses(conf))]
    return min(found, default=math.inf)


def _devices(plugin: Plugin, conf: Mapping[str, Any]) -> Iterator[float]:
    """One, where a device is named that is not each container's own."""
    values = [str(conf[key]) for key in plugin.devices if key in conf]
    if values and not any("{container}" in value for value in values):
        yield 1


def _addresses(conf: Mapping[str, Any]) -> Iterator[float]:
    """The size of each range set of an IPAM section, which gives one address to each attachment."""
    section = conf.get("ipam")
    if not isinstance(section, Mapping):
        return
    sets = section.get("ranges") or ([[section]] if "subnet" in section else [])
    for ranges in sets if isinstance(sets, list) else ():
        sizes = [_size(one) for one in ranges if isinstance(one, Mapping)] if isinstance(ranges, list) else []
        if sizes:
            yield sum(sizes)


def _size(one: Mapping[str, Any]) -> float:
    """The addresses of a range less its gateway; infinity for one that cannot be read."""
    try:
        subnet = ipaddress.ip_network(str(one.get("subnet")), strict=False)
        first = ipaddress.ip_address(str(one.get("rangeStart") or subnet.network_address + 1))
        last = ipaddress.ip_address(str(one.get("rangeEnd") or subnet.broadcast_address - (subnet.version == 4)))
        gateway = ipaddress.ip_address(str(one.get("gateway") or subnet.network_address + 1))
    except ValueError:
        return math.inf
    return int(last) - int(first) + 1 - (int(first) <= int(gateway) <= int(last))
