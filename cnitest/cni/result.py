"""What an ADD answered: frozen, in one form for all versions of the specification (SPEC section 5)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnitest.cni import spec


@dataclass(frozen=True)
class Interface:
    """A link that the plugin made; ``sandbox`` is empty for one on the host."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int | None = None


@dataclass(frozen=True)
class Ip:
    """An address with its prefix, its gateway, and the position of its interface in the result."""

    address: str
    gateway: str | None = None
    interface: int | None = None


@dataclass(frozen=True)
class ResultRoute:
    """A route: destination prefix and, unless it is the address's own, gateway."""

    dst: str
    gw: str | None = None


@dataclass(frozen=True)
class Result:
    """The result of ADD. ``document`` is what the plugin printed, as it printed it."""

    cni_version: str
    interfaces: tuple[Interface, ...]
    ips: tuple[Ip, ...]
    routes: tuple[ResultRoute, ...]
    dns: Mapping[str, Any]
    document: Mapping[str, Any]


def parse(document: Mapping[str, Any], version: str) -> Result:
    """A result from its document; ``version`` is assumed when it names none (as libcni does).

    Raises ValueError that says what has the wrong shape.
    """
    label = document.get("cniVersion") or version
    if not spec.is_version(label):
        raise ValueError(f"cniVersion {label!r} is none of {', '.join(spec.VERSIONS)}")
    if not spec.has_chaining(label):
        return _parse_old(document, label)
    return Result(
        label,
        tuple(_interface(item) for item in _objects(document, "interfaces")),
        tuple(_ip(item) for item in _objects(document, "ips")),
        tuple(_route(item) for item in _objects(document, "routes")),
        _object(document, "dns"),
        document,
    )


def relabelled(document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """A result's document as ``version``, which has chaining, writes it. Raises ValueError as `parse` does."""
    label = document.get("cniVersion") or version
    parse(document, version)
    converted: dict[str, Any] = json.loads(json.dumps(document))
    if not spec.has_chaining(label):
        converted = _modern(_parse_old(document, label))
    converted["cniVersion"] = version
    for ip in converted.get("ips") or []:
        if spec.labels_families(version):
            ip.setdefault("version", "6" if ":" in ip.get("address", "") else "4")
        else:
            ip.pop("version", None)
    return converted


def _modern(old: Result) -> dict[str, Any]:
    """The document of a result of 0.1.0 or 0.2.0 in the form that came after."""
    ips = [{"address": ip.address, **({"gateway": ip.gateway} if ip.gateway else {})} for ip in old.ips]
    routes = [{"dst": route.dst, **({"gw": route.gw} if route.gw else {})} for route in old.routes]
    return {"ips": ips, "routes": routes, "dns": dict(old.dns)}


def _objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"'{key}' must be a list of objects, it is {json.dumps(value)}")
    return value


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"'{key}' must be an object, it is {json.dumps(value)}")
    return value


def _text(item: Mapping[str, Any], key: str, within: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise ValueError(f"'{within}' has an entry whose '{key}' is {json.dumps(value)}, not a string")
    return value


def _optional(item: Mapping[str, Any], key: str, within: str) -> str:
    """A text that may be missing, or null."""
    return _text(item, key, within) if item.get(key) is not None else ""


def _number(item: Mapping[str, Any], key: str, within: str) -> int | None:
    value = item.get(key)
    if value is not None and type(value) is not int:
        raise ValueError(f"'{within}' has an entry whose '{key}' is {json.dumps(value)}, not a whole number")
    return value


def _address(item: Mapping[str, Any], key: str, within: str) -> str:
    value = _text(item, key, within)
    try:
        ipaddress.ip_interface(value if "/" in value else "")
    except ValueError:
        raise ValueError(f"'{within}' has an entry whose '{key}' {value!r} is no address with prefix") from None
    return value


def _interface(item: Mapping[str, Any]) -> Interface:
    within = "interfaces"
    texts = (_text(item, "name", within), _optional(item, "mac", within), _optional(item, "sandbox", within))
    return Interface(*texts, _number(item, "mtu", within))


def _ip(item: Mapping[str, Any]) -> Ip:
    gateway = _optional(item, "gateway", "ips") or None
    return Ip(_address(item, "address", "ips"), gateway, _number(item, "interface", "ips"))


def _route(item: Mapping[str, Any]) -> ResultRoute:
    return ResultRoute(_text(item, "dst", "routes"), _optional(item, "gw", "routes") or None)


def _parse_old(document: Mapping[str, Any], version: str) -> Result:
    """The form of 0.1.0 and 0.2.0: at most one address a family."""
    ips, routes = [], []
    for key in ("ip4", "ip6"):
        family = _object(document, key)
        if family:
            ips.append(Ip(_address(family, "ip", key), _optional(family, "gateway", key) or None))
            routes += [_route(item) for item in _objects(family, "routes")]
    return Result(version, (), tuple(ips), tuple(routes), _object(document, "dns"), document)
