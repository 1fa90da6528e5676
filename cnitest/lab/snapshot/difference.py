"""What changed between two states: one comparison gives both the verdict and its words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnitest.kernel.rows import link_details
from cnitest.kernel.rows.records import Vlan
from cnitest.lab import argument_checks, arguments
from cnitest.lab.snapshot import words
from cnitest.lab.snapshot.state import State

_LOCAL_TABLE = 255
_MAC_LENGTH = len("33:33:00:00:00:01")
_KERNELS_GROUPS = re.compile(r"224\.0\.0\.(1|106)$|ff0[125]::[12]$|ff02::1:ff|ff02::6a$")
# Fields that hold pairs of a name and a value: each counts as a field of its own.
_PAIRS = frozenset(("detail", "metrics", "options", "others", "resilient"))


class Difference(NamedTuple):
    """One thing that differs: ``before`` or ``after`` is empty when it appeared or vanished.

    ``old`` and ``new`` are the rows themselves (see `cnitest.kernel.rows.records`), None where there is none: of a
    table without rows, or on the side where the thing was not.
    """

    table: str
    key: str
    before: str
    after: str
    old: Any = None
    new: Any = None

    @property
    def row(self) -> Any:
        """The row as it is, else as it was."""
        return self.new or self.old

    def __repr__(self) -> str:
        return f"<Difference {self}>"

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.table} {self.key}: {self.after}"
        if not self.after:
            return f"- {self.table} {self.key}: {self.before}"
        return f"~ {self.table} {self.key}: {self.before} -> {self.after}"


class _Table(NamedTuple):
    """How rows of one table are told apart, which of their fields do not count, and which rows do not.

    ``told`` are the fields that its key has said, ``usual`` the values that go without saying of a row that came or
    went; ``sentence`` is the whole of a row in words: such a row never changes, another one comes. ``view`` is a row
    less what does not count of this one.
    """

    key: Callable[[Any], str]
    told: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ignored: Callable[[Any], bool] = lambda _: False
    usual: Mapping[str, tuple[Any, ...]] = {}
    sentence: Callable[[Any], str] | None = None
    view: Callable[[Any], Any] = lambda row: row


def _mirrors_an_address(route: Any) -> bool:
    """Whether the kernel keeps a route just because of an IPv6 address, from the end of its duplicate detection on."""
    return bool(route.family == 6 and route.table == _LOCAL_TABLE and route.protocol == "kernel")


def _is_chatter(flow: Any) -> bool:
    """Whether a flow is the kernel's own: multicast memberships and neighbour discovery."""
    return flow.protocol in ("2", "icmpv6") and flow.destination.startswith(("224.", "ff0"))


def _is_learned(entry: Any) -> bool:
    """Whether a bridge has learned an entry from the traffic."""
    return entry.state == "learned" and "extern_learn" not in entry.flags


def _lasting_state(neighbour: Any) -> Any:
    """A neighbour without what its state makes of it by itself."""
    return neighbour if neighbour.state in ("permanent", "noarp") else neighbour._replace(state="")


def _is_kernels_own(group: Any) -> bool:
    """Whether the kernel listens to a group by itself: for all hosts and routers, neighbour discovery and snooping;
    and the MAC of each group that is joined."""
    return not group.static if len(group.address) == _MAC_LENGTH else bool(_KERNELS_GROUPS.match(group.address))


def _handle_if_chosen(qdisc: Any) -> Any:
    """A discipline without the handle that the kernel chose for it."""
    chosen = not re.match(r"0:|[89a-f][0-9a-f]{3}:", qdisc.handle)
    return qdisc if chosen else qdisc._replace(handle="")


_OF_KERNEL = {"protocol": ("kernel_lo", "kernel_ra", "kernel_ll")}

# What the kernel changes by itself as time goes by does not count.
_TABLES: Mapping[str, _Table] = {
    "links": _Table(lambda row: row.name, ("name",), usual=link_details.USUAL),
    "addresses": _Table(
        lambda row: f"{row.address} on {row.link}", ("address", "link"), ("tentative", "deprecated"), usual=_OF_KERNEL
    ),
    "routes": _Table(
        words.route_key,
        ("table", "to", "via", "link", "kind", "metric", "tos", "nhid", "origin"),
        ("state",),
        _mirrors_an_address,
        {"family": (4,), "scope": ("global",)},
    ),
    "rules": _Table(lambda row: f"IPv{row.family} {row.priority}", sentence=words.rule),
    "nexthops": _Table(lambda row: f"id {row.id}", ("id",), usual={"scope": ("global",)}),
    "neighbours": _Table(
        lambda row: f"{row.ip} on {row.link}", ("ip", "link"), ignored=lambda row: not row.lasts, view=_lasting_state
    ),
    "ports": _Table(lambda row: row.name, ("name",), usual=link_details.USUAL),
    "fdb": _Table(words.fdb_key, ("mac", "link", "vlan", "dst", "src_vni"), ignored=_is_learned),
    "vlans": _Table(lambda row: f"{row.link} vid {row.vid}", ("link", "vid")),
    "mdb": _Table(
        lambda row: f"{row.group} port {row.port} on {row.bridge}{f' vid {row.vlan}' * bool(row.vlan)}",
        ("group", "port", "bridge", "vlan"),
        ignored=lambda row: row.state == "temp",
    ),
    "maddresses": _Table(lambda row: f"{row.address} on {row.link}", ("address", "link"), ignored=_is_kernels_own),
    "qdiscs": _Table(
        lambda row: f"{row.kind} parent {row.parent} on {row.link}", ("kind", "parent", "link"), view=_handle_if_chosen
    ),
    "classes": _Table(lambda row: f"{row.kind} {row.handle} on {row.link}", ("kind", "handle", "link"), ("leaf",)),
    "filters": _Table(words.filter_key, ("link", "parent", "kind", "pref", "protocol", "handle", "chain")),
    "chains": _Table(lambda row: f"{row.chain} parent {row.parent} on {row.link}", ("chain", "parent", "link")),
    "flows": _Table(
        lambda row: f"{row.protocol} {row.source} -> {row.destination}",
        ("protocol", "source", "destination"),
        ignored=_is_chatter,
    ),
    "files": _Table(lambda row: row.path, ("path",)),
}


