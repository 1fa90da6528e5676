"""The member that a set of nftables lacks whose members a rule accepts, where what comes after it drops the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cnitest.explain.causes import behind, drops, matching
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.sets import elements
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule

# A rule that ends whatever comes to it.
_ENDS_ALL = re.compile(r'(?:(?:counter|log(?: (?:prefix "[^"]*"|(?:group|level|flags) \S+))*) )*(?:drop|reject\b.*)')


class _Missed(NamedTuple):
    """A rule that would accept the packet, by the chain that it stands in, and what its sets lack for that: their names
    with the key."""

    chain: str
    rule: str
    lacks: tuple[tuple[str, str], ...]


@cause("sets.allow-list", Stage.TRACED)
def allow_list(loss: Loss) -> Found | None:
    """A rule of nftables accepts what is in a named set, the packet is not, and a policy or rule drops what is left."""
    step = drops.dropped(loss)
    if step is None or drops.is_iptables(step) or (step.rule and not _ENDS_ALL.fullmatch(step.rule)):
        return None
    missed = next(_missed(loss, step), None)
    if missed is None:
        return None
    names = " and ".join(f"set {name} has no {key}" for name, key in missed.lacks)
    adding = dict.fromkeys((*missed.lacks, *_for_the_reply(loss, step, missed)))
    first = " && ".join(elements.change("add", step.table, name, key) for name, key in adding)
    also = (f"{step.table} {missed.chain} would accept it: {missed.rule}",)
    return drops.found(loss, step, also=also, note=names, remedy=drops.past_by(loss, step, first))


def _missed(loss: Loss, step: MetRule) -> Iterator[_Missed]:
    """The rules before the end of a packet that only lack a member of their sets to accept it, and its reply."""
    for chain, rule in _before(loss, step):
        lacks = _lacks(loss, step, rule)
        if lacks and (not _wants_reply(loss, step) or _lacks(loss, behind.reply_of(step), rule) is not None):
            yield _Missed(chain, rule, lacks)


def _before(loss: Loss, step: MetRule) -> Iterator[tuple[str, str]]:
    """The rules of the chain before what ended a packet, and of the chains that these may have led it to."""
    waiting = [(step.chain, rule) for rule in step.rules[: step.number - 1 if step.rule else None]]
    seen = {step.chain}
    while waiting:
        chain, rule = waiting.pop(0)
        yield chain, rule
        target = matching.LEADS_TO.search(rule)
        if target and target[1] not in seen and matching.nft_may_hold(rule[: target.start()], step) is not False:
            seen.add(target[1])
            waiting = [*((target[1], one) for one in behind.rules(loss, step, target[1])), *waiting]


def _lacks(loss: Loss, step: MetRule, rule: str) -> tuple[tuple[str, str], ...] | None:
    """What the sets of a rule lack to accept the packet of a step; None where it would not accept that for other
    reasons, or nobody can say."""
    lookups = elements.lookups(rule)
    if not lookups or not all(_is_of_family(lookup, step) for lookup, _ in lookups):
        return None
    if not matching.accepts(elements.without_lookups(rule), step):
        return None
    keys = [(name, elements.lacking(loss, step, lookup, name)) for lookup, name in lookups]
    if any(key is None for _, key in keys):
        return None
    return tuple((name, key) for name, key in keys if key)


def _is_of_family(lookup: str, step: MetRule) -> bool:
    other = "ip " if ":" in step.packet.source else "ip6 "
    return not any(field.startswith(other) for field in lookup.split(" . "))


def _wants_reply(loss: Loss, step: MetRule) -> bool:
    """Whether the reply comes to the same chain, and no rule on the way there accepts it as one."""
    callers = (one for one in drops.met_before(loss, step) if one.verdict == "jump" and one.table == step.table)
    known = any(drops.lets_replies_back(one) for one in (step, *callers))
    return step.hook == "FORWARD" and not step.returning and not known


def _for_the_reply(loss: Loss, step: MetRule, missed: _Missed) -> tuple[tuple[str, str], ...]:
    """What the sets lack to accept the reply, too."""
    return (_lacks(loss, behind.reply_of(step), missed.rule) or ()) if _wants_reply(loss, step) else ()
