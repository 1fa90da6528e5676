"""Where a packet's addresses were changed on its way, and the rules of NAT that a place has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.explain.evidence import frames, rule_steps
from cnitest.explain.evidence.ip import translated
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.rows.records import Route
from cnitest.lab.place import Place
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.snapshot import state as states

_SOURCE = re.compile(r"-j (MASQUERADE|SNAT|NETMAP)\b|\b(masquerade|snat)\b")
_DESTINATION = re.compile(r"-j (DNAT|REDIRECT|NETMAP)\b|\b(dnat|redirect)\b")
_ENDS = re.compile(r"-j (ACCEPT|RETURN)\b|\b(accept|return)$|-g \S+|\bgoto \S+$")
_NFT_CHAIN = re.compile(r"table (\S+) (\S+) chain (\S+): (.*)")
_TO = re.compile(
    r"(?:--to-destination|\bdnat (?:ip6? )?to) "
    r"(\[[0-9a-fA-F:.]+\]|[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)(?::(\d+))?(?:\s|$)"
)
_REDIRECT = re.compile(r"(?:--to-ports|\bredirect to :)\s?(\d+)")
# What a place sends to itself it does not hand on.
_LOOPBACK = "lo"
_HOOKED = re.compile(r"type nat hook (\w+)")


class Passage(NamedTuple):
    """A packet at a place that handed it on: by which links, with which headers it came and left."""

    place: Place
    iif: str
    oif: str
    came: wire.Headers
    left: wire.Headers


class NatRule(NamedTuple):
    """A rule of NAT: ``table`` with its family, ``chain`` and its ``hook`` (empty of a chain that is jumped to)."""

    program: str
    table: str
    chain: str
    hook: str
    text: str

    @property
    def translates_source(self) -> bool:
        """Whether it is MASQUERADE or SNAT."""
        return bool(_SOURCE.search(self.text))

    @property
    def translates_destination(self) -> bool:
        """Whether it is DNAT, REDIRECT, or NETMAP of destinations."""
        return self.hook != "POSTROUTING" and bool(_DESTINATION.search(self.text))

    @property
    def ends(self) -> bool:
        """Whether it keeps a packet from the rules after it."""
        return bool(_ENDS.search(self.text))

    def __str__(self) -> str:
        legacy = "legacy " if self.program.endswith("-legacy") else ""
        return f"{legacy}{self.table} {self.chain}: {self.text.removeprefix(f'-A {self.chain} ')}"


def passages(loss: Loss, *, returning: bool = False) -> tuple[Passage, ...]:
    """The places that handed the request on, or its reply, in order; inside a tunnel it is the packet that this
    carries."""
    found: dict[str, Passage] = {}
    for sighting in frames.until(loss.seen, loss.spot):
        headers = wire.read(tunnels.innermost(sighting.frame.data))
        about = wire.is_about_another(sighting.frame.data)
        if sighting.returning != returning or about or not headers.ethertype or sighting.frame.link == _LOOPBACK:
            continue
        known = found.get(sighting.place)
        if known is None and not sighting.frame.out:
            place = loss.place.lab.place(sighting.place)
            found[sighting.place] = Passage(place, sighting.frame.link, "", headers, headers)
        elif known and not sighting.frame.out and not known.oif:
            found[sighting.place] = known._replace(iif=sighting.frame.link)
        elif known and sighting.frame.out and not known.oif:
            found[sighting.place] = known._replace(oif=sighting.frame.link, left=headers)
    return tuple(one for one in found.values() if one.oif)


def changes(loss: Loss, *, returning: bool = False) -> tuple[Passage, ...]:
    """The places that changed the source of any packet of the request's connection, or of its reply's, in order: of a
    connection that may be a later one than the first."""
    came: dict[str, list[tuple[str, wire.Headers]]] = {}
    found: dict[str, Passage] = {}
    for sighting in loss.seen.sightings:
        headers = wire.read(tunnels.innermost(sighting.frame.data))
        if sighting.returning != returning or wire.is_about_another(sighting.frame.data) or not headers.ethertype:
            continue
        before = came.setdefault(sighting.place, [])
        if not sighting.frame.out:
            before.append((sighting.frame.link, headers))
        elif before and all(headers.source != one.source for _, one in before):
            iif, last = before[-1]
            place = loss.place.lab.place(sighting.place)
            found.setdefault(sighting.place, Passage(place, iif, sighting.frame.link, last, headers))
    return tuple(found.values())


def first(loss: Loss) -> wire.Headers | None:
    """The request as its sender sent it."""
    here = (s for s in loss.seen.sightings if not s.returning and s.frame.out)
    sighting = next((s for s in here if s.place == loss.probe.sender.full_name), None)
    return wire.read(sighting.frame.data) if sighting else None


def own(loss: Loss) -> Passage | None:
    """The request at its sender, where that itself has translated its source; None of all others."""
    sender, sent = loss.probe.sender, first(loss)
    if sent is None or loss.owns(sent.source, sender):
        return None
    here = (s.frame.link for s in loss.seen.sightings if s.place == sender.full_name and s.frame.out)
    route = loss.route(loss.reach.destination.partition("%")[0], place=sender)
    source = loss.probe.source or (route.source if isinstance(route, Route) else "")
    return Passage(sender, "", next(here, ""), sent._replace(source=source), sent)


class TranslatedTo(NamedTuple):
    """Where a place has translated the destination to; ``port`` is 0 where there are none."""

    place: Place
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address} port {self.port}" if self.port else self.address


def target(loss: Loss) -> TranslatedTo | None:
    """The last translation of the request's destination, up to where it was last seen; None when there was none."""
    if loss.place is not loss.probe.sender and loss.link and not (loss.spot.out or loss.returning):
        here = _by_bridge(loss) or _by_flow(loss.place, loss.packet) or _by_rule(loss, loss.place)
        if here is None and loss.destination != loss.packet.destination:
            here = TranslatedTo(loss.place, loss.destination, loss.packet.destination_port)
        if here:
            return here
    for one in reversed(passages(loss)):
        if (one.came.destination, one.came.destination_port) != (one.left.destination, one.left.destination_port):
            return TranslatedTo(one.place, one.left.destination, one.left.destination_port)
    return _at_sender(loss)