def difference(before: State, after: State) -> tuple[Difference, ...]:
    """Everything that is not the same in two states of one place, in a stable order; empty when nothing is.

    Raises UsageError for what is no state.
    """
    arguments.expect("difference", argument_checks.state, before=before, after=after)
    found: list[Difference] = []
    lasting = {link.name for link in before.links} & {link.name for link in after.links}
    for name, table in _TABLES.items():
        found += _rows(name, table, *(_told_rows(getattr(state, name), lasting) for state in (before, after)))
    found += _mapping("sysctl", *(_of_lasting(state, lasting) for state in (before, after)))
    for backend in sorted({*before.firewall, *after.firewall}):
        found += _lines(backend, before.firewall.get(backend, ()), after.firewall.get(backend, ()))
    return tuple(found)


def _told_rows(rows: Sequence[Any], lasting: set[str]) -> Sequence[Any]:
    """The rows less those that a link came or went with: a port's first VLAN."""
    if not rows or not isinstance(rows[0], Vlan):
        return rows
    return [row for row in rows if row.link in lasting or row.flags != ("pvid", "untagged")]


def _rows(name: str, table: _Table, before: Sequence[Any], after: Sequence[Any]) -> Iterable[Difference]:
    if before == after:
        return
    old, new = _by_key(table, before), _by_key(table, after)
    for key in sorted({*old, *new}):
        gone, come = _unequal(table, old.get(key, []), new.get(key, []))
        pairs = 0 if table.sentence else min(len(gone), len(come))
        for was, now in zip(gone[:pairs], come[:pairs], strict=True):
            before_words, after_words = zip(*_changes(table, was, now), strict=True)
            yield Difference(name, key, ", ".join(before_words), ", ".join(after_words), was, now)
        for row in gone[pairs:]:
            yield Difference(name, key, _said(table, row) or "was there", "", row)
        for row in come[pairs:]:
            yield Difference(name, key, "", _said(table, row) or "is new", None, row)


def _by_key(table: _Table, rows: Iterable[Any]) -> dict[str, list[Any]]:
    """The rows that count; two of one key, such as rules of one priority, are two."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        if not table.ignored(row):
            found.setdefault(table.key(row), []).append(table.view(row))
    return found


def _unequal(table: _Table, before: list[Any], after: list[Any]) -> tuple[list[Any], list[Any]]:
    """The rows of one key that have no equal on the other side."""
    gone, come = [], list(after)
    for row in before:
        equal = next((other for other in come if _counted(table, row) == _counted(table, other)), None)
        if equal is None:
            gone.append(row)
        else:
            come.remove(equal)
    return gone, come


def _counted(table: _Table, row: Any) -> Any:
    return row._replace(**dict.fromkeys(table.without)) if table.without else row


def _fields(table: _Table, row: Any) -> dict[str, Any]:
    """The fields of a row that count, by name."""
    found: dict[str, Any] = {}
    for name, value in zip(row._fields, row, strict=True):
        if name in _PAIRS:
            found.update(value)
        elif name not in table.without:
            found[name] = value
    return found


def _changes(table: _Table, old: Any, new: Any) -> list[tuple[str, str]]:
    was, now = _fields(table, old), _fields(table, new)
    return [
        (_pair(name, was.get(name)), _pair(name, now.get(name)))
        for name in dict.fromkeys((*was, *now))
        if was.get(name) != now.get(name)
    ]


def _pair(name: str, value: Any) -> str:
    return f"{name}={words.plain(name, '' if value is None else value)}"


def _said(table: _Table, row: Any) -> str:
    """The fields of a row that say something unusual, less what its key has said."""
    if table.sentence:
        return table.sentence(row)
    return " ".join(_tellings(table, row))


def _tellings(table: _Table, row: Any) -> Iterator[str]:
    for name, value in _fields(table, row).items():
        if name in table.told or not value or value is True or value in table.usual.get(name, ()):
            continue
        if value != row._field_defaults.get(name):
            yield _pair(name, value)


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
