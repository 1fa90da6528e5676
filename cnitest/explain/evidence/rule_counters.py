"""What rules have counted, before and after: the evidence where the kernel reports no rules that a packet meets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cnitest.errors import CnitestError
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter import rule_words
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Seen

_PROGRAMS = {
    "iptables-legacy": "ip",
    "ip6tables-legacy": "ip6",
    "iptables-nft": "ip",
    "ip6tables-nft": "ip6",
    "ebtables-nft": "bridge",
}
_ENDING = re.compile(r"-j (DROP|REJECT|NFQUEUE)\b")


class Counted(NamedTuple):
    """A rule, or a policy (``number`` 0), of a chain: what it does with a packet, and how many it has counted. ``hook``
    is empty of a chain that is jumped to."""

    program: str
    table: str
    chain: str
    hook: str
    number: int
    rule: str
    verdict: str
    packets: int


#: Rules and policies by program, table, chain and number.
Table = Mapping[tuple[str, str, str, int], Counted]


def counted(place: Place) -> Table:
    """The rules and policies of the family of iptables at a place that end a packet, with their counters."""
    found = [row for program in _PROGRAMS for row in _of_program(place, program)]
    return {(row.program, row.table, row.chain, row.number): row for row in found}


def _of_program(place: Place, program: str) -> Iterator[Counted]:
    try:
        chains = rule_words.saved(lambda argv, stdin: place.execute(argv, stdin), f"{program}-save")
    except CnitestError:
        return  # it is not there, or has nothing to say here
    name = program.removesuffix("-nft")
    for (table, chain), saved in chains.items():
        full = f"{_PROGRAMS[program]} {table}"
        hook = "" if saved.policy == "-" else chain
        if saved.policy == "DROP":
            yield Counted(name, full, chain, hook, 0, "", "drop", saved.counted[0])
        for number, rule in enumerate(saved.rules, 1):
            ends = _ENDING.search(rule)
            if ends:
                verdict = ends[1].lower().replace("nfqueue", "queue")
                yield Counted(name, full, chain, hook, number, rule, verdict, saved.counted[number])


def steps(place: Place, before: Table, seen: Seen) -> tuple[MetRule, ...]:
    """The one rule or policy that ended a packet since; none where there are several, which may be another's."""
    after = counted(place)
    moved = [row for key, row in after.items() if key in before and row.packets > before[key].packets]
    here = [sighting for sighting in seen.sightings if sighting.place == place.full_name]
    if len(moved) != 1 or not here:
        return ()
    (row,), last = moved, here[-1]
    return (
        MetRule(
            place=place.full_name,
            program=row.program,
            table=row.table,
            chain=row.chain,
            path=(row.chain,),
            hook=row.hook,
            rule=row.rule,
            verdict=row.verdict,
            number=row.number,
            iif="" if last.frame.out else last.frame.link,
            returning=last.returning,
            packet=wire.read(last.frame.data),
            shown="its counter went up while the probe was sent",
        ),
    )
