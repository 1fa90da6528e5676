"""Which frames of a probe are on their way to the far end, and which are on their way back."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.probe.wire import Direction, Headers

# By what they are: requests and replies of ICMP, ICMPv6, ARP and neighbour discovery.
_FORTH = {(wire.ICMP, 8), (wire.ICMPV6, 128), (wire.ICMPV6, 135), (0, 1)}
_BACK = {(wire.ICMP, 0), (wire.ICMPV6, 129), (wire.ICMPV6, 136), (0, 2)}


def returning(ordered: Iterable[tuple[str, Frame]], sender: str, receiver: str) -> list[bool]:
    """For each frame as (place, frame), in order, whether it travels back to the sender."""
    known = _Directions(sender, receiver)
    return [known.of(place, frame) for place, frame in ordered]


class _Directions:
    """What is known of the flows so far. A NAT begins new ones, of packets that were seen before."""

    def __init__(self, sender: str, receiver: str) -> None:
        self._sender, self._receiver = sender, receiver
        self._forth: set[Direction] = set()
        self._packets: dict[Hashable, bool] = {}

    def of(self, place: str, frame: Frame) -> bool:
        """Whether a frame travels back, or what a tunnel carries in it. An ICMP error goes against what it quotes."""
        error = wire.icmp_error(frame.data)
        if error:
            quoted = self._known(error[2])
            return quoted is not True
        carried = tunnels.innermost(frame.data)
        headers = wire.read(carried)
        back = self._known(headers)
        if back is None:
            known = self._packets.get(headers.travels, self._guess(place, frame, headers))
            back = known or self._is_for_who_asked(headers)
            self._note(headers, back=back)
        if carried is not frame.data:
            self._note(wire.read(frame.data), back=back)
        self._packets[headers.travels] = back
        return back

    def _note(self, headers: Headers, *, back: bool) -> None:
        self._forth.add(headers.flow.reversed() if back else headers.flow)

    def _known(self, headers: Headers) -> bool | None:
        kind = (headers.protocol, headers.kind)
        if kind in _FORTH or kind in _BACK:
            return kind in _BACK
        if headers.flow in self._forth:
            return False
        return True if headers.flow.reversed() in self._forth else None

    def _is_for_who_asked(self, headers: Headers) -> bool:
        """Whether it is sent to the very port that a request came from, by another one: what says the same comes from
        an address that was not asked, as where a rule rewrites it."""
        if not headers.destination_port:
            return False
        home = (headers.protocol, headers.destination, headers.destination_port)
        asking = (flow for flow in self._forth if (flow.protocol, flow.source, flow.source_port) == home)
        return any(flow.source != headers.source for flow in asking)

    def _guess(self, place: str, frame: Frame, headers: Headers) -> bool:
        """Of a packet that was never seen before: what the sender gets and what the receiver sends is an answer, and so
        is a reset, which a place gives itself where a rule rejects what it sends."""
        if headers.protocol == wire.TCP and headers.flags & wire.RST:
            return True
        if place == self._sender:
            return not frame.out
        return frame.out and place == self._receiver
