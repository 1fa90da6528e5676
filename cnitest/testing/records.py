"""What a plugin got and gave, call by call, read from the file that `standalone.notes` writes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Record:
    """One call of a plugin.

    ``environment`` is PATH and every variable of CNI; bytes that are not UTF-8 are lone surrogates in the texts.
    ``exit_code`` is negative for a signal, and None for a call that has not ended: it still runs, hangs, or was killed.
    ``began`` is in seconds since the epoch. ``netns_links`` are the links that CNI_NETNS had when the call came, and
    empty when it could not be entered. ``plugin`` is the name of the file that was called.
    """

    verb: str
    environment: Mapping[str, str]
    stdin: str
    stdout: str
    stderr: str
    exit_code: int | None
    began: float
    seconds: float
    pid: int
    netns_links: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def request(self) -> Any:
        """The JSON on stdin; None when it was none."""
        try:
            return json.loads(self.stdin)
        except (ValueError, RecursionError):
            return None


_FIELDS = {field.name for field in fields(Record)}


def read(path: Path) -> tuple[Record, ...]:
    """The calls in a file, in the order they were first written; a later line of the same call replaces the earlier."""
    found: dict[tuple[int, float], Record] = {}
    for record in _lines(path):
        found[record.pid, record.began] = record
    return tuple(found.values())


def _lines(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        row = {name: value for name, value in json.loads(line).items() if name in _FIELDS}
        yield Record(**{**row, "netns_links": tuple(row["netns_links"])})


def empty(path: Path) -> None:
    """Forget all calls; calls that are being written come after."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
