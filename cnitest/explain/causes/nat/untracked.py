"""Packets that are not tracked (NOTRACK), which no rule of nat translates."""

from __future__ import annotations

import re

from cnitest.explain.causes import drops
from cnitest.explain.causes.matching import may_match
from cnitest.explain.causes.nat import source, untranslated
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.place import Place

_FIRST = -12
_NOTRACK = re.compile(r"-j (CT --notrack|NOTRACK)\b|\bnotrack\b")


@cause("nat.source-untracked", *source.ON_THE_WAY_BACK, order=_FIRST)
def source_untracked(loss: Loss) -> Found | None:
    """A rule keeps the packet from being tracked (NOTRACK), so no rule of nat translates its source."""
    private = loss.once(untranslated.left_untranslated)
    if private is None:
        return None
    rules = [rule for rule in translation.rules(loss, private.place) if rule.translates_source]
    meant = [rule for rule in rules if not source.mismatched(rule, private)]
    return _found(loss, private.place, f"{meant[0]} does not see {private.came.source}") if meant else None


@cause("nat.destination-untracked", Stage.ROUTING, Stage.NEIGHBOUR, Stage.SOCKET_IN, order=_FIRST)
def destination_untracked(loss: Loss) -> Found | None:
    """A rule keeps the packet from being tracked (NOTRACK), so no rule of nat translates its destination (DNAT)."""
    if loss.returning or not loss.received:
        return None
    rules = [rule for rule in translation.rules(loss, loss.place) if rule.translates_destination]
    meant = [rule for rule in rules if may_match(rule.text, loss.packet, loss.incoming)]
    return _found(loss, loss.place, f"{meant[0]} does not see it") if meant else None


@cause("nat.reply-untracked", *source.ON_THE_WAY_BACK, Stage.FORWARD, order=_FIRST)
def reply_untracked(loss: Loss) -> Found | None:
    """A rule keeps the reply from being tracked (NOTRACK), so its addresses are not translated back."""
    for one in translation.passages(loss) if loss.returning else ():
        if one.came.flow != one.left.flow:
            found = _found(loss, one.place, "nothing is translated back", returning=True)
            if found:
                return found
    return None


def _found(loss: Loss, place: Place, words: str, *, returning: bool = False) -> Found | None:
    step = _notrack(loss, place, returning=returning)
    if step is None:
        return None
    return Found(
        "not tracked",
        f"{place.full_name} does not track the {'reply' if returning else 'packet'}, so {words}: {drops.where(step)}: "
        f"{step.rule}",
        step.hook,
        (),
        drops.without(step),
        place.full_name,
    )


def _notrack(loss: Loss, place: Place, *, returning: bool) -> MetRule | None:
    """The rule by which a request, or its answer, was not tracked at a place."""
    here = (step for step in loss.steps if step.place == place.full_name and step.returning == returning)
    return next((step for step in here if _NOTRACK.search(step.rule)), None)
