"""Causes that are measures: rules that let only so much pass, and rules that drop what is above it."""

from __future__ import annotations

import re

from cnitest.explain.causes import drops, matching
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule

_RATE = re.compile(r"-m (limit|hashlimit)\b|\blimit (rate|name)\b")
_COUNT = re.compile(r"-m connlimit\b|\bct count\b")
_QUOTA = re.compile(r"-m quota\b|\bquota (over|until|name)?")
# The words of a rule that are its measure, with the action of one that lets pass.
_IPTABLES_MEASURE = re.compile(
    r"-m (?:limit|hashlimit|quota|connlimit)|--(?:limit|hashlimit|quota|connlimit)\S*(?: [^\s-]\S*)?"
)
_NFT_MEASURE = re.compile(
    r"limit rate \d+(?: \w+)?/\w+(?: burst \d+ \w+)?|limit name \S+|quota \d+ \w+(?: used \d+ \w+)?|"
    r"quota name \S+|ct count \d+"
)


@cause("rates.limit", Stage.TRACED)
def limit(loss: Loss) -> Found | None:
    """A rate limit is used up: a rule drops what exceeds it, or the rule that accepts as much does not any more."""
    return _measured(loss, _RATE, "the rate limit is used up")


@cause("rates.connections", Stage.TRACED)
def connections(loss: Loss) -> Found | None:
    """There are as many connections as a rule allows (connlimit, ct count)."""
    return _measured(loss, _COUNT, "as many connections as are allowed")


@cause("rates.quota", Stage.TRACED)
def quota(loss: Loss) -> Found | None:
    """A quota of bytes is used up."""
    return _measured(loss, _QUOTA, "the quota is used up")


def _measured(loss: Loss, measure: re.Pattern[str], words: str) -> Found | None:
    """A rule with a measure that drops the packet, or one before it that would accept it but for the measure."""
    step = drops.dropped(loss)
    if step is None:
        return None
    if measure.search(step.rule):
        return drops.found(loss, step, note=words)
    rule = next((rule for rule in _before(step) if measure.search(rule) and _would_accept(rule, step)), "")
    if not rule:
        return None
    return drops.found(loss, step, note=f"{words}: {rule}", remedy=_unmeasured(rule, step))


def _before(step: MetRule) -> tuple[str, ...]:
    """The rules of the chain that stand before what ended the packet."""
    return step.rules[: step.number - 1] if step.rule else step.rules


def _would_accept(rule: str, step: MetRule) -> bool:
    """Whether a rule accepts the packet once its measure is left out."""
    measure = _IPTABLES_MEASURE if drops.is_iptables(step) else _NFT_MEASURE
    return matching.accepts(measure.sub("", rule), step)


def _unmeasured(rule: str, step: MetRule) -> str:
    """The command that puts the rule in front without its measure."""
    if drops.is_iptables(step):
        words = " ".join(_IPTABLES_MEASURE.sub("", rule.removeprefix("-A ")).split())
        return f"{drops.command(step)} -I {words}"
    words = " ".join(_NFT_MEASURE.sub("", rule).split())
    return f"nft insert rule {step.table} {step.chain} {words}"
