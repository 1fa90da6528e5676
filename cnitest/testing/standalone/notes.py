"""What a call got and gave, as one line of JSON in a file that several callers append to."""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")

BEGAN, _CLOCK = time.time(), time.monotonic()
_CLONE_NEWNET = 0x40000000


def environment() -> dict[bytes, bytes]:
    """What we were started with; Python itself may have added LC_CTYPE to it since."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    return {name: value for name, sign, value in (pair.partition(b"=") for pair in pairs) if sign}


def begun(stdin: bytes) -> dict[str, Any]:
    """The half of a record that is known before the answer."""
    names = sorted(name for name in os.environ if name.startswith("CNI_") or name == "PATH")
    return {
        "plugin": os.path.basename(sys.argv[0]),
        "verb": os.environ.get("CNI_COMMAND", ""),
        "environment": {name: os.environ[name] for name in names},
        "stdin": text(stdin),
        "pid": os.getpid(),
        "began": BEGAN,
        "netns_links": links(os.environ.get("CNI_NETNS", "")),
    }


def ended(stdout: bytes = b"", stderr: bytes = b"", exit_code: int | None = None) -> dict[str, Any]:
    """The other half; without an exit code it is of a call that still runs."""
    return {
        "stdout": text(stdout),
        "stderr": text(stderr),
        "exit_code": exit_code,
        "seconds": round(time.monotonic() - _CLOCK, 6),
    }


def append(path: str, record: dict[str, Any], *, waits: bool = True) -> None:
    """Add one line, whole, whoever else is writing. Raises OSError.

    Who does not wait for others relies on the kernel's adding each write at the end.
    """
    import fcntl

    line = json.dumps(record).encode() + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            pass
        write(fd, line)
    finally:
        os.close(fd)


def text(data: bytes) -> str:
    """Bytes as text that can be turned back: what is not UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def read(fd: int) -> bytes:
    """Everything until the end; nothing when it cannot be read."""
    chunks = []
    try:
        while chunk := os.read(fd, 1 << 16):
            chunks.append(chunk)
    except OSError:
        pass
    return b"".join(chunks)


def write(fd: int, data: bytes) -> None:
    """All of it, however often the kernel takes only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def links(netns: str) -> tuple[str, ...]:
    """The names of the links in a network namespace; none when it cannot be entered."""
    try:
        return within(netns, _own_links) if netns else ()
    except OSError:
        return ()


def _own_links() -> tuple[str, ...]:
    with open("/proc/thread-self/net/dev") as file:
        return tuple(line.partition(":")[0].strip() for line in file.readlines()[2:])


def within(netns: str, function: Callable[[], T]) -> T:
    """Call a function inside a network namespace. Raises OSError.

    A thread goes in and ends there: coming back may not be allowed. What it starts is inside, too.
    """
    import _thread

    outcome: list[tuple[T | None, BaseException | None]] = []
    returned = _thread.allocate_lock()

    def visit() -> None:
        try:
            _enter(netns)
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))
        finally:
            returned.release()

    returned.acquire()
    _thread.start_new_thread(visit, ())
    returned.acquire()
    value, failure = outcome[0]
    if failure is not None:
        raise failure
    return value  # type: ignore[return-value]


def _enter(netns: str) -> None:
    fd = os.open(netns, os.O_RDONLY)
    try:
        if hasattr(os, "setns"):  # from Python 3.12 on
            os.setns(fd, _CLONE_NEWNET)
            return
        import ctypes

        if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), netns)
    finally:
        os.close(fd)


def end_by(number: int) -> NoReturn:
    """End by a signal as if Python did not know it, and leave no core behind."""
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        signal.signal(number, signal.SIG_DFL)
    except OSError:  # SIGKILL, SIGSTOP
        pass
    os.kill(os.getpid(), number)
    os._exit(128 + number)
