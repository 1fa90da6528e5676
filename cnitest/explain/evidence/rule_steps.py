"""From what the kernel reports of rules to steps of a packet: which events are its, by which chains, in whose words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from cnitest.errors import CommandError
from cnitest.explain.evidence.ip import carriers, parts
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter import rule_words, tables
from cnitest.kernel.netfilter.log_trace import LogEvent
from cnitest.kernel.netfilter.nft_trace import NftTraceEvent
from cnitest.kernel.netfilter.rule_words import SavedChain
from cnitest.kernel.netfilter.ruleset import Ruleset
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.reach import Seen, Sighting
from cnitest.lab.snapshot import state as states

_COUNTED = re.compile(r"counter packets \d+ bytes \d+")
_REJECTS = re.compile(r"-j REJECT|\breject\b")
_TARGET = re.compile(r" -[jg] (\S+)")
_HEADERS = 20
# So much of what a VXLAN carries is among the first bytes behind the header of IP.
_SHOWN, _ETHERNET = 4, 14
_NAMELESS = "__chain"
_ENDING = ("drop", "queue", "stolen")
_DISCOVERY = (135, 136)
_ETHERTYPES = {4: wire.ETH_IPV4, 6: wire.ETH_IPV6}


class Ours:
    """Which packets at a place are those of an attempt, and what is known of the rules there."""

    def __init__(self, place: Place, attempt: Attempt, seen: Seen, ruleset: Ruleset) -> None:
        self.place = place
        self.ruleset = ruleset
        self.unseen: list[str] = []
        self._attempt = attempt
        self._seen = seen

    def frame(self, packet: bytes) -> bytes | None:
        """A frame around a packet (which may be cut short) that belongs to the attempt, or asks for a MAC or
        announces it; None for any other."""
        kind = _ETHERTYPES.get(packet[0] >> 4, wire.ETH_ARP) if packet else 0
        frame = bytes(12) + kind.to_bytes(2, "big") + parts.with_header(packet, self._first_parts)
        headers = wire.read(frame) if kind else wire.Headers()
        if kind and (is_neighbour(headers) or (headers.offset and parts.whole(headers) in self._parts)):
            return frame
        if kind in _ETHERTYPES.values() and (_transport(frame) in self._known or self._carried(headers)):
            return frame
        ours = kind and not wire.is_about_another(frame)  # of which nftables shows too little to tell whom it is about
        return frame if ours and self._attempt.matches(Frame(0, "", False, frame)) else None

    def _carried(self, packet: wire.Headers) -> Sighting | None:
        """What was seen to leave here by a tunnel, where a packet begins as the one does that carries it."""
        sent = self._tunnelled.get(packet.protocol, ())
        return next((one for one in sent if _begins(packet.payload, one.frame.data)), None)

    @cached_property
    def _tunnelled(self) -> Mapping[int, tuple[Sighting, ...]]:
        """What left the place by its tunnels, by the protocol of IP that these carry packets in."""
        kinds = {link.name: link.kind for link in states.links(self.place.namespace).links}
        found: dict[int, tuple[Sighting, ...]] = {}
        for one in self._seen.sightings:
            protocol = carriers.protocol(kinds.get(one.frame.link, ""))
            if one.place == self.place.full_name and one.frame.out and protocol:
                found[protocol] = (*found.get(protocol, ()), one)
        return found

    def returning(self, packet: wire.Headers) -> bool:
        """Whether a packet is on its way back."""
        if packet.offset and parts.whole(packet) in self._parts:
            return self._parts[parts.whole(packet)]
        for sighting in self._seen.sightings:
            headers = wire.read(sighting.frame.data)
            if (headers.flow, headers.kind) == (packet.flow, packet.kind):
                return sighting.returning
        carried = self._carried(packet)
        if carried:
            return carried.returning
        return (packet.protocol, packet.kind) in wire.ECHO_REPLIES or packet.flow.reversed() in self._flows

    @cached_property
    def links(self) -> Mapping[int, str]:
        """The names of links by index."""
        return states.link_names(self.place.namespace).names

    @cached_property
    def numbers(self) -> Mapping[tuple[str, str, str, int], int]:
        """The places of rules in their chains by family, table, chain and handle."""
        return {(row.family, row.table, row.chain, row.handle): row.number for row in self.ruleset.rules}

    @cached_property
    def nft_words(self) -> Mapping[tuple[str, str, str, int], str]:
        """The rules as nft writes them; none where it cannot."""
        try:
            return self.ruleset.words
        except CommandError as error:
            self.unseen.append(f"words of the rules of {self.place.full_name}: {error}")
            return {}

    def chains_of(self, event: LogEvent) -> frozenset[str]:
        """The names of the chains in the table of an event."""
        saved = self.ruleset.saved(rule_words.LEGACY[event.family])
        return frozenset(name for table, name in saved if table == event.table)

    @cached_property
    def _known(self) -> frozenset[tuple[str, str, bytes]]:
        """The beginnings of transport headers that were seen here, with their addresses."""
        return frozenset(_transport(frame.data) for frame in self._seen.at(self.place.full_name))

    @cached_property
    def _first_parts(self) -> frozenset[bytes]:
        """The first fragments of IPv6 that were seen anywhere."""
        return parts.firsts(one.frame.data for one in self._seen.sightings)

    @cached_property
    def _parts(self) -> Mapping[tuple[str, str, int], bool]:
        """The packets of which fragments were seen anywhere, and whether they were on their way back."""
        seen = ((wire.read(one.frame.data), one.returning) for one in self._seen.sightings)
        return {parts.whole(headers): returning for headers, returning in seen if headers.number}

    @cached_property
    def _flows(self) -> frozenset[wire.Direction]:
        return frozenset(wire.read(s.frame.data).flow for s in self._seen.sightings if not s.returning)


def is_neighbour(packet: wire.Headers) -> bool:
    """Whether a packet is ARP or neighbour discovery."""
    return packet.ethertype == wire.ETH_ARP or (packet.protocol == wire.ICMPV6 and packet.kind in _DISCOVERY)


def _begins(payload: bytes, frame: bytes) -> bool:
    """Whether a frame is what a packet of a tunnel begins with: of a VXLAN's not much more than a header is shown."""
    return frame[:_SHOWN] in payload or payload[:_HEADERS] == frame[_ETHERNET:][: len(payload[:_HEADERS])] != b""


