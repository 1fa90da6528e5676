"""Who has to wait for whom: one operation at a time on a container, and GC alone on its network (SPEC section 3).

Whoever needs both takes the network first, then the container, so nobody waits in a circle.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cnitest.cni.attachment import Target
from cnitest.cni.calls.mode import Mode
from cnitest.deadline import Deadline
from cnitest.errors import is_ours

__tracebackhide__ = is_ours

Key = tuple[str, ...]


class Locks:
    """The locks of one runtime, made as they are asked for; a wait ends after ``timeout`` seconds."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._changed = threading.Condition()
        self._holders: dict[Key, list[str]] = {}
        self._alone: set[Key] = set()
        self._wants_alone: Counter[Key] = Counter()

    @contextmanager
    def alone(self, key: Key, who: str, why: str) -> Iterator[None]:
        """Hold ``key`` with nobody beside us. Raises DeadlineExceeded that names who held it all the time."""
        self._enter(key, who, why, alone=True)
        try:
            yield
        finally:
            self._leave(key, who)

    @contextmanager
    def together(self, key: Key, who: str, why: str) -> Iterator[None]:
        """Hold ``key`` with others who share it; who wants it alone comes first. Raises DeadlineExceeded."""
        self._enter(key, who, why, alone=False)
        try:
            yield
        finally:
            self._leave(key, who)

    def _enter(self, key: Key, who: str, why: str, *, alone: bool) -> None:
        with self._changed:
            self._wants_alone[key] += alone
            try:
                self._await(key, who, why, alone=alone)
            finally:
                self._wants_alone[key] -= alone
                self._changed.notify_all()
            self._holders.setdefault(key, []).append(who)
            if alone:
                self._alone.add(key)

    def _await(self, key: Key, who: str, why: str, *, alone: bool) -> None:
        end = Deadline.after(self._timeout, "")
        while not self._free(key, alone=alone):
            if end.expired:
                ahead = " and ".join(self._holders.get(key, [])) or "another that wants to be alone"
                Deadline(f"{ahead} to end, so that {who} may begin: {why}", self._timeout, end.end).check()
            self._changed.wait(end.remaining)

    def _free(self, key: Key, *, alone: bool) -> bool:
        if alone:
            return key not in self._holders
        return key not in self._alone and not self._wants_alone[key]

    def _leave(self, key: Key, who: str) -> None:
        with self._changed:
            self._holders[key].remove(who)
            self._alone.discard(key)
            if not self._holders[key]:
                del self._holders[key]
            self._changed.notify_all()


class Turns:
    """When each operation of a runtime may run, as its mode says."""

    def __init__(self, mode: Mode, locks: Locks) -> None:
        self._mode = mode
        self._locks = locks

    @contextmanager
    def take(self, command: str, target: Target) -> Iterator[None]:
        """Wait until nothing is in the way of an operation, and keep others out of its way. Raises DeadlineExceeded."""
        key = ("network", target.host.full_name, target.network.name)
        why = "no ADD or DEL may run beside a GC of its network (SPEC section 3)"
        with ExitStack() as undo:
            if self._mode.gc_runs_alone and command != "CHECK":
                hold = self._locks.alone if command == "GC" else self._locks.together
                undo.enter_context(hold(key, f"{command} of {target.words}", why))
            if target.container_id:
                undo.enter_context(self.container(command, target))
            yield

    @contextmanager
    def container(self, command: str, target: Target) -> Iterator[None]:
        """Keep a container to one operation (RT-12). Raises DeadlineExceeded."""
        key = ("container", target.host.full_name, target.container_id)
        why = "a container takes one operation at a time (SPEC section 3)"
        with ExitStack() as undo:
            if self._mode.locks_containers:
                undo.enter_context(self._locks.alone(key, f"{command} of {target.words}", why))
            yield
