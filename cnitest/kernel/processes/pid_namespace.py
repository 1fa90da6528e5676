"""Sees to it that no process outlives its lab, not even when we are killed.

All processes of a lab live in a PID namespace whose first process waits on a pipe that only we hold. When we close
it, or end in any way, that process ends and the kernel kills every other one in there, daemons included.
"""

from __future__ import annotations

import contextlib
import os
import signal
from contextlib import ExitStack

from cnitest.deadline import readable
from cnitest.errors import CnitestError, DeadlineExceeded
from cnitest.kernel.confinement import container, sysctls
from cnitest.kernel.mounts import make_private
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.namespaces import MountNamespace, NetworkNamespace
from cnitest.kernel.syscalls import CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWUTS, unshare

# The first process ignores SIGCHLD, so that the kernel reaps the orphans it inherits; a shell would not go on doing so.
_FIRST_PROCESS = ("/bin/sh", "-c", "mount -t proc proc /proc && exec env --ignore-signal=CHLD cat")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READY = b"\n"
_TIMEOUT = 20
_OTHERS_WAIT = 0.5


class PidNamespace:
    """A PID namespace, a mount namespace with its /proc, and the pipe that holds both; UTS and IPC namespaces, too.

    Its first process stays in ``network``, which must last as long as the lab: a namespace that it was left in by
    chance could never go before it. Raises CnitestError that says what the machine lacks. A thread can make one
    only once.
    """

    def __init__(self, thread: NamespaceThread, network: NetworkNamespace) -> None:
        with ExitStack() as undo, ExitStack() as meanwhile:
            self.mounts = MountNamespace.make(thread, make_private)
            undo.callback(self.mounts.close)
            with ExitStack() as theirs:
                stdin, self._pipe = _pipe(theirs, undo)
                answer, stdout = _pipe(meanwhile, theirs)
                errors, stderr = _pipe(meanwhile, theirs)
                self._process = network.run(lambda: _start(stdin, stdout, stderr))
            undo.callback(_kill, self._process)
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, _READY)
            self._await_ready(answer, errors)
            self.mounts.run(sysctls.protect, network)
            undo.pop_all()

    @property
    def pid(self) -> int:
        """The first process, as we see it."""
        return self._process

    @staticmethod
    def _await_ready(answer: int, errors: int) -> None:
        """The first process echoes a byte when it is ready; when it ends instead, its words say why."""
        if not readable([answer], _TIMEOUT):
            raise DeadlineExceeded(
                f"timed out after {_TIMEOUT:g} s: waiting for the first process of a lab to be ready"
            )
        if os.read(answer, 1) == _READY:
            return
        words = os.read(errors, 4096).decode(errors="replace").strip().partition("\n")[0].rstrip(".")
        why = words or "its first process ended"
        remedy = f"; {container.open_proc()}" if "/proc" in words else ""
        raise CnitestError(f"a lab cannot have processes of its own, with their own /proc ({why}){remedy}")

    def close(self) -> None:
        """Kill what is left in there and return when it is gone. Raises DeadlineExceeded after 20 s."""
        os.close(self._pipe)
        self.mounts.close()
        _kill(self._process)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe; each stack closes the end it is given."""
    ends = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends


def _start(stdin: int, stdout: int, stderr: int) -> int:
    """Make the PID namespace and its first process; to be called by the thread, which stays in UTS and IPC namespaces
    of its own: what a program of a lab calls the machine, and how it limits shared memory, is not the machine's."""
    unshare(CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC)
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate((stdin, stdout, stderr))]
    return os.posix_spawn(_FIRST_PROCESS[0], _FIRST_PROCESS, {"PATH": _PATH}, file_actions=actions, setsid=True)


def _kill(first: int) -> None:
    """End the first process, and with it all others; a forked copy of us may hold its pipe open."""
    watch = os.pidfd_open(first)
    try:
        signal.pidfd_send_signal(watch, signal.SIGKILL)
        if not readable([watch], _OTHERS_WAIT):
            _reap_children()
        if not readable([watch], _TIMEOUT):
            raise DeadlineExceeded(f"timed out after {_TIMEOUT:g} s: waiting for the processes of a lab to end")
        os.waitpid(first, 0)
    finally:
        os.close(watch)


def _reap_children() -> None:
    """Wait for our own children in PID namespaces that have ended and that nobody waits for: a PID namespace does not
    end before."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, ChildProcessError):
            with open(f"/proc/{int(name)}/status", encoding="utf-8", errors="replace") as file:
                facts = dict(line.partition(":")[::2] for line in file)
            ended = facts["State"].split()[0] == "Z" and int(facts["PPid"]) == os.getpid()
            if ended and len(facts["NSpid"].split()) > 1 and facts["NSpid"].split()[-1] != "1":
                os.waitpid(int(name), os.WNOHANG)
