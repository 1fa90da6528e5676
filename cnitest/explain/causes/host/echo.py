"""A host that does not answer to ping, or says less than it would: echo ignored, ICMP limited."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip.next_hops import arrived
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.lab.probe.kinds.group_echo import GroupEcho

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


@cause("host.group-echo-ignored", Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, Stage.SOCKET_IN)
def group_echo_ignored(loss: Loss) -> Found | None:
    """All who got an echo request for a group or a broadcast address are set to ignore such."""
    probe = loss.probe
    if not isinstance(probe, GroupEcho) or loss.returning:
        return None
    got = {one.place for one in loss.seen.sightings if not (one.returning or one.frame.out)}
    members = [(place, probe.ignored_by(place)) for place in probe.group.members() if place.full_name in got]
    if not members or not all(name for _, name in members):
        return None
    (place, name), *others = members
    return Found(
        "echo ignored",
        f"{place.full_name}{f' and {len(others)} more' if others else ''} got it, and no such place answers to ping of "
        f"{probe.group.address}: {name}=1",
        "icmp",
        tuple(f"{one.full_name} has {said}=1" for one, said in others),
        f"sysctl -w {name}=0",
        place.full_name,
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
