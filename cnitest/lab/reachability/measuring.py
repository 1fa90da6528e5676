"""What a lab can ask of many places at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from cnitest.errors import is_ours
from cnitest.lab.reachability.kinds import DEFAULT

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place
    from cnitest.lab.reachability.matrix import Reachability

    Places = Place | str | Iterable[Place | str] | None

__tracebackhide__ = is_ours


class Measuring:
    """The part of a `Lab` that probes many places."""

    def reachability(
        self,
        places: Places = None,
        probes: str | Sequence[str] = DEFAULT,
        *,
        to: Places = None,
        family: int | Sequence[int] | None = None,
        addresses: Mapping[Any, str | Sequence[str]] = MappingProxyType({}),
        wait: float | None = None,
    ) -> Reachability:
        """Probe each of ``places`` (default: all with addresses) from each other one: who reaches whom, as a matrix.

        Places are given themselves or by names and patterns (``node/*``). ``probes`` are ``icmp``, ``tcp:PORT``,
        ``udp:PORT``, ``sctp:PORT``, of IPv6 ``icmp6``, ``tcp6:PORT`` and so on; ``family`` (4, 6 or both) has them sent
        over it instead; where nobody has an IPv4 address, the default ones are sent over IPv6.
        ``to`` are others that are probed from ``places``. A place is probed at its first global
        address of the family as ``ip address`` shows them, or at the address or link that ``addresses`` names. ``wait``
        is how many seconds an answer has. Raises UsageError, UnknownName.
        """
        from cnitest.lab.reachability.measure import measure

        return measure(cast("Lab", self), places, probes, to, family, addresses, wait)