def _transport(frame: bytes) -> tuple[str, str, bytes]:
    headers = wire.read(frame)
    start = 54 if headers.ethertype == wire.ETH_IPV6 else 14 + (frame[14] & 15) * 4
    return headers.source, headers.destination, frame[start : start + _HEADERS]


class _Run(NamedTuple):
    """A packet's way through one base chain and what it jumps to."""

    packet: bytes
    iif: str
    oif: str
    path: list[str]
    jumps: list[NftTraceEvent]
    state: str = ""


def nft_steps(ours: Ours, events: Iterable[NftTraceEvent]) -> Iterator[MetRule]:
    """The steps of the attempt's packets through rules of nftables; of neighbour discovery those that drop it.

    Raises KernelError.
    """
    runs: dict[tuple[int, str, str], _Run] = {}
    for event in events:
        run = _run_of(ours, event, runs)
        frame = ours.frame(run.packet) if run and event.table != tables.OWN else None
        if run is None or frame is None:
            continue
        event = _named(event, run.jumps)
        _follow(run.path, event.chain)
        packet = wire.read(frame)
        if (event.handle or event.kind == "policy") and (event.verdict == "drop" or not is_neighbour(packet)):
            yield _nft_step(ours, event, run, packet)


def _run_of(ours: Ours, event: NftTraceEvent, runs: dict[tuple[int, str, str], _Run]) -> _Run | None:
    """The run that an event belongs to, which it begins when it shows the packet, or names a base chain. Of a packet
    that is taken away at once the kernel shows nothing any more: then the run in our own table goes on."""
    key = event.identity, event.family, event.table
    if event.packet:
        iif, oif = (ours.links.get(index, "") for index in (event.iif, event.oif))
        runs[key] = _Run(event.packet, iif, oif, [event.chain], [], event.state)
    marked = (run for (identity, _, table), run in runs.items() if (identity, table) == (event.identity, tables.OWN))
    before = runs.get(key) or next(marked, None)
    base = ours.ruleset.chains.get((event.family, event.table, event.chain))
    if before and (key not in runs or (base and base.hook and before.path[0] != event.chain)):
        runs[key] = before._replace(path=[event.chain], jumps=[])
    return runs.get(key)


def _named(event: NftTraceEvent, jumps: list[NftTraceEvent]) -> NftTraceEvent:
    """An event as one of the rule that has its chain within itself (``jump { … }``), where the chain has no name."""
    if event.chain.startswith(_NAMELESS) and jumps:
        event = event._replace(chain=jumps[-1].chain, handle=jumps[-1].handle, kind="rule")
    if event.verdict in ("jump", "goto"):
        jumps.append(event)
    return event


def _follow(path: list[str], chain: str) -> None:
    """Have a path of jumps end in a chain: one that was jumped to, or one that was returned to."""
    if chain in path:
        del path[path.index(chain) + 1 :]
    else:
        path.append(chain)


