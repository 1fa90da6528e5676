"""Files by the kernel's own events: waits until something appears in a directory or a writer closes a file, inotify(7);
records what the programs of one mount namespace write, fanotify(7)."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator

from cnitest.deadline import readable
from cnitest.kernel.syscalls import fanotify_add_mount, fanotify_init, inotify_add_watch, inotify_init

#: What is watched for: inotify(7).
WRITTEN, APPEARED = 0x8, 0x80 | 0x100  # IN_CLOSE_WRITE; IN_MOVED_TO, IN_CREATE
_BUFFER = 1 << 16
# fanotify_event_metadata: its length, version, reserved, metadata length, mask, descriptor, process.
_EVENT = struct.Struct("=IBBHQii")


class FileEvents:
    """Events of the files that were added with `watch`; ``wait`` ends at the first, or after some seconds."""

    def __init__(self) -> None:
        self._fd = inotify_init()
        self._watched: set[int] = set()

    def watch(self, path: str, events: int) -> bool:
        """Watch a file or directory, as the calling thread sees it; whether it was not watched yet. Raises OSError."""
        number = inotify_add_watch(self._fd, path, events)
        is_new = number not in self._watched
        self._watched.add(number)
        return is_new

    def wait(self, seconds: float, *others: int) -> None:
        """Return at the next event, when one of ``others`` (descriptors) can be read, or after some seconds."""
        if self._fd in readable([self._fd, *others], seconds):
            os.read(self._fd, _BUFFER)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._fd)


@contextlib.contextmanager
def file_events() -> Iterator[FileEvents]:
    """Events while a block runs."""
    with contextlib.closing(FileEvents()) as events:
        yield events


class WrittenFiles:
    """The paths of files that programs in a mount namespace have closed after writing, on some of its mounts.

    Another namespace has other mounts, so nobody else's writing is seen. Made by a thread inside. Raises OSError, EPERM
    without CAP_SYS_ADMIN on the machine.
    """

    def __init__(self, directories: list[str]) -> None:
        self._fd = fanotify_init()
        self._paths: set[str] = set()
        for directory in directories:
            with contextlib.suppress(OSError):  # one that is not there, or on a filesystem that has no such events
                fanotify_add_mount(self._fd, directory)

    @property
    def paths(self) -> frozenset[str]:
        """All that were written so far; some may be gone."""
        with contextlib.suppress(BlockingIOError):
            while events := os.read(self._fd, _BUFFER):
                self._take(events)
        return frozenset(self._paths)

    def _take(self, events: bytes) -> None:
        """Note the file of each event, and close the descriptors that came with them."""
        while events:
            length, _, _, _, _, file, _ = _EVENT.unpack_from(events)
            events = events[length:]
            if file >= 0:
                self._paths.add(os.readlink(f"/proc/self/fd/{file}"))
                os.close(file)

    def close(self) -> None:
        """Record nothing any more."""
        os.close(self._fd)


def nearest_directory(path: str) -> str:
    """The directory in which a path, or the first of its directories that is not there, will appear."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
