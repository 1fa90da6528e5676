"""Which release of CNI's own Go library a plugin's binary is built against, read off the binary without running it.

The Go linker stores the modules of a program between two markers that no other text has (``go version -m`` prints
them). A program of a distribution may lack them; the names of its functions stay even in a stripped one.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

MODULE = "github.com/containernetworking/cni"
#: What `of` answers for a program that has the library and does not say which release.
UNKNOWN = "unknown"

# infoStart and infoEnd of Go's cmd/go/internal/modload.
_START = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
_END = bytes.fromhex("f932433186182072008242104116d8f2")
_LARGEST = 1 << 20
_SKEL = f"{MODULE}/pkg/skel.(*dispatcher).pluginMain".encode()
_DEPENDENCY = re.compile(rf"^(?:dep|=>)\t{re.escape(MODULE)}\t(\S+)", re.M)
_REPLACED = re.compile(rf"^dep\t{re.escape(MODULE)}\t\S+(?:\t\S*)?\n=>\t\S+\t(\S+)", re.M)


def of(binary: Path) -> str:
    """The release of the library (``v1.3.0``) that a binary is built against, `UNKNOWN` when it does not say which;
    empty for a binary without it, a script, or a file that cannot be read."""
    try:
        with open(binary, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _found(data)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return ""


def is_before(release: str, other: str) -> bool:
    """Whether a release is older than another; False when it is not known."""
    return bool(release) and release != UNKNOWN and _numbers(release) < _numbers(other)


def _numbers(release: str) -> tuple[int, ...]:
    """``v0.8.1-rc2`` as (0, 8, 1)."""
    return tuple(int(number) for number in re.findall(r"\d+", release.partition("-")[0]))


def _found(data: mmap.mmap) -> str:
    if data[:4] != b"\x7fELF" or data.find(_SKEL) < 0:
        return ""
    modules = _modules(data)
    match = _REPLACED.search(modules) or _DEPENDENCY.search(modules)
    return match[1] if match else UNKNOWN


def _modules(data: mmap.mmap) -> str:
    """The lines of ``go version -m``; empty where there are none."""
    start = data.find(_START)
    end = data.find(_END, start, start + _LARGEST) if start >= 0 else -1
    return data[start + len(_START) : end].decode(errors="replace") if end >= 0 else ""