def _nft_step(ours: Ours, event: NftTraceEvent, run: _Run, packet: wire.Headers) -> MetRule:
    base = ours.ruleset.chains.get((event.family, event.table, run.path[0]))
    program, rule, number = _nft_rule(ours, event) if event.handle else _nft_policy(ours, event)
    verdict = "reject" if event.verdict == "drop" and _REJECTS.search(rule) else event.verdict
    return MetRule(
        place=ours.place.full_name,
        program=program,
        table=f"{event.family} {event.table}",
        chain=event.chain,
        path=tuple(run.path),
        hook=base.hook if base else "",
        rule=rule,
        verdict=verdict,
        number=number,
        handle=event.handle,
        iif=run.iif,
        oif=run.oif,
        returning=ours.returning(packet),
        packet=packet,
        rules=_rules(ours, event) if event.verdict in (*_ENDING, "jump") else (),
        policy=base.policy if base else "",
        state=run.state,
        mark=event.mark,
    )


def _rules(ours: Ours, event: NftTraceEvent) -> tuple[str, ...]:
    """The rules of the chain of an event, in order."""
    where = event.family, event.table, event.chain
    saved, _ = _saved_chain(ours, *where)
    if saved:
        return saved.rules
    numbered = sorted((number, key) for key, number in ours.numbers.items() if key[:3] == where)
    return tuple(_COUNTED.sub("counter", ours.nft_words.get(key, "")) for _, key in numbered)


def _nft_rule(ours: Ours, event: NftTraceEvent) -> tuple[str, str, int]:
    """The program whose words a rule has, the words, and its number in its chain."""
    where = event.family, event.table, event.chain
    number = ours.numbers.get((*where, event.handle), 0)
    saved, program = _saved_chain(ours, *where)
    chain, there = ours.ruleset.chains.get(where), sum(key[:3] == where for key in ours.numbers)
    said = saved.words(number, there, hooked=bool(chain and chain.hook)) if saved else None
    if said is not None:
        return program, said, number if said else 0
    words = ours.nft_words.get((*where, event.handle), f"rule with handle {event.handle}")
    return "nft", _COUNTED.sub("counter", words), number


def _nft_policy(ours: Ours, event: NftTraceEvent) -> tuple[str, str, int]:
    _, program = _saved_chain(ours, event.family, event.table, event.chain)
    return program, "", 0


def _saved_chain(ours: Ours, family: str, table: str, chain: str) -> tuple[SavedChain | None, str]:
    """A chain as one of the family of iptables saves it, and how that is called; nft where none does."""
    program = rule_words.SAVING.get(family, "")
    found = ours.ruleset.saved(program).get((table, chain))
    return found, rule_words.changing(program) if found else "nft"


def legacy_steps(ours: Ours, events: Iterable[LogEvent]) -> Iterator[MetRule]:
    """The steps of the attempt's packets through rules of the older iptables."""
    path: list[str] = []
    for event in events:
        frame = ours.frame(event.packet)
        if frame is None:
            continue
        program = rule_words.LEGACY[event.family]
        chain = ours.ruleset.saved(program).get((event.table, event.chain), SavedChain("-", (), ()))
        if chain.policy != "-":
            path = [event.chain]
        _follow(path, event.chain)
        step = _legacy_step(ours, event, chain, tuple(path), wire.read(frame))
        if step.verdict in ("drop", "reject") or not is_neighbour(step.packet):
            yield step


def _legacy_step(
    ours: Ours, event: LogEvent, chain: SavedChain, path: tuple[str, ...], packet: wire.Headers
) -> MetRule:
    is_rule = (
        0 < event.number <= len(chain.rules)
    )  # the end of a chain is one more; rules without conditions pass as it
    rule = chain.rules[event.number - 1] if is_rule else ""
    otherwise = chain.policy.lower() if event.kind == "policy" else event.kind
    return MetRule(
        place=ours.place.full_name,
        program=rule_words.LEGACY[event.family].removesuffix("-save"),
        table=f"{event.family} {event.table}",
        chain=event.chain,
        path=path,
        hook=path[0],
        rule=rule,
        verdict=_target(rule, ours.chains_of(event)) if rule else otherwise,
        number=event.number if rule else 0,
        iif=ours.links.get(event.iif, ""),
        oif=ours.links.get(event.oif, ""),
        returning=ours.returning(packet),
        packet=packet,
        rules=chain.rules,
        policy=_policy(ours, event, path[0]),
        mark=event.mark,
    )


def _policy(ours: Ours, event: LogEvent, base: str) -> str:
    """The policy of a base chain in the table of an event, empty where it has none."""
    found = ours.ruleset.saved(rule_words.LEGACY[event.family]).get((event.table, base))
    return found.policy.lower() if found else ""


def _target(rule: str, chains: Collection[str]) -> str:
    """What a rule says, from its target: a verdict or what it does in small letters, or ``jump``."""
    found = _TARGET.search(rule)
    if not found:
        return "continue"
    return "jump" if found[1] in chains else found[1].lower()
