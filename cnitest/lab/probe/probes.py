"""What a place can ask with packets: ping, TCP, UDP, SCTP, ARP and neighbour discovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnitest.errors import UsageError, is_ours
from cnitest.lab.arguments import checked

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.kinds.stream import StreamProbe
    from cnitest.lab.probe.options import Options
    from cnitest.lab.probe.verdict.inquiry import Watch
    from cnitest.lab.reach import Reach

__tracebackhide__ = is_ours


class Probes:
    """The part of a `Place` that sends single probes and says what became of them."""

    @checked
    def ping(
        self,
        address: str,
        *,
        size: int = 56,
        df: bool = False,
        ttl: int | None = None,
        source: str | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Send an ICMP or ICMPv6 echo request and say what became of it.

        ``size`` is the payload in bytes as ping(8) counts it, ``df`` forbids fragments, ``ttl`` is the hop limit,
        ``mark`` the fwmark, ``tos`` the TOS or traffic class (a byte, or a DSCP class such as ``"EF"``), ``wait`` the
        seconds after which an attempt counts as lost. ``watch="all"`` has every place of the lab watch, so that the
        path of a delivered one is whole; it takes longer. A multicast or broadcast address (``ff02::1%eth0``) is
        answered when anyone else answers; see `Reach.receivers`. Raises UsageError for what no packet can have.
        """
        from cnitest.lab.probe.kinds.echo import EchoProbe
        from cnitest.lab.probe.kinds.group import group_of
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, mark=mark, tos=tos, ttl=ttl)
        group = group_of(_place(self), address)
        if group is None:
            return prove(EchoProbe(_place(self), address, size=size, df=df, options=sent), wait, watch)
        from cnitest.lab.probe.kinds.group_echo import GroupEcho

        return prove(GroupEcho(group, size=size, df=df, options=sent), wait, watch)

    @checked
    def tcp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        source_port: int | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        ttl: int | None = None,
        size: int | None = None,
        reply_size: int | None = None,
        rate: float | str | None = None,
        hold: float = 0.0,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Connect, send a unique payload and get it back.

        The listener is started where ``address`` lives, or at ``listener`` (port ``listener_port``) when something
        on the way translates the destination. A listener that already is there is used. ``source``, ``source_port``,
        ``mark``, ``tos`` and ``ttl`` are those of the client's packets. Raises UsageError for what no packet can have.

        With ``size`` so many bytes go to the listener, with ``reply_size`` so many come back, each checked, at most
        ``rate`` bits a second (a number, or as tc(8) has it: ``"10mbit"``). The connection then rests for ``hold``
        seconds and has to carry bytes both ways once more. A transfer without a new byte for ``wait`` seconds, at least
        one, is stuck.
        """
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, source_port=source_port, mark=mark, tos=tos, ttl=ttl)
        to = (address, port, listener, listener_port or port)
        return prove(_connection(_place(self), *to, sent, size, reply_size, rate, hold), wait, watch)

    @checked
    def sctp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """An SCTP association; as `tcp` otherwise. Raises FeatureMissing where the kernel has none."""
        from cnitest.lab.probe.kinds.sctp import SctpProbe
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, mark=mark, tos=tos)
        SctpProbe.require()
        return prove(SctpProbe(_place(self), address, port, listener, listener_port or port, sent), wait, watch)

    @checked
    def udp(
        self,
        address: str,
        port: int,
        *,
        listener: Place | Sequence[Place] | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        source_port: int | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        ttl: int | None = None,
        size: int = 32,
        join: bool = True,
        wait: float | None = None,
        watch: Watch = "ends",
    ) -> Reach:
        """Send a datagram with a unique payload of ``size`` bytes and get it back; as `tcp` otherwise.

        To a multicast or broadcast address there may be several listeners; they join the group unless ``join`` is
        false, and all have to get it. Without any, those listen who are members already, and one is enough.
        """
        from cnitest.lab.probe.kinds.datagram import DatagramProbe
        from cnitest.lab.probe.kinds.group import group_of
        from cnitest.lab.probe.options import options
        from cnitest.lab.probe.verdict.inquiry import prove

        sent = options(address, source=source, source_port=source_port, mark=mark, tos=tos, ttl=ttl)
        group = group_of(_place(self), address)
        listeners = _several(listener)
        if group:
            from cnitest.lab.probe.kinds.group_datagram import GroupDatagram

            probe = GroupDatagram(group, port, listeners, listener_port or port, join=join, size=size, options=sent)
            return prove(probe, wait, watch)
        if len(listeners) > 1:
            raise UsageError(f"{address} is no group: a datagram to it has one listener, not {len(listeners)}")
        far = listeners[0] if listeners else None
        return prove(DatagramProbe(_place(self), address, port, far, listener_port or port, size, sent), wait, watch)

    @checked
    def arp(self, address: str, *, on: str | None = None, wait: float | None = None, watch: Watch = "ends") -> Reach:
        """Ask who has ``address`` (ARP, or a neighbour solicitation for IPv6) on a link and await the answer."""
        from cnitest.lab.probe.verdict.inquiry import prove
        from cnitest.lab.probe.verdict.neighbour import NeighbourProbe

        return prove(NeighbourProbe(_place(self), address, on), wait, watch)


def _place(probes: Probes) -> Place:
    """The place that this is a part of."""
    return cast("Place", probes)


def _connection(
    place: Place,
    address: str,
    port: int,
    listener: Place | None,
    listener_port: int,
    sent: Options,
    size: int | None,
    reply_size: int | None,
    rate: float | str | None,
    hold: float,
) -> StreamProbe:
    """The probe of one connection: a few bytes, or the load that was asked for. Raises UsageError for a group."""
    from cnitest.lab.probe.kinds.group import group_of
    from cnitest.lab.probe.kinds.stream import StreamProbe

    if group_of(place, address):
        raise UsageError(f"{address} is a group: a TCP connection has one other end; udp() and ping() go to many")
    if size is reply_size is rate is None and not hold:
        return StreamProbe(place, address, port, listener, listener_port, sent)
    from cnitest.lab.probe.kinds.bulk import BulkProbe, load

    return BulkProbe(place, address, port, listener, listener_port, load(size, reply_size, rate, hold), sent)


def _several(listener: Place | Sequence[Place] | None) -> tuple[Place, ...]:
    if isinstance(listener, Probes):
        return (listener,)
    return tuple(listener or ())
