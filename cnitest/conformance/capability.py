"""The well-known capabilities of CONVENTIONS.md: what a runtime provides for each, and how its effect shows."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnitest.conformance import connections, form, judge, traffic
from cnitest.conformance.bench import Bench, Slot
from cnitest.conformance.requirement import Kind

Document = Mapping[str, Any]
_HOST_PORT, _PORT = 18080, 8080
_MAC = "02:00:5e:00:53:42"
# Bits a second and bits: slow enough to be measured in half a second, with room for one large packet.
_RATE, _BURST = 800_000, 160_000
_DATAGRAMS, _SIZE = 40, 1200
_LIMITS = {way: {f"{way}Rate": _RATE, f"{way}Burst": _BURST} for way in ("ingress", "egress")}


class Exercise(NamedTuple):
    """What is provided for a capability, and what is wrong with its effect on an attachment."""

    provided: Document
    faults: Callable[[Bench, Slot, Document], list[str]]


def _port_mappings(_: Bench) -> Exercise:
    rows = [{"hostPort": _HOST_PORT, "containerPort": _PORT, "protocol": name} for name in ("tcp", "udp")]
    return Exercise({"portMappings": rows}, _reached_through_the_host)


def _reached_through_the_host(bench: Bench, slot: Slot, _: Document) -> list[str]:
    """Somebody outside sends to the host's port, and the container answers."""
    outside, target = traffic.outside(bench.lab, bench.node)
    if outside is None:
        return []
    flows = [
        traffic.through_port(outside, target, protocol, _HOST_PORT, slot.sandbox, _PORT) for protocol in ("tcp", "udp")
    ]
    return [why for flow in flows if (why := traffic.lost(flow))]


def _bandwidth(_: Bench) -> Exercise:
    return Exercise({"bandwidth": {**_LIMITS["ingress"], **_LIMITS["egress"]}}, _slowed_down)


def _slowed_down(bench: Bench, slot: Slot, result: Document) -> list[str]:
    """Traffic of the container is limited, and so is that of containers with a limit in one direction alone."""
    faults = _not_limited(bench, slot, result, "both ways")
    for number, (way, limits) in enumerate(_LIMITS.items()):
        alone = bench.slot(f"c{60 + number}", capabilities={**slot.capabilities, "bandwidth": limits})
        found = judge.result_document(bench.add(alone))
        if found is not None:
            faults += _not_limited(bench, alone, found, f"for {way} alone")
    return faults


def _not_limited(bench: Bench, slot: Slot, result: Document, where: str) -> list[str]:
    """A volley of datagrams, each answered, takes at least half of the time that the limit makes it take."""
    gateway = next((ip.gateway for ip in form.ips(result, bench.version) if ip.gateway and ":" not in ip.gateway), None)
    if gateway is None:
        return []
    least = (_DATAGRAMS * _SIZE * 8 - _BURST) / _RATE / 2
    began = time.monotonic()
    for _ in range(_DATAGRAMS):
        slot.sandbox.udp(gateway, 4791, size=_SIZE, wait=2.0)
    took = time.monotonic() - began
    bits = _DATAGRAMS * _SIZE * 8
    if took >= least:
        return []
    return [f"{bits} bits each way take {took:.2f} s at {_RATE} bit/s {where}: not limited"]


def _mac(_: Bench) -> Exercise:
    return Exercise({"mac": _MAC}, _has_mac)


def _has_mac(bench: Bench, slot: Slot, result: Document) -> list[str]:
    if bench.subject.kind is Kind.IPAM:
        return []
    found = slot.sandbox.link(slot.ifname).mac
    told = [item.get("mac") for item in result.get("interfaces") or [] if item.get("name") == slot.ifname]
    faults = [] if found == _MAC else [f"the MAC is {found}, {_MAC} was provided"]
    return faults + [f"the result says MAC {mac}" for mac in told if str(mac).lower() != _MAC]


def _ips(bench: Bench) -> Exercise:
    wanted = connections.free_address(bench) or "10.99.0.66"
    prefix = connections.prefix_of(bench, wanted)
    return Exercise({"ips": [f"{wanted}/{prefix}"]}, lambda bench, _, result: _has_address(bench, result, wanted))


def _has_address(bench: Bench, result: Document, wanted: str) -> list[str]:
    found = [ip.address for ip in form.ips(result, bench.version)]
    given = [address.partition("/")[0] for address in found]
    return [] if wanted in given else [f"{wanted} was asked for, the result has {', '.join(found) or 'none'}"]


def _ip_ranges(_: Bench) -> Exercise:
    network = ipaddress.ip_network("10.94.0.0/24")
    return Exercise(
        {"ipRanges": [[{"subnet": str(network)}]]}, lambda bench, _, result: _within(bench, result, network)
    )


def _within(bench: Bench, result: Document, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[str]:
    found = [ipaddress.ip_interface(ip.address).ip for ip in form.ips(result, bench.version)]
    if any(ip in network for ip in found if ip.version == network.version):
        return []
    return [f"no address is in the range {network} that was provided: {', '.join(map(str, found)) or 'none'}"]


def _dns(_: Bench) -> Exercise:
    wanted = {"servers": ["192.0.2.53"], "searches": ["cnitest.example"], "options": ["ndots:3"]}
    return Exercise({"dns": wanted}, _has_dns)


def _has_dns(_: Bench, __: Slot, result: Document) -> list[str]:
    found = result.get("dns") or {}
    wrong = {"nameservers": ["192.0.2.53"], "search": ["cnitest.example"]}.items()
    return [f"dns.{key} is {found.get(key)}, {value} was provided" for key, value in wrong if found.get(key) != value]


def _aliases(_: Bench) -> Exercise:
    return Exercise({"aliases": ["web", "www"]}, lambda *_: [])


def _device(bench: Bench) -> Exercise:
    return bench.not_applicable("a device ID names hardware, and there is none here")


#: Each capability by name.
EXERCISES: Mapping[str, Callable[[Bench], Exercise]] = {
    "portMappings": _port_mappings,
    "bandwidth": _bandwidth,
    "mac": _mac,
    "ips": _ips,
    "ipRanges": _ip_ranges,
    "dns": _dns,
    "aliases": _aliases,
    "deviceID": _device,
}
