"""What a key of a configuration does, seen in the kernel: a small model of each plugin that we know.

Only what plugins document is here, and only for configurations that are valid. Sources: README.md of each plugin in
containernetworking/plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnitest.cni import spec
from cnitest.conformance import form
from cnitest.conformance.bench import Bench
from cnitest.fuzz.attached import Attached
from cnitest.fuzz.trouble import Trouble
from cnitest.kernel.dumps import LinkTable
from cnitest.kernel.records import Link
from cnitest.lab import state as states

Conf = Mapping[str, Any]
Effect = Callable[[Bench, Attached, Conf], Iterator[str]]


def missing(bench: Bench, one: Attached) -> list[Trouble]:
    """Which keys of an attachment's configuration do not show in the kernel."""
    found = []
    for conf in one.example.plugins:
        effect = EFFECTS.get(str(conf.get("type")))
        if effect is not None and not one.is_ipam:
            found += [Trouble("untrue", str(conf["type"]), words) for words in effect(bench, one, conf)]
    return found


def _own(one: Attached) -> Link | None:
    return next((link for link in one.slot.sandbox.links if link.name == one.slot.ifname), None)


def _mtu(one: Attached, conf: Conf) -> Iterator[str]:
    link, wanted = _own(one), conf.get("mtu")
    later = any("mtu" in other for other in one.example.plugins if other is not conf and other.get("type") == "tuning")
    if link and isinstance(wanted, int) and wanted > 0 and link.mtu != wanted and not later:
        yield f"mtu is {wanted}, the interface has {link.mtu}"


def _peer(table: LinkTable, one: Attached) -> str:
    """The host's end of the attachment, as the result names it; empty without one."""
    told = (one.result or {}).get("interfaces") or []
    names = [item.get("name") for item in told if isinstance(item, Mapping) and not item.get("sandbox")]
    kinds = {link.name: link.kind for link in table.links}
    return next((str(name) for name in names if kinds.get(str(name)) == "veth"), "")


def _bridge(bench: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    yield from _mtu(one, conf) if f"+ links {_name(conf)}" in " ".join(one.own) else ()
    table = states.links(bench.node.namespace)
    peer, name = _peer(table, one), _name(conf)
    ports = {port.name: port for port in table.ports}
    if peer and (peer not in ports or ports[peer].bridge != name):
        yield f"bridge is {name!r}, the host's end is no port of it"
    elif peer and ports[peer].hairpin is not bool(conf.get("hairpinMode")):
        yield f"hairpinMode is {conf.get('hairpinMode', False)}, the port has {ports[peer].hairpin}"
    bridge = next((link for link in table.links if link.name == name), None)
    if bridge and conf.get("promiscMode") and not bridge.promiscuity:
        yield "promiscMode is true, the bridge is not promiscuous"
    if conf.get("isGateway") or conf.get("isDefaultGateway"):
        yield from _gateway_there(bench, one, name)
    if conf.get("isDefaultGateway") and not any(other.get("type") == "sbr" for other in one.example.plugins):
        yield from _default_routes(one)  # sbr moves them to a table of its own


def _name(conf: Conf) -> str:
    return str(conf.get("bridge") or "cni0")


def _gateway_there(bench: Bench, one: Attached, name: str) -> Iterator[str]:
    has = {address.ip for address in bench.node.addresses if address.link == name}
    for ip in form.ips(one.result or {}, one.version):
        if ip.gateway and ip.gateway not in has:
            yield f"isGateway is true, {name} does not have the gateway's address {ip.gateway}"


def _default_routes(one: Attached) -> Iterator[str]:
    families = {6 if ":" in ip.address else 4 for ip in form.ips(one.result or {}, one.version)}
    has = {route.family for route in one.slot.sandbox.routes if route.to == "default" and route.table == 254}
    for family in sorted(families - has):
        yield f"isDefaultGateway is true, the container has no default route of IPv{family}"


def _macvlan(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    yield from _mtu(one, conf)
    link, mode = _own(one), conf.get("mode") or "bridge"
    if link and link.kind == "macvlan" and dict(link.detail).get("mode") != mode:
        yield f"mode is {mode!r}, the interface has {dict(link.detail).get('mode')}"


def _ptp(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    yield from _mtu(one, conf)


def _loopback(_: Bench, one: Attached, __: Conf) -> Iterator[str]:
    if not any(link.name == "lo" and link.up for link in one.slot.sandbox.links):
        yield "the loopback interface is not up"


def _tuning(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    link = _own(one)
    if link is None:
        return
    wanted = conf.get("mac")
    if isinstance(wanted, str) and wanted and wanted.lower() != link.mac:
        yield f"mac is {wanted}, the interface has {link.mac}"
    if isinstance(conf.get("mtu"), int) and conf["mtu"] > 0 and link.mtu != conf["mtu"]:
        yield f"mtu is {conf['mtu']}, the interface has {link.mtu}"
    if conf.get("promisc") and not link.promiscuity:
        yield "promisc is true, the interface is not promiscuous"
    if isinstance(conf.get("txQLen"), int) and link.txqlen != conf["txQLen"]:
        yield f"txQLen is {conf['txQLen']}, the interface has {link.txqlen}"


#: What each plugin's keys do, by the plugin's name.
EFFECTS: Mapping[str, Effect] = {
    "bridge": _bridge,
    "loopback": _loopback,
    "macvlan": _macvlan,
    "ptp": _ptp,
    "tuning": _tuning,
}


def asked_for(one: Attached) -> list[Trouble]:
    """What was asked for by CNI_ARGS or a capability and is not there: addresses and a MAC."""
    if not spec.has_chaining(one.version):
        return []  # nothing is passed to plugins before 0.3.0
    found = []
    given = {ip.address.partition("/")[0] for ip in form.ips(one.result or {}, one.version)}
    declared = {key for conf in one.example.plugins for key, on in (conf.get("capabilities") or {}).items() if on}
    if "ips" in one.example.capabilities and "ips" in declared:
        wanted = {str(text).partition("/")[0] for text in one.example.capabilities["ips"]}
        found += [f"the address {address} was asked for, and not given" for address in sorted(wanted - given)]
    mac, link = one.example.capabilities.get("mac"), _own(one)
    if mac and "mac" in declared and link and not one.is_ipam and link.mac != str(mac).lower():
        found.append(f"the MAC {mac} was asked for, the interface has {link.mac}")
    return [Trouble("untrue", "", words) for words in found]
