"""The well-known capabilities of CONVENTIONS.md: what a runtime provides for each, and how its effect shows."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.bench.steps import Arrival
from cnitest.conformance.model import form, reading, space
from cnitest.conformance.model.finding import Detail, Doubt
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import connections, limits, traffic

_HOST_PORT, _PORT = 18080, 8080
_MAC = "02:00:5e:00:53:42"


class Exercise(NamedTuple):
    """What is provided for a capability, and what is wrong with its effect on an attachment."""

    provided: Document
    faults: Callable[[Bench, AttachmentTarget, Document], list[str]]


def _port_mappings(bench: Bench) -> Exercise:
    host, own = space.port(bench.subject, _HOST_PORT), space.port(bench.subject, _PORT)
    rows = [{"hostPort": host, "containerPort": own, "protocol": name} for name in ("tcp", "udp")]
    return Exercise({"portMappings": rows}, _reached_through_the_host)


def _reached_through_the_host(bench: Bench, target: AttachmentTarget, result: Document) -> list[str]:
    """Somebody outside sends to the host's port, in each family that the container has, and the container answers."""
    families = {6 if ":" in ip.address else 4 for ip in form.ips(result, bench.version)}
    beside = {family: found for family, found in traffic.outside(bench.lab, bench.node).items() if family in families}
    if not beside:
        bench.not_applicable("nobody outside has an address of a family that the container has")
    flows = [
        traffic.through_port(outside, address, row["protocol"], row["hostPort"], target.sandbox, row["containerPort"])
        for outside, address in beside.values()
        for row in target.capabilities["portMappings"]
    ]
    return [why for flow in flows if (why := traffic.lost(flow, explain=True))]


#: The host's addresses that nobody outside reaches.
_LOOPBACKS = {4: "127.0.0.1", 6: "::1"}


def of_loopback(bench: Bench) -> Exercise:
    """Ports of one address of the host, that of its loopback in each family, by ``hostIP``."""
    host, own = space.port(bench.subject, _HOST_PORT), space.port(bench.subject, _PORT)
    rows = [
        {"hostPort": host, "containerPort": own, "protocol": name, "hostIP": _LOOPBACKS[family]}
        for family in space.families(bench.subject)
        for name in ("tcp", "udp")
    ]
    return Exercise({"portMappings": rows}, _closed_to_others)


def _closed_to_others(bench: Bench, target: AttachmentTarget, _: Document) -> list[str]:
    """Somebody outside sends to that port of another address of the host, and the container does not get it."""
    beside = traffic.outside(bench.lab, bench.node)
    rows = [row for row in target.capabilities["portMappings"] if (6 if ":" in row["hostIP"] else 4) in beside]
    if not rows:
        bench.not_applicable("nobody outside has an address of a family that the container has")
    found: list[str] = []
    for row in rows:
        outside, address = beside[6 if ":" in row["hostIP"] else 4]
        flow = traffic.through_port(
            outside, address, row["protocol"], row["hostPort"], target.sandbox, row["containerPort"]
        )
        why = traffic.not_arriving(flow, target.sandbox)
        if isinstance(why, Doubt):
            found.append(why)
        elif not why:
            about = Arrival(outside.full_name, address, target.sandbox.full_name, row["protocol"], row["hostPort"])
            words = f"{flow.words}: arrives at the container, though its hostIP is {row['hostIP']}"
            found.append(Detail(words, about=about))
    return found


def _bandwidth(_: Bench) -> Exercise:
    return Exercise({"bandwidth": limits.BOTH}, limits.faults)


def _mac(_: Bench) -> Exercise:
    return Exercise({"mac": _MAC}, _has_mac)


def _has_mac(bench: Bench, target: AttachmentTarget, result: Document) -> list[str]:
    if bench.subject.kind is Kind.IPAM:
        return []
    found = target.sandbox.link(target.ifname).mac
    stated = [interface.mac for interface in reading.interfaces(result) if interface.name == target.ifname]
    faults = [] if found == _MAC else [f"the MAC is {found}, {_MAC} was provided"]
    return faults + [f"the result says MAC {mac}" for mac in stated if mac.lower() != _MAC]


def _ips(bench: Bench) -> Exercise:
    wanted = connections.free_addresses(bench)
    if wanted:
        return Exercise({"ips": wanted}, lambda bench, _, result: _has_addresses(bench, result, wanted, wanted))
    places = [space.network(bench.subject, family) for family in space.families(bench.subject)]
    wanted = [f"{place[66]}/{place.prefixlen}" for place in places]
    return Exercise({"ips": wanted}, lambda bench, _, result: _has_addresses(bench, result, wanted))


def _has_addresses(bench: Bench, result: Document, wanted: list[str], whole: Sequence[str] = ()) -> list[str]:
    """Which of the wanted addresses the result lacks; of those that are ``whole`` the prefix counts, too."""
    found = [ip.address for ip in form.ips(result, bench.version)]
    given = [address.partition("/")[0] for address in found]
    lacking = [address for each in wanted if (address := each.partition("/")[0]) not in given]
    lacking += [each for each in whole if each.partition("/")[0] in given and each not in found]
    return [f"{address} was asked for, the result has {', '.join(found) or 'none'}" for address in lacking]


def _ip_ranges(bench: Bench) -> Exercise:
    networks = [space.network(bench.subject, family) for family in space.families(bench.subject)]
    provided = {"ipRanges": [[{"subnet": str(network)}] for network in networks]}
    return Exercise(provided, lambda bench, _, result: _within(bench, result, networks))


def _within(bench: Bench, result: Document, networks: Sequence[space.IPNetwork]) -> list[str]:
    found = [ipaddress.ip_interface(ip.address).ip for ip in form.ips(result, bench.version)]
    given = ", ".join(map(str, found)) or "none"
    empty = [network for network in networks if not any(ip in network for ip in found)]
    return [f"no address is in the range {network} that was provided: {given}" for network in empty]


def _dns(bench: Bench) -> Exercise:
    servers = [space.address(bench.subject, family, host=53) for family in space.families(bench.subject)]
    wanted = {"servers": servers, "searches": ["cnitest.example"], "options": ["ndots:3"]}
    return Exercise({"dns": wanted}, lambda _, __, result: _has_dns(result, servers))


def _has_dns(result: Document, servers: list[str]) -> list[str]:
    found = reading.section(result, "dns")
    wrong = {"nameservers": servers, "search": ["cnitest.example"]}.items()
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
