"""Results, errors and answers to VERSION with parts that are missing, doubled or of another type."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

NETNS = "/run/netns/c1"
NEW: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "interfaces": [
        {"name": "cni0", "mac": "02:00:00:00:00:01"},
        {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": NETNS},
    ],
    "ips": [
        {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
        {"address": "2001:db8:1::2/64", "gateway": "2001:db8:1::1", "interface": 1},
    ],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "2001:db8:1::1"}],
    "dns": {"nameservers": ["192.0.2.53"], "domain": "example.com", "search": [], "options": []},
}
OLD: dict[str, Any] = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.1.0.2/24", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    "ip6": {"ip": "2001:db8:1::2/64", "gateway": "2001:db8:1::1"},
    "dns": {"nameservers": ["192.0.2.53"]},
}
RESULTS: dict[str, dict[str, Any]] = {
    "0.2.0": OLD,
    "0.4.0": {**NEW, "cniVersion": "0.4.0", "ips": [{**ip, "version": "46"[ip is NEW["ips"][1]]} for ip in NEW["ips"]]},
    "1.0.0": NEW,
    "1.1.0": {**NEW, "cniVersion": "1.1.0", "interfaces": [{**item, "mtu": 1500} for item in NEW["interfaces"]]},
}
#: What a part may be instead.
OTHERS: tuple[Any, ...] = (
    None,
    5,
    -1,
    1e300,
    True,
    "",
    "x",
    "10.1.0.300",
    [],
    [[]],
    ["x"],
    [None],
    {},
    {"x": {"y": []}},
)


class Malformed(NamedTuple):
    """A document with one thing wrong, the words for that, and the change as JSON: ``path``, ``how``, ``value``."""

    words: str
    document: Any
    change: dict[str, Any]


def all_of(document: Any) -> Iterator[Malformed]:
    """A document with each of its parts missing, twice there, and of each other type and value."""
    for path in _paths(document):
        for how, value in _ways(path):
            change = {"path": list(path), "how": how, "value": value}
            words = f"{'.'.join(map(str, path)) or 'all of it'} is {json.dumps(value) if how == 'other' else how}"
            yield Malformed(words, changed(document, **change), change)


def changed(document: Any, path: list[Any], how: str, value: Any = None) -> Any:
    """A document with one part ``missing``, ``twice`` there, or of an ``other`` value."""
    if not path:
        return value
    found = within = copy.deepcopy(document)
    for part in path[:-1]:
        within = within[part]
    if how == "missing":
        del within[path[-1]]
    elif how == "twice":
        within.insert(path[-1], copy.deepcopy(within[path[-1]]))
    else:
        within[path[-1]] = value
    return found


def _ways(path: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    if path:
        yield "missing", None
    if path and isinstance(path[-1], int):
        yield "twice", None
    yield from (("other", other) for other in OTHERS)


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*above, key))
