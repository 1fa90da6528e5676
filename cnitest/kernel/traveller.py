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
from typing import Any, TypeVar

from cnitest.kernel.syscalls import CLONE_FS, unshare

T = TypeVar("T")


class _Errand:
    """One function to run over there, and what came of it."""

    __slots__ = ("done", "error", "function", "value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = threading.Lock()
        self.done.acquire()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:  # handed to the one who asked
            self.error = error
        finally:
            self.done.release()


class Traveller:
    """A thread with a filesystem state of its own that runs functions one after the other."""

    def __init__(self) -> None:
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        #: Our own /proc, for /proc/thread-self means nothing in a mount namespace with a /proc of other processes.
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # A bare thread: threading's own would have us wait until it runs, which is a tenth of a lab's build time.
        _thread.start_new_thread(self._work, ())

    def do(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the thread and return its value, or raise what it raised."""
        errand = _Errand(function)
        self._errands.put(errand)
        errand.done.acquire()
        if errand.error is not None:
            raise errand.error
        value: T = errand.value
        return value

    def end(self) -> None:
        """Let the thread finish what was asked for, then end."""
        self._errands.put(None)

    def _work(self) -> None:
        unshare(CLONE_FS)
        while (errand := self._errands.get()) is not None:
            errand.run()
        os.close(self.proc)
