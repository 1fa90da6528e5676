"""What changed between two states: one comparison gives both the verdict and its words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cnitest.lab.state import State

_LOCAL_TABLE = 255


class Difference(NamedTuple):
    """One thing that differs: ``before`` or ``after`` is empty when it appeared or vanished."""

    table: str
    key: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.table} {self.key}: {self.after}".rstrip(": ")
        if not self.after:
            return f"- {self.table} {self.key}: {self.before}".rstrip(": ")
        return f"~ {self.table} {self.key}: {self.before} -> {self.after}"


class _Table(NamedTuple):
    """How rows of one table are told apart, which of their fields do not count, and which rows do not."""

    key: Callable[[Any], str]
    without: tuple[str, ...] = ()
    ignored: Callable[[Any], bool] = lambda _: False


def _mirrors_an_address(route: Any) -> bool:
    """Whether the kernel keeps a route just because of an IPv6 address, from the end of its duplicate detection on."""
    return bool(route.family == 6 and route.table == _LOCAL_TABLE and route.protocol == "kernel")


def _is_chatter(flow: Any) -> bool:
    """Whether a flow is the kernel's own: multicast memberships and neighbour discovery."""
    return flow.protocol in ("2", "icmpv6") and flow.destination.startswith(("224.", "ff0"))


# What the kernel changes by itself as time goes by does not count.
_TABLES: Mapping[str, _Table] = {
    "links": _Table(lambda row: row.name),
    "addresses": _Table(lambda row: f"{row.address} on {row.link}", ("tentative",)),
    "routes": _Table(
        lambda row: f"{row.to} via {row.via or row.link} table {row.table} metric {row.metric} {row.kind}",
        ignored=_mirrors_an_address,
    ),
    "rules": _Table(
        lambda row: (
            f"IPv{row.family} {row.priority} from {row.source or 'all'} to {row.to or 'all'} "
            f"iif {row.iif} oif {row.oif} mark {row.mark} table {row.table}"
        )
    ),
    "neighbours": _Table(lambda row: f"{row.ip} on {row.link}", ("state",)),
    "ports": _Table(lambda row: row.name),
    "fdb": _Table(lambda row: f"{row.mac} on {row.link}", ignored=lambda row: row.state == "learned"),
    "qdiscs": _Table(lambda row: f"{row.kind} parent {row.parent} on {row.link}", ("handle",)),
    "flows": _Table(lambda row: f"{row.protocol} {row.source} -> {row.destination}", ignored=_is_chatter),
    "files": _Table(lambda row: row.path),
}


def difference(before: State, after: State) -> tuple[Difference, ...]:
    """Everything that is not the same in two states of one place, in a stable order; empty when nothing is."""
    found: list[Difference] = []
    for name, table in _TABLES.items():
        found += _rows(name, table, getattr(before, name), getattr(after, name))
    lasting = {link.name for link in before.links} & {link.name for link in after.links}
    found += _mapping("sysctl", *(_of_lasting(state, lasting) for state in (before, after)))
    for backend in sorted({*before.firewall, *after.firewall}):
        found += _lines(backend, before.firewall.get(backend, ()), after.firewall.get(backend, ()))
    return tuple(found)


def _rows(name: str, table: _Table, before: Iterable[Any], after: Iterable[Any]) -> Iterable[Difference]:
    old, new = ({table.key(row): row for row in rows if not table.ignored(row)} for rows in (before, after))
    for key in sorted({*old, *new}):
        if key not in new:
            yield Difference(name, key, _words(table, old[key], key) or "was there", "")
        elif key not in old:
            yield Difference(name, key, "", _words(table, new[key], key) or "is new")
        else:
            changes = _changes(table, old[key], new[key])
            if changes:
                was, became = zip(*changes, strict=True)
                yield Difference(name, key, ", ".join(was), ", ".join(became))


def _changes(table: _Table, old: Any, new: Any) -> list[tuple[str, str]]:
    return [
        (f"{name}={_plain(getattr(old, name))}", f"{name}={_plain(getattr(new, name))}")
        for name in old._fields
        if name not in table.without and getattr(old, name) != getattr(new, name)
    ]


def _words(table: _Table, row: Any, key: str) -> str:
    """The fields of a row that say something, less what its key has said."""
    pairs = ((name, getattr(row, name)) for name in row._fields if name not in table.without)
    said = (f"{name}={_plain(value)}" for name, value in pairs if value and str(value) not in key and value is not True)
    return " ".join(said)


def _plain(value: Any) -> str:
    """A value without Python's punctuation: pairs as ``name=value``, sequences with commas."""
    if isinstance(value, tuple):
        return ",".join("=".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)


def _of_lasting(state: State, lasting: set[str]) -> Mapping[str, str]:
    """The sysctls less those of links that came or went: the links themselves say so."""
    others = {link.name for link in state.links} - lasting
    return {name: value for name, value in state.sysctls.items() if not any(f".{link}." in name for link in others)}


def _mapping(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Difference]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield Difference(name, key, "" if old is None else repr(old), "" if new is None else repr(new))


def _lines(backend: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterable[Difference]:
    for line in difflib.ndiff(before, after):
        if line.startswith("- "):
            yield Difference(backend, "rule", line[2:], "")
        elif line.startswith("+ "):
            yield Difference(backend, "rule", "", line[2:])