def _by_bridge(loss: Loss) -> TranslatedTo | None:
    """What the rules of IP have made of it at a port of the bridge (br_netfilter) where it was last seen."""
    here = (one for one in loss.seen.sightings if one.place == loss.place.full_name and not one.returning)
    came = next((_carried(one.frame) for one in here if not one.frame.out), loss.packet)
    last = _carried(loss.spot.frame) if loss.spot.frame else loss.packet
    new = last.destination, last.destination_port
    return None if new == (came.destination, came.destination_port) else TranslatedTo(loss.place, *new)


def _carried(frame: Frame) -> wire.Headers:
    """The headers of a packet, whether it comes as it is or in a tunnel, which is not what it was translated from."""
    return wire.read(tunnels.innermost(frame.data))


def _at_sender(loss: Loss) -> TranslatedTo | None:
    sent, asked = first(loss), loss.reach.destination.partition("%")[0]
    if sent is None:
        return _by_rule(loss, loss.probe.sender)
    if (sent.destination, sent.destination_port) == (asked, loss.reach.port) or rule_steps.is_neighbour(sent):
        return None
    return TranslatedTo(loss.probe.sender, sent.destination, sent.destination_port)


def _by_rule(loss: Loss, place: Place) -> TranslatedTo | None:
    """What the last rule of DNAT that the request met at a place made of its destination; None of a choice."""
    steps = [step for step in loss.steps if step.place == place.full_name and not step.returning]
    for step in reversed(steps):
        found = rule_target(step.rule) or _mapped(step)
        if found and step.hook.upper() in ("PREROUTING", "OUTPUT"):
            address = found[0] or _redirected(place, step) or step.packet.destination
            return TranslatedTo(place, address, found[1] or loss.packet.destination_port)
    return None


def _mapped(step: MetRule) -> tuple[str, int] | None:
    """What NETMAP makes of the destination: the same host of another network."""
    mapped = translated.netmap(step)
    return (mapped, 0) if mapped else None


def _redirected(place: Place, step: MetRule) -> str:
    """The place's own address that REDIRECT sends what came in by a link to; empty of what it sends itself."""
    six = ":" in step.packet.destination
    rows = (row for row in states.addresses(place.namespace) if row.link == step.iif and row.scope == "global")
    return next((row.ip for row in rows if (":" in row.ip) == six), "")


def _by_flow(place: Place, packet: wire.Headers) -> TranslatedTo | None:
    known = flow(place, packet)
    if known is None or known.reply_source == known.destination:
        return None
    port = int(known.reply_source.rpartition(":")[2]) if packet.source_port else 0
    return TranslatedTo(place, translated.address_of(known.reply_source, packet), port)


def rule_target(text: str) -> tuple[str, int] | None:
    """The address and port that a rule translates destinations to: empty and 0 where it leaves them."""
    matched = _TO.search(text)
    if matched:
        return matched[1].strip("[]"), int(matched[2] or 0)
    redirect = _REDIRECT.search(text)
    return ("", int(redirect[1])) if redirect else None


def flow(place: Place, packet: wire.Headers) -> Flow | None:
    """The connection that a place tracks for a packet as it came there; None where it tracks none, or none is known."""
    try:
        return translated.flow_of(packet, states.flows(place.namespace))
    except (KernelError, OSError):
        return None


def rules(loss: Loss, place: Place) -> tuple[NatRule, ...]:
    """The rules of NAT of a place for the packet's family, each chain in order."""
    return tuple(_rules(loss.full_state(place).firewall, six=loss.six))


def _rules(firewall: Mapping[str, tuple[str, ...]], *, six: bool) -> Iterator[NatRule]:
    families = ("ip6", "inet") if six else ("ip", "inet")
    hooks: dict[tuple[str, str, str], str] = {}
    for line in firewall.get("nft", ()):
        matched = _NFT_CHAIN.fullmatch(line)
        if matched and matched[1] in families:
            where = matched[1], matched[2], matched[3]
            hooked = _HOOKED.search(matched[4])
            if hooked:
                hooks[where] = hooked[1].upper()
            elif not matched[4].startswith("type "):
                yield NatRule("nft", f"{matched[1]} {matched[2]}", matched[3], hooks.get(where, ""), matched[4])
    for program in ("ip6tables", "ip6tables-legacy") if six else ("iptables", "iptables-legacy"):
        for line in firewall.get(program, ()):
            table, _, text = line.partition(": ")
            if table == "nat" and text.startswith("-A "):
                chain = text.split()[1]
                hook = chain if chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING") else ""
                yield NatRule(program, f"{'ip6' if six else 'ip'} nat", chain, hook, text)


def leads_back(loss: Loss, place: Place, address: str, link: str) -> bool:
    """Whether a place would send to an address by the link (or the bridge of it) where a packet from there came in."""
    found = loss.route(address, place=place)
    return isinstance(found, Route) and found.link == link
