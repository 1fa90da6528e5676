"""Files of /proc as text, for whoever only looks."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def read(name: str) -> str:
    """A file of /proc; empty where it is not there, or not for us."""
    try:
        return (_PROC / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
