"""The tracing wrapper: calls the real plugin, passes everything through as it comes, and records the call."""

from __future__ import annotations

import json
import os
import select
import signal
import sys

from . import notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_CHUNK = 1 << 16
#: What of a stream is recorded; the rest is passed on all the same.
_RECORDED = 16 << 20
#: A call that takes longer is recorded when it is that old, since it may be killed, and again when it ends.
_TIMEOUT_MS = 1000
_FULL_PIPES = 20
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(real: str, log: str) -> NoReturn:
    """One call of the real plugin; one that no runtime made (a daemon, say) is handed over and not recorded."""
    _open_standard_streams()
    if "CNI_COMMAND" not in os.environ:
        _become(real)
    begun = notes.begun(b"")
    relay, pid, handle = _start(real)
    if not relay.until_ready(handle, _TIMEOUT_MS):
        _record(log, {**begun, **relay.heard()})
        relay.until_ready(handle, None)
    relay.until_empty()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _record(log, {**begun, **relay.heard(code)})
    _leave_behind(relay)
    if code < 0:
        notes.end_by(-code)
    os._exit(code)


def _open_standard_streams() -> None:
    """A stream that was closed reads and writes nothing; else our pipes would take its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _record(log: str, record: dict[str, object]) -> None:
    """A log that cannot be written is no fault of the plugin's."""
    try:
        notes.append(log, record, waits=False)
    except (OSError, ValueError):
        pass


def _become(real: str) -> NoReturn:
    """Run the real plugin in our place, as we were started."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(real, [real, *sys.argv[1:]], notes.environment())
    except OSError as error:
        document = {"code": 100, "msg": f"{real}, which is traced, cannot be started", "details": error.strerror}
        notes.write(1, json.dumps(document).encode() + b"\n")
        os._exit(1)


def _start(real: str) -> tuple[_Relay, int, int]:
    """Start the real plugin with pipes of ours. It gets the signals that we get, and is killed when we are."""
    import ctypes

    theirs, ours = zip(os.pipe(), os.pipe()[::-1], os.pipe()[::-1], strict=True)
    parent, libc = os.getpid(), ctypes.CDLL(None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # what comes before we can forward it has to wait
    pid = os.fork()
    if pid == 0:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        for target, fd in enumerate(theirs):
            os.dup2(fd, target)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _become(real)
    for fd in theirs:
        os.close(fd)
    handle = os.pidfd_open(pid)
    _forward_to(handle)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return _Relay(*ours), pid, handle


def _forward_to(handle: int) -> None:
    """Hand on what we are sent, but not what whoever started us ignores."""

    def forward(received: int, _: object) -> None:
        try:
            signal.pidfd_send_signal(handle, received)
        except ProcessLookupError:  # it has ended, and so do we
            pass

    for number in _FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)


def _leave_behind(relay: _Relay) -> None:
    """What the plugin left running may still write: a child passes that on, and we end when the plugin did."""
    if relay.is_open() and os.fork() == 0:
        for number in _FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        relay.until_closed()
        os._exit(0)


class _Relay:
    """Passes stdin on to the plugin and its outputs to the runtime, and keeps what went by."""

    def __init__(self, stdin: int, stdout: int, stderr: int) -> None:
        self._stdin = stdin
        self._pending = b""
        self._targets = {stdout: 1, stderr: 2}
        self._kept = [bytearray(), bytearray(), bytearray()]
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        for fd in self._targets:
            self._poll.register(fd, select.POLLIN)
        os.set_blocking(stdin, False)

    def heard(self, exit_code: int | None = None) -> dict[str, object]:
        """What went by, as the half of a record."""
        stdin, stdout, stderr = map(bytes, self._kept)
        return {"stdin": notes.text(stdin), **notes.ended(stdout, stderr, exit_code)}

    def is_open(self) -> bool:
        """Whether somebody can still write."""
        return bool(self._targets)

    def until_ready(self, fd: int, timeout: int | None) -> bool:
        """Pass things on until a descriptor is readable; False when that has not come after so many milliseconds."""
        import time

        end = None if timeout is None else time.monotonic() + timeout / 1000
        self._poll.register(fd, select.POLLIN)
        while end is None or time.monotonic() < end:
            for ready, _ in self._poll.poll(timeout):
                if ready == fd:
                    self._poll.unregister(fd)
                    return True
                self._serve(ready)
        return False

    def until_empty(self) -> None:
        """Pass on what is in the pipes, a few times what they hold: what the plugin left running may go on writing."""
        self._forget_stdin()
        for _ in range(_FULL_PIPES):
            for fd, _ in self._poll.poll(0):
                self._serve(fd)

    def until_closed(self) -> None:
        """Pass on what comes, until nobody can write."""
        while self._targets:
            for fd, _ in self._poll.poll():
                self._serve(fd)

    def _serve(self, fd: int) -> None:
        if fd == 0:
            self._read_stdin()
        elif fd == self._stdin:
            self._feed()
        else:
            self._pass_on(fd)

    def _read_stdin(self) -> None:
        """Take the next piece, and no further one before the plugin has taken this."""
        try:
            self._pending = os.read(0, _CHUNK)
        except OSError:
            self._pending = b""
        self._poll.unregister(0)
        if self._pending:
            self._keep(0, self._pending)
            self._poll.register(self._stdin, select.POLLOUT)
        else:
            os.close(self._stdin)
            self._stdin = -1

    def _feed(self) -> None:
        try:
            self._pending = self._pending[os.write(self._stdin, self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read; whoever writes to us learns that when we end
            self._forget_stdin()
            return
        if not self._pending:
            self._poll.unregister(self._stdin)
            self._poll.register(0, select.POLLIN)

    def _pass_on(self, fd: int) -> None:
        """To the runtime; where it does not listen the plugin is to notice that, too."""
        data = os.read(fd, _CHUNK)
        try:
            notes.write(self._targets[fd], data)
        except OSError:
            data = b""
        if data:
            self._keep(self._targets[fd], data)
        else:
            self._poll.unregister(fd)
            del self._targets[fd]
            os.close(fd)

    def _keep(self, stream: int, data: bytes) -> None:
        kept = self._kept[stream]
        kept += data[: _RECORDED - len(kept)]

    def _forget_stdin(self) -> None:
        for fd in (0, self._stdin):
            try:
                self._poll.unregister(fd)
            except (KeyError, ValueError):
                pass
        if self._stdin >= 0:
            os.close(self._stdin)
        self._stdin = -1
