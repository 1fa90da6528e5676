"""Reads and loads firewall rules: nftables and both variants of iptables, as lines that stand on their own.

A rule made by one of them is invisible to the others' tools, so a whole picture needs all. What a namespace has
never used is not asked for: a cheap netlink request shows whether there is any nftables table, the kernel's own
list whether there is any legacy one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cnitest.errors import CommandError, KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netfilter import tables
from cnitest.kernel.processes.process import Finished
from cnitest.kernel.rtnetlink.netlink import Message, attribute

#: Runs a program with what it gets on stdin, and does not raise when the program fails.
Run = Callable[[Sequence[str], bytes], Finished]

# What packets change without a new generation, or what could not be read.
_MOVES = re.compile(r": element |flags .*dynamic|cannot be read")
_LEGACY = {
    "iptables-legacy": "ip_tables_names",
    "ip6tables-legacy": "ip6_tables_names",
    "arptables-legacy": "arp_tables_names",
}
# What nft cannot say of a rule that another program made, by the family of its table.
_FOREIGN = re.compile(r"\bxt (match|target)\b|# xt_|counter packets .* # ")
# Which program has made a table that is gone with it.
_OWNER = re.compile(r" # progname .*")
_BRIDGED = {"bridge": "ebtables", "arp": "arptables"}
_IPSET, _LIST_SETS, _IPSET_PROTOCOL = 6, 7, 6
_PASSING_OF_SETS = re.compile(r" (timeout|packets|bytes) \d+")
_COUNTERS = re.compile(r" ?\[\d+:\d+\]")


def snapshot(
    namespace: NetworkNamespace, read_own: Callable[..., str], run: Run, *, counters: bool = False
) -> dict[str, tuple[str, ...]]:
    """The rules of each backend that is in use, one line a rule with its table before it.

    ``read_own`` reads files of /proc/net as the namespace sees them; what rules have counted is left out unless
    ``counters``.
    """
    found: dict[str, tuple[str, ...]] = (
        dict(_nftables(namespace, run, counters)) if tables.families(namespace.netfilter) else {}
    )
    in_use = read_own(*_LEGACY.values()).strip()
    for name, listing in _LEGACY.items() if in_use else ():
        if read_own(listing).strip():
            found[name] = _saved(run, f"{name}-save", counters)
    if _has_sets(namespace):
        found["ipset"] = _if_there(run, ("ipset", "save"), ipset_lines)
    return {name: lines for name, lines in found.items() if lines}


def load(program: str, lines: Iterable[str], run: Run) -> None:
    """Load rules with ``nft -f``, a dump with ``iptables-restore`` or, a line an invocation, with iptables.

    Raises CommandError with the program's words.
    """
    import shlex

    if program == "nft":
        _output(run, ("nft", "-f", "-"), "\n".join(lines).encode() + b"\n")
        return
    if program.endswith("-restore"):
        _output(run, (program, "-w"), "\n".join(lines).encode() + b"\n")
        return
    for line in lines:
        _output(run, (program, "-w", *shlex.split(line)))


def saved_rules(text: str, *, counters: bool = False) -> tuple[str, ...]:
    """The lines of an iptables-save, each with its table in front and without counters (but with ``counters``)."""
    table, found = "", []
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith((":", "-", "[")):
            found.append(f"{table}: {line if counters else _COUNTERS.sub('', line).strip()}")
    return tuple(found)


def ipset_lines(text: str) -> tuple[str, ...]:
    """The lines of an ``ipset save``, of its entries without the time that is left and what was counted."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(_PASSING_OF_SETS.sub("", line) if line.startswith("add ") else line for line in lines if line)


