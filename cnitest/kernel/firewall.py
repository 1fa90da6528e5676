"""Reads and loads firewall rules: nftables and both variants of iptables, as lines that stand on their own.

A rule made by one of them is invisible to the others' tools, so a whole picture needs all. What a namespace has
never used is not asked for: a cheap netlink question tells whether there is any nftables table, the kernel's own
list whether there is any legacy one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cnitest.errors import CommandError, KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netlink import Message, attributes
from cnitest.kernel.process import Finished

#: Runs a program with what it gets on stdin, and does not raise when the program fails.
Run = Callable[[Sequence[str], bytes], Finished]

_NFTABLES, _GET_TABLE, _GET_GENERATION, _MAIN_HEADER = 10, 1, 16, 16
# What packets change without a new generation, or what could not be read.
_MOVES = re.compile(r"elements = |flags .*dynamic|cannot be read")
_LEGACY = {4: ("iptables-legacy", "ip_tables_names"), 6: ("ip6tables-legacy", "ip6_tables_names")}
_COUNTERS = re.compile(r" ?\[\d+:\d+\]")


def snapshot(namespace: NetworkNamespace, read_own: Callable[..., str], run: Run) -> dict[str, tuple[str, ...]]:
    """The rules of each backend that is in use, one line a rule with its table before it.

    ``read_own`` reads files of /proc/net as the namespace sees them.
    """
    found: dict[str, tuple[str, ...]] = dict(_nftables(namespace, run)) if _has_tables(namespace) else {}
    in_use = read_own(*(listing for _, listing in _LEGACY.values())).strip()
    for name, listing in _LEGACY.values() if in_use else ():
        if read_own(listing).strip():
            found[name] = _saved(run, f"{name}-save")
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


def saved_rules(text: str) -> tuple[str, ...]:
    """The lines of an iptables-save, each with its table in front and without counters."""
    table, found = "", []
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith((":", "-")):
            found.append(f"{table}: {_COUNTERS.sub('', line)}")
    return tuple(found)


def nft_rules(text: str, shown_elsewhere: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The statements of an ``nft list ruleset``, each with its table and chain in front.

    Tables that iptables-nft keeps (``ip nat``) are left out when its own tools have shown them.
    """
    found: list[str] = []
    context: list[str] = []
    for line in (raw.strip() for raw in text.splitlines()):
        if line.endswith("{"):
            context.append(line[:-1].strip())
            if len(context) == 1 and not _shown(context, shown_elsewhere):
                found.append(context[0])
        elif line == "}":
            context.pop()
        elif line and not line.startswith("#") and not _shown(context, shown_elsewhere):
            found.append(f"{' '.join(context)}: {line}")
    return tuple(found)


def _shown(context: Sequence[str], elsewhere: frozenset[str]) -> bool:
    return not context or context[0].removeprefix("table ") in elsewhere


def _nft_backed(run: Run) -> Mapping[str, tuple[str, ...]]:
    found = {name: _saved(run, f"{name}-nft-save") for name in ("iptables", "ip6tables")}
    shown = {f"ip {line.partition(':')[0]}" for line in found["iptables"]}
    shown |= {f"ip6 {line.partition(':')[0]}" for line in found["ip6tables"]}
    try:
        found["nft"] = nft_rules(_output(run, ("nft", "-s", "list", "ruleset")), frozenset(shown))
    except CommandError as error:
        found["nft"] = (f"cannot be read: {error}",)
    return found


def _saved(run: Run, program: str) -> tuple[str, ...]:
    """The rules as a program saves them, or one line that says why it cannot: a snapshot goes on without."""
    try:
        return saved_rules(_output(run, (program,)))
    except CommandError as error:
        return (f"cannot be read: {error}",)


def _nftables(namespace: NetworkNamespace, run: Run) -> Mapping[str, tuple[str, ...]]:
    """The rules of nftables; those that were read before, while the kernel's generation is still the same."""
    generation = _generation(namespace)
    known, rules = namespace.ruleset
    if known == generation:
        return rules
    found = _nft_backed(run)
    if not any(_MOVES.search(line) for lines in found.values() for line in lines):
        namespace.ruleset = (generation, found)
    return found


def _generation(namespace: NetworkNamespace) -> int:
    """How often the rules have been changed (NFT_MSG_GETGEN)."""
    rows = namespace.netfilter.request(Message(_NFTABLES << 8 | _GET_GENERATION, 0, bytes(4), "nft generation"))
    for kind, start, _ in attributes(rows[0], _MAIN_HEADER + 4, len(rows[0])):
        if kind == 1:
            return int.from_bytes(rows[0][start : start + 4], "big")
    return 0


def _has_tables(namespace: NetworkNamespace) -> bool:
    try:
        return bool(namespace.netfilter.dump(Message(_NFTABLES << 8 | _GET_TABLE, 0, bytes(4), "nft tables")))
    except KernelError:
        return False


def _output(run: Run, argv: Sequence[str], stdin: bytes = b"") -> str:
    result = run(argv, stdin)
    if result.exit_code != 0:
        words = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(argv)}: exit code {result.exit_code}: {words}")
    return result.stdout.decode(errors="replace")
