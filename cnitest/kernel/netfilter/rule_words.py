"""How rules are written by the program that made them: nft by handle, the family of iptables by number in a chain."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnitest.errors import CommandError
from cnitest.kernel.processes.process import Finished

#: Runs a program with what it gets on stdin, and does not raise when the program fails.
Run = Callable[[Sequence[str], bytes], Finished]

#: The programs that save tables of nftables as rules of their own, by the tables' family.
SAVING = {
    "ip": "iptables-nft-save",
    "ip6": "ip6tables-nft-save",
    "bridge": "ebtables-nft-save",
    "arp": "arptables-nft-save",
}
#: The same for tables that are not nftables'.
LEGACY = {"ip": "iptables-legacy-save", "ip6": "ip6tables-legacy-save"}
_HANDLE = re.compile(r"\s*# handle (\d+)( progname .*)?$")
_COUNTERS = re.compile(r"^\[(\d+):(\d+)\] | \[(\d+):(\d+)\]$| -c \d+ \d+")


class SavedChain(NamedTuple):
    """A chain as a program saves it: its policy (``DROP``, or ``-`` of one without), its rules (``-A …``) in order,
    and how many packets each has counted, the policy's first."""

    policy: str
    rules: tuple[str, ...]
    counted: tuple[int, ...]

    def words(self, number: int, there: int, *, hooked: bool) -> str | None:
        """The rule that nftables has as the ``number``-th of all that are ``there``; None where the two differ.

        It is empty for the policy of a chain that is not hooked in: ebtables has such, and nftables a rule at its end.
        """
        policy = not hooked and self.policy in ("DROP", "ACCEPT")
        if not 0 < number <= there or len(self.rules) not in (there, there - policy):
            return None
        return self.rules[number - 1] if number <= len(self.rules) else ""


def nft_rules(run: Run) -> Mapping[tuple[str, str, str, int], str]:
    """The rules as nft writes them, by family, table, chain and handle. Raises CommandError."""
    return dict(_by_handle(_output(run, ("nft", "-a", "list", "ruleset"))))


def saved(run: Run, program: str) -> Mapping[tuple[str, str], SavedChain]:
    """The chains that a program saves, by table and name. Raises CommandError."""
    return saved_chains(_output(run, (program,) if program.startswith("arp") else (program, "-c")))


def saved_chains(text: str) -> Mapping[tuple[str, str], SavedChain]:
    """The chains of the output of an iptables-save or ebtables-save."""
    table, policies, rules = (
        "",
        dict[tuple[str, str], tuple[str, int]](),
        dict[tuple[str, str], list[tuple[str, int]]](),
    )
    for line in text.splitlines():
        counted, bare = _packets(line), _COUNTERS.sub("", line).strip()
        if bare.startswith("*"):
            table = bare[1:]
        elif bare.startswith(":"):
            name, policy = bare[1:].rsplit(" ", 1) if " " in bare else (bare[1:], "-")
            policies[table, name] = policy, counted
        elif bare.startswith("-A "):
            rules.setdefault((table, bare.split(maxsplit=2)[1]), []).append((bare, counted))
    return {chain: _saved(policies.get(chain, ("-", 0)), rules.get(chain, [])) for chain in {**policies, **rules}}


def _saved(policy: tuple[str, int], rules: list[tuple[str, int]]) -> SavedChain:
    return SavedChain(policy[0], tuple(rule for rule, _ in rules), (policy[1], *(counted for _, counted in rules)))


def changing(saving: str) -> str:
    """The program that changes what one of `SAVING` saves: ``iptables``, or ``iptables-nft`` where the plain name is
    that of the older variant."""
    plain = saving.removesuffix("-nft-save")
    found = shutil.which(plain)
    return f"{plain}-nft" if found and "legacy" in Path(found).resolve().name else plain


def _packets(line: str) -> int:
    match = _COUNTERS.search(line)
    digits = re.findall(r"\d+", match[0]) if match else ("0",)
    return int(digits[0])


def _by_handle(listing: str) -> Iterator[tuple[tuple[str, str, str, int], str]]:
    context: list[str] = []
    for line in _whole_rules(listing):
        bare = _HANDLE.sub("", line)
        if bare.endswith("{") and (not context or len(context) == 1):
            context.append(bare[:-1].strip())
        elif line == "}":
            context.pop()
        elif len(context) > 1 and context[1].startswith("chain ") and (handle := _HANDLE.search(line)):
            family, table = context[0].split()[1:3]
            yield (family, table, context[1].split()[1], int(handle[1])), bare


def _whole_rules(listing: str) -> Iterator[str]:
    """The lines of a listing; a rule with a chain within itself (``jump { … }``) is one."""
    begun, depth = "", 0
    for line in (raw.strip() for raw in listing.splitlines()):
        opens = line.endswith((" jump {", " goto {"))
        depth += opens - (depth > 0 and line.startswith("}"))
        if begun:
            begun += " " if begun.endswith("{") or line.startswith("}") else "; "
        begun += line
        if not depth:
            yield begun
            begun = ""


def _output(run: Run, argv: Sequence[str]) -> str:
    result = run(argv, b"")
    if result.exit_code != 0:
        words = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(argv)}: exit code {result.exit_code}: {words}")
    return result.stdout.decode(errors="replace")
