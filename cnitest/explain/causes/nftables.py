"""Causes that are rules of nftables' own tables: any family, priority and hook."""

from __future__ import annotations

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.rows import Step


@cause("nftables.stolen", Stage.TOLD, order=drops.GENERAL)
def stolen(case: Case) -> Found | None:
    """A rule of nftables takes the packet away: it is sent by another link (fwd) or answered here (synproxy)."""
    step = _nftables(case)
    return drops.found(case, step) if step and step.verdict == "stolen" else None


@cause("nftables.ingress", Stage.TOLD, order=drops.GENERAL)
def ingress(case: Case) -> Found | None:
    """A rule or policy of nftables drops the packet where a link receives it, before anything else."""
    return _at(case, "ingress")


@cause("nftables.egress", Stage.TOLD, order=drops.GENERAL)
def egress(case: Case) -> Found | None:
    """A rule or policy of nftables drops the packet where a link is about to send it."""
    return _at(case, "egress")


@cause("nftables.bridge", Stage.TOLD, order=drops.GENERAL)
def bridge(case: Case) -> Found | None:
    """A rule or policy of nftables' bridge family drops the frame in the bridge."""
    step = _nftables(case)
    return drops.found(case, step) if step and step.table.startswith("bridge ") else None


@cause("nftables.rule", Stage.TOLD, order=drops.GENERAL)
def rule(case: Case) -> Found | None:
    """A rule of nftables drops the packet, in a base chain or one that was jumped to."""
    step = _nftables(case)
    return drops.found(case, step) if step and step.rule else None


@cause("nftables.policy", Stage.TOLD, order=drops.GENERAL)
def policy(case: Case) -> Found | None:
    """No rule of a base chain of nftables accepts the packet, and the chain's policy is drop."""
    step = _nftables(case)
    return drops.found(case, step) if step and not step.rule else None


def _at(case: Case, hook: str) -> Found | None:
    step = _nftables(case)
    return drops.found(case, step) if step and step.hook == hook else None


def _nftables(case: Case) -> Step | None:
    step = drops.dropped(case)
    return step if step and not drops.is_iptables(step) else None
