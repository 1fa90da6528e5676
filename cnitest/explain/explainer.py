"""From a lost probe to its explanation: sent once more with all evidence gathered, then recognised."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cnitest.errors import CnitestError
from cnitest.explain.causes import drops, registry
from cnitest.explain.evidence import frames, leg, rules
from cnitest.explain.evidence.ip import carriers, counters, detours
from cnitest.explain.evidence.loss import QUESTIONS, Loss
from cnitest.explain.evidence.rows import LastSeen
from cnitest.lab.explanation import Cause, Explanation
from cnitest.lab.place import Place
from cnitest.lab.probe.base import Probe
from cnitest.lab.probe.kinds.echo import EchoProbe
from cnitest.lab.probe.verdict.neighbour import ask_anew
from cnitest.lab.probe.verdict.watching import watched_attempt
from cnitest.lab.reach import Reach, Verdict

#: Seconds to wait for the answer of a probe that was lost before; what is in flight is at its end long before.
_WAIT = 0.1
# What many links say when they come up is over soon; a flood is not.
_MOST_OVERRUN, _MOST_AGAIN = 2, 4
_OVERRUN = "what the kernel freed: it said more than there was room for"
# So many places can be asked for their counters without anybody waiting for it.
_FEW = 40
_PROTOCOLS = {"tcp": (6,), "udp": (17,), "sctp": (132,)}


def explain(probe: Probe, reach: Reach) -> Explanation:
    """Why a probe was not delivered. Never raises: what hinders is said in ``unseen``, a fault of ours with its line;
    the verdict holds without a cause."""
    lab = probe.sender.lab
    if not lab.places or lab.blind:
        why = "is blind" if lab.blind else "has ended"
        return Explanation(f"{reach.summary}: {reach.verdict.value}", unseen=(f"everything: the lab {why}",))
    try:
        with lab.probing:
            return _explained(probe, reach)
    except (CnitestError, OSError, LookupError) as error:
        return Explanation(f"{reach.summary}: {reach.verdict.value}", unseen=(f"all: {error}",))
    except Exception as error:
        return Explanation(f"{reach.summary}: {reach.verdict.value}", unseen=(f"all: {_broken(error)}",))


def _broken(error: Exception) -> str:
    """What to say of an error that should not be."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return (
        f"the explanation broke down at {where} ({type(error).__name__}: {error}), a fault of cnitest: please report it"
    )


def _explained(probe: Probe, reach: Reach) -> Explanation:
    lab = probe.sender.lab
    everyone = [probe.sender, *(place for place in lab.places if place is not probe.sender)]
    for sniffer in lab.sniffers(everyone):
        sniffer.forget()
    ask_anew(everyone)
    loss, whole = _gathered(probe, reach, everyone)
    for again in range(_MOST_AGAIN):
        delivered = loss.attempt.answered  # of several next hops another flow may take another one
        if not delivered and (again >= _MOST_OVERRUN or (not _is_overrun(everyone) and whole)):
            break
        loss, whole = _gathered(probe, reach, everyone)
    if loss.attempt.answered:
        passes = "but by now it is delivered: ask before the lab changes"
        return Explanation(f"{reach.summary}: {reach.verdict.value}, {passes}")
    found = registry.recognised(loss)
    ended = found.loss if found else loss
    return Explanation(
        head=f"{reach.summary}: {_ended(reach, ended, found.cause if found else None)}",
        where=str(loss.spot),
        returning=ended.returning,
        hops=frames.hops(loss.seen, loss.spot),
        cause=found.cause if found else None,
        evidence=(
            *detours.remarks(ended),
            *(() if found else (f"the kernel freed it: {freed}" for freed in loss.freed)),
        ),
        ruled_out=() if found else drops.passed(loss),
        unseen=loss.unseen,
    )


def _is_overrun(everyone: Sequence[Place]) -> bool:
    """Whether frames went by unseen meanwhile, so that some evidence of the packet may have, too; forgets all."""
    overrun = False
    for sniffer in everyone[0].lab.sniffers(everyone):
        overrun |= sniffer.lost() > 0
        sniffer.forget()
    return overrun


def _gathered(probe: Probe, reach: Reach, everyone: Sequence[Place]) -> tuple[Loss, bool]:
    """A probe sent once more, all evidence of it, and whether that of the kernel is whole; so can be what it waits for,
    such as an ARP request."""
    counting = _counting(reach, everyone, own=probe.transport in QUESTIONS)
    before = counters.read(counting)
    if isinstance(probe, EchoProbe):
        probe.renew()  # rules of nat are met by the first packet of a connection alone
    with rules.armed(everyone, (*_PROTOCOLS.get(probe.transport, ()), *carriers.protocols(everyone))) as met:
        sniffers = dict(zip(everyone, probe.sender.lab.sniffers(everyone), strict=True))
        attempt, seen = watched_attempt(probe, sniffers, _WAIT, probe.far)
    seen = frames.without_own_resets(seen, probe.sender.lab)
    loss = Loss(
        reach,
        probe,
        attempt,
        seen,
        frames.spot(attempt, seen, probe.sender),
        freed=seen.freed,
        steps=met.steps(attempt, seen),
        ended_messages=lambda: met.ended_messages(attempt, seen),
        counts=counters.since(before, counting),
        rulesets=met.rulesets,
        unseen=(*met.unseen, *([_OVERRUN] if seen.overrun else [])),
        again=lambda other: _gathered(other, reach, everyone)[0],
    )
    return replace(loss, spot=leg.furthest(loss)), met.whole and not seen.overrun


def _counting(reach: Reach, everyone: Sequence[Place], *, own: bool) -> Sequence[Place]:
    """The places whose counters may show a probe: the sender and those where it was seen, where everyone watched; of
    a probe of our ``own`` all, unless there are many."""
    if len(reach.seen.watched) < len(everyone) or (own and len(everyone) <= _FEW):
        return everyone
    seen = {one.place for one in reach.seen.watched if one.frames} | {reach.sender, reach.receiver}
    return [place for place in everyone if place.full_name in seen]


def _ended(reach: Reach, loss: Loss, cause: Cause | None) -> str:
    """What became of it, and where: ``dropped on node at bridge port veth01``, ``dropped before it left node/ns01, by
    node``."""
    word = "dropped" if reach.verdict is Verdict.DROPPED else f"{reach.verdict.value}, lost"
    what = "the reply was " if loss.returning else ""
    elsewhere = f", by {cause.place}" if cause and cause.place != loss.place.full_name else ""
    return f"{what}{word} {_link(loss.spot, bridge_port=loss.port is not None)}{elsewhere}"


def _link(spot: LastSeen, *, bridge_port: bool) -> str:
    if not spot.link:
        return f"before it left {spot.place.full_name}"
    where = f"{'after' if spot.out else 'at'} {'bridge port ' if bridge_port else ''}{spot.link}"
    return f"on {spot.place.full_name} {where}"
