"""Attempts at many probes at once: all are sent, then what comes back is collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cnitest.deadline import Deadline
from cnitest.lab.probe.base import Attempt, Probe
from cnitest.lab.probe.batch.outcomes import Outcomes
from cnitest.lab.probe.batch.sockets import Sockets

# So many are sent before those that have come back meanwhile are read: no socket's buffer has to hold more.
_SENT_AT_ONCE = 16
# After the deadline, what is ready already is still served so often: it came in time, only we were late.
_MOST_AFTERWARDS = 64


class Exchange(Protocol):
    """How probes of one kind are sent and answered."""

    def send(self, at: int, probe: Any) -> None:
        """Send a probe; its outcomes are noted as those of number ``at``."""
        ...

    def silent(self, at: int, probe: Any) -> Attempt:
        """The attempt of a probe that nobody answered."""
        ...


def attempt_all(
    probes: Sequence[Probe], wait: float, *, meanwhile: Callable[[], object] = lambda: None, quiet: float | None = None
) -> list[Attempt]:
    """Attempt each probe once; wait for answers until ``wait`` seconds after the last was sent.

    With ``quiet``, only until no answer came for so many seconds: silence then says nothing. ``meanwhile`` is called
    now and then.
    """
    with Sockets() as sockets:
        outcomes = Outcomes(len(probes))
        exchanges: dict[type, Exchange] = {}
        known = kinds()
        for at, probe in enumerate(probes):
            exchange = exchanges.get(type(probe))
            if exchange is None:
                exchange = exchanges[type(probe)] = known[type(probe)](sockets, outcomes)
            exchange.send(at, probe)
            if at % _SENT_AT_ONCE == _SENT_AT_ONCE - 1:
                _serve_ready(sockets)
                meanwhile()
        _collect(sockets, outcomes, wait, meanwhile, quiet)
        thorough = quiet is None
        return [
            exchanges[type(probe)].silent(at, probe) if thorough and at in outcomes.waiting else outcomes.attempts[at]
            for at, probe in enumerate(probes)
        ]


def kinds() -> dict[type, Callable[[Sockets, Outcomes], Exchange]]:
    """The kinds of probes that can be under way together."""
    from cnitest.lab.probe.batch.datagrams import Datagrams
    from cnitest.lab.probe.batch.echoes import Echoes
    from cnitest.lab.probe.batch.streams import Streams
    from cnitest.lab.probe.kinds.datagram import DatagramProbe
    from cnitest.lab.probe.kinds.echo import EchoProbe
    from cnitest.lab.probe.kinds.stream import StreamProbe

    return {EchoProbe: Echoes, DatagramProbe: Datagrams, StreamProbe: Streams}


def _serve_ready(sockets: Sockets) -> None:
    for _ in range(_MOST_AFTERWARDS):
        if not sockets.serve(0):
            return


def _collect(
    sockets: Sockets, outcomes: Outcomes, wait: float, meanwhile: Callable[[], object], quiet: float | None
) -> None:
    deadline = Deadline.exactly(wait, "answers")
    while outcomes.waiting and not deadline.expired:
        if not sockets.serve(min(deadline.remaining, quiet or wait)) and quiet:
            break
        meanwhile()
    _serve_ready(sockets)
