"""Whether a result is true: what it says, compared with what the kernel has, both ways."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cnitest.cni import result as results
from cnitest.cni import spec
from cnitest.cni.result import Interface, Ip, Result
from cnitest.conformance.model import reading
from cnitest.conformance.model.finding import Detail
from cnitest.conformance.repro.quote import quoted
from cnitest.kernel.rows.records import Link, Route
from cnitest.lab.place import Place

_DEFAULT = ("0.0.0.0/0", "::/0")


def untruths(
    document: Mapping[str, Any],
    version: str,
    host: Place,
    sandbox: Place,
    netns: str,
    ifname: str,
    *,
    alone: bool = True,
) -> list[str]:
    """What a result says and the kernel does not, or the other way round, a line each.

    Not ``alone`` is an attachment of a container that has others: default routes may be theirs.
    """
    try:
        result = results.parse(document, version)
    except ValueError:
        return []  # its form is another requirement's
    return [
        *_missing(result, netns, ifname),
        *_interfaces(result, host, sandbox, netns),
        *_addresses(result, sandbox, netns, ifname),
        *_gateways(result, sandbox),
        *_routes(result, sandbox),
        *_unreported(result, sandbox, ifname),
        *(_unreported_defaults(result, sandbox) if alone else ()),
    ]


def _missing(result: Result, netns: str, ifname: str) -> Iterator[str]:
    """The one interface that every result since 0.3.0 has to have."""
    reported = any(interface.name == ifname and interface.sandbox == netns for interface in result.interfaces)
    if spec.has_chaining(result.cni_version) and not reported:
        yield f"the result has no interface {ifname} in the container"


def _interfaces(result: Result, host: Place, sandbox: Place, netns: str) -> Iterator[str]:
    links: dict[bool, tuple[Link, ...]] = {}
    for interface in result.interfaces:
        inside = interface.sandbox == netns
        if interface.sandbox and not inside:
            continue  # another requirement's
        if inside not in links:
            links[inside] = (sandbox if inside else host).links
        link = next((link for link in links[inside] if link.name == interface.name), None)
        if link is None:
            words = f"the result has an interface {interface.name} in {_where(inside)}"
            words += ", the kernel has none of that name"
            yield Detail(words, f"! within {_at(sandbox, inside)} ip link show {quoted(interface.name)}")
        else:
            yield from _attributes(interface, link, inside, _at(sandbox, inside))


def _where(inside: bool) -> str:
    return "the container" if inside else "the host"


def _at(sandbox: Place, inside: bool) -> str:
    """Where a script finds a place: the host is its own."""
    return sandbox.name if inside else "-"


def _attributes(interface: Interface, link: Link, inside: bool, at: str) -> Iterator[str]:
    mac, mtu = (quoted(f"/sys/class/net/{interface.name}/{name}") for name in ("address", "mtu"))
    if interface.mac.lower() != link.mac and (interface.mac or inside):
        words = f"the result gives {interface.name} in {_where(inside)} the MAC {interface.mac or 'none'}"
        yield Detail(f"{words}, the kernel {link.mac}", f'! answers_have "$(within {at} cat {mac})"')
    if interface.mtu is not None and interface.mtu not in (0, link.mtu):
        words = f"the result gives {interface.name} the MTU {interface.mtu}, the kernel {link.mtu}"
        yield Detail(words, f'[ "$(within {at} cat {mtu})" = {link.mtu} ]')


def _addresses(result: Result, sandbox: Place, netns: str, ifname: str) -> Iterator[str]:
    found = {(address.link, _canonical(address.address)) for address in sandbox.addresses}
    for ip in result.ips:
        link = _interface_of(result, ip, netns, ifname)
        if link is not None and (link, _canonical(ip.address)) not in found:
            has = ", ".join(address for name, address in sorted(found) if name == link) or "none"
            words = f"the result has the address {ip.address} on {link}, which has {has}"
            yield Detail(words, f"! has_address {sandbox.name} {quoted(link)} {quoted(_canonical(ip.address))}")


def _interface_of(result: Result, ip: Ip, netns: str, ifname: str) -> str | None:
    """The container's link that has an address; None when it is not the container's, or is not known."""
    if ip.interface is None:
        return ifname
    if not 0 <= ip.interface < len(result.interfaces):
        return None
    interface = result.interfaces[ip.interface]
    return interface.name if interface.sandbox == netns else None


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_interface(address))
    except ValueError:
        return address


def _gateways(result: Result, sandbox: Place) -> Iterator[str]:
    for ip in result.ips:
        if ip.gateway and not _on_link(ip.gateway, sandbox):
            words = f"the gateway {ip.gateway} of {ip.address} is on no link of the container"
            yield Detail(words, f"! on_link {sandbox.name} {quoted(ip.gateway)}")


def _on_link(address: str, sandbox: Place) -> bool:
    """Whether an address is reached without another hop."""
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return True  # its form is another requirement's
    direct = (route for route in sandbox.routes if not route.gateways and route.kind in ("", "unicast"))
    return any(wanted in _network(route) for route in direct)


def _network(route: Route) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if route.to == "default":
        return ipaddress.ip_network(_DEFAULT[route.family == 6])
    return ipaddress.ip_network(route.to, strict=False)


def _routes(result: Result, sandbox: Place) -> Iterator[str]:
    kernel = sandbox.routes
    for route in result.routes:
        there = [found for found in kernel if same_destination(found, route.dst)]
        if not there:
            words = f"the result has a route to {route.dst}, the kernel has none"
            yield Detail(words, f"! has_route {sandbox.name} {quoted(route.dst)}")
        elif route.gw and not any(_leads_by(found, route.gw) for found in there):
            leads = ", ".join(there[0].gateways) or there[0].link
            words = f"the result has a route to {route.dst} via {route.gw}, the kernel via {leads}"
            yield Detail(words, f"! has_route {sandbox.name} {quoted(route.dst)} via {quoted(route.gw)}")
    yield from option_faults(result.document, sandbox, "the result has")


#: What a route of a result can say since 1.1.0, as the kernel has it.
_OPTIONS: Mapping[str, Callable[[Route], Any]] = {
    "mtu": lambda route: route.mtu,
    "advmss": lambda route: int(dict(route.metrics).get("advmss", 0)),
    "priority": lambda route: route.metric,
    "table": lambda route: route.table,
}


def option_faults(document: Mapping[str, Any], sandbox: Place, says: str) -> Iterator[str]:
    """Options of a result's routes that no route of the kernel to their destination has; ``says`` is whose they are."""
    kernel = sandbox.routes
    for row in reading.rows(document, "routes"):
        there = [found for found in kernel if same_destination(found, reading.text(row, "dst"))]
        for key, read in _OPTIONS.items():
            wanted, has = row.get(key), [read(route) for route in there]
            if there and type(wanted) is int and wanted and wanted not in has:
                yield f"{says} a route to {row['dst']} with {key} {wanted}, the kernel with {has[0] or 'none'}"


