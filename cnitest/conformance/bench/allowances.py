"""What may stay after DEL, and what the kernel keeps by itself: a short list, with reasons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cnitest.lab.snapshot.difference import Difference
from cnitest.lab.snapshot.state import State


class Allowance(NamedTuple):
    """Something that may stay after DEL: its name, why, and the differences it covers."""

    name: str
    why: str
    tables: frozenset[str]
    pattern: re.Pattern[str]


def _allow(name: str, why: str, tables: str, pattern: str) -> Allowance:
    return Allowance(name, why, frozenset(tables.split()), re.compile(pattern))


#: The tables of differences that hold what iptables-save prints, and all that hold rules of a packet filter.
SAVED = ("iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy")
RULES = ("nft", *SAVED)
_SHARED_CHAIN = r"CNI-(FORWARD|ADMIN|HOSTPORT-[A-Z]+|ISOLATION-STAGE-\d)"
# What makes a rule of nftables that of a container: an address, but for those of all multicast, a port, a comment.
_OF_CONTAINERS = r"saddr \d|daddr (?!224\.0\.0\.0/4 )\d|dport|comment|(?!ff00::/8 )[0-9a-f]{4}::?"
_IN_SAVED = " ".join(SAVED)

#: Everything that DEL may leave, besides a bridge that ADD made (see `new_bridges`).
ALLOWED: tuple[Allowance, ...] = (
    _allow("directories", "plugins make the directories of their state once", "files", r"^directory\b"),
    _allow("logs", "a plugin's log only grows", "files", r"^/var/log(/|$)|^/\S+\.log$"),
    _allow("compiled", "Python keeps what it has compiled beside a plugin's modules", "files", r"/__pycache__/"),
    _allow(
        "databases",
        "a database of SQLite is made once, and its pages change with every call",
        "files",
        r"^SQLite format 3",
    ),
    _allow("journals", "SQLite keeps journals beside a database", "files", r"\.(db|sqlite3?)-(wal|shm|journal)$"),
    _allow("locks", "the lock of a directory or of iptables is kept", "files", r"/(lock|xtables\.lock)$"),
    _allow("last address", "host-local remembers where to go on", "files", r"/last_reserved_ip\.\w+$"),
    _allow(
        "built-in chains",
        "iptables makes them when it is first asked",
        _IN_SAVED,
        r"^\w+: :(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) ACCEPT$",
    ),
    _allow(
        "shared chains",
        "chains that all containers share, and the way into them",
        _IN_SAVED,
        rf"^\w+: (:{_SHARED_CHAIN} -$|-A \S+ .*-[jg] {_SHARED_CHAIN}\b|-A {_SHARED_CHAIN} (?!.*(-s|-d|--dports?) ))",
    ),
    _allow(
        "shared nftables chains",
        "base chains, and the rules in them that name no port or container, and no address but all multicast",
        "nft",
        rf"^(table (ip|ip6|inet|bridge) \S+( chain \S+)?)(: (?!.*({_OF_CONTAINERS})).*)?$",
    ),
    _allow(
        "chains' comments",
        "words of a chain about itself are no rule",
        "nft",
        r'^table \S+ \S+ chain \S+: comment "[^"]*"$',
    ),
)
_ALL = tuple(allowance.name for allowance in ALLOWED)
_LOOKS_SHARED = "shared nftables chains"
# What of them changes with each attachment or comes with each call of iptables, also when all that is shared is there.
_ALWAYS = ("logs", "compiled", "databases", "journals", "locks", "last address", "built-in chains")
_LOCAL = 255
_UNCOUNTED = ("flows", "sysctl")
# The flags of neighbours that somebody has entered.
_ENTERED = frozenset(("proxy", "extern_learn", "managed"))
# What of a link or port only says how its other end is.
_OF_THE_OTHER_END = ("carrier", "parent", "state")


def counts(item: Difference, bridges: Sequence[str] = (), *, strict: bool = False, watched: bool = False) -> bool:
    """Whether a difference is somebody's doing that may not stay. ``bridges`` are those that may, with all that is
    about them; ``strict`` allows only what changes by itself with each attachment, ``watched`` no chain of nftables
    for looking shared: the caller watches what others leave."""
    if item.table in _UNCOUNTED or _is_the_kernels(item):
        return False
    if not _is_set(item) and any(mentions(item, bridge) for bridge in bridges):
        return False
    if strict:
        return not _covers(item, _ALWAYS)
    return not _covers(item, [name for name in _ALL if not (watched and name == _LOOKS_SHARED)])


def mentions(item: Difference, link: str) -> bool:
    """Whether a link is named in a difference: in its key, or among the fields that differ."""
    name = re.compile(rf"(?<![\w-]){re.escape(link)}(?![\w-])")
    values = (value for change in item.changes for value in change[1:])
    return name.search("\n".join(map(str, (item.key, *values)))) is not None


def _is_set(item: Difference) -> bool:
    """Whether somebody must have set something, whatever link it is about: a file, a rule, a route or neighbour that
    the kernel does not make by itself."""
    if item.table == "routes":
        return bool(item.row.protocol != "kernel")
    return item.table in ("files", "neighbours", "fdb", *RULES)


def _is_the_kernels(item: Difference) -> bool:
    """Whether the kernel keeps something by itself: routes of local addresses, link-local and loopback addresses,
    what detection of duplicate addresses found, neighbours that nobody entered by hand, the queue that is none, and
    what only says how a link's other end is."""
    row = item.row
    match item.table:
        case "qdiscs":
            return bool(row.kind == "noqueue")
        case "routes":
            return bool(row.protocol == "kernel" and (row.table == _LOCAL or row.to == "fe80::/64"))
        case "addresses":
            loopback = row.link == "lo" and row.address in ("127.0.0.1/8", "::1/128")
            of_link = "link" in [value for each in item.changes if each.name == "scope" for value in each[1:]]
            return loopback or of_link or _is_found_twice(item)
        case "neighbours":
            return not (item.appeared and (row.state == "permanent" or {*row.flags} & _ENTERED))
        case "fdb":
            return not item.appeared
        case "links" | "ports":
            return item.changed and all(change.name in _OF_THE_OTHER_END for change in item.changes)
    return False


