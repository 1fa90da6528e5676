"""Tables of the kernel that are full: tracked connections, neighbours."""

from __future__ import annotations

import errno

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import next_hops
from cnitest.explain.evidence.loss import Loss, Stage

_MAX, _COUNT = "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_count"


@cause("limits.conntrack-full", Stage.PREROUTING, Stage.OUTPUT)
def conntrack_full(loss: Loss) -> Found | None:
    """As many connections are tracked as may be, so packets of new ones are dropped."""
    dropped = loss.counted("conntrack drop")
    most, count = loss.number(_MAX), loss.number(_COUNT)
    if not 0 < most <= count + dropped or not (dropped or _counts_nothing(loss)):
        return None
    return Found(
        "conntrack table full",
        f"{loss.place.full_name} tracks {count} connections, and net.netfilter.nf_conntrack_max={most}",
        "conntrack",
        (f"{dropped} packets dropped by connection tracking meanwhile",) if dropped else (),
        f"sysctl -w net.netfilter.nf_conntrack_max={max(most, count) * 2}",
    )


def _counts_nothing(loss: Loss) -> bool:
    """Whether the kernel does not tell what connection tracking drops: of a full table it may give up other entries."""
    return not loss.place.lab.own_file_reader(loss.place.namespace)("stat/nf_conntrack")


@cause("limits.neighbours-full", Stage.SOCKET_OUT, Stage.NEIGHBOUR, order=-4)
def neighbours_full(loss: Loss) -> Found | None:
    """The neighbour table has no room for the next hop (gc_thresh3)."""
    error = loss.attempt.error
    traced = "NEIGH_CREATEFAIL" in loss.reasons
    refused = not loss.link and not loss.returning and error is not None and error.errno == errno.ENOBUFS
    known = any(row.ip == next_hops.hop(loss) for row in loss.state().neighbours)
    if not traced and (not refused or known or loss.dropped()):
        return None
    name = f"net.{loss.family}.neigh.default.gc_thresh3"
    return Found(
        "neighbour table full",
        f"{loss.place.full_name} has no room for another neighbour: {name} is that of the whole machine",
        "neighbour",
        ("the kernel's trace says NEIGH_CREATEFAIL",) if traced else (f"the kernel says: {loss.attempt.violation}",),
        f"sysctl -w {name}=8192",
    )