def _leads_by(route: Route, gateway: str) -> bool:
    return any(same_network(gateway, found) for found in route.gateways)


def same_destination(route: Route, destination: str) -> bool:
    """Whether a route of the kernel leads where a result says."""
    if _is_everywhere(destination):
        return route.to == "default" and route.family == (6 if ":" in destination else 4)
    return route.to != "default" and same_network(route.to, destination)


def _is_everywhere(destination: str) -> bool:
    """Whether a text is the network of all addresses of a family, however it is written."""
    return any(same_network(destination, everywhere) for everywhere in _DEFAULT)


def same_network(one: str, other: str) -> bool:
    """Whether two texts are one address or network, however they are written."""
    try:
        return ipaddress.ip_network(one, strict=False) == ipaddress.ip_network(other, strict=False)
    except ValueError:
        return one == other


class Unreported(Detail):
    """Something that the container has and the result keeps quiet about."""

    __slots__ = ()


def _unreported(result: Result, sandbox: Place, ifname: str) -> Iterator[str]:
    """Addresses of the container that the result keeps quiet about, but for those that a router's advertisement makes
    at any time."""
    reported = {_canonical(ip.address) for ip in result.ips}
    for address in sandbox.addresses:
        lasting = address.link == ifname and address.scope == "global" and not address.is_advertised
        if lasting and _canonical(address.address) not in reported:
            words = f"the container has the address {address.address} on {ifname}, the result does not"
            yield Unreported(words, f"has_address {sandbox.name} {quoted(ifname)} {address.address}")


def _unreported_defaults(result: Result, sandbox: Place) -> Iterator[str]:
    """Default routes of the container that the result keeps quiet about."""
    defaults = {6 if ":" in route.dst else 4 for route in result.routes if _is_everywhere(route.dst)}
    for route in _default_routes(sandbox.routes):
        to = "::/0" if route.family == 6 else "0.0.0.0/0"
        if route.family not in defaults:
            words = f"the container has a default route of IPv{route.family}, the result has none"
            yield Unreported(words, f"has_route {sandbox.name} {to}")
        elif route.via and not any(same_network(route.via, each) for each in _reported_gateways(result)):
            words = f"the container's default route leads to {route.via}, the result names no such gateway"
            yield Unreported(words, f"has_route {sandbox.name} {to} via {route.via}")


def _reported_gateways(result: Result) -> set[str]:
    named = (*(ip.gateway for ip in result.ips), *(route.gw for route in result.routes))
    return {gateway for gateway in named if gateway}


def _default_routes(routes: Iterable[Route]) -> Iterator[Route]:
    """Those of the main table, but for those that a router's advertisement makes at any time (RFC 4861)."""
    defaults = (route for route in routes if route.to == "default" and route.kind == "unicast")
    return (route for route in defaults if route.table == 254 and route.protocol != "ra")
