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
# What a measure has of a rule that holds above it; any other one holds up to it.
_ABOVE = re.compile(r"--hashlimit-above|--connlimit-above|! --connlimit-upto|! --quota|\b(rate|count|quota) over\b")
_NAMED = re.compile(r'\b(limit|quota) name "?([^\s"]+)')
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
    """A rate limit is used up: a rule drops what exceeds it, or the rule that accepts as much does not any more; or a
    rule drops what is within it."""
    return _measured(loss, _RATE, "the rate limit is used up", "drops what is within the rate limit")


@cause("rates.connections", Stage.TRACED)
def connections(loss: Loss) -> Found | None:
    """There are as many connections as a rule allows (connlimit, ct count), or not more than one drops."""
    return _measured(loss, _COUNT, "as many connections as are allowed", "drops while there are not more connections")


@cause("rates.quota", Stage.TRACED)
def quota(loss: Loss) -> Found | None:
    """A quota of bytes is used up, or a rule drops as long as it is not."""
    return _measured(loss, _QUOTA, "the quota is used up", "drops until the quota is used up")


def _measured(loss: Loss, measure: re.Pattern[str], words: str, within: str) -> Found | None:
    """A rule with a measure that drops the packet, or one before it that would accept it but for the measure; what it
    drops ``within`` its measure passes above it."""
    step = drops.dropped(loss)
    if step is None:
        return None
    if measure.search(step.rule):
        return drops.found(loss, step, note=words if _is_above(loss, step) else within)
    rule = next((rule for rule in _before(step) if measure.search(rule) and _would_accept(rule, step)), "")
    if not rule:
        return None
    return drops.found(loss, step, note=f"{words}: {rule}", remedy=_unmeasured(rule, step))


def _is_above(loss: Loss, step: MetRule) -> bool:
    """Whether a rule holds for what is above its measure; that of a named one is in the table."""
    named = _NAMED.search(step.rule)
    if not named:
        return bool(_ABOVE.search(step.rule))
    lines = drops.firewall_of(loss, step).get("nft", ())
    return any(line.startswith(f"table {step.table} {named[1]} {named[2]}: ") and " over " in line for line in lines)


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
