"""What a key of a plugin that makes interfaces does, seen in the kernel: bridge, macvlan, ptp, loopback.

Sources: README.md of each in containernetworking/plugins, plugins/main.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.conformance.bench.bench import Bench
from cnitest.fuzz.oracles.attached import Attached, new_rules
from cnitest.fuzz.oracles.registry import effect
from cnitest.kernel.rows.link_rows import LinkTable
from cnitest.lab.snapshot import state as states

Conf = Mapping[str, Any]


def _mtu(one: Attached, conf: Conf) -> Iterator[str]:
    wanted = conf.get("mtu")
    rows = zip(one.plugins, one.example.plugins, strict=True)
    later = any("mtu" in other and "mtu" in plugin.changes for plugin, other in rows if other["type"] != conf["type"])
    if later or not isinstance(wanted, int) or wanted <= 0:
        return
    link = one.link
    if link and link.mtu != wanted:
        yield f"mtu is {wanted}, the interface has {link.mtu}"


def _peer(table: LinkTable, one: Attached) -> str:
    """The host's end of the attachment, as the result names it; empty without one."""
    reported = (one.result or {}).get("interfaces") or []
    names = [item.get("name") for item in reported if isinstance(item, Mapping) and not item.get("sandbox")]
    kinds = {link.name: link.kind for link in table.links}
    return next((str(name) for name in names if kinds.get(str(name)) == "veth"), "")


@effect("bridge")
def bridge(bench: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """The bridge, its port, its addresses, and the ways out through them."""
    yield from _mtu(one, conf)
    table = states.links(bench.node.namespace)
    name = _name(conf)
    yield from _port(table, one, conf)
    bridge = next((link for link in table.links if link.name == name), None)
    if bridge and conf.get("promiscMode") and not bridge.promiscuity:
        yield "promiscMode is true, the bridge is not promiscuous"
    if (conf.get("isGateway") or conf.get("isDefaultGateway")) and not conf.get("vlan"):  # which has it otherwise
        yield from _gateway_there(bench, one, name)
    if conf.get("isDefaultGateway") and not any(plugin.moves_routes for plugin in one.plugins):
        yield from _default_routes(one)
    yield from _other_keys(one, conf)


def _port(table: LinkTable, one: Attached, conf: Conf) -> Iterator[str]:
    """The host's end is a port of the bridge, and has its flags."""
    peer, name = _peer(table, one), _name(conf)
    port = next((port for port in table.ports if port.name == peer), None)
    if peer and (port is None or port.bridge != name):
        yield f"bridge is {name!r}, the host's end is no port of it"
    elif port:
        for key, has in (("hairpinMode", port.hairpin), ("portIsolation", port.isolated)):
            if has is not bool(conf.get(key)):
                yield f"{key} is {conf.get(key, False)}, the port has {has}"


def _other_keys(one: Attached, conf: Conf) -> Iterator[str]:
    """The result repeats what only others use; a rule keeps frames with another MAC out."""
    dns = conf.get("dns") or {}
    reported = (one.result or {}).get("dns") or {}
    for key, value in dns.items():
        if reported.get(key) != value:
            yield f"dns.{key} is {value}, the result has {reported.get(key)}"
    if not conf.get("macspoofchk") or any("mac" in plugin.changes for plugin in one.plugins):
        return
    link = one.link
    if link and not any(backend == "nft" and link.mac in line for backend, line in new_rules(one)):
        yield "macspoofchk is true, and there is no rule about the MAC"


def _name(conf: Conf) -> str:
    return str(conf.get("bridge") or "cni0")


def _gateway_there(bench: Bench, one: Attached, name: str) -> Iterator[str]:
    has = {address.ip for address in bench.node.addresses if address.link == name}
    for ip in one.addresses:
        if ip.gateway and ip.gateway not in has:
            yield f"isGateway is true, {name} does not have the gateway's address {ip.gateway}"


def _default_routes(one: Attached) -> Iterator[str]:
    """A default route by the gateway of each family."""
    routes = [route for route in one.target.sandbox.routes if route.to == "default" and route.table == 254]
    for ip in one.addresses:
        family = 6 if ":" in ip.address else 4
        ways = [way for route in routes if route.family == family for way in route.gateways]
        if not ways:
            yield f"isDefaultGateway is true, the container has no default route of IPv{family}"
        elif ip.gateway and ip.gateway not in ways and len(_of(one, family)) == 1:
            yield f"isDefaultGateway is true, the default route is by {', '.join(ways)} instead of {ip.gateway}"


def _of(one: Attached, family: int) -> list[str]:
    return [ip.address for ip in one.addresses if (":" in ip.address) == (family == 6)]


@effect("macvlan")
def macvlan(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """Its mode and its MTU."""
    yield from _mtu(one, conf)
    link, mode = one.link, conf.get("mode") or "bridge"
    if link and link.kind == "macvlan" and dict(link.detail).get("mode") != mode:
        yield f"mode is {mode!r}, the interface has {dict(link.detail).get('mode')}"


@effect("ptp")
def ptp(_: Bench, one: Attached, conf: Conf) -> Iterator[str]:
    """Its MTU."""
    yield from _mtu(one, conf)


@effect("loopback")
def loopback(_: Bench, one: Attached, __: Conf) -> Iterator[str]:
    """It is up."""
    if not any(link.name == "lo" and link.up for link in one.target.sandbox.links):
        yield "the loopback interface is not up"
