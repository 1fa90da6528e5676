"""Causes that are rules of nftables' own tables: any family, priority and hook."""

from __future__ import annotations

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule


@cause("nftables.stolen", Stage.TRACED, order=drops.GENERAL)
def stolen(loss: Loss) -> Found | None:
    """A rule of nftables takes the packet away: it is sent by another link (fwd) or answered here (synproxy)."""
    step = _nftables(loss)
    return drops.found(loss, step) if step and step.verdict == "stolen" else None


@cause("nftables.ingress", Stage.TRACED, order=drops.GENERAL)
def ingress(loss: Loss) -> Found | None:
    """A rule or policy of nftables drops the packet where a link receives it, before anything else."""
    return _at(loss, "ingress")


@cause("nftables.egress", Stage.TRACED, order=drops.GENERAL)
def egress(loss: Loss) -> Found | None:
    """A rule or policy of nftables drops the packet where a link is about to send it."""
    return _at(loss, "egress")


@cause("nftables.bridge", Stage.TRACED, order=drops.GENERAL)
def bridge(loss: Loss) -> Found | None:
    """A rule or policy of nftables' bridge family drops the frame in the bridge."""
    step = _nftables(loss)
    return drops.found(loss, step) if step and step.table.startswith("bridge ") else None


@cause("nftables.rule", Stage.TRACED, order=drops.GENERAL)
def rule(loss: Loss) -> Found | None:
    """A rule of nftables drops the packet, in a base chain or one that was jumped to."""
    step = _nftables(loss)
    return drops.found(loss, step) if step and step.rule else None


@cause("nftables.policy", Stage.TRACED, order=drops.GENERAL)
def policy(loss: Loss) -> Found | None:
    """No rule of a base chain of nftables accepts the packet, and the chain's policy is drop."""
    step = _nftables(loss)
    return drops.found(loss, step) if step and not step.rule else None


def _at(loss: Loss, hook: str) -> Found | None:
    step = _nftables(loss)
    return drops.found(loss, step) if step and step.hook == hook else None


def _nftables(loss: Loss) -> MetRule | None:
    step = drops.dropped(loss)
    return step if step and not drops.is_iptables(step) else None
