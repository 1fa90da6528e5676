"""What a plugin made of the result of the one before it: what it hands on, and what it changed itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni.spec import Document
from cnitest.conformance.observe.truth import same_destination, same_network
from cnitest.kernel.rows.records import Route
from cnitest.lab.snapshot.state import State

Views = tuple[State, State]
_NAMED = (("ips", ("address", "gateway")), ("routes", ("dst", "gw")), ("interfaces", ("name", "sandbox")))


def wrongly_handed(previous: Document, found: Document, conf: Document, inside: Views, host: Views) -> list[str]:
    """What a previous result says and the new one does not though the plugin did not change it, and what it took away
    and hands on all the same.

    ``inside`` and ``host`` are the states of container and host before and after its ADD: what went there is what it
    took away itself. DNS, which no kernel has, it may replace by what its configuration says, or add to.
    """
    wrong = []
    for key, names in _NAMED:
        there = [_fields(item, names) for item in _rows(found, key)]
        for item in _rows(previous, key):
            fields, gone = _fields(item, names), _GONE[key](item, *(host if _is_the_hosts(key, item) else inside))
            words = f"{key}: {' '.join(str(part) for part in fields if part)}"
            if gone and fields in there:
                wrong.append(f"{words} is passed on, and ADD took it away")
            elif fields not in there and not gone and not _without_gateway(key, item, there, inside):
                wrong.append(f"{words} is not passed on")
            elif not gone:
                wrong += _details_lost(key, item, found, names)
                if not _is_there(key, item, (host if _is_the_hosts(key, item) else inside)[1]):
                    wrong += _details_changed(key, item, found, names)
        if key == "ips":
            wrong += _moved(previous, found)
    return wrong + list(_dns(previous.get("dns"), found.get("dns"), json.dumps(conf)))


#: What rows can say besides, which a plugin may change and must not lose.
_BESIDES = {
    "ips": (),
    "routes": ("mtu", "advmss", "priority", "table", "scope"),
    "interfaces": ("mac", "mtu", "socketPath", "pciID"),
}


def _details_lost(key: str, item: Document, found: Document, names: Sequence[str]) -> Iterator[str]:
    """What a row says besides, and no row of its name does any more."""
    fields = _fields(item, names)
    there = [row for row in _rows(found, key) if _fields(row, names) == fields]
    for name in _BESIDES[key]:
        if item.get(name) and not any(row.get(name) for row in there):
            yield f"{key}: {name} {item[name]} of {fields[0]} is not passed on"


def _details_changed(key: str, item: Document, found: Document, names: Sequence[str]) -> Iterator[str]:
    """What a row says besides, and rows of its name say otherwise, of what the kernel does not have: nobody can have
    changed that. What it has is compared with it where results are (ADD-08)."""
    fields = _fields(item, names)
    there = [row for row in _rows(found, key) if _fields(row, names) == fields]
    for name in _BESIDES[key]:
        others = [row[name] for row in there if row.get(name)]
        if item.get(name) and others and all(_folded(other) != _folded(item[name]) for other in others):
            yield f"{key}: {name} of {fields[0]} was {item[name]}, the result has {others[0]}"


def _folded(value: Any) -> str:
    """A value as it is compared: a MAC is the same in capitals."""
    return str(value).lower()


def _is_there(key: str, item: Document, state: State) -> bool:
    """Whether the kernel has the link, or the route, that a row is about."""
    if key == "interfaces":
        return any(link.name == item.get("name") for link in state.links)
    return key != "routes" or _has_route(state, item)


def _moved(previous: Document, found: Document) -> Iterator[str]:
    """Addresses that are said to be on another interface than before."""
    there = {str(ip.get("address")): _interface_of(found, ip) for ip in _rows(found, "ips")}
    for ip in _rows(previous, "ips"):
        was, address = _interface_of(previous, ip), str(ip.get("address"))
        if was and address in there and there[address] != was:
            now = there[address]
            yield f"ips: {address} was on {was[0]}, the result has it on {now[0] if now else 'no interface'}"


def _interface_of(document: Document, ip: Document) -> tuple[Any, ...] | None:
    """Name and sandbox of the interface that an address is on; None where it names none."""
    index, rows = ip.get("interface"), document.get("interfaces")
    if type(index) is not int or not isinstance(rows, list) or not 0 <= index < len(rows):
        return None
    return _fields(rows[index], ("name", "sandbox")) if isinstance(rows[index], Mapping) else None


def _fields(item: Document, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(item.get(name) or None for name in names)


def _rows(document: Document, key: str) -> list[Document]:
    rows = document.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _is_the_hosts(key: str, item: Document) -> bool:
    return key == "interfaces" and not item.get("sandbox")


def _address_went(item: Document, before: State, after: State) -> bool:
    wanted = str(item.get("address"))
    return _has_address(before, wanted) and not _has_address(after, wanted)


def _has_address(state: State, wanted: str) -> bool:
    bare = wanted.partition("/")[0]
    return any(address.ip == bare for address in state.addresses)


def _route_went(item: Document, before: State, after: State) -> bool:
    """Whether the kernel had a route, and has it in no table any more."""
    return _has_route(before, item) and not _has_route(after, item)


def _has_route(state: State, item: Document) -> bool:
    return any(same_destination(route, str(item.get("dst"))) and _leads(route, item) for route in state.routes)


def _leads(route: Route, item: Document) -> bool:
    gateway = item.get("gw")
    return not gateway or any(same_network(str(gateway), found) for found in route.gateways)


def _link_went(item: Document, before: State, after: State) -> bool:
    name = item.get("name")
    return any(link.name == name for link in before.links) and not any(link.name == name for link in after.links)


_GONE = {"ips": _address_went, "routes": _route_went, "interfaces": _link_went}


def _without_gateway(key: str, item: Document, there: list[tuple[Any, ...]], inside: Views) -> bool:
    """Whether an address is passed on without its gateway because every route by that was taken away."""
    gateway = item.get("gateway")
    if key != "ips" or not gateway or (item.get("address"), None) not in there:
        return False
    led, leads = (
        any(same_network(str(gateway), found) for route in state.routes for found in route.gateways) for state in inside
    )
    return led and not leads


def _dns(previous: Any, found: Any, conf: str) -> Iterator[str]:
    """What of the previous DNS is neither kept, added to, nor replaced by what the configuration says."""
    new = found if isinstance(found, Mapping) else {}
    for key, value in (previous if isinstance(previous, Mapping) else {}).items():
        other = new.get(key)
        kept = other == value or (isinstance(value, list) and isinstance(other, list) and _holds(other, value))
        own = bool(_texts(other)) and all(json.dumps(word) in conf for word in _texts(other))
        if not kept and not own:
            yield f"dns.{key}: {value} is not passed on, it is {other}"


def _holds(many: list[Any], some: list[Any]) -> bool:
    return all(each in many for each in some)


def _texts(value: Any) -> set[str]:
    items = value if isinstance(value, list) else [value]
    return {item for item in items if isinstance(item, str)}
