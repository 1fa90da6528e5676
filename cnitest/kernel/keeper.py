"""Sees to it that no process outlives its lab, not even when we are killed.

All processes of a lab live in a PID namespace whose first process waits on a pipe that only we hold. When we close
it, or die in any way, that process ends and the kernel kills every other one in there, daemons included.
"""

from __future__ import annotations

import os
import select

from cnitest.deadline import Deadline
from cnitest.errors import CnitestError, DeadlineExceeded
from cnitest.kernel.mounts import make_private
from cnitest.kernel.namespaces import MountNamespace
from cnitest.kernel.syscalls import CLONE_NEWPID, unshare
from cnitest.kernel.traveller import Traveller

# The first process ignores SIGCHLD, so that the kernel reaps the orphans it inherits.
_FIRST_PROCESS = ("env", "--ignore-signal=CHLD", "sh", "-c", "mount -t proc proc /proc && exec cat")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READY = b"\n"


class Keeper:
    """A PID namespace, a mount namespace with its /proc, and the pipe that keeps both alive."""

    def __init__(self, traveller: Traveller) -> None:
        self.mounts = MountNamespace.make(traveller, make_private)
        self._pipe, self._process = traveller.do(self._start)

    def _start(self) -> tuple[int, int]:
        unshare(CLONE_NEWPID)
        theirs_in, ours_out = os.pipe2(os.O_CLOEXEC)
        ours_in, theirs_out = os.pipe2(os.O_CLOEXEC)
        err_in, err_out = os.pipe2(os.O_CLOEXEC)
        try:
            actions = [
                (os.POSIX_SPAWN_DUP2, theirs_in, 0),
                (os.POSIX_SPAWN_DUP2, theirs_out, 1),
                (os.POSIX_SPAWN_DUP2, err_out, 2),
            ]
            process = os.posix_spawnp(
                _FIRST_PROCESS[0], _FIRST_PROCESS, {"PATH": _PATH}, file_actions=actions, setsid=True
            )
            for end in (theirs_in, theirs_out, err_out):
                os.close(end)
            os.write(ours_out, _READY)
            self._await_ready(process, ours_in, err_in)
        finally:
            os.close(ours_in)
            os.close(err_in)
        return ours_out, process

    @staticmethod
    def _await_ready(process: int, answer: int, errors: int) -> None:
        """The first process echoes a byte when it is ready; when it ends instead, its words say why."""
        readable, _, _ = select.select([answer], [], [], 20)
        if not readable:
            raise DeadlineExceeded("the first process of a lab was not ready within 20 s")
        if os.read(answer, 1) == _READY:
            return
        os.waitpid(process, 0)
        words = os.read(errors, 4096).decode(errors="replace").strip()
        raise CnitestError(
            f"a lab cannot have processes of its own: {words or 'its first process ended'}. It needs a PID namespace "
            "with a fresh /proc; in a container, run privileged or with an unmasked /proc"
        )

    def close(self) -> None:
        """Kill what is left in there and return when it is gone. Raises DeadlineExceeded after 20 s."""
        os.close(self._pipe)
        deadline = Deadline.after(20, "the processes of a lab to end")
        watch = os.pidfd_open(self._process)
        try:
            if not select.select([watch], [], [], deadline.remaining)[0]:
                deadline.check()
            os.waitpid(self._process, 0)
        finally:
            os.close(watch)
            self.mounts.close()
