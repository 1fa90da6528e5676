"""Replies that are not translated back: they bypass the place that translated the request."""

from __future__ import annotations

import ipaddress

from cnitest.explain.causes.nat import bypassed
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.translation import NatRule, Passage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Port

_FIRST = -10


@cause("nat.reply-translated", Stage.ROUTING, Stage.INPUT, Stage.SOCKET_IN, order=_FIRST)
def reply_translated(loss: Loss) -> Found | None:
    """A rule translates the source of the reply (MASQUERADE, SNAT) where the request did not come by, so that whoever
    asked gets it from an address that was not asked."""
    sent = translation.first(loss)
    if sent is None or not loss.returning or loss.place is not loss.probe.sender or not loss.received:
        return None
    for one in translation.changes(loss, returning=True):
        if one.came.source != sent.destination or one.left.source != loss.packet.source or not _changed(one):
            continue
        place, came = one.place.full_name, one.came
        rule = next((rule for rule in translation.rules(loss, one.place) if rule.translates_source), None)
        if rule is None:
            continue
        return Found(
            "reply translated",
            f"{place} translates the source of the reply from {came.source} to {one.left.source}, and "
            f"{loss.place.full_name} asked {sent.destination}",
            hook="POSTROUTING",
            evidence=(str(rule), f"the request did not come by {place}"),
            remedy=_untranslated(rule, came.source, came.destination, six=loss.six),
            place=place,
        )
    return None


def _changed(one: Passage) -> bool:
    return one.came.source != one.left.source


def _untranslated(rule: NatRule, source: str, destination: str, *, six: bool) -> str:
    """The command that has what goes from an address to another one left as it is, before a rule that translates."""
    if rule.program == "nft":
        name = "ip6" if six else "ip"
        return f"nft insert rule {rule.table} {rule.chain} {name} saddr {source} {name} daddr {destination} accept"
    program = rule.program.removesuffix("-save")
    return f"{program} -t nat -I POSTROUTING -s {source} -d {destination} -j ACCEPT"


@cause("nat.hairpin", Stage.INGRESS, order=_FIRST)
def hairpin(loss: Loss) -> Found | None:
    """A neighbour was reached by an address of the host (DNAT), and its reply comes straight back, not translated."""
    one = _translated(loss)
    if one is None or not _is_bypassed(loss, one) or not _share_a_subnet(loss, one) or _is_itself(loss, one):
        return None
    host, target = one.place.full_name, one.left.destination
    return Found(
        "hairpin NAT off",
        f"the reply of {target} goes straight to {one.came.source}, not by {host}, which translated "
        f"{one.came.destination} to it",
        hook="POSTROUTING",
        evidence=(f"the reply comes from {loss.packet.source}, and {one.came.destination} was asked",),
        remedy=_masquerade(loss, one),
        place=host,
    )


@cause("nat.hairpin-self", Stage.INGRESS, order=_FIRST)
def hairpin_self(loss: Loss) -> Found | None:
    """A place reached itself by an address of its host (DNAT), so its packet comes back with its own source."""
    one = _translated(loss)
    if one is None or loss.spot.out or loss.place is not loss.probe.sender or not _is_itself(loss, one):
        return None
    host, source = one.place.full_name, one.came.source
    came = f"it comes in by {loss.link} from {source}, which is {loss.place.full_name}'s own"
    if loss.returning:  # IPv6 takes what has its own source
        came = f"its reply stays there: it comes from {loss.packet.source}, and {one.came.destination} was asked"
    return Found(
        "hairpin NAT off",
        f"{host} sends {source} its own packet back: {one.came.destination} was translated to it, its source was not",
        hook="POSTROUTING",
        evidence=(came,),
        remedy=_masquerade(loss, one),
        place=host,
    )


@cause("nat.reply-bypasses", Stage.INGRESS, Stage.ROUTING, order=_FIRST)
def reply_bypasses(loss: Loss) -> Found | None:
    """The reply takes another way than by the place that translated the request (its destination or its source), and is
    not translated back."""
    return _by_itself(loss) or bypassed.source(loss)


def _by_itself(loss: Loss) -> Found | None:
    """Of a request whose destination was translated: who asked gets the reply from another address."""
    one = _translated(loss)
    if one is None or not _is_bypassed(loss, one) or _share_a_subnet(loss, one):
        return None
    return Found(
        "reply not translated back",
        f"the reply of {loss.packet.source} does not come by {one.place.full_name}, which translated "
        f"{one.came.destination} to it",
        hook="POSTROUTING",
        evidence=(f"the reply comes from {loss.packet.source}, and {one.came.destination} was asked",),
        remedy=_masquerade(loss, one),
        place=one.place.full_name,
    )


@cause("nat.hairpin-port", Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, order=_FIRST)
def hairpin_port(loss: Loss) -> Found | None:
    """A bridged packet was translated (br_netfilter) to where it came from, and the port's hairpin mode is off."""
    one = _translated(loss)
    port = _port_in(loss, one) if one else None
    called = f"bridge/bridge-nf-call-{'ip6' if loss.six else 'ip'}tables"
    if one is None or port is None or port.hairpin or loss.returning or not loss.number(called, one.place):
        return None
    behind = loss.wiring.peer(LinkAt(one.place.full_name, port.name))
    if behind is None or not loss.owns(one.left.destination, loss.wiring.places[behind.place]):
        return None
    return Found(
        "hairpin off",
        f"{one.came.destination} was translated to {one.left.destination}, which is behind {port.name}, where the "
        f"packet came in: {port.bridge} sends nothing back there (hairpin off)",
        hook="bridge",
        evidence=(f"net.{called.replace('/', '.')}=1, so that the bridge hands it on itself",),
        remedy=f"bridge link set dev {port.name} hairpin on",
        place=one.place.full_name,
    )


def _port_in(loss: Loss, one: Passage) -> Port | None:
    """The port of a bridge that a request came to a place by."""
    here = (s for s in loss.seen.sightings if s.place == one.place.full_name and not (s.returning or s.frame.out))
    links = [sighting.frame.link for sighting in here]
    return next((port for port in loss.state(one.place).ports if port.name in links), None)


def _translated(loss: Loss) -> Passage | None:
    """Where the request's destination was translated."""
    ways = translation.passages(loss)
    return next((one for one in ways if one.came.destination != one.left.destination), None)


def _is_bypassed(loss: Loss, one: Passage) -> bool:
    """Whether the reply came to who asked from the address that the request was translated to."""
    at_sender = loss.returning and not loss.spot.out and loss.place is loss.probe.sender
    return at_sender and loss.packet.source == one.left.destination


def _is_itself(loss: Loss, one: Passage) -> bool:
    """Whether who asked has what its request was translated to, and sent it from an address that it has."""
    sender = loss.probe.sender
    return loss.owns(one.came.source, sender) and loss.owns(one.left.destination, sender)


def _share_a_subnet(loss: Loss, one: Passage) -> bool:
    """Whether who asked and who answers are in one subnet."""
    return loss.in_network(one.left.destination, one.place, one.iif)


def _masquerade(loss: Loss, one: Passage) -> str:
    """The command that has replies come back by the place."""
    rows = [row.address for row in loss.state(one.place).addresses if row.link == one.iif]
    networks = [ipaddress.ip_interface(row).network for row in rows]
    source = ipaddress.ip_address(one.came.source)
    subnet = next((network for network in networks if source in network), source)
    program = "ip6tables" if loss.six else "iptables"
    return f"{program} -t nat -I POSTROUTING -s {subnet} -d {one.left.destination} -j MASQUERADE"