def _is_found_twice(item: Difference) -> bool:
    """Whether only the kernel's word changed that somebody else has an IPv6 address, too (``dadfailed``, RFC 4862,
    section 5.4): nobody can set it, and it comes when the detection ends, after the call that gave the address."""
    if not item.changed or [change.name for change in item.changes] != ["flags"]:
        return False
    return {*item.before.flags} ^ {*item.after.flags} == {"dadfailed"}


def floats(item: Difference, *states: State) -> bool:
    """Whether only the MAC of a bridge without addresses changed: the kernel gives it the lowest of its ports'; or a
    bridge knows the MAC of a link of the host, as it does by itself."""
    if item.table == "fdb":
        return item.row.mac in {link.mac for state in states for link in state.links}
    if item.table != "links" or not item.changed or [change.name for change in item.changes] != ["mac"]:
        return False
    addressed = {row.link for state in states for row in state.addresses if row.scope != "link"}
    return item.key not in addressed and all(
        any(link.name == item.key and link.kind == "bridge" for link in state.links) for state in states
    )


def _covers(item: Difference, names: Sequence[str]) -> bool:
    """Whether an allowance of one of these names covers a difference: a file by its path, kind or beginning, else a
    rule."""
    texts = (item.key, item.mentioned("kind") or "", item.row.preview) if item.table == "files" else (str(item.row),)
    return any(
        item.table in allowance.tables and any(allowance.pattern.search(text) for text in texts)
        for allowance in ALLOWED
        if allowance.name in names
    )


def new_bridges(before: State, after: State) -> tuple[str, ...]:
    """The bridges that came: others may be attached to them, so plugins leave them (plugins#282)."""
    old = {link.name for link in before.links}
    return tuple(link.name for link in after.links if link.kind == "bridge" and link.name not in old)
