"""Waits for files by the kernel's own events, inotify(7): something appears in a directory, a writer closes a file."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from cnitest.kernel.syscalls import inotify_add_watch, inotify_init

#: What is watched for: inotify(7).
WRITTEN, APPEARED = 0x8, 0x80 | 0x100  # IN_CLOSE_WRITE; IN_MOVED_TO, IN_CREATE
_BUFFER = 1 << 16


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
        if self._fd in select.select([self._fd, *others], [], [], seconds)[0]:
            os.read(self._fd, _BUFFER)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._fd)


@contextlib.contextmanager
def file_events() -> Iterator[FileEvents]:
    """Events while a block runs."""
    with contextlib.closing(FileEvents()) as events:
        yield events


def nearest_directory(path: str) -> str:
    """The directory in which a path, or the first of its directories that is not there, will appear."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
