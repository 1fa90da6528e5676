"""Rules that a packet meets: the kernel is asked to report them while the probe is sent once more.

Nothing is asked of a place that has no rules. What the kernel reports is nftables' trace, and of the older iptables
what the TRACE target would log. Where neither can be had, rules that have counted more afterwards are what is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial

from cnitest.errors import CnitestError
from cnitest.explain.evidence import frames, rule_counters, rule_steps
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter import log_trace, nft_trace, tables
from cnitest.kernel.netfilter.log_trace import LogEvent
from cnitest.kernel.netfilter.nft_trace import NftTraceEvent
from cnitest.kernel.netfilter.ruleset import Ruleset
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.reach import Seen
from cnitest.lab.snapshot import state as states

_LEGACY = ("ip_tables_names", "ip6_tables_names")


@dataclass
class Recording:
    """What packets met, place by place, while it was asked for; ``unseen`` says what could not be asked, and why, and
    ``whole`` is not set where the kernel said more than there was room for."""

    places: list[Place] = field(default_factory=list)
    rulesets: dict[str, Ruleset] = field(default_factory=dict)
    nft: dict[str, tuple[NftTraceEvent, ...]] = field(default_factory=dict)
    legacy: dict[str, tuple[LogEvent, ...]] = field(default_factory=dict)
    counted: dict[str, tuple[Place, rule_counters.Table]] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    whole: bool = True

    def steps(self, attempt: Attempt, seen: Seen) -> tuple[MetRule, ...]:
        """The rules that the frames of an attempt met, at each place in order."""
        found: list[MetRule] = []
        for place in self.places:
            ours = rule_steps.Ours(place, attempt, seen, self.rulesets[place.full_name])
            try:
                met = [*rule_steps.nft_steps(ours, self.nft.get(place.full_name, ()))]
                met += rule_steps.legacy_steps(ours, self.legacy.get(place.full_name, ()))
                found += (step for step in met if not frames.is_own_reset(place, step.oif or step.iif, step.packet))
            except CnitestError as error:
                self.unseen.append(f"rules of {place.full_name}: {error}")
            self.unseen += ours.unseen
        for place, before in self.counted.values():
            found += rule_counters.steps(place, before, seen)
        return tuple(found)

    def ended_messages(self, attempt: Attempt, seen: Seen) -> tuple[MetRule, ...]:
        """The rules that ended messages to a sender of the attempt that its packets are too big, at each place."""
        found: list[MetRule] = []
        for place in self.places:
            about = _About(place, attempt, seen, self.rulesets[place.full_name])
            with suppress(CnitestError):
                found += rule_steps.nft_steps(about, self.nft.get(place.full_name, ()))
                found += rule_steps.legacy_steps(about, self.legacy.get(place.full_name, ()))
        return tuple(step for step in found if step.verdict in ("drop", "reject"))


class _About(rule_steps.Ours):
    """Which packets at a place are messages that the packets of an attempt are too big, for who sent these."""

    def frame(self, packet: bytes) -> bytes | None:
        """A frame around such a message; None for any other packet."""
        six = packet[:1] and packet[0] >> 4 == 6
        frame = bytes(12) + (wire.ETH_IPV6 if six else wire.ETH_IPV4).to_bytes(2, "big") + packet
        headers = wire.read(frame)
        code = packet[(packet[0] & 15) * 4 + 1 :][:1] if packet and not six else b""
        too_big = (headers.protocol, headers.kind) == (wire.ICMPV6, 2) or (
            (headers.protocol, headers.kind, code) == (wire.ICMP, 3, b"\4")
        )
        return frame if too_big and headers.destination in self._senders else None

    @cached_property
    def _senders(self) -> frozenset[str]:
        return frozenset(wire.read(one.frame.data).source for one in self._seen.sightings)


@contextmanager
def armed(places: Sequence[Place], protocols: Collection[int]) -> Iterator[Recording]:
    """Have the kernel report rules that packets of some protocols (and ICMP) meet at these places while the block runs.

    Changes nothing that a state shows.
    """
    recording = Recording()
    with ExitStack() as undo:
        for place in places:
            try:
                _arm(place, protocols, recording, undo)
            except (CnitestError, OSError) as error:
                recording.unseen.append(f"rules of {place.full_name}: {error}")
                recording.counted[place.full_name] = place, rule_counters.counted(place)
        yield recording


def _arm(place: Place, protocols: Collection[int], recording: Recording, undo: ExitStack) -> None:
    namespace = place.namespace
    legacy = place.lab.own_file_reader(namespace)(*_LEGACY).strip()
    if not legacy and not tables.families(namespace.netfilter):
        return
    recording.places.append(place)
    recording.rulesets[place.full_name] = Ruleset(namespace.netfilter, place.execute)
    if legacy:
        undo.enter_context(log_trace.log_here(namespace))
        undo.callback(partial(_read_legacy, place, recording))
    state = nft_trace.arm(namespace, [*states.link_names(namespace).names.values()], protocols)
    recording.unseen += (f"{place.full_name}: {each}" for each in state.refused)
    undo.callback(nft_trace.disarm, namespace, state)
    undo.callback(partial(_read_nft, place, recording))


def _read_nft(place: Place, recording: Recording) -> None:
    recording.nft[place.full_name], whole = nft_trace.traced(place.namespace)
    if not whole:
        recording.whole = False
        recording.unseen.append(f"some rules of {place.full_name}: the kernel said more than there was room for")


def _read_legacy(place: Place, recording: Recording) -> None:
    recording.legacy[place.full_name] = log_trace.traced(place.namespace)
