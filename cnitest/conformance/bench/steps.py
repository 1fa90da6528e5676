"""What was done on a bench, step by step, so that it can be done again by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.lab.snapshot.state import State
from cnitest.testing.records import Record as CallRecord


class CommandRun(NamedTuple):
    """A command that was run at ``place``: ``node``, or a container's name. ``works`` when it had to succeed."""

    place: str
    argv: tuple[str, ...]
    works: bool = True


class Ask(NamedTuple):
    """A call of a plugin. ``limit`` is after how many seconds it was to be killed, when that was the point of it, and
    ``change`` before which of its changes it was (0: not by that); calls of one ``batch`` ran at the same time (0:
    alone)."""

    call: Call
    limit: float | None = None
    batch: int = 0
    change: int = 0


class Look(NamedTuple):
    """The state of the host and of some containers was taken, at ``moment`` (in seconds of the monotonic clock)."""

    name: str
    containers: tuple[str, ...]
    picture: Mapping[str, State]
    moment: float


class ProbeSent(NamedTuple):
    """A packet was sent from a place to an address, which neighbours may remember."""

    place: str
    target: str


class FileWritten(NamedTuple):
    """An executable was written."""

    path: str
    text: str


class SearchPath(NamedTuple):
    """Directories that plugins are looked for in first from now on."""

    directories: tuple[str, ...]


class Release(NamedTuple):
    """The plugins in these directories, another release's, come first from now on."""

    directories: tuple[str, ...]


class Fake(NamedTuple):
    """A plugin that plays a part was installed, or given another part: its replies by command."""

    directory: str
    name: str
    replies: Mapping[str, Sequence[Mapping[str, Any]]]


class Forget(NamedTuple):
    """The record of such a plugin was emptied."""

    directory: str
    name: str


class Saw(NamedTuple):
    """What such a plugin had seen by then."""

    directory: str
    name: str
    records: tuple[CallRecord, ...]


class DaemonStart(NamedTuple):
    """A daemon was started; it was ready when its socket was there."""

    argv: tuple[str, ...]
    socket: str


class DaemonEnd(NamedTuple):
    """The daemon was killed."""


Step = (
    CommandRun
    | Ask
    | Look
    | ProbeSent
    | FileWritten
    | SearchPath
    | Release
    | Fake
    | Forget
    | Saw
    | DaemonStart
    | DaemonEnd
)


class NoAnswer(NamedTuple):
    """A packet from a place, by its full name, to an address got no answer; ``seconds`` is how long that may take, 0
    as long as any. ``cause`` is the id of why it was lost and ``dropped_by`` what it was lost to, empty where that was
    not found."""

    sender: str
    target: str
    seconds: float = 0
    cause: str = ""
    dropped_by: str = ""


class NoArrival(NamedTuple):
    """A packet from a place to an address does not arrive at ``receiver``, which has that address; it is TCP or UDP to
    ``port``, or an echo. ``dropped_by`` is what it was lost to, empty where that was not found."""

    sender: str
    target: str
    receiver: str
    protocol: str = ""
    port: int = 0
    dropped_by: str = ""


class Arrival(NamedTuple):
    """A packet of TCP or UDP from a place to a port of an address arrives at ``receiver``, for which it is not."""

    sender: str
    target: str
    receiver: str
    protocol: str
    port: int


class SourceHidden(NamedTuple):
    """A packet from a place to an address no longer has its sender's own address ``source`` when it leaves the host."""

    sender: str
    target: str
    source: str


class SysctlChange(NamedTuple):
    """A sysctl has another value, at a place (`Place.full_name`) or, without one, on the host."""

    name: str
    before: str
    after: str
    place: str = ""


class DelegateCommands(NamedTuple):
    """A plugin that plays a part was called for other commands than it should."""


#: What a complaint can be about, for the script that shows it again.
Evidence = Leftover | Call | NoAnswer | NoArrival | Arrival | SourceHidden | SysctlChange | DelegateCommands


class Complaint(NamedTuple):
    """What did not hold, and after how many steps that was known. ``witness`` is a condition in shell that holds while
    it is so, ``kernel`` one that does beside what the plugin answers, ``about`` the record that its words were made of;
    without them the script compares the plugin's answers. ``fault`` says what is wrong with a call (see
    `protocol.CallFault`)."""

    detail: str
    after: int
    witness: str = ""
    kernel: str = ""
    about: Evidence | None = None
    fault: str = ""
