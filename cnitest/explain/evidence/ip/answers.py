"""What came back instead of the answer that was waited for."""

from __future__ import annotations

from cnitest.explain.evidence.case import Case
from cnitest.lab.probe.verdict import refusal
from cnitest.lab.probe.verdict.refusal import Refusal


def refused(case: Case) -> Refusal | None:
    """The ICMP error or reset that came back, None when nobody said no."""
    return refusal.refusal(case.attempt, case.seen, case.probe.sender)


def refused_here(case: Case) -> Refusal | None:
    """The same, where the place at which the packet was last seen sent it, or nobody knows who did."""
    found = case.once(refused)
    if found is None or (found.origin and found.origin.place != case.place.full_name):
        return None
    return found
