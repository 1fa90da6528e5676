"""Tables of the kernel that are full: tracked connections, neighbours."""

from __future__ import annotations

import errno

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip import next_hops

_MAX, _COUNT = "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_count"


@cause("limits.conntrack-full", Stage.PREROUTING, Stage.OUTPUT)
def conntrack_full(case: Case) -> Found | None:
    """As many connections are tracked as may be, so packets of new ones are dropped."""
    dropped = case.counted("conntrack drop")
    most, count = case.number(_MAX), case.number(_COUNT)
    if not dropped and not 0 < most <= count:
        return None
    return Found(
        "conntrack table full",
        f"{case.place.full_name} tracks {count} connections, and net.netfilter.nf_conntrack_max={most}",
        "conntrack",
        (f"{dropped} packets dropped by connection tracking meanwhile",) if dropped else (),
        f"sysctl -w net.netfilter.nf_conntrack_max={max(most, count) * 2}",
    )


@cause("limits.neighbours-full", Stage.SOCKET_OUT, Stage.NEIGHBOUR, order=-4)
def neighbours_full(case: Case) -> Found | None:
    """The neighbour table has no room for the next hop (gc_thresh3)."""
    error = case.attempt.error
    told = "NEIGH_CREATEFAIL" in case.reasons
    refused = not case.link and not case.returning and error is not None and error.errno == errno.ENOBUFS
    known = any(row.ip == next_hops.hop(case) for row in case.state().neighbours)
    if not told and (not refused or known or case.dropped()):
        return None
    name = f"net.{case.family}.neigh.default.gc_thresh3"
    return Found(
        "neighbour table full",
        f"{case.place.full_name} has no room for another neighbour: {name} is that of the whole machine",
        "neighbour",
        ("the kernel's trace says NEIGH_CREATEFAIL",) if told else (f"the kernel says: {case.attempt.violation}",),
        f"sysctl -w {name}=8192",
    )
