"""A host that does not answer to ping, or says less than it would: echo ignored, ICMP limited."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage

_LIMITED = ("IcmpOutRateLimitHost", "IcmpOutRateLimitGlobal", "Icmp6OutRateLimitHost")


@cause("host.echo-ignored", Stage.SOCKET_IN)
def echo_ignored(loss: Loss) -> Found | None:
    """The host is set to ignore echo requests."""
    name = "ipv6/icmp/echo_ignore_all" if loss.six else "ipv4/icmp_echo_ignore_all"
    if not arrived(loss) or loss.reach.transport != "icmp" or loss.sysctl(name) != "1":
        return None
    return Found(
        "echo ignored",
        f"{loss.place.full_name} does not answer to ping: {sysctl_name(name)}=1",
        "icmp",
        (f"the request arrived at {loss.place.full_name}:{loss.link}",),
        set_to(0, name),
    )


@cause("host.icmp-limit", Stage.SOCKET_OUT, order=-1)
def icmp_limit(loss: Loss) -> Found | None:
    """The host has sent as many ICMP messages as it may in a while, and the answer would be one more."""
    counted = loss.counted(*_LIMITED)
    if not loss.returning or loss.reach.transport != "icmp" or not counted:
        return None
    if loss.six:
        name = "ipv6/icmp/ratelimit"
    else:
        overall = loss.counted("IcmpOutRateLimitGlobal")
        name = "ipv4/icmp_msgs_per_sec" if overall else "ipv4/icmp_ratelimit"
    least = 10000 if name.endswith("per_sec") else 0
    return Found(
        "icmp rate limit",
        f"{loss.place.full_name} sends no more ICMP for now: {sysctl_name(name)}={loss.sysctl(name)}",
        "icmp",
        (f"{counted} ICMP messages were not sent for that limit meanwhile",),
        set_to(least, name),
    )
