"""Why a probe was not delivered, as frozen data; `cnitest.explain` makes it, and hands itself in when a lab is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cnitest.text import lines

# The programs that remedies run.
_COMMAND = re.compile(r"(ip|bridge|tc|nft|sysctl|conntrack|ipset|(ip6?|arp|eb)tables[a-z-]*) ")


class Hop(NamedTuple):
    """A link that carried the packet: ``direction`` is ``in`` or ``out`` as its place saw it; ``source`` and
    ``destination`` are the packet's there (with the port of TCP and UDP), so that a NAT shows."""

    place: str
    link: str
    direction: str
    source: str = ""
    destination: str = ""
    returning: bool = False

    def __str__(self) -> str:
        return f"{self.place}:{self.link} {self.direction}"


@dataclass(frozen=True)
class Cause:
    """Why a packet was lost.

    ``id`` is the cause's in docs/explain.md (``firewall.policy``), ``dropped_by`` short and the same each time
    (``ip filter FORWARD policy``), ``words`` the line for a person. ``place`` is the full name of the place where it
    happened, ``hook`` the point of its packet path (``FORWARD``), empty where there is none; ``evidence`` is what shows
    it, ``remedy`` what would let the packet pass, as a command where one does.
    """

    id: str
    dropped_by: str
    words: str
    place: str
    hook: str = ""
    evidence: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def command(self) -> str:
        """The remedy where it is a command, for a shell at ``place``; empty where it is advice, or not whole."""
        return self.remedy if _COMMAND.match(self.remedy) and "…" not in self.remedy else ""

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Explanation:
    """What is known of why a probe was not delivered.

    ``head`` says what was sent and what became of it, ``where`` the place and link at which it (``returning``: the
    answer to it) was last seen. ``hops`` are all that carried it, in order. ``cause`` is None when none was found:
    ``ruled_out`` then says what it is not, and ``unseen`` what could not be looked at, and why.
    """

    head: str
    where: str = ""
    returning: bool = False
    hops: tuple[Hop, ...] = ()
    cause: Cause | None = None
    evidence: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def __str__(self) -> str:
        return lines("\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        hook = f", hook {self.cause.hook}" if self.cause and self.cause.hook else ""
        yield f"{self.head}{hook}" + (":" if self.cause or self.hops else "")
        if self.cause:
            yield f"  {self.cause.words}"
        if self.hops:
            yield f"  {self._way()}"
        if self.cause and self.cause.remedy:
            yield f"  would pass with: {self.cause.remedy}"
        for each in (*(self.cause.evidence if self.cause else ()), *self.evidence):
            yield f"  evidence: {each}"
        if self.cause is None and self.head:
            yield from (f"  ruled out: {each}" for each in self.ruled_out)
        yield from (f"  not seen: {each}" for each in self.unseen)

    def _way(self) -> str:
        """The hops on one line, each place named when the packet comes to it, and a cross where it ended."""
        found, here = [], ""
        for hop in self.hops:
            found.append(f"{hop.link} {hop.direction}" if hop.place == here else str(hop))
            here = hop.place
        if self.cause:
            found.append(f"✗ {self.cause.hook or self.cause.place}")
        return " · ".join(found)
