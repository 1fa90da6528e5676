"""What Go makes of documents inside libcni: numbers rounded, results reduced to its types, errors in its words."""

from __future__ import annotations

import ipaddress
import json
import signal
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cnitest.cni import spec

_EXACT = 2**53
#: From here on Go writes a number with an exponent.
_EXPONENT = 10**21
_LARGEST = int(sys.float_info.max) + 1
_ROUTE = ("gw", "mtu", "advmss", "priority")
_DNS = ("nameservers", "domain", "search", "options")


def rounded(value: Any) -> Any:
    """A JSON value whose integers went through a 64-bit float, as all do in a Go map (RT-14)."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, int) and _EXACT < abs(value) < _LARGEST:
        nearest = float(value)  # which Go writes with as few digits as tell it apart, as Python does
        return int(Decimal(repr(nearest))) if abs(value) < _EXPONENT else nearest
    return value


def oversized(value: Any) -> list[str]:
    """The numbers that no 64-bit float can hold, which libcni rejects, as faults."""
    if isinstance(value, Mapping):
        return oversized(list(value.values()))
    if isinstance(value, list):
        return [fault for item in value for fault in oversized(item)]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return [f"a number of {len(str(abs(value)))} digits is too large for libcni"]
    return []


def written(document: Mapping[str, Any]) -> str:
    """A document as Go writes a struct: no spaces, keys of inner maps sorted, what HTML minds escaped."""
    pairs = (f"{_json(key)}:{_json(value)}" for key, value in document.items())
    text = "{" + ",".join(pairs) + "}"
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def reduced(document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """What libcni's types keep of a result that `result.parse` has accepted (RT-20)."""
    label = document.get("cniVersion") or version
    dns = _given(document.get("dns") or {}, _DNS)
    kept: dict[str, Any] = {"cniVersion": label}
    if dns or not spec.at_least(label, "1.0.0"):
        kept["dns"] = dns
    if not spec.has_chaining(label):
        return kept | {key: _family(document[key]) for key in ("ip4", "ip6") if document.get(key)}
    lists = {
        "interfaces": [_interface(item, label) for item in document.get("interfaces") or []],
        "ips": [_ip(item, label) for item in document.get("ips") or []],
        "routes": [_route(item) for item in document.get("routes") or []],
    }
    return kept | {key: items for key, items in lists.items() if items}


def _given(item: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The keys that have a value; Go leaves out what is empty or zero."""
    return {key: item[key] for key in keys if item.get(key)}


def _interface(item: Mapping[str, Any], version: str) -> dict[str, Any]:
    modern = ("mtu", "socketPath", "pciID") if spec.at_least(version, "1.0.0") else ()
    return {"name": item.get("name", "")} | _given(item, ("mac", "sandbox", *modern))


def _ip(item: Mapping[str, Any], version: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"address": _canonical(item["address"])}
    if spec.labels_families(version):
        kept["version"] = item.get("version", "")
    if item.get("interface") is not None:
        kept["interface"] = item["interface"]
    return kept | _gateway(item, "gateway")


def _route(item: Mapping[str, Any]) -> dict[str, Any]:
    pointers = {key: item[key] for key in ("table", "scope") if item.get(key) is not None}
    kept = {"dst": _canonical(item["dst"])} | _given(item, _ROUTE) | pointers
    return kept | _gateway(item, "gw")


def _family(item: Mapping[str, Any]) -> dict[str, Any]:
    routes = [_route(route) for route in item.get("routes") or []]
    kept = {"ip": _canonical(item["ip"])} | _gateway(item, "gateway")
    return kept | ({"routes": routes} if routes else {})


def _gateway(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: _canonical(item[key])} if item.get(key) else {}


def _canonical(text: Any) -> Any:
    """An address as Go writes it; what is none is left alone."""
    if not isinstance(text, str):
        return text
    try:
        return str(ipaddress.ip_interface(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return text


def error_text(exit_code: int, stdout: bytes, stderr: bytes) -> str:
    """What libcni says of a plugin that failed (RT-22), for whoever searches the log of a runtime for it."""
    if not stdout and not stderr:
        ending = f"exit status {exit_code}" if exit_code >= 0 else f"signal: {signal.strsignal(-exit_code)}".lower()
        return f"netplugin failed with no error message: {ending}"
    if not stdout:
        return f"netplugin failed: {_json(stderr.decode(errors='replace'))}"
    text = stdout.decode(errors="replace")
    try:
        document = json.loads(text)
        details = f"; {document['details']}" if document.get("details") else ""
        return f"{document.get('msg', '')}{details}"
    except (ValueError, AttributeError, RecursionError):
        return f"netplugin failed but error parsing its diagnostic message {_json(text)}"


def description(plugin: Mapping[str, Any]) -> str:
    """How libcni names a plugin in its errors."""
    name = f" name={_json(plugin['name'])}" if plugin.get("name") else ""
    return f"type={_json(plugin.get('type', ''))}{name}"
