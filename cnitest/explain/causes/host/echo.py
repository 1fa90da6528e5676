"""A host that does not answer to ping, or says less than it would: echo ignored, ICMP limited."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.case import Case, Stage
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.explain.evidence.ip.sysctls import set_to, told

_LIMITED = ("IcmpOutRateLimitHost", "IcmpOutRateLimitGlobal", "Icmp6OutRateLimitHost")


@cause("host.echo-ignored", Stage.SOCKET_IN)
def echo_ignored(case: Case) -> Found | None:
    """The host is told to ignore echo requests."""
    name = "ipv6/icmp/echo_ignore_all" if case.six else "ipv4/icmp_echo_ignore_all"
    if not arrived(case) or case.reach.transport != "icmp" or case.sysctl(name) != "1":
        return None
    return Found(
        "echo ignored",
        f"{case.place.full_name} does not answer to ping: {told(name)}=1",
        "icmp",
        (f"the request arrived at {case.place.full_name}:{case.link}",),
        set_to(name, 0),
    )


@cause("host.icmp-limit", Stage.SOCKET_OUT, order=-1)
def icmp_limit(case: Case) -> Found | None:
    """The host has sent as many ICMP messages as it may in a while, and the answer would be one more."""
    counted = case.counted(*_LIMITED)
    if not case.returning or case.reach.transport != "icmp" or not counted:
        return None
    if case.six:
        name = "ipv6/icmp/ratelimit"
    else:
        overall = case.counted("IcmpOutRateLimitGlobal")
        name = "ipv4/icmp_msgs_per_sec" if overall else "ipv4/icmp_ratelimit"
    least = 10000 if name.endswith("per_sec") else 0
    return Found(
        "icmp rate limit",
        f"{case.place.full_name} sends no more ICMP for now: {told(name)}={case.sysctl(name)}",
        "icmp",
        (f"{counted} ICMP messages were not sent for that limit meanwhile",),
        set_to(name, least),
    )
