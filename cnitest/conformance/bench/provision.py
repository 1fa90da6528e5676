"""What a runtime provides by default for the well-known capabilities that a list declares (CONVENTIONS.md), so that a
plugin whose work is asked for in this way has some in every test."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni.spec import Document
from cnitest.conformance.model import form, space
from cnitest.conformance.model.space import IPNetwork
from cnitest.conformance.model.subject import Setting

_HOST_PORTS, _PORTS = 20080, {"tcp": 80, "udp": 53}
_RATE, _BURST = 80_000_000, 8_000_000
# Where a network names no addresses of its own: the first of these that nothing in its list or topology overlaps.
_FREE: Mapping[int, tuple[str, ...]] = {
    4: tuple(f"10.{second}.0.0/16" for second in range(132, 140)),
    6: tuple(f"2001:db8:{group:x}::/48" for group in range(0x132, 0x13A)),
}
_LENGTH = {4: 24, 6: 64}


class Provision:
    """What the runtime of one host provides; each attachment gets its own of what only one can have."""

    def __init__(self, setting: Setting, network: str) -> None:
        self._setting = setting
        self._attachments: dict[tuple[str, str, str], int] = {}
        self._networks = {network: 0}

    def provides(self, confs: Sequence[Document], container: str, ifname: str, network: str) -> Document:
        """The arguments for one attachment: as the profile says, else by default."""
        if not self._setting.defaults:
            return self._setting.capabilities
        number = self._attachments.setdefault((container, ifname, network), len(self._attachments))
        which = self._networks.setdefault(network, len(self._networks))
        taken = space.of_topology(self._setting.topology)
        return {**arguments(confs, number, which, taken), **self._setting.capabilities}


def arguments(
    confs: Sequence[Document], number: int, network: int = 0, taken: Sequence[IPNetwork] = ()
) -> dict[str, Any]:
    """The arguments of a list of plugins. ``number`` tells an attachment from the others of its host, ``network`` its
    network from the other networks there: host ports, MACs and addresses are nobody else's. ``taken`` are networks that
    are there already."""
    wanted = declared(confs)
    made: dict[str, Any] = {
        "portMappings": _port_mappings(number),
        "bandwidth": {f"{way}{what}": size for way in ("ingress", "egress") for what, size in _LIMITS.items()},
        "mac": f"02:00:5e:01:{number >> 8 & 255:02x}:{number & 255:02x}",
        "dns": {"servers": ["192.0.2.53"], "searches": ["cnitest.example"], "options": ["ndots:3"]},
        "aliases": [f"cnitest-alias-{number}"],
    }
    if not names_addresses(confs):
        subnets = list(_subnets(confs, network, taken))
        made["ips"] = [f"{subnet[10 + number]}/{subnet.prefixlen}" for subnet in subnets]
        made["ipRanges"] = [[{"subnet": str(subnet)}] for subnet in subnets]
    return {key: value for key, value in made.items() if key in wanted}


_LIMITS = {"Rate": _RATE, "Burst": _BURST}


def declared(confs: Sequence[Document]) -> set[str]:
    """The capabilities that any plugin of a list declares."""
    sections = [conf.get("capabilities") for conf in confs]
    return {key for section in sections if isinstance(section, Mapping) for key, on in section.items() if on is True}


def needed(confs: Sequence[Document], provided: Document) -> dict[str, Any]:
    """Of what is provided that without which a list has no addresses at all."""
    return {} if names_addresses(confs) else {key: provided[key] for key in ("ips", "ipRanges") if key in provided}


def names_addresses(confs: Sequence[Document]) -> bool:
    """Whether a list says which addresses there are, so that none need be provided."""
    return any(form.networks(conf.get("ipam")) for conf in confs)


def _port_mappings(number: int) -> list[dict[str, Any]]:
    return [
        {"hostPort": _HOST_PORTS + len(_PORTS) * number + place, "containerPort": port, "protocol": protocol}
        for place, (protocol, port) in enumerate(_PORTS.items())
    ]


def _subnets(confs: Sequence[Document], network: int, taken: Sequence[IPNetwork]) -> Iterator[IPNetwork]:
    """One free subnet a family: of IPv4, and of IPv6 where the list speaks of any."""
    mentioned = space.named(json.dumps(list(confs)))
    for family in sorted({found.version for found in mentioned} or {4}):
        here = [found for found in (*mentioned, *taken) if found.version == family and found.prefixlen]
        pools = map(ipaddress.ip_network, _FREE[family])
        free = next((pool for pool in pools if not any(pool.overlaps(other) for other in here)), None)
        if free is not None:
            yield ipaddress.ip_network((int(free.network_address) + (network << _width(family)), _LENGTH[family]))


def _width(family: int) -> int:
    return (32 if family == 4 else 128) - _LENGTH[family]
