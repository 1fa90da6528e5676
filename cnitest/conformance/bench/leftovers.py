"""What is left of an attachment: everything that differs from before it, less a short list of what may stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded
from cnitest.lab.snapshot.difference import Difference, difference
from cnitest.lab.snapshot.state import State

#: Seconds in which the kernel removes what a dead namespace held, and what else it does behind a call.
AFTER_A_NAMESPACE, AFTER_A_CALL = 1.5, 0.1
_PASSING = re.compile(r": [+~] (links|ports|addresses|routes|qdiscs) ")


class Allowance(NamedTuple):
    """Something that may stay after DEL: its name, why, and the differences it covers."""

    name: str
    why: str
    tables: frozenset[str]
    pattern: re.Pattern[str]


def _allow(name: str, why: str, tables: str, pattern: str) -> Allowance:
    return Allowance(name, why, frozenset(tables.split()), re.compile(pattern))


_SHARED_CHAIN = r"CNI-(FORWARD|ADMIN|HOSTPORT-[A-Z]+|ISOLATION-STAGE-\d)"
_SAVED = "iptables ip6tables iptables-legacy ip6tables-legacy"

#: Everything that DEL may leave, besides a bridge that ADD made (see `_new_bridges`).
ALLOWED: tuple[Allowance, ...] = (
    _allow("directories", "plugins make the directories of their state once", "files", r"^directory\b"),
    _allow("locks", "the lock of a directory or of iptables is kept", "files", r"/(lock|xtables\.lock)$"),
    _allow("last address", "host-local remembers where to go on", "files", r"/last_reserved_ip\.\w+$"),
    _allow(
        "built-in chains",
        "iptables makes them when it is first asked",
        _SAVED,
        r"^\w+: :(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) ACCEPT$",
    ),
    _allow(
        "shared chains",
        "chains that all containers share, and the way into them",
        _SAVED,
        rf"^\w+: (:{_SHARED_CHAIN} -$|-A \S+ .*-[jg] {_SHARED_CHAIN}\b|-A {_SHARED_CHAIN} (?!.*(-s|-d|--dports?) ))",
    ),
    _allow(
        "shared nftables chains",
        "base chains and the rules between chains that name no address, port or container",
        "nft",
        r"^(table (ip|ip6|inet|bridge) \S+( chain \S+)?)(: (?!.*(saddr \d|daddr \d|dport|comment|[0-9a-f]{4}::?)).*)?$",
    ),
    _allow(
        "chains' comments",
        "words of a chain about itself are no rule",
        "nft",
        r'^table \S+ \S+ chain \S+: comment "[^"]*"$',
    ),
)
_LOCAL = 255
_UNCOUNTED = ("neighbours", "flows", "sysctl", "fdb")


def residue(
    before: Mapping[str, State], after: Mapping[str, State], leftover: Sequence[str] = (), *, strict: bool = False
) -> list[str]:
    """What differs between two pictures, a line each with its place, but for what may stay.

    ``strict`` allows only what changes by itself with each attachment: nothing shared may appear any more.
    """
    found: list[str] = []
    patterns = [re.compile(pattern) for pattern in leftover]
    for place in before.keys() & after.keys():
        found += (f"{place}: {line}" for line in _permanent_neighbours(before[place], after[place]))
        bridges = () if strict else _new_bridges(before[place], after[place])
        for item in difference(before[place], after[place]):
            line = f"{place}: {item}"
            if _floats(item, before[place], after[place]) or any(pattern.search(line) for pattern in patterns):
                continue
            if _counts(item, bridges, strict):
                found.append(line)
    return sorted(found)


def settle(look: Callable[[], list[str]], patience: float = AFTER_A_CALL) -> list[str]:
    """What is left once the kernel has caught up: it removes the links of a dead namespace behind us.

    Files and rules are nothing that goes by itself, so they are not waited for.
    """
    found: list[str] = []

    def settled() -> bool:
        found[:] = look()
        return not any(_PASSING.search(line) for line in found)

    with suppress(DeadlineExceeded):
        Deadline.after(patience, "the kernel to remove what a namespace held").poll(settled)
    return found


def _counts(item: Difference, bridges: Iterable[str], strict: bool) -> bool:
    if item.table in _UNCOUNTED or _is_the_kernels(item):
        return False
    if not _is_set(item) and any(
        re.search(rf"(?<![\w-]){re.escape(bridge)}(?![\w-])", str(item)) for bridge in bridges
    ):
        return False
    if strict:
        return not (item.table == "files" and _covers(item, ("locks", "last address")))
    return not _covers(item, tuple(allowance.name for allowance in ALLOWED))


def _permanent_neighbours(before: State, after: State) -> list[str]:
    """Neighbours that somebody has entered by hand; the others come and go."""
    old, new = (
        {f"{row.ip} on {row.link}" for row in state.neighbours if row.state == "permanent"} for state in (before, after)
    )
    return [f"+ neighbours {key}: permanent" for key in sorted(new - old)]


def _is_set(item: Difference) -> bool:
    """Whether somebody must have set something, whatever link it is about: a file, a rule, a route or neighbour that
    the kernel does not make by itself."""
    if item.table == "routes":
        return bool(item.row.protocol != "kernel")
    return item.table in ("files", "nft", *_SAVED.split())


def _is_the_kernels(item: Difference) -> bool:
    """Whether the kernel keeps something by itself: routes of local addresses, link-local and loopback addresses, the
    queue that is none, and what of a link or port only says how its other end is."""
    if item.table == "qdiscs":
        return item.key.startswith("noqueue ")
    if item.table == "routes":
        return bool(item.row.protocol == "kernel" and (item.row.table == _LOCAL or item.row.to == "fe80::/64"))
    if item.table == "addresses":
        return item.key.startswith(("127.0.0.1/8 on lo", "::1/128 on lo")) or "scope=link" in item.after + item.before
    if item.table in ("links", "ports") and item.before and item.after:
        return all(part.partition("=")[0] in ("carrier", "parent", "state") for part in item.before.split(", "))
    return False


def _floats(item: Difference, *states: State) -> bool:
    """Whether only the MAC of a bridge without addresses changed: the kernel gives it the lowest of its ports'."""
    if item.table != "links" or not item.before.startswith("mac=") or ", " in item.before:
        return False
    addressed = {row.link for state in states for row in state.addresses if row.scope != "link"}
    return item.key not in addressed and all(
        any(link.name == item.key and link.kind == "bridge" for link in state.links) for state in states
    )


def _covers(item: Difference, names: Sequence[str]) -> bool:
    """Whether an allowance of one of these names covers a difference."""
    text = item.key if item.table == "files" else item.after or item.before
    kind = (item.after or item.before).partition("kind=")[2].split(" ")[0] if item.table == "files" else ""
    return any(
        item.table in allowance.tables and (allowance.pattern.search(text) or (kind and allowance.pattern.search(kind)))
        for allowance in ALLOWED
        if allowance.name in names
    )


def _new_bridges(before: State, after: State) -> tuple[str, ...]:
    """The bridges that came: others may be attached to them, so plugins leave them (plugins#282)."""
    old = {link.name for link in before.links}
    return tuple(link.name for link in after.links if link.kind == "bridge" and link.name not in old)
