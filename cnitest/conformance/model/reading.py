"""The one place where what plugins print is read by tests: any part may be missing, doubled or of another type.

What cannot be read is left out here; that it cannot is a finding of ADD-02, by `form.misshapen`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from cnitest.cni import spec
from cnitest.cni.result import Interface, Ip, ResultRoute
from cnitest.cni.spec import Document


def rows(document: Document, key: str) -> list[Document]:
    """The objects of a list; none where it is no list."""
    value = document.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def section(document: Document, key: str) -> Document:
    """An object within; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def text(document: Document, key: str) -> str:
    """A text within; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def interfaces(document: Document) -> tuple[Interface, ...]:
    """The interfaces of a result that have a name."""
    found = (_interface(item) for item in rows(document, "interfaces"))
    return tuple(interface for interface in found if interface.name)


def ips(document: Document, version: str) -> tuple[Ip, ...]:
    """The addresses of a result that are some, with their gateways where those are addresses of the same family, as
    RFC 5952 spells them: a plugin may write more noughts, and capitals."""
    if is_early(document, version):
        found = [_ip(part, "ip") for key in ("ip4", "ip6") if (part := section(document, key))]
    else:
        found = [_ip(item, "address") for item in rows(document, "ips")]
    return tuple(ip for ip in found if ip is not None)


def routes(document: Document, version: str) -> tuple[ResultRoute, ...]:
    """The routes of a result whose destination is a network, with their gateways where those are addresses; spelt as
    by `ips`."""
    found = rows(document, "routes")
    if is_early(document, version):
        found = [item for key in ("ip4", "ip6") for item in rows(section(document, key), "routes")]
    wanted = ((_network(text(item, "dst")), _gateway(text(item, "gw"))) for item in found)
    return tuple(ResultRoute(dst, gateway) for dst, gateway in wanted if dst)


def default_gateways(document: Document, version: str) -> dict[int, set[str]]:
    """Where the default routes of a result lead, by family: to their own gateways or those of its addresses; to an
    empty string where it names none."""
    found: dict[int, set[str]] = {}
    for route in routes(document, version):
        family = {"0.0.0.0/0": 4, "::/0": 6}.get(route.dst)
        if family:
            given = {ip.gateway for ip in ips(document, version) if ip.gateway and _family(ip.gateway) == family}
            found.setdefault(family, set()).update({route.gw} if route.gw else given or {""})
    return found


def is_early(document: Document, version: str) -> bool:
    """Whether a result is of the form of 0.1.0 or 0.2.0: by its own word, else by that of the call."""
    label = document.get("cniVersion")
    return not spec.has_chaining(label if isinstance(label, str) and spec.is_version(label) else version)


def versions(document: Document | None) -> tuple[str, ...]:
    """The published versions that an answer to VERSION lists, oldest first, each once."""
    listed = (document or {}).get("supportedVersions")
    known = {item for item in listed if isinstance(item, str)} if isinstance(listed, list) else set()
    return tuple(version for version in spec.VERSIONS if version in known)


def _interface(item: Document) -> Interface:
    mtu = item.get("mtu")
    return Interface(text(item, "name"), text(item, "mac"), text(item, "sandbox"), mtu if type(mtu) is int else None)


def _ip(item: Document, key: str) -> Ip | None:
    address, index = text(item, key), item.get("interface")
    try:
        found = ipaddress.ip_interface(address if "/" in address else "")
    except ValueError:
        return None
    gateway = _gateway(text(item, "gateway"))
    fitting = gateway if gateway and _family(gateway) == found.version else None
    return Ip(str(found), fitting, index if type(index) is int else None)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _gateway(address: str) -> str | None:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def _network(destination: str) -> str:
    """A destination as a network with its prefix; empty for what is none."""
    try:
        return str(ipaddress.ip_network(destination if "/" in destination else "", strict=False))
    except ValueError:
        return ""
