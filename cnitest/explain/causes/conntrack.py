"""Causes in connection tracking, shown by the rule that asked it: INVALID, another zone, not tracked at all."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnitest.explain.causes import drops, matching
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import declared, detours, fib
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule
from cnitest.explain.evidence.translation import Passage
from cnitest.lab.probe import wire

_INVALID = re.compile(
    r"(--ctstate|--state) \S*INVALID\S*|ct state (vmap \{.*invalid : drop|\{? ?[\w, ]*invalid[\w, ]*)"
)
_NEGATED = re.compile(r"! (--ctstate|--state)|ct state !=")
_UNTRACKED = re.compile(r"-j NOTRACK|-j CT .*--notrack|\bnotrack\b")
_SYNPROXY = re.compile(r"-j SYNPROXY\b|\bsynproxy\b")
_LOOSE = "netfilter/nf_conntrack_tcp_loose"
_FIRST = -1
_ZONE = re.compile(r"--zone(?:-orig|-reply)? (\d+)|zone set (\d+)")


@cause("conntrack.other-way", Stage.TRACED, order=_FIRST)
def other_way(loss: Loss) -> Found | None:
    """A reply comes by a place that its request did not pass, and whose rules let known connections back alone."""
    step = drops.dropped(loss)
    if step is None or not step.returning or not (drops.lets_replies_back(step) or _INVALID.search(step.rule)):
        return None
    turn = detours.turn(loss, step.place)
    if turn is None:
        return None
    if not turn.gateway:
        return _straight(loss, step, turn)
    here, six = turn.place.full_name, "-6 " if loss.six else ""
    found = drops.found(loss, step, note=f"{step.place} has not seen the request, which {turn.by} handed on")
    sent = f"{here} sends the reply by another router than {turn.gateway}, which the request came from"
    remedy = f"ip {six}route replace {turn.destination} via {turn.gateway}"
    return found._replace(evidence=(sent, *found.evidence), remedy=remedy, place=here)


def _straight(loss: Loss, step: MetRule, turn: detours.Turn) -> Found:
    """The same of a request that no router handed on: its sender and who answers are on one segment."""
    sender, six = loss.probe.sender, "-6 " if loss.six else ""
    answered = translation.first(loss) or loss.packet
    lookup = fib.RouteLookup(answered)
    decision, wanted = fib.decide(loss.state(sender), lookup), declared.gateway(sender, lookup)
    found = drops.found(loss, step, note=f"{step.place} has not seen the request, which went to its receiver straight")
    sent = f"{turn.place.full_name} sends the reply to {step.place}, and the request came from {turn.by} itself"
    if decision and wanted and decision.route and decision.route.via != wanted:
        remedy, place = strays.again(loss, sender, decision, lookup), sender.full_name
    else:
        remedy, place = f"ip {six}route add {turn.destination} dev {turn.link}", turn.place.full_name
    return found._replace(evidence=(sent, *found.evidence), remedy=remedy, place=place)


@cause("conntrack.synproxy", Stage.TRACED, order=_FIRST)
def synproxy(loss: Loss) -> Found | None:
    """A rule answers connections instead of their server (SYNPROXY) and waits for an ACK that is INVALID, which
    connection tracking takes for that of a new one (``nf_conntrack_tcp_loose``), so that it comes to the server."""
    rules = (one for one in loss.steps if _SYNPROXY.search(one.rule) and _INVALID.search(one.rule))
    step = next((one for one in rules if one.packet.protocol == wire.TCP and not one.returning), None)
    place = loss.place.lab.place(step.place) if step else None
    if step is None or not loss.number(_LOOSE, place):
        return None
    found = drops.found(loss, step, note=f"{sysctl_name(_LOOSE)}={loss.sysctl(_LOOSE, place)}")
    said = f"{step.place} takes the ACK of a connection that it has not seen for that of a new one"
    return found._replace(evidence=(*found.evidence, said), remedy=set_to(0, _LOOSE))


@cause("conntrack.invalid", Stage.TRACED)
def invalid(loss: Loss) -> Found | None:
    """A rule drops what connection tracking calls INVALID, and so it calls the packet."""
    step = drops.dropped(loss)
    match = _INVALID.search(step.rule) if step else None
    if step is None or match is None or _NEGATED.search(step.rule) or not _may_be_invalid(loss, step, match[0]):
        return None
    packet = step.packet
    known = f"connection tracking of {step.place} knows no connection that {packet.source} → {packet.destination} fits"
    return drops.found(loss, step, also=(known, *_half(loss, step)), note="conntrack state INVALID")


def _half(loss: Loss, step: MetRule) -> list[str]:
    """That the place has not seen the answer that there was, which went by another way."""
    there, back = ({one.place for one in loss.seen.sightings if one.returning == way} for way in (False, True))
    half = not step.returning and loss.probe.sender.full_name in back and step.place in there - back
    return [f"{step.place} has seen the request, and not the answer, which went by another way"] if half else []


def _may_be_invalid(loss: Loss, step: MetRule, states: str) -> bool:
    """Whether that is what the packet is, where a rule names several states: kernels that report the state report no
    connection then."""
    several = "," in states
    return not step.state and (not several or any(one.state for one in loss.steps))


@cause("conntrack.zone", Stage.TRACED, Stage.SOCKET_IN)
def zone(loss: Loss) -> Found | None:
    """A reply is in another conntrack zone than its request: no rule for ESTABLISHED knows it, and no translation."""
    step = drops.dropped(loss)
    if step is None:
        return _untranslated(loss)
    if not step.returning:
        return None
    there, back = (_zone_rules(loss, step.place, returning=returning) for returning in (False, True))
    if _numbers(there) == _numbers(back) or not drops.lets_replies_back(step):
        return None
    request, reply = (", ".join(sorted(_numbers(rules))) or "0" for rules in (there, back))
    also = tuple(f"{drops.where(one)}: {one.rule}" for one in (*there, *back))
    note = f"conntrack zone {request} has the request, zone {reply} the reply"
    return drops.found(loss, step, also=also, note=note, remedy=_without_all((*there, *back)))


@cause("conntrack.untracked", Stage.TRACED)
def untracked(loss: Loss) -> Found | None:
    """A packet or its request is exempt from connection tracking, so that no rule for NEW knows it, or none for
    ESTABLISHED its reply."""
    step = drops.dropped(loss)
    rules = [one for one in loss.steps if step and one.place == step.place and _UNTRACKED.search(one.rule)]
    if step is None or not rules:
        return None
    if not (drops.lets_replies_back(step) if step.returning else _would_be_new(step)):
        return None
    also = (f"{drops.where(rules[0])}: {rules[0].rule}",)
    return drops.found(loss, step, also=also, note="not tracked", remedy=drops.without(rules[0]))


def _would_be_new(step: MetRule) -> bool:
    """Whether a rule of the chain that ended a request would have accepted it as the first packet of a connection."""
    new = step._replace(state="new")
    if not drops.is_iptables(step):
        accepting = (rule.removesuffix("accept") for rule in step.rules if rule.endswith(" accept"))
        return any("new" in rule and matching.nft_holds(rule, new) for rule in accepting)
    rules = (matching.split(rule) for rule in step.rules if "NEW" in rule)
    return any(rule[-2:] == ["-j", "ACCEPT"] and matching.iptables_holds(rule[:-2], new) for rule in rules)


def _untranslated(loss: Loss) -> Found | None:
    """A reply that is not translated back where its request was translated, in another zone."""
    for one in translation.passages(loss) if loss.returning else ():
        there, back = (_zone_rules(loss, one.place.full_name, returning=returning) for returning in (False, True))
        if _numbers(there) == _numbers(back):
            continue
        request, reply = (", ".join(sorted(_numbers(rules))) or "0" for rules in (there, back))
        old, new, so = _kept(loss, one)
        if new:
            return Found(
                "conntrack zone",
                f"{one.place.full_name} translated {old} to {new} in conntrack zone {request}, and tracks the reply in "
                f"zone {reply}, so it {so}",
                hook="PREROUTING",
                evidence=tuple(dict.fromkeys(f"{drops.where(step)}: {step.rule}" for step in (*there, *back))),
                remedy=_without_all((*there, *back)),
                place=one.place.full_name,
            )
    return None


def _kept(loss: Loss, one: Passage) -> tuple[str, str, str]:
    """An address of the request's that a place translated, what to, and what comes of a reply that still has that;
    empty where it has not."""
    came, left = one.came, one.left
    if one.place is loss.place and came.source != left.source == loss.packet.destination:
        return came.source, left.source, "takes it for its own"
    if came.destination != left.destination == loss.packet.source:
        return came.destination, left.destination, f"leaves it as from {left.destination}"
    return "", "", ""


def _without_all(rules: Iterable[MetRule]) -> str:
    """The commands that take some rules away: a zone that is left is another one than none."""
    return " && ".join(dict.fromkeys(drops.without(one) for one in rules))


def _zone_rules(loss: Loss, place: str, *, returning: bool) -> list[MetRule]:
    """The rules of a place that gave a zone to the request, or to the reply."""
    here = (one for one in loss.steps if one.place == place and one.returning == returning)
    return [one for one in here if _ZONE.search(one.rule)]


def _numbers(rules: list[MetRule]) -> set[str]:
    matches = (_ZONE.search(one.rule) for one in rules)
    return {match[1] or match[2] for match in matches if match}
