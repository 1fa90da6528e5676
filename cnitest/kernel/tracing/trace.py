"""The trace of this process: one tracefs instance that notes what its threads do to packets.

Arming takes the kernel tens of milliseconds, so it is done once, in a thread beside (`begin`), and undone when the
process ends. Armed, it costs a probe microseconds. Without real root, or where tracefs is absent, `why` says so.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from cnitest.kernel.tracing import instances
from cnitest.kernel.tracing.events import Lost, TraceEvent, parse

#: What is noted, of that what this kernel has: only what somebody reads, for each costs every packet a little.
EVENTS = (
    "skb/kfree_skb",
    "skb/consume_skb",
    "net/net_dev_queue",
    "net/netif_rx",
    "net/netif_receive_skb",
    "neigh/neigh_create",
    "neigh/neigh_update",
    "neigh/neigh_event_send_done",
)
#: Without these nothing can be said of a packet.
_NEEDED = EVENTS[:5]
# Most of what is freed is none of the network's packets and has no protocol; what is used up outside of softirqs are
# answers of netlink and what sniffers have read.
_FILTERS = {"skb/kfree_skb": "protocol != 0", "skb/consume_skb": "common_flags & 16"}
# Of a buffer a processor: softirqs of other labs are noted, too, so on a busy machine it grows where it was too small.
_KILOBYTES, _MOST_KILOBYTES, _GROWS = 64, 1024, 4
_REMEMBERED = 1 << 16
# So many threads of ours are followed before it is looked which have ended.
_MOST_FOLLOWED = 16
_PAGE = 1 << 16
# What a buffer holds is so many times as long in words, at most.
_IN_WORDS = 4
_TIMEOUT = 5.0
_OVERLAP = 50_000_000


class Trace:
    """An armed instance. Everything it notes is of threads that are followed, and of the kernel's own for softirqs."""

    def __init__(self, directory: int, thread: int) -> None:
        """Make an instance in a directory of them, which stays open with it, and follow a thread. Raises OSError."""
        self._directory = directory
        self._lock = threading.Lock()
        self._followed: set[int] = set()
        self._softirqs: frozenset[int] = frozenset()
        self._recent: deque[TraceEvent] = deque(maxlen=_REMEMBERED)
        # Of each processor, until when its events may be incomplete.
        self._lost: dict[int, int] = {}
        self._incomplete: set[int] = set()
        self._kilobytes = _KILOBYTES
        self._pipe = -1
        self._rest = ""
        self.name, self._instance = instances.make(directory)
        try:
            self._arm(thread)
        except BaseException:
            self.end()
            raise

    def _arm(self, thread: int) -> None:
        self._write("trace_clock", "mono")
        self._write("buffer_size_kb", str(_KILOBYTES))
        self._softirqs = frozenset(_softirq_threads())
        self.follow(thread, *self._softirqs)
        for event in EVENTS:
            self._enable(event)
        self._pipe = os.open("trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._instance)

    def _enable(self, event: str) -> None:
        if event in _FILTERS:
            with contextlib.suppress(OSError):  # a kernel before 5.17 has other fields
                self._write(f"events/{event}/filter", _FILTERS[event])
        try:
            self._write(f"events/{event}/enable", "1")
        except FileNotFoundError:
            if event in _NEEDED:
                raise

    def follow(self, *threads: int) -> None:
        """Note from now on what these threads (native ids) do, too. Raises OSError."""
        if new := [thread for thread in threads if thread not in self._followed]:
            self._write("set_event_pid", " ".join(map(str, new)), os.O_APPEND)
            self._followed.update(new)
            if len(self._followed) > len(self._softirqs) + _MOST_FOLLOWED:
                self._unfollow_ended()

    def _unfollow_ended(self) -> None:
        """Leave out threads that have ended: the kernel gives their ids to others, who may have many packets."""
        here = {int(name) for name in os.listdir("/proc/self/task")}
        left = self._followed & (here | self._softirqs)
        if left and left != self._followed:
            self._write("set_event_pid", " ".join(map(str, sorted(left))))
            self._followed = left

    def since(self, when: int) -> tuple[TraceEvent, ...] | None:
        """What was noted from a moment on (nanoseconds on the monotonic clock), in its order; never waits.

        None when the buffer was too small for it, and some is lost. The last few thousand events can be asked for.
        """
        with self._lock:
            if self._pipe < 0:
                return None
            self._read()
            whole = all(until < when for until in self._lost.values()) and not self._incomplete
            if not whole or (len(self._recent) == _REMEMBERED and self._recent[0].when >= when):
                return None
            # Processors are read one after the other, so a later read may begin a little before the end of the last.
            late = takewhile(lambda event: event.when >= when - _OVERLAP, reversed(self._recent))
            return tuple(event for event in late if event.when >= when)[::-1]

    def _read(self) -> None:
        """Take over what the kernel has noted since the last time; where that did not fit, have more room next time."""
        lost = False
        for event in parse(self._lines()):
            if isinstance(event, Lost):
                self._incomplete.add(event.cpu)
                lost = True
                continue
            if event.cpu in self._incomplete:  # what comes first after a loss is when it ended
                self._incomplete.discard(event.cpu)
                self._lost[event.cpu] = event.when
            self._recent.append(event)
        if lost:
            with contextlib.suppress(OSError):  # it stays as it is
                self._make_room()

    def _make_room(self) -> None:
        self._unfollow_ended()
        if self._kilobytes < _MOST_KILOBYTES:
            self._kilobytes *= _GROWS
            self._write("buffer_size_kb", str(self._kilobytes))

    def _lines(self) -> Iterable[str]:
        """What is in the buffers by now; not all that comes meanwhile, which may have no end."""
        parts, rest = [self._rest], _IN_WORDS * self._kilobytes * 1024 * (os.cpu_count() or 1)
        with contextlib.suppress(BlockingIOError):
            while rest > 0 and (read := os.read(self._pipe, _PAGE)):
                parts.append(read.decode(errors="replace"))
                rest -= len(read)
        *lines, self._rest = "".join(parts).split("\n")
        return lines

    def _write(self, path: str, text: str, how: int = os.O_TRUNC) -> None:
        opened = os.open(path, os.O_WRONLY | os.O_CLOEXEC | how, dir_fd=self._instance)
        try:
            os.write(opened, text.encode())
        finally:
            os.close(opened)

    def end(self) -> None:
        """Remove the instance; a second time is no time."""
        with self._lock:
            if self._instance < 0:
                return
            pipe, self._pipe = self._pipe, -1
            instance, self._instance = self._instance, -1
        if pipe >= 0:
            os.close(pipe)
        with contextlib.suppress(OSError):  # somebody looks into it: swept at the next start
            os.rmdir(self.name, dir_fd=self._directory)
        os.close(instance)
        os.close(self._directory)


class _Own:
    """The trace of this process, as far as it is."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.trace: Trace | None = None
        self.why = ""
        self.done = threading.Event()

    def arm(self, thread: int) -> None:
        """Sweep, make the instance and arm it for a thread; note why not, where it cannot be."""
        try:
            directory = instances.open_all()
            with contextlib.suppress(OSError):
                instances.sweep(directory)
            self.trace = Trace(directory, thread)
        except OSError as error:
            self.why = _reason(error)
        finally:
            self.done.set()

    def end(self) -> None:
        """What the process does last. A child that was forked off leaves its parent's trace alone."""
        if self.pid != os.getpid():
            return
        if self.done.wait(_TIMEOUT) and self.trace:
            self.trace.end()


_starting = threading.Lock()
_own: dict[int, _Own] = {}


def begin() -> None:
    """Have this process's trace armed, unless it is; returns at once, a thread sees to it."""
    with _starting:
        if os.getpid() not in _own:
            own = _own[os.getpid()] = _Own()
            atexit.register(own.end)
            threading.Thread(target=own.arm, args=(threading.get_native_id(),), daemon=True).start()


def armed() -> Trace | None:
    """This process's trace, following the calling thread; None when it is not armed, or not yet. Never waits."""
    own = _own.get(os.getpid())
    if own is None or own.trace is None:
        return None
    try:
        own.trace.follow(threading.get_native_id())
    except OSError:  # ended, by another thread
        return None
    return own.trace


def await_armed(seconds: float = _TIMEOUT) -> Trace | None:
    """As `armed`, but begin and wait until it is decided, at most that long; `why` says why it is None."""
    begin()
    if own := _own.get(os.getpid()):
        own.done.wait(seconds)
    return armed()


def why() -> str:
    """Why this process has no trace; empty when it has one, or nobody asked for one."""
    own = _own.get(os.getpid())
    return own.why if own else ""


def end() -> None:
    """Remove this process's instance now; the next `begin` makes another."""
    with _starting:
        own = _own.pop(os.getpid(), None)
    if own:
        atexit.unregister(own.end)
        own.end()


def sweep() -> None:
    """Remove what processes of ours have left that were ended by a signal; nothing where that cannot be done."""
    with contextlib.suppress(OSError), instances.opened() as directory:
        instances.sweep(directory)


def _reason(error: OSError) -> str:
    """In words, why there can be no trace."""
    if error.errno in (errno.EPERM, errno.EACCES):
        why = "tracefs is for the machine's root, or locked down"
    elif not os.path.isdir("/sys/kernel"):
        why = "/sys is not mounted"
    elif error.errno in (errno.ENOENT, errno.ENODEV):
        why = "this kernel has no tracefs, or not the events that it takes"
    else:
        why = "tracefs does not work here"
    return f"packets cannot be traced: {why} ({error.strerror or error})"


def _softirq_threads() -> list[int]:
    """The kernel's threads that handle packets when there are many, one a processor."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{entry}/comm").read_bytes().startswith(b"ksoftirqd/"):
                    found.append(int(entry))
    return found
