"""Destinations that lead nowhere: DNAT to nobody or to a closed port, DNAT missing, connections that are older."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from cnitest.explain.causes import drops
from cnitest.explain.causes.matching import is_for_protocol, may_match
from cnitest.explain.causes.nat import maps, turns
from cnitest.explain.causes.nat.maps import End
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import translated
from cnitest.explain.evidence.ip.kernel_routes import IN_VAIN
from cnitest.explain.evidence.loss import Loss, NoRoute, Stage
from cnitest.explain.evidence.translation import NatRule, TranslatedTo
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.verdict import refusal

_FIRST, _BEFORE = -10, -11
_TRANSLATES = re.compile(r"-j (DNAT|REDIRECT|NETMAP)\b|\b(dnat|redirect)\b")
_CLOSED = (refusal.RESET, "port unreachable")


@cause("nat.dnat-stale", Stage.SOCKET_OUT, Stage.WIRE, Stage.INGRESS, order=_BEFORE)
def stale(loss: Loss) -> Found | None:
    """A connection is tracked from before a rule changed, and still goes where the rule sent it then."""
    for place, packet, iif in _translators(loss):
        known, rules = translation.flow(place, packet), translation.rules(loss, place)
        now = [rule for rule in _rules(loss, place) if _is_for(rules, rule, packet, iif)]
        if known is None or not now or not packet.source_port:
            continue
        if turns.met(loss, place, _hook(loss, place), {rule.table for rule in now}):
            continue  # only the first packet of a connection meets rules of nat
        there = known.reply_source
        if any(_goes_to(rule, there, packet) for rule in now):
            continue
        return Found(
            "stale conntrack entry",
            f"{place.full_name} tracks {known.source} → {known.destination} from before its rules changed: it goes to "
            f"{there}",
            hook=_hook(loss, place),
            evidence=(f"now: {now[0]}",),
            remedy=f"conntrack -D -f {loss.family} -p {known.protocol} --dport {packet.destination_port}",
            place=place.full_name,
        )
    return None


def _is_for(rules: Sequence[NatRule], rule: NatRule, packet: wire.Headers, iif: str, depth: int = 0) -> bool:
    """Whether a rule may match a packet, and where it is in a chain that others lead to, one of those does as well."""
    if not may_match(rule.text, packet, iif):
        return False
    if rule.hook or depth > turns.MOST_JUMPS:
        return True
    return any(_is_for(rules, each, packet, iif, depth + 1) for each in turns.leading_to(rules, rule.chain))


@cause("nat.dnat-nobody", Stage.SOCKET_OUT, Stage.WIRE, Stage.ROUTING, Stage.NEIGHBOUR, order=_FIRST)
def to_nobody(loss: Loss) -> Found | None:
    """The destination was translated (DNAT) to an address that nobody has."""
    target = None if loss.returning else loss.once(translation.target)
    if target is None or loss.owner(target.address) or _is_on_its_way(loss, target):
        return None
    return Found(
        "DNAT to nobody",
        f"{target.place.full_name} translates {_asked(loss)} to {target}, and nobody has {target.address}",
        hook=_hook(loss, target.place),
        evidence=tuple(map(str, _of_target(loss, target))),
        remedy=_remedy(loss, target.place, "-I", _of_target(loss, target)),
        place=target.place.full_name,
    )


@cause("nat.dnat-port", Stage.SOCKET_IN, order=_FIRST)
def to_closed_port(loss: Loss) -> Found | None:
    """The destination was translated (DNAT) to a port on which nobody listens."""
    target = None if loss.returning else loss.once(translation.target)
    said = refusal.refusal(loss.attempt, loss.seen, loss.probe.sender)
    if target is None or not loss.owns(target.address):
        return None
    if said.says not in _CLOSED if said else not _is_closed_here(loss, target):
        return None
    said_here = (f"{loss.place.full_name} answers: {said.says}",) if said else ()
    return Found(
        "DNAT to a closed port",
        f"{target.place.full_name} translates {_asked(loss)} to {target}, and nobody listens there",
        hook=_hook(loss, target.place),
        evidence=(*map(str, _of_target(loss, target)), *said_here),
        remedy=f"listen on {loss.reach.transport} port {target.port} at {loss.place.full_name}"
        if loss.probe.far is target.place and not _listener(loss)
        else _remedy(loss, target.place, "-I", _of_target(loss, target)),
        place=target.place.full_name,
    )


@cause("nat.dnat-other", Stage.SOCKET_IN, order=_FIRST)
def to_another(loss: Loss) -> Found | None:
    """The destination was translated (DNAT) to a place where somebody else listens than who is to receive it."""
    target = None if loss.returning else loss.once(translation.target)
    if target is None or not _listener(loss) or loss.place is loss.probe.far or not loss.owns(target.address):
        return None
    if not any(one.takes(target.address, target.port) for one in loss.sockets(loss.reach.transport)):
        return None
    far = loss.probe.far.full_name if loss.probe.far else ""
    return Found(
        "DNAT to another server",
        f"{target.place.full_name} translates {_asked(loss)} to {target}, which is a server of {loss.place.full_name}, "
        f"and {far} is to receive it",
        hook=_hook(loss, target.place),
        evidence=tuple(map(str, _of_target(loss, target))),
        remedy=_remedy(loss, target.place, "-I", _of_target(loss, target)),
        place=target.place.full_name,
    )


def _is_closed_here(loss: Loss, target: TranslatedTo) -> bool:
    """Whether the sender itself is where its packet was translated to, by loopback, and nobody listens on the port."""
    if loss.link != "lo" or loss.place is not loss.probe.sender or loss.reach.transport not in ("tcp", "udp"):
        return False
    return not any(one.takes(target.address, target.port) for one in loss.sockets(loss.reach.transport))


@cause("nat.dnat-missing", Stage.ROUTING, Stage.NEIGHBOUR, Stage.SOCKET_IN, order=_FIRST)
def missing(loss: Loss) -> Found | None:
    """An address and port are published for a listener elsewhere, and no rule (DNAT) translates them to it."""
    far, asked = loss.probe.far, loss.reach.destination.partition("%")[0]
    if loss.returning or far is None or not loss.reach.port or loss.owns(asked, far):
        return None
    if loss.packet.destination != asked or loss.once(translation.target):
        return None
    here = loss.place if loss.owner(asked) is loss.place else _first_router(loss)
    if here is None:
        return None
    hook = _hook(loss, here)
    skipped = _skipped(loss, here, hook)
    lacking = None if skipped or not _listener(loss) else maps.lacking(loss, here, hook, _end(loss, far))
    near = skipped or tuple(f"does not match: {rule}" for rule in _rules(loss, here))
    return Found(
        "no DNAT",
        f"no rule of {here.full_name} translates {_asked(loss)} to {far.full_name}, where the listener is",
        hook=hook,
        evidence=(str(lacking),) if lacking else near or (f"{here.full_name} has no rule of DNAT",),
        remedy=lacking.remedy if lacking else _remedy(loss, here, "-I" if skipped else "-A"),
        place=here.full_name,
    )


def _skipped(loss: Loss, place: Place, hook: str) -> tuple[str, ...]:
    """The rule that the kernel reports to have ended the request's way through a chain of nat, where one that would
    translate it comes after that; empty where none did."""
    rules = [rule for rule in translation.rules(loss, place) if rule.hook in (hook, "")]
    for steps in turns.met(loss, place, hook, {rule.table for rule in rules}):
        last = turns.ended_by(steps)
        later = turns.after(rules, last) if last else []
        meant = [rule for rule in later if rule.translates_destination and may_match(rule.text, loss.packet)]
        if last and meant:
            return (f"{drops.where(last)}: {last.rule} comes before {meant[0].text}",)
    return ()


class _Met(NamedTuple):
    place: Place
    packet: wire.Headers
    iif: str


def _translators(loss: Loss) -> list[_Met]:
    """The places that the request met, with its headers as it came, and the link that IP got it by."""
    met = [_Met(one.place, one.came, one.iif) for one in translation.passages(loss)]
    if loss.received and not loss.returning:
        met.append(_Met(loss.place, loss.packet, loss.incoming))
    return met


def _is_on_its_way(loss: Loss, target: TranslatedTo) -> bool:
    """Whether the translated packet still has a route, so that it is not known yet that nobody takes it."""
    if loss.place is not target.place:
        return False
    found = loss.route(target.address)
    asks = any(row.ip == target.address and row.state in IN_VAIN for row in loss.state().neighbours)
    return not isinstance(found, NoRoute) and not asks


def _first_router(loss: Loss) -> Place | None:
    """The first place after the sender that was to hand the request on."""
    ways = [one.place for one in translation.passages(loss) if one.place is not loss.probe.sender]
    return ways[0] if ways else loss.place if loss.forwarded else None


def _asked(loss: Loss) -> str:
    asked = loss.reach.destination
    return f"{asked} port {loss.reach.port}" if loss.reach.port else asked


def _rules(loss: Loss, place: Place) -> list[NatRule]:
    return [rule for rule in translation.rules(loss, place) if rule.translates_destination]


def _of_target(loss: Loss, target: TranslatedTo) -> list[NatRule]:
    """The rules that translate to a target: those that the packet met, where it is known which."""
    rules = [rule for rule in _rules(loss, target.place) if is_for_protocol(rule.text, loss.packet)]
    met = {step.rule for step in loss.steps if step.place == target.place.full_name and not step.returning}
    to = [(rule, translated.written(rule.text)) for rule in rules]
    named = [rule for rule, span in to if span and translated.names(span, target.address)]
    return [rule for rule in rules if rule.text in met] or named


def _goes_to(rule: NatRule, there: str, packet: wire.Headers) -> bool:
    """Whether a rule translates to where a connection goes; one that names no single address may."""
    found = translation.rule_target(rule.text)
    if found is None or not found[0]:
        return True
    address, port = translated.address_of(there, packet), int(there.rpartition(":")[2])
    return found[0] == address and (found[1] or packet.destination_port) == port


def _remedy(loss: Loss, place: Place, how: str, wrong: Sequence[NatRule] = ()) -> str:
    """The command that has a place translate what was asked for to the listener; ``…`` when none is known.

    It comes before the ``wrong`` rules, so it is of the program that made them.
    """
    asked, end = loss.reach.destination.partition("%")[0], _listener(loss) or "…"
    needless = _needless(loss, place)
    if needless:
        return needless
    port, kind = loss.reach.port, loss.reach.transport
    if wrong and wrong[0].program == "nft":
        family = "ip6" if loss.six else "ip"
        match = f"{family} daddr {asked}" + (f" {kind} dport {port}" if port else "")
        to = f"dnat {f'{family} ' if wrong[0].table.startswith('inet') else ''}to {end}"
        return f"nft insert rule {wrong[0].table} {wrong[0].chain} {match} {to}"
    program = wrong[0].program if wrong else "ip6tables" if loss.six else "iptables"
    chain = _hook(loss, place)
    match = f" -p {kind} --dport {port}" if port else ""
    return f"{program} -t nat {how} {chain} -d {asked}{match} -j DNAT --to-destination {end}"


def _hook(loss: Loss, place: Place) -> str:
    """Where a place translates the destination of the request: of its own, or of one that came in."""
    return "OUTPUT" if place is loss.probe.sender else "PREROUTING"


def _needless(loss: Loss, place: Place) -> str:
    """The command that removes a rule which translates what is for the listener's own address: nobody needs it to.

    Of a connection that was tracked before no rule is met, so it is looked for among all; empty where none is found.
    """
    far, asked = loss.probe.far, loss.reach.destination.partition("%")[0]
    if far is None or far is place or not loss.owns(asked, far):
        return ""
    steps = (step for step in reversed(loss.steps) if step.place == place.full_name and not step.returning)
    met = next((step for step in steps if _TRANSLATES.search(step.rule)), None)
    if met:
        return drops.without(met)
    packets = [one.packet for one in _translators(loss) if one.place is place]
    rules, sent = _rules(loss, place), translation.first(loss)
    if place is loss.probe.sender and sent:
        rules = [rule for rule in rules if rule.hook != "PREROUTING"]
        packets = [sent._replace(destination=asked, destination_port=loss.reach.port)]
    ours = (rule for rule in rules if rule.program != "nft" and any(may_match(rule.text, one) for one in packets))
    found = next(ours, None)
    return f"{found.program} -t nat -D {drops.for_a_shell(found.text.removeprefix('-A '))}" if found else ""


def _listener(loss: Loss) -> str:
    """The address and port of the listener as rules write them; empty where the address asked for is its own."""
    far = loss.probe.far
    if far is None or loss.owns(loss.reach.destination.partition("%")[0], far):
        return ""
    end = _end(loss, far)
    bracketed = f"[{end.address}]" if loss.six else end.address
    return f"{bracketed}:{end.port}" if end.port and end.address else end.address


def _end(loss: Loss, far: Place) -> End:
    port = getattr(loss.probe, "listener_port", loss.reach.port) or 0
    return End(_address(loss, far), port, same_port=port == loss.reach.port)


def _address(loss: Loss, place: Place) -> str:
    """A global address of a place, of the packet's family."""
    return next((row.ip for row in loss.addresses(place) if not ipaddress.ip_address(row.ip).is_loopback), "")
