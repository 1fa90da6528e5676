"""What a place can hold open and measure: connections and throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cnitest.errors import is_ours
from cnitest.lab.arguments import checked
from cnitest.lab.reach import Traffic

if TYPE_CHECKING:
    from cnitest.lab.flows.connection import Connection
    from cnitest.lab.flows.throughput import Throughput
    from cnitest.lab.place import Place

__tracebackhide__ = is_ours


class Flows:
    """The part of a `Place` that is about more than one packet."""

    @checked
    def connection(
        self,
        address: str,
        port: int,
        *,
        protocol: str = "tcp",
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        source_port: int | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
        wait: float = 2.0,
    ) -> Connection:
        """A TCP connection or a UDP flow (``protocol="udp"``) that stays open while the ``with`` block runs.

        Inside it ``send``, ``receive``, ``far.send`` and ``far.receive`` move bytes; ``alive()`` is a `Reach` that says
        whether bytes still go both ways. Its listener is as that of `tcp`, but always a new one. On entering raises
        DeadlineExceeded when it is not made within ``wait`` seconds, KernelError when it is turned down.
        """
        from cnitest.lab.flows.connection import Connection
        from cnitest.lab.probe.options import options

        place = _place(self)
        place.lab.journal.note(Traffic(place.full_name, "connection"))
        return Connection(
            place,
            address,
            port,
            protocol=protocol,
            listener=listener,
            listener_port=listener_port,
            options=options(address, source=source, source_port=source_port, mark=mark, tos=tos),
            wait=wait,
        )

    @checked
    def throughput(
        self,
        address: str,
        seconds: float = 1.0,
        *,
        rate: float | str | None = None,
        port: int = 5201,
        protocol: str = "tcp",
        listener: Place | None = None,
        listener_port: int | None = None,
        source: str | None = None,
        mark: int | None = None,
        tos: int | str | None = None,
    ) -> Throughput:
        """Send as much as gets through (at most ``rate``) for so many seconds, first there, then back, and count it.

        ``rate`` is in bits a second, or as tc(8) has it: ``"10mbit"``; ``protocol="udp"`` sends datagrams of 1200
        bytes. A shaper counts headers, too, about 5% of it. Raises as `connection` when there is none to measure.
        """
        from cnitest.lab.flows.throughput import measure
        from cnitest.lab.probe.options import options

        place = _place(self)
        place.lab.journal.note(Traffic(place.full_name, "throughput"))
        return measure(
            place,
            address,
            port,
            seconds=seconds,
            rate=rate,
            protocol=protocol,
            listener=listener,
            listener_port=listener_port,
            options=options(address, source=source, mark=mark, tos=tos),
        )


def _place(flows: Flows) -> Place:
    """The place that this is a part of."""
    return cast("Place", flows)
