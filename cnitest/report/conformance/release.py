"""Which build of a plugin a file is: its release as it says itself, or as its compiler noted, and its digest."""

from __future__ import annotations

import hashlib
import re

from cnitest.cni.releases import built

_RELEASE = re.compile(r"\bv?\d+\.\d+(?:\.\d+)?(?:[-+.~][\w.+~-]*)?")
_SHOWN = 12


def digest(file: str) -> str:
    """The beginning of a file's SHA-256, enough to tell builds apart; empty for one that cannot be read."""
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:_SHOWN]
    except OSError:
        return ""


def release(file: str, banner: str = "") -> str:
    """The release that a plugin's ``banner`` names (what it prints without a command), else what is noted in its file;
    empty where neither does."""
    matched = _RELEASE.search(banner.partition("protocol versions")[0])
    return matched[0] if matched else built(file)
