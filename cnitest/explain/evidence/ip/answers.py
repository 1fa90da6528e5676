"""What came back instead of the answer that was waited for."""

from __future__ import annotations

from cnitest.explain.evidence.loss import Loss
from cnitest.lab.probe.verdict import refusal
from cnitest.lab.probe.verdict.refusal import Refusal


def refused(loss: Loss) -> Refusal | None:
    """The ICMP error or reset that came back, None when nobody said no."""
    return refusal.refusal(loss.attempt, loss.seen, loss.probe.sender)


def refused_here(loss: Loss) -> Refusal | None:
    """The same, where the place at which the packet was last seen sent it, or nobody knows who did."""
    found = loss.once(refused)
    if found is None or (found.origin and found.origin.place != loss.place.full_name):
        return None
    return found
