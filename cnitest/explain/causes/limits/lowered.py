"""Rules that lower a packet's hop limit (TTL) so far that it is at its end before it is where it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import next_hops
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.lab.place import Place
from cnitest.lab.probe import wire

_TIME_EXCEEDED = {wire.ICMP: 11, wire.ICMPV6: 3}
_ADVERTISEMENT = (wire.ICMPV6, 136)
_DISCOVERY = ((wire.ICMPV6, 135), _ADVERTISEMENT)
_WHOLE = 255
_INVALID = "IPV6_NDISC_HOP_LIMIT"
_LOWERS_IPV6 = re.compile(r"\bip6 hoplimit set\b|--hl-(set|dec)\b")
_LOWERS = re.compile(r"\b(ip ttl|ip6 hoplimit) set\b|--(ttl|hl)-(set|dec)\b")


@cause("limits.hop-limit-rule", Stage.PREROUTING, Stage.ROUTING, order=-2)
def lowered(loss: Loss) -> Found | None:
    """A rule lowers the hop limit (TTL) of the packet, which is then at its end too soon."""
    here = [step for step in loss.steps if step.returning == loss.returning and _LOWERS.search(step.rule)]
    if not here or not loss.forwarded or not _has_ended_it(loss):
        return None
    step, name = here[-1], "hop limit" if loss.six else "TTL"
    return Found(
        f"{name} lowered",
        f"{step.place} lowers the {name}: {drops.where(step)}: {step.rule}",
        step.hook,
        (f"{loss.place.full_name} answers: time exceeded", f"it met the rule at {step.place}, hook {step.hook}"),
        drops.without(step),
        place=step.place,
    )


@cause("limits.discovery-hop-limit", Stage.INGRESS, Stage.ROUTING, Stage.NEIGHBOUR, order=-2)
def discovery(loss: Loss) -> Found | None:
    """Neighbour discovery comes with a hop limit that is not 255, as a rule may set it, and is invalid (RFC 4861)."""
    traced = _INVALID in loss.reasons and bool(loss.link)
    seen = () if traced else _spoilt(loss)
    if not (seen or traced or _is_own(loss)):
        return None
    senders = (loss.place.lab.place(name) for name, _, _ in seen)
    suspects = {place.full_name: place for place in (loss.probe.sender, loss.place, *senders)}
    rules = tuple(f"{name} has {rule}" for name, place in suspects.items() for rule in _lowering(loss, place))
    return Found(
        "hop limit of neighbour discovery",
        f"{loss.place.full_name} takes neighbour discovery with a hop limit of 255 only, and it comes with another"
        f"{': ' if rules else ''}{'; '.join(rules)}",
        "neighbour",
        tuple(f"hop limit {hops} at {name}:{link}" for name, link, hops in seen)
        or (f"the kernel's trace says {_INVALID}" if traced else "it gets an answer, and does not take it",),
        "leave neighbour discovery (ICMPv6 types 133 to 137) out of the rule" if rules else "",
        seen[-1][0] if seen else "",
    )


def _spoilt(loss: Loss) -> tuple[tuple[str, str, int], ...]:
    """Where discovery was last seen to be sent with another hop limit, while the kernel asks in vain for the next hop:
    place, link, and the hop limit."""
    hop = next_hops.unanswered(loss) if loss.six and next_hops.routed(loss) else ""
    owner = loss.owner(hop) if hop else None
    found: dict[tuple[str, str, int], None] = {}
    for place in dict.fromkeys((loss.place, owner)) if owner else ():
        for frame in loss.place.lab.sniffer(place).recent:
            headers = wire.read(frame.data)
            if frame.out and (headers.protocol, headers.kind) in _DISCOVERY and headers.hops != _WHOLE:
                found[place.full_name, frame.link, headers.hops] = None
    return tuple(found)


def _is_own(loss: Loss) -> bool:
    """Whether a place asks in vain for its next hop though an answer comes, and has a rule that sets hop limits."""
    hop = next_hops.unanswered(loss) if loss.six and next_hops.routed(loss) else ""
    if not hop or not any(_lowering(loss, loss.place)):
        return False
    frames = (frame for frame in loss.place.lab.sniffer(loss.place).recent if not frame.out)
    heads = (wire.read(frame.data) for frame in frames)
    return any((one.protocol, one.kind, one.source) == (*_ADVERTISEMENT, hop) for one in heads)


def _lowering(loss: Loss, place: Place) -> Iterator[str]:
    """The rules of a place that set hop limits of IPv6."""
    for program, rules in loss.full_state(place).firewall.items():
        if program == "nft" or program.startswith("ip6tables"):
            yield from (f"{program} {rule}" for rule in rules if _LOWERS_IPV6.search(rule))


def _has_ended_it(loss: Loss) -> bool:
    """Whether the place where it was last seen says that the hop limit was at its end."""
    frames = (one.frame for one in loss.seen.sightings if one.place == loss.place.full_name and one.frame.out)
    heads = (wire.icmp_error(frame.data) for frame in frames)
    return any(found and found[0].kind == _TIME_EXCEEDED.get(found[0].protocol) for found in heads)
