"""Causes that are rules of a firewall: chains of iptables in both variants, and what every kind of rules can do."""

from __future__ import annotations

import ipaddress
import re

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.leg import ahead
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Route
from cnitest.lab.probe import wire

_DNAT = re.compile(r"-j (DNAT|REDIRECT|NETMAP)|\bdnat\b.* to |\bredirect\b")
_RESET = re.compile(r"--reject-with tcp-reset|reject with tcp reset")
_REJECT_KIND = re.compile(r"--reject-with (\S+)|reject with ([\w -]+?)(?: comment| counter|$)")
_REVERSE_PATH = re.compile(r"-m rpfilter|\bfib saddr")


@cause("firewall.neighbour", Stage.TRACED)
def neighbour(loss: Loss) -> Found | None:
    """A rule drops ARP or neighbour discovery, so that the next hop's MAC stays unknown."""
    wanted = _next_hop(loss)
    if not wanted or drops.dropped(loss) is not None or _is_known(loss, wanted):
        return None
    steps = (step for step in loss.steps if step.verdict in drops.ENDING and drops.is_neighbour(step))
    step = next((one for one in steps if _concerns(one.packet, wanted) and _matters(loss, one, wanted)), None)
    if step is None:
        return None
    name = "ARP" if step.packet.ethertype == wire.ETH_ARP else "neighbour discovery"
    found = drops.found(loss, step, note=f"{name} for {wanted}")
    return found._replace(place=step.place)


def _next_hop(loss: Loss) -> str:
    """The address whose MAC is needed to send the packet on from where it was last seen."""
    found = loss.route(loss.packet.destination)
    return (found.via or loss.packet.destination) if isinstance(found, Route) else ""


def _is_known(loss: Loss, address: str) -> bool:
    """Whether the place knows the MAC of an address."""
    return any(row.ip == address and row.mac and row.state != "failed" for row in loss.state().neighbours)


def _matters(loss: Loss, step: MetRule, wanted: str) -> bool:
    """Whether what was dropped was for one of the two: a bridge gives copies of a question to everyone."""
    place = loss.place.lab.place(step.place)
    if step.hook == "INPUT":
        return place is loss.place or loss.owns(wanted, place)
    leg = loss.once(ahead)
    if step.hook != "FORWARD" or leg is None or not leg.way:
        return True
    return not step.oif or LinkAt(step.place, step.oif) in leg.way


def _concerns(packet: wire.Headers, address: str) -> bool:
    """Whether ARP or neighbour discovery asks for an address, or answers for it."""
    if address in (packet.source, packet.destination):
        return True
    if ":" not in address or ":" not in packet.destination:
        return False
    group = ipaddress.IPv6Address(packet.destination).packed
    return group[:2] == b"\xff\x02" and group[13:] == ipaddress.IPv6Address(address).packed[13:]


@cause("firewall.queue", Stage.TRACED)
def queue(loss: Loss) -> Found | None:
    """A rule hands the packet to a program (NFQUEUE) that does not run, or does not give it back."""
    step = drops.dropped(loss)
    if step is None or step.verdict not in ("queue", "nfqueue"):
        return None
    return drops.found(loss, step, note="no program gives it back")


@cause("firewall.dnat-forward", Stage.TRACED)
def dnat_forward(loss: Loss) -> Found | None:
    """The destination was translated (DNAT), but FORWARD does not let the translated packet through."""
    step = drops.dropped(loss)
    if step is None or step.hook != "FORWARD" or step.returning:
        return None
    translated = [one for one in drops.met_before(loss, step) if _DNAT.search(one.rule)]
    if not translated:
        return None
    also = (f"{drops.where(translated[-1])}: {translated[-1].rule}",)
    return drops.found(loss, step, also=also, note=f"after DNAT to {step.packet.destination}")


@cause("firewall.rpfilter", Stage.TRACED)
def reverse_path(loss: Loss) -> Found | None:
    """A rule drops packets whose source is not reached by the link that they came in by (rpfilter, fib)."""
    step = drops.dropped(loss)
    if step is None or not _REVERSE_PATH.search(step.rule):
        return None
    back = step.packet._replace(source=step.packet.destination, destination=step.packet.source)
    again = strays.restored(loss, fib.RouteLookup(back), step.iif) if step.place == loss.place.full_name else ""
    note = f"no route back to {step.packet.source} by {step.iif or 'its link'}"
    return drops.found(loss, step, note=note, remedy=again)


@cause("firewall.reset", Stage.TRACED, order=drops.GENERAL)
def reset(loss: Loss) -> Found | None:
    """A rule answers a TCP connection with a reset (REJECT --reject-with tcp-reset)."""
    step = drops.dropped(loss)
    if step is None or not _RESET.search(step.rule):
        return None
    return drops.found(loss, step, note="answers with a TCP reset")


@cause("firewall.reject", Stage.TRACED, order=drops.GENERAL)
def reject(loss: Loss) -> Found | None:
    """A rule rejects the packet and answers with an ICMP error, of the kind that the rule says."""
    step = drops.dropped(loss)
    if step is None or step.verdict != "reject":
        return None
    kind = _REJECT_KIND.search(step.rule)
    said = (kind[1] or kind[2]).strip() if kind else "icmp port-unreachable"
    return drops.found(loss, step, note=f"answers with {said}")


@cause("firewall.bridged", Stage.TRACED, order=drops.GENERAL)
def bridged(loss: Loss) -> Found | None:
    """A rule or policy for IP drops a packet that is only bridged (br_netfilter, bridge-nf-call-iptables)."""
    step = drops.dropped(loss)
    return drops.found(loss, step) if step and drops.bridged(loss, step) else None


@cause("firewall.ebtables", Stage.TRACED, order=drops.GENERAL)
def ebtables(loss: Loss) -> Found | None:
    """A rule or policy of ebtables drops the frame in the bridge."""
    step = drops.dropped(loss)
    return drops.found(loss, step) if step and step.program.startswith("ebtables") else None


@cause("firewall.rule", Stage.TRACED, order=drops.GENERAL)
def rule(loss: Loss) -> Found | None:
    """A rule of iptables drops the packet, in a built-in chain or one that was jumped to."""
    step = _iptables(loss)
    return drops.found(loss, step) if step and step.rule else None


@cause("firewall.policy", Stage.TRACED, order=drops.GENERAL)
def policy(loss: Loss) -> Found | None:
    """No rule of a chain of iptables accepts the packet, and the chain's policy is DROP."""
    step = _iptables(loss)
    return drops.found(loss, step) if step and not step.rule else None


@cause(
    "firewall.unseen",
    *(Stage.OUTPUT, Stage.PREROUTING, Stage.FORWARD, Stage.INPUT, Stage.POSTROUTING),
    reasons=("NETFILTER_DROP",),
    order=drops.GENERAL + 1,
)
def unseen(loss: Loss) -> Found | None:
    """Netfilter drops the packet, and no rule was seen to: a module, or a program of somebody's (eBPF), did."""
    if "NETFILTER_DROP" not in loss.reasons or drops.dropped(loss):
        return None
    freed = (one for one in loss.freed if one.reason == "NETFILTER_DROP")
    seen = tuple(f"the kernel freed it for NETFILTER_DROP in {one.location}" for one in freed)
    return Found("netfilter", f"netfilter of {loss.place.full_name} drops it, by no rule that was seen", evidence=seen)


def _iptables(loss: Loss) -> MetRule | None:
    step = drops.dropped(loss)
    return step if step and drops.is_iptables(step) else None
