"""What every probe is: something that can be attempted, and whose frames can be told from all others."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cnitest.kernel.namespaces import Kept
from cnitest.kernel.tap import Frame

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.options import Options

# The kernel's own verdict on this very packet: its firewall said no, or it is too large to leave.
_JUDGED = {errno.EPERM: "the sender's own firewall refused it", errno.EMSGSIZE: "it is larger than the path allows"}


@dataclass(frozen=True)
class Attempt:
    """One sending. ``refusal`` says who turned it down, where an answer says so; ``error`` is the sender's kernel's;
    ``doubt`` says why silence would prove nothing. Of a probe to a group ``receivers`` are the places that received it;
    ``remark`` is what is known of why nobody answered, ``pending`` tells the frames of the step that it is still in."""

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

    def unheard(self) -> Attempt:
        """The same attempt as someone sees it who cannot see answers."""
        return replace(self, answered=False, answered_by=None, source_seen=None, rtt=None, refusal="", receivers=())

    @property
    def judged(self) -> str:
        """The sender's kernel's verdict on this very packet, empty when it gave none."""
        return _JUDGED.get(self.error.errno or 0, "") if self.error else ""

    @property
    def trouble(self) -> str:
        """Why the sender's kernel did not send it, empty when it did."""
        return os.strerror(self.error.errno) if self.error and self.error.errno else str(self.error or "")


class Probe(Protocol):
    """Something that can be sent again and again until its fate is clear."""

    sender: Place
    destination: str
    what: str
    options: Options

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
        """The source address in a frame of this probe as the far end received it."""
        ...


def canonical(address: str) -> str:
    """An address in its usual spelling. Raises ValueError that says what is wrong with it."""
    bare, percent, scope = address.partition("%")
    try:
        return f"{ipaddress.ip_address(bare)}{percent}{scope}"
    except ValueError:
        raise ValueError(f"{address!r} is not an IP address; a probe goes to an address, not to a name") from None


def is_ipv6(address: str) -> bool:
    """Whether an address is an IPv6 one."""
    return ":" in address
