"""Which build of a plugin a file is: its release as it says itself, or as its compiler noted, and its digest."""

from __future__ import annotations

import hashlib
import re

_RELEASE = re.compile(r"\bv?\d+\.\d+(?:\.\d+)?(?:[-+.~][\w.+~-]*)?")
# What Go's linker writes into every program: a magic, then its own version and the module's lines.
_BUILD = b"\xff Go buildinf:"
_MODULE = re.compile(rb"\nmod\t(\S+)\t(\S+)")
_FLAG = re.compile(rb"-X [\w./-]*[vV]ersion=([^\s'\"]+)")
_SHOWN = 12
_AT_MOST = 1 << 16


def digest(file: str) -> str:
    """The beginning of a file's SHA-256, enough to tell builds apart; empty for one that cannot be read."""
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:_SHOWN]
    except OSError:
        return ""


def release(file: str, banner: str = "") -> str:
    """The release that a plugin's ``banner`` tells (what it prints without a verb), else what is noted in its file;
    empty where neither does."""
    told = _RELEASE.search(banner.partition("protocol versions")[0])
    return told[0] if told else built(file)


def built(file: str) -> str:
    """The release that Go's build information has: the version that was linked in, else that of the module."""
    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except OSError:
        return ""
    at = data.find(_BUILD)
    noted = data[at : at + _AT_MOST] if at >= 0 else b""
    flag, module = _FLAG.search(noted), _MODULE.search(noted)
    version = flag[1] if flag else module[2] if module and module[2] != b"(devel)" else b""
    return version.decode("ascii", "replace")
