"""The thread that enters namespaces, so that no other thread ever has to.

A namespace is a property of a thread. One thread a lab goes where it is asked to go, does one short thing there
(make a namespace, open a socket, write a sysctl, start a process) and reports back. What it opens stays bound to
the namespace and is used from any thread afterwards. It never waits for anything that can take long.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from cnitest.kernel.syscalls import CLONE_FS, unshare

T = TypeVar("T")


def _nothing() -> None:
    """Nothing."""


class Errand(Generic[T]):
    """One function to run over there, and what came of it."""

    __slots__ = ("_done", "_error", "_function", "_value")

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._done = threading.Lock()
        self._done.acquire()
        self._error: BaseException | None = None
        self._value: T

    @property
    def ready(self) -> bool:
        """Whether it has been run."""
        return not self._done.locked()

    def wait(self) -> T:
        """The function's value once it has been run, or raise what it raised; may be asked again."""
        with self._done:
            pass
        if self._error is not None:
            raise self._error
        return self._value

    def run(self) -> None:
        """Run the function and wake whoever waits; for the traveller."""
        try:
            self._value = self._function()
        except BaseException as error:  # handed to the one who asked
            self._error = error
        finally:
            self._done.release()


class Traveller:
    """A thread with a filesystem state of its own that runs functions one after the other."""

    def __init__(self) -> None:
        self._errands: SimpleQueue[Errand[Any] | None] = SimpleQueue()
        self._afterwards: Callable[[], None] = _nothing
        #: Our own /proc, for /proc/thread-self means nothing in a mount namespace with a /proc of other processes.
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # A bare thread: threading's own would have us wait until it runs, which is a tenth of a lab's build time.
        _thread.start_new_thread(self._work, ())

    def do(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the thread and return its value, or raise what it raised."""
        return self.begin(function).wait()

    def begin(self, function: Callable[[], T]) -> Errand[T]:
        """Have ``function`` run in the thread, in its turn, and go on meanwhile."""
        errand = Errand(function)
        self._errands.put(errand)
        return errand

    def end(self, afterwards: Callable[[], None] = _nothing) -> None:
        """Let the thread finish what was asked for, then do what nobody waits for, then end."""
        self._afterwards = afterwards
        self._errands.put(None)

    def _work(self) -> None:
        unshare(CLONE_FS)
        while (errand := self._errands.get()) is not None:
            errand.run()
        os.close(self.proc)
        self._afterwards()
