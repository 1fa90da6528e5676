"""The form of a result in each version of the specification (section 5), as complaints about a document."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnitest.cni import result as results
from cnitest.cni import spec
from cnitest.cni.spec import Document
from cnitest.conformance.model import reading

_NEW_INTERFACE = ("mtu", "socketPath", "pciID")
_NEW_ROUTE = ("mtu", "advmss", "priority", "table", "scope")


def misshapen(document: Document, version: str) -> list[str]:
    """What keeps a runtime from reading it as a result of ``version`` at all."""
    try:
        results.parse({**document, "cniVersion": version}, version)
    except ValueError as error:
        return [f"the result cannot be read: {error}"]
    label = document.get("cniVersion")
    if label is not None and not isinstance(label, str):
        return [f"cniVersion of the result is {label!r}, not a text"]
    strange = [
        f"'{key}' is {kind}, not {wanted.__name__}"
        for key, wanted in (("interfaces", list), ("ips", list), ("routes", list), ("dns", dict))
        if document.get(key) is not None
        and not isinstance(document[key], wanted)
        and (kind := type(document[key]).__name__)
    ]
    return [*strange, *_dns(document)]


def unlike(document: Document, version: str) -> list[str]:
    """What in a result is not as ``version`` has it: its label, fields of other versions, addresses that are none."""
    label = document.get("cniVersion")
    found = [] if label in (version, None) else [f"cniVersion of the result is {label!r}, asked for {version!r}"]
    if is_early(version):
        return [*found, *of_early_versions(document)]
    found += surplus_families(document) if spec.at_least(version, "1.0.0") else missing_families(document)
    found += [] if spec.at_least(version, "1.1.0") else fields_of_later(document)
    return [*found, *addresses(document, version)]


def _dns(document: Document) -> Iterator[str]:
    dns = document.get("dns")
    if not isinstance(dns, Mapping):
        return
    for key, wanted in (("nameservers", list), ("domain", str), ("search", list), ("options", list)):
        if key in dns and not isinstance(dns[key], wanted):
            yield f"dns.{key} is {dns[key]!r}, not a {wanted.__name__}"


def of_early_versions(document: Document) -> list[str]:
    """Complaints by 0.1.0 and 0.2.0: ip4 and ip6, and nothing of what came later."""
    later = [key for key in ("interfaces", "ips", "routes") if key in document]
    return [f"'{key}' is there, which came with 0.3.0" for key in later]


def missing_families(document: Document) -> list[str]:
    """Complaints by 0.3.0 to 0.4.0: every address says its family, and the right one."""
    found = []
    for position, ip in enumerate(reading.rows(document, "ips")):
        right = "6" if ":" in str(ip.get("address")) else "4"
        if ip.get("version") != right:
            found.append(f"ips[{position}].version is {ip.get('version')!r} for {ip.get('address')}, not {right!r}")
    return found


def surplus_families(document: Document) -> list[str]:
    """Complaints since 1.0.0: no address says its family any more."""
    rows = enumerate(reading.rows(document, "ips"))
    return [f"ips[{number}] has 'version', which 1.0.0 removed" for number, ip in rows if "version" in ip]


def fields_of_later(document: Document) -> list[str]:
    """Complaints before 1.1.0: nothing that came with it."""
    rows = (("interfaces", _NEW_INTERFACE), ("routes", _NEW_ROUTE))
    return [
        f"{table}[{position}].{key} is there, which came with 1.1.0"
        for table, keys in rows
        for position, item in enumerate(reading.rows(document, table))
        for key in keys
        if key in item
    ]


def sandboxes(document: Document, netns: str, host: Callable[[str], bool], inside: Callable[[str], bool]) -> list[str]:
    """Complaints about which side of the wall each interface is said to be on.

    ``host`` and ``inside`` say whether a link of that name is there.
    """
    found = []
    for position, interface in enumerate(reading.rows(document, "interfaces")):
        name, sandbox = str(interface.get("name")), interface.get("sandbox") or ""
        if sandbox not in ("", netns):
            found.append(f"interfaces[{position}].sandbox is {sandbox!r}, CNI_NETNS was {netns!r}")
        elif sandbox and not inside(name) and host(name):
            found.append(f"interfaces[{position}] {name} is on the host, its sandbox is {sandbox!r}")
        elif not sandbox and not host(name) and inside(name):
            found.append(f"interfaces[{position}] {name} is in the container, its sandbox is empty")
    return found


def indices(document: Document, netns: str) -> list[str]:
    """Complaints about which interface each address is said to be on."""
    interfaces, found = reading.rows(document, "interfaces"), []
    for position, ip in enumerate(reading.rows(document, "ips")):
        index = ip.get("interface")
        if index is None:
            if interfaces:
                found.append(f"ips[{position}] {ip.get('address')} names no interface")
        elif type(index) is not int or not 0 <= index < len(interfaces):
            found.append(f"ips[{position}].interface is {index!r}, there are {len(interfaces)} interfaces")
        elif netns and interfaces[index].get("sandbox") != netns:
            found.append(
                f"ips[{position}].interface is {index}: {interfaces[index].get('name')} is not in the container"
            )
    return found


def addresses(document: Document, version: str) -> list[str]:
    """Complaints about addresses that are no hosts with a prefix or are the gateway, and destinations without one."""
    try:
        parsed = results.parse({**document, "cniVersion": version}, version)
    except ValueError:
        return []
    found = [fault for ip in parsed.ips if (fault := _no_host(ip.address))]
    found += [f"{ip.address} is its own gateway" for ip in parsed.ips if ip.address.partition("/")[0] == ip.gateway]
    found += [
        f"the gateway {ip.gateway!r} is no address" for ip in parsed.ips if ip.gateway and not is_address(ip.gateway)
    ]
    for route in parsed.routes:
        if "/" not in route.dst or not _is_network(route.dst):
            found.append(f"the route's destination {route.dst!r} is no network with its prefix")
        if route.gw and not is_address(route.gw):
            found.append(f"the gateway {route.gw!r} of the route to {route.dst} is no address")
    return found


def _no_host(address: str) -> str:
    found = ipaddress.ip_interface(address)
    room = found.network.num_addresses > 2
    if room and found.ip == found.network.network_address:
        return f"{address} is the address of its network, not of a host"
    if room and found.version == 4 and found.ip == found.network.broadcast_address:
        return f"{address} is the broadcast address of its network, not a host's"
    return ""


def is_address(text: str) -> bool:
    """Whether a text is an address of either family, without a prefix."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def ips(document: Document, version: str) -> tuple[results.Ip, ...]:
    """The addresses of a result that can be read."""
    return reading.ips(document, version)


def networks(section: Any) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks that an IPAM configuration gives addresses of: under 'subnet', and the addresses' own."""
    if isinstance(section, list):
        return [network for item in section for network in networks(item)]
    if not isinstance(section, Mapping):
        return []
    found = [network for key, item in section.items() if key != "routes" for network in networks(item)]
    for key in ("subnet", "address", "range"):
        text = section.get(key)
        if isinstance(text, str) and "/" in text:
            with contextlib.suppress(ValueError):
                found.append(ipaddress.ip_network(text, strict=False))
    return found


def destinations(document: Document, version: str) -> set[str]:
    """Where the routes of a result lead that can be read."""
    return {route.dst for route in reading.routes(document, version)}


def is_early(version: str) -> bool:
    """Whether a version knows only ip4 and ip6."""
    return not spec.has_chaining(version)