def nft_rules(text: str, shown_elsewhere: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The statements of an ``nft list ruleset``, each with its table and chain, set, map or object in front; each
    element of a set or map is one.

    Chains of tables that iptables-nft keeps (``ip nat``) are left out when its own tools have shown them.
    """
    found: list[str] = []
    context: list[str] = []
    said_before = 0
    for line in _whole_lines(text):
        if line.endswith("{"):
            context.append(line[:-1].strip())
            if len(context) == 1 and not _shown(context, shown_elsewhere):
                found.append(context[0])
            said_before = len(found)
        elif line == "}":
            if len(context) > 1 and len(found) == said_before and not _shown(context, shown_elsewhere):
                found.append(" ".join(context))  # there is nothing in it
            context.pop()
        elif line and not line.startswith("#") and not _shown(context, shown_elsewhere):
            found += (f"{' '.join(context)}: {said}" for said in _statements(line))
    return tuple(found)


def _whole_lines(text: str) -> Iterator[str]:
    """The lines, with the elements of a set or map on one."""
    begun = ""
    for line in (_OWNER.sub("", raw).strip() for raw in text.splitlines()):
        begun = f"{begun} {line}" if begun else line
        if not begun.startswith("elements = {") or begun.endswith("}"):
            yield begun
            begun = ""


def _statements(line: str) -> Iterable[str]:
    if not line.startswith("elements = {"):
        return (line,)
    return (f"element {each.strip()}" for each in line.removeprefix("elements = {").removesuffix("}").split(","))


def _shown(context: Sequence[str], elsewhere: frozenset[str]) -> bool:
    """Whether iptables-nft has shown this: a table's head, or one of its chains. Our own tables are never shown."""
    if context and context[0].endswith(f" {tables.OWN}"):
        return True
    if not context or context[0].removeprefix("table ") not in elsewhere:
        return not context
    return len(context) == 1 or context[1].startswith("chain ")


def _nft_backed(run: Run, counters: bool) -> Mapping[str, tuple[str, ...]]:
    found = {name: _saved(run, f"{name}-nft-save", counters) for name in ("iptables", "ip6tables")}
    shown = {f"ip {line.partition(':')[0]}" for line in found["iptables"]}
    shown |= {f"ip6 {line.partition(':')[0]}" for line in found["ip6tables"]}
    try:
        found["nft"] = nft_rules(
            _output(run, ("nft", *(() if counters else ("-s",)), "list", "ruleset")), frozenset(shown)
        )
    except CommandError as error:
        found["nft"] = (f"cannot be read: {error}",)
    for family, program in _BRIDGED.items():
        if any(line.startswith(f"table {family} ") and _FOREIGN.search(line) for line in found["nft"]):
            found[program] = _if_there(run, (f"{program}-save",), saved_rules)
    return found


def _if_there(run: Run, argv: Sequence[str], read: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """What a program says; nothing where there is no such program."""
    try:
        return read(_output(run, argv))
    except CommandError:
        return ()


def _saved(run: Run, program: str, counters: bool) -> tuple[str, ...]:
    """The rules as a program saves them, or one line that says why it cannot: a snapshot goes on without."""
    try:
        return saved_rules(_output(run, (program, *(("-c",) if counters else ()))), counters=counters)
    except CommandError as error:
        return (f"cannot be read: {error}",)


def _nftables(namespace: NetworkNamespace, run: Run, counters: bool) -> Mapping[str, tuple[str, ...]]:
    """The rules of nftables; those that were read before, while the kernel's generation is still the same."""
    if counters:
        return _nft_backed(run, counters)
    generation = tables.generation(namespace.netfilter)
    known, rules = namespace.ruleset
    if known == generation:
        return rules
    found = _nft_backed(run, counters)
    if not any(_MOVES.search(line) for lines in found.values() for line in lines):
        namespace.ruleset = (generation, found)
    return found


def _has_sets(namespace: NetworkNamespace) -> bool:
    """Whether there is any set of ipset's."""
    body = bytes(4) + attribute(1, bytes([_IPSET_PROTOCOL]))
    try:
        return bool(namespace.netfilter.dump(Message(_IPSET << 8 | _LIST_SETS, 0, body, "sets")))
    except KernelError:
        return False  # the kernel has none


def _output(run: Run, argv: Sequence[str], stdin: bytes = b"") -> str:
    result = run(argv, stdin)
    if result.exit_code != 0:
        words = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(argv)}: exit code {result.exit_code}: {words}")
    return result.stdout.decode(errors="replace")
