"""Which rule of nat ended a packet's way through a chain, as the kernel reports it, and which rules come after that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import MetRule
from cnitest.explain.evidence.translation import NatRule
from cnitest.lab.place import Place

_TARGETS = re.compile(r"(?:-[jg]|\bjump|\bgoto) (\S+)$|(?:jump|goto) (\S+?)(?=[ ,}])")
#: So deep a way through chains goes at most.
MOST_JUMPS = 16


def met(loss: Loss, place: Place, hook: str, tables: Iterable[str]) -> list[list[MetRule]]:
    """The rules that the request met at a hook of a place in some tables, in order, for each base chain."""
    found: dict[tuple[str, str], list[MetRule]] = {}
    for step in loss.steps:
        at = step.place == place.full_name and not step.returning and step.hook.upper() == hook
        if at and step.table in tables:
            found.setdefault((step.table, step.path[0]), []).append(step)
    return list(found.values())


def ended_by(steps: Sequence[MetRule]) -> MetRule | None:
    """The rule that ended the way through a base chain before its end; None where the packet came there."""
    ruled = [step for step in steps if step.rule]
    last = ruled[-1] if ruled else None
    if last is None or last.verdict == "accept":
        return last
    if last.verdict != "return":
        return None
    entered = [step for step in ruled if len(last.path) > 1 and step.chain == last.path[-2] and step is not last]
    gone = len(last.path) == 1 or (len(last.path) == len(steps[0].path) + 1 and entered[-1:] and _is_goto(entered[-1]))
    return last if gone else None


def _is_goto(step: MetRule) -> bool:
    return step.verdict == "goto" or " -g " in step.rule


def after(rules: Sequence[NatRule], last: MetRule) -> list[NatRule]:
    """The rules of a table that come after one, in the order in which a packet meets them."""
    chains: dict[str, list[NatRule]] = {}
    for rule in rules:
        if rule.table == last.table:
            chains.setdefault(rule.chain, []).append(rule)
    ordered = list(_flattened(chains, last.path[0]))
    at = chains.get(last.chain, [])[last.number - 1 : last.number]
    numbers = [number for number, rule in enumerate(ordered) if at and rule is at[0]]
    return ordered[numbers[0] + 1 :] if numbers else []


def leading_to(rules: Iterable[NatRule], chain: str) -> list[NatRule]:
    """The rules that lead to a chain."""
    pattern = re.compile(rf"(-[jg]|\b(jump|goto)) {re.escape(chain)}($|[ ,}}])")
    return [rule for rule in rules if pattern.search(rule.text)]


def _flattened(chains: Mapping[str, Sequence[NatRule]], chain: str, depth: int = 0) -> Iterator[NatRule]:
    """The rules of a chain, each followed by those of the chains that it leads to."""
    for rule in chains.get(chain, ()):
        yield rule
        names = [one or other for one, other in _TARGETS.findall(rule.text)] if depth < MOST_JUMPS else []
        for name in names:
            yield from _flattened(chains, name, depth + 1)
