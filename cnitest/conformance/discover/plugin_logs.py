"""The log files that a failed call left on its host: many plugins write there what they do not say."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from cnitest.lab.hosts import Host

_DIRECTORY, _ENDING = "/var/log/", ".log"
_MOST_FILES = 2
_MOST_READ = 2048


class PluginLog(NamedTuple):
    """A log file of a host: its path, and the end of what is in it."""

    path: str
    end: str


def logs(host: Host) -> tuple[PluginLog, ...]:
    """What was written into log files of a host, the first two by their paths."""
    paths = [
        file.path
        for file in host.files()
        if file.kind == "file" and file.size and (file.path.startswith(_DIRECTORY) or file.path.endswith(_ENDING))
    ]
    return tuple(PluginLog(path, host.inside(partial(_end, path))) for path in paths[:_MOST_FILES])


def _end(path: str) -> str:
    """The last whole lines of a file, as text; empty where it cannot be read any more."""
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(0, size - _MOST_READ))
            text = file.read(_MOST_READ).decode(errors="backslashreplace")
    except OSError:
        return ""
    return text if size <= _MOST_READ else text.partition("\n")[2]
