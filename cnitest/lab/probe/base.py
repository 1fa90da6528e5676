"""What every probe is: something that can be attempted, and whose frames can be distinguished from all others."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cnitest.deadline import Deadline
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.argument_checks import parsed

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.options import Options

# After the deadline, what is ready already is still served so often: it came in time, only we were late.
_MOST_AFTERWARDS = 16
# An answer comes in less than a millisecond. Where none does, whether one still can is asked after so many seconds, and
# then again after twice as many, at most every so many.
_FIRST_LOOK, _LONGEST_BETWEEN = 0.002, 0.05

#: Tells of the frames that are an attempt's whether that attempt can be given up: nothing of it is on its way any more.
Gone = Callable[[Callable[[Frame], bool]], bool]


@dataclass(frozen=True)
class Attempt:
    """One sending. ``refusal`` says who turned it down, where an answer says so; ``error`` is the sender's kernel's;
    ``doubt`` says why silence would prove nothing. Of a probe to a group ``receivers`` are the places that received it;
    ``remark`` is what is known of why nobody answered.

    ``matches`` recognises its frames; ``pending`` says which of these belong to the step that it is still in, so
    that what is on its way back among them is what was waited for. ``received`` says how often the listener got it.
    ``helped`` is one while which we asked for a MAC in a place's stead: an answer that comes late is owed to us. After
    ``until`` (nanoseconds since the epoch, 0 where it does not matter) nobody listens: a later error may be about that.
    """

    matches: Callable[[Frame], bool]
    answered: bool = False
    answered_by: str | None = None
    source_seen: str | None = None
    rtt: float | None = None
    refusal: str = ""
    doubt: str = ""
    error: OSError | None = None
    receivers: tuple[str, ...] = ()
    remark: str = ""
    pending: Callable[[Frame], bool] = lambda _: True
    received: int = 0
    helped: bool = False
    until: int = 0

    def unheard(self) -> Attempt:
        """The same attempt as someone sees it who cannot see answers."""
        return replace(self, answered=False, answered_by=None, source_seen=None, rtt=None, refusal="", receivers=())

    @property
    def forbidden(self) -> bool:
        """Whether the sender's own firewall said no to this very packet."""
        return self.error is not None and self.error.errno == errno.EPERM

    @property
    def no_neighbour(self) -> bool:
        """Whether the sender's kernel asked for the next hop's MAC and got no answer."""
        return self.error is not None and self.error.errno == errno.EHOSTUNREACH

    @property
    def too_large(self) -> bool:
        """Whether the sender's kernel found this very packet too large to leave."""
        return self.error is not None and self.error.errno == errno.EMSGSIZE

    @property
    def violation(self) -> str:
        """Why the sender's kernel did not send it, empty when it did."""
        return os.strerror(self.error.errno) if self.error and self.error.errno else str(self.error or "")


class Probe(Protocol):
    """Something that can be sent again and again until its fate is clear."""

    sender: Place
    destination: str
    what: str
    options: Options
    size: int
    #: ``icmp`` (of both families), ``tcp``, ``udp``, ``sctp``, ``arp`` or ``nd``.
    transport: str
    #: The port that it goes to, 0 where there are none.
    port: int

    @property
    def source(self) -> str | None:
        """The address it is sent from, when one was chosen."""
        ...

    @property
    def link(self) -> str | None:
        """The link it is sent on, when one was chosen."""
        ...

    @property
    def far(self) -> Place | None:
        """The place that is to receive it, when the lab knows one."""
        ...

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The sockets it uses that stay open for the next one."""
        ...

    def attempt(self, wait: float) -> Attempt:
        """Send it once and wait that many seconds for an answer; returns at the first one."""
        ...

    def source_in(self, frame: Frame) -> str | None:
        """The source address in a frame that came in at the far end, None when it is no request of this probe."""
        ...


class Traceable(Probe, Protocol):
    """A probe that is lost when one packet of it is: an attempt can be given up before its time."""

    #: Seconds after which a kernel sends by itself what got no answer; an attempt that waits longer has to wait.
    sent_again_after: float

    def attempt_unless(self, gone: Gone | None, wait: float) -> Attempt:
        """As ``attempt``, but returns when ``gone`` says that nothing is on its way any more, too."""
        ...


def rounds(
    watch: select.poll, deadline: Deadline, gone: Callable[[], bool] | None = None
) -> Iterator[list[tuple[int, int]]]:
    """What is ready, again and again until the deadline; and then what came before it and nobody looked at yet.

    ``gone``, when given, is asked while nothing is, and ends the wait when it says so and nothing has come meanwhile.
    """
    late, pause, over = 0, _FIRST_LOOK, False
    while late < _MOST_AFTERWARDS:
        left = 0.0 if over else deadline.remaining
        events = watch.poll((left if gone is None else min(left, pause)) * 1000)
        if events:
            late += deadline.expired
            over = False
            yield events
        elif over or gone is None or deadline.expired:
            return
        else:
            over = gone()
            pause = min(2 * pause, _LONGEST_BETWEEN)


def carrying(part: bytes) -> Callable[[Frame], bool]:
    """Recognises the frames that have a part of a payload in them."""
    return lambda frame: part in frame.data


def canonical(address: str) -> str:
    """An address in its usual spelling. Raises ValueError that says what is wrong with it."""
    bare, percent, scope = address.partition("%")
    try:
        return str(parsed(bare)) + percent + scope
    except ValueError:
        raise ValueError(f"{address!r} is not an IP address; a probe goes to an address, not to a name") from None


def is_ipv6(address: str) -> bool:
    """Whether an address is an IPv6 one."""
    return ":" in address
