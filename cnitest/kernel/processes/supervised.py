"""Runs a program whose whole process tree asks us before each system call that can change anything.

The filter is put on a thread made for it, which enters the namespaces, starts the program and ends. Nothing is
between us and the program: it is found, started, fed and read as any other.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType

from cnitest.errors import DeadlineExceeded
from cnitest.kernel.processes import seccomp, tracee
from cnitest.kernel.processes.process import Started, start
from cnitest.kernel.processes.seccomp import Listener, Notice
from cnitest.kernel.processes.spawn import spawn
from cnitest.kernel.syscalls import ANY_NAMESPACE, CLONE_FS, setns, unshare

#: Decisions other than an errno: the call is made, or the whole tree is killed before it.
LET, KILL = 0, -1
#: Says what is to become of a call of a process (its pid and name).
Decide = Callable[[Notice, int, str], int]
_TIMEOUT = 5.0


class Supervised:
    """``with Supervised(decide) as tree: finish(tree.start(…), …)``.

    Once a tree was killed, leaving waits until all of its processes are gone. Raises what ``decide`` raised.
    """

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._listener: Listener | None = None
        self._started: Started | None = None
        self._error: BaseException | None = None
        self._listening = threading.Event()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._server: threading.Thread | None = None
        self._root = 0
        # Processes by descriptor: a number may be another's by the time that we kill.
        self._known: dict[int, int] = {}
        self._killed = False

    def __enter__(self) -> Supervised:
        return self

    def start(self, argv: Sequence[str], environment: Mapping[str, str], where: Sequence[int]) -> Started:
        """Start the program in the namespaces of some descriptors, entered in this order. Raises OSError,
        FeatureMissing."""
        starter = threading.Thread(target=self._start, args=(argv, environment, where), daemon=True)
        starter.start()
        self._listening.wait()
        if self._listener:
            self._server = threading.Thread(target=self._serve, args=(self._listener,), daemon=True)
            self._server.start()
        starter.join()
        if self._started is None:
            raise self._error or RuntimeError(f"{argv[0]} was not started")
        return self._started

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as undo:
            undo.callback(os.close, self._stop)
            undo.callback(self._forget)
            if not self._server or not self._listener:
                return
            undo.callback(self._listener.close)
            if not self._killed:
                os.eventfd_write(self._stop, 1)
            self._server.join(_TIMEOUT)
            if self._server.is_alive():
                os.eventfd_write(self._stop, 1)
                self._server.join()
                raise DeadlineExceeded(
                    f"timed out after {_TIMEOUT:g} s: waiting for the killed processes of a plugin to end"
                )
        if self._error and not error:
            raise self._error

    def _start(self, argv: Sequence[str], environment: Mapping[str, str], where: Sequence[int]) -> None:
        try:
            unshare(CLONE_FS)
            for namespace in where:
                setns(namespace, ANY_NAMESPACE)
            self._listener = seccomp.install()
            self._listening.set()
            # Where we are killed now, who asks us is not to wait for itself: its call fails once nobody listens.
            self._started = start(argv, environment, partial(spawn, without=[self._listener.fd]))
        except BaseException as error:  # handed to the one who asked
            self._error = error
        finally:
            self._listening.set()

    def _serve(self, listener: Listener) -> None:
        """Answer until nobody is left who could ask, or until asked to stop."""
        poll = select.poll()
        poll.register(listener.fd, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            events = dict(poll.poll())
            if events.get(listener.fd, 0) & select.POLLIN:
                notice = listener.receive()
                if notice:
                    self._answer(listener, notice)
            elif events:
                return

    def _answer(self, listener: Listener, notice: Notice) -> None:
        try:
            word = self._word(notice)
        except OSError:  # the process went while we looked
            word = LET
        except BaseException as error:  # raised on the way out; the program is not to hang for it
            self._error = error
            word = LET
        if word == LET:
            listener.let(notice)
        elif word == KILL:
            self._kill()
        else:
            listener.fail(notice, word)

    def _word(self, notice: Notice) -> int:
        pid, name = tracee.process(notice.thread)
        if pid == os.getpid():
            return LET
        if pid not in self._known:
            self._known[pid] = os.pidfd_open(pid)
        if not self._root:  # the program's own start
            self._root = pid
            return LET
        return KILL if self._killed else self._decide(notice, pid, name)

    def _kill(self) -> None:
        """Kill the program's process group, and every process that was ever heard of: some leave the group."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._root, signal.SIGKILL)
        for handle in self._known.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)

    def _forget(self) -> None:
        for handle in self._known.values():
            os.close(handle)
