"""The thread that enters namespaces, so that no other thread ever has to.

A namespace is a property of a thread. One thread a lab goes where it is asked to go, does one short thing there
(make a namespace, open a socket, write a sysctl, start a process) and reports back. What it opens stays bound to
the namespace and is used from any thread afterwards. It never waits for anything that can take long.
"""

from __future__ import annotations

import _thread
import errno
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from cnitest.kernel.mounts import writable_sysctls
from cnitest.kernel.syscalls import CLONE_FS, unshare

T = TypeVar("T")


def _nothing() -> None:
    """Nothing."""


class Pending(Generic[T]):
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

    def result(self) -> T:
        """The function's value once it has been run, or raise what it raised; may be asked again."""
        with self._done:
            pass
        if self._error is not None:
            raise self._error
        return self._value

    def run(self) -> None:
        """Run the function and wake whoever waits; for the thread."""
        try:
            self._value = self._function()
        except BaseException as error:  # handed to the one who asked
            self._error = error
        finally:
            self._done.release()

    def undo(self, undo: Callable[[T], None]) -> None:
        """Undo what running it has made, if it has made anything."""
        if self._error is None:
            undo(self._value)

    def fail(self, error: BaseException) -> None:
        """Wake whoever waits with an error; for a thread that cannot run it."""
        self._error = error
        self._done.release()


class NamespaceThread:
    """A thread with a filesystem state of its own that runs functions one after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Pending[Any] | None] = SimpleQueue()
        self._afterwards: Callable[[], None] = _nothing
        self._lock = threading.Lock()
        self._ended = False
        self._ident = 0
        #: Our own /proc, for /proc/thread-self means nothing in a mount namespace with a /proc of other processes.
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # A bare thread: threading's own would have us wait until it runs, which is a tenth of a lab's build time.
        try:
            _thread.start_new_thread(self._work, ())
        except RuntimeError:
            os.close(self.proc)
            raise OSError(errno.EAGAIN, "no thread can be started") from None

    def run(self, function: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Run ``function`` in the thread and return its value, or raise what it raised.

        When the one who asks is interrupted meanwhile (Ctrl-C), nobody gets the value: it is given to ``undo``.
        """
        call = self.submit(function)
        try:
            return call.result()
        except BaseException:
            if undo is not None:
                self.submit(partial(call.undo, undo))
            raise

    def submit(self, function: Callable[[], T]) -> Pending[T]:
        """Have ``function`` run in the thread, in its turn, and go on meanwhile.

        Its call fails with RuntimeError once the thread has ended, and when the thread asks itself.
        """
        call = Pending(function)
        with self._lock:
            if self._ended:
                call.fail(RuntimeError("the lab is closed: its namespaces are gone"))
            elif threading.get_ident() == self._ident:
                call.fail(RuntimeError("a function that runs inside a namespace cannot send for another one"))
            else:
                self._calls.put(call)
        return call

    def end(self, afterwards: Callable[[], None] = _nothing) -> None:
        """Let the thread finish what was asked for, then do what nobody waits for, then end."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._afterwards = afterwards
            self._calls.put(None)

    def _work(self) -> None:
        self._ident = threading.get_ident()
        refusal: OSError | None = None
        try:
            unshare(CLONE_FS)
            writable_sysctls()
        except OSError as error:  # no privilege: raised for everyone who asks
            refusal = error
        while (call := self._calls.get()) is not None:
            if refusal:
                call.fail(refusal)
            else:
                call.run()
        os.close(self.proc)
        self._afterwards()
