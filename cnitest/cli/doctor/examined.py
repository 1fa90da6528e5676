"""One thing that the doctor has looked at."""

from __future__ import annotations

from typing import NamedTuple


class Examined(NamedTuple):
    """One thing that was looked for. ``needed`` when labs cannot be built without it."""

    group: str
    name: str
    present: bool
    needed: bool
    detail: str = ""
    remedy: str = ""

    @property
    def word(self) -> str:
        """What it is called in the list."""
        return "ok" if self.present else "missing" if self.needed else "absent"
