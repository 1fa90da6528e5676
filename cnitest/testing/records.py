"""What a plugin got and gave, call by call, read from the file that `standalone.notes` writes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cnitest.errors import CnitestError, is_ours

__tracebackhide__ = is_ours


@dataclass(frozen=True)
class Record:
    """One call of a plugin.

    ``environment`` is PATH and every variable of CNI; bytes that are not UTF-8 are lone surrogates in the texts.
    ``exit_code`` is negative for a signal, and None for a call that has not ended: it still runs, hangs, or was killed.
    ``began`` is in seconds since the epoch. ``netns_links`` are the links that CNI_NETNS had when the call came, and
    empty when it could not be entered. ``plugin`` is the name of the file that was called.
    """

    command: str
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
    def verb(self) -> str:
        """The former name of ``command``."""
        return self.command

    @property
    def request(self) -> Any:
        """The JSON on stdin; None when it was none."""
        try:
            return json.loads(self.stdin)
        except (ValueError, RecursionError):
            return None


_FIELDS = {field.name for field in fields(Record)}


def read(path: Path) -> tuple[Record, ...]:
    """The calls in a file, in the order they were first written; a later line of the same call replaces the earlier.

    Raises CnitestError for a line that is no record.
    """
    found: dict[tuple[int, float], Record] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            record = _record(json.loads(line))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise CnitestError(f"{path}:{number}: is no record of a call: {error}") from error
        found[record.pid, record.began] = record
    return tuple(found.values())


def _lines(path: Path) -> list[bytes]:
    """The lines that are whole: who traces waits for no reader, so that the last may still be on its way."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _record(row: dict[str, Any]) -> Record:
    known = {name: value for name, value in row.items() if name in _FIELDS}
    return Record(**{**known, "command": row["verb"], "netns_links": tuple(row["netns_links"])})


def empty(path: Path) -> None:
    """Forget all calls; calls that are being written come after."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
