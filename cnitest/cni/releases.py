"""Which release of the reference plugins a binary is, read off the file; asked of it only where the file is silent."""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cnitest.cni import plugins
from cnitest.deadline import Deadline
from cnitest.errors import CnitestError
from cnitest.kernel.processes import process

# What Go's linker writes into every program: the package of its main function, and a module's own version.
_REFERENCE = (b"path\tgithub.com/containernetworking/plugins/plugins/", b"path\tgithub.com/flannel-io/cni-plugin")
_BUILD = b"\xff Go buildinf:"
_MODULE = re.compile(rb"\nmod\t(\S+)\t(\S+)")
_FLAG = re.compile(rb"-X [\w./-]*[vV]ersion=([^\s'\"]+)")
_AT_MOST = 1 << 16
_NUMBER = re.compile(r"\d+\.\d+\.\d+")
# A build without a release is taken for the first that speaks what it speaks.
_FIRST_OF_1_1_0, _OLDEST = "1.6.0", "1.1.1"
_SECONDS = 10.0
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(>=|<=|==|>|<)\s*v?(\d+(?:\.\d+){0,2})")


def built(file: str) -> str:
    """The release that Go's build information has: the version that was linked in, else that of the module; empty
    where it has none."""
    data = _read(file)
    at = data.find(_BUILD)
    noted = data[at : at + _AT_MOST] if at >= 0 else b""
    flag, module = _FLAG.search(noted), _MODULE.search(noted)
    version = flag[1] if flag else module[2] if module and module[2] != b"(devel)" else b""
    return version.decode("ascii", "replace")


@cache
def reference(file: str) -> str:
    """The release of the reference plugins, or of flannel's, that a plugin's file was built from: ``1.9.1``.

    Empty for anybody else's plugin, whatever its name is.
    """
    data = _read(file)
    if not any(path in data for path in _REFERENCE):
        return ""
    number = _NUMBER.search(built(file))
    return number[0] if number else _FIRST_OF_1_1_0 if "1.1.0" in _spoken(file) else _OLDEST


@cache
def reads(file: str, key: str) -> bool:
    """Whether a build of the reference plugins has a key of its configuration: Go writes the names of fields into its
    programs. True of anybody else's plugin, and of a file that cannot be read."""
    return not reference(file) or re.search(rf'json:"{re.escape(key)}["\\,]'.encode(), _read(file)) is not None


def read_of(path: Sequence[str], conf: Mapping[str, Any]) -> dict[str, Any]:
    """A plugin's configuration without the keys that its build in a search path lacks, which came with a later release
    of the reference plugins."""
    file = plugins.find(str(conf.get("type")), path)
    return {key: value for key, value in conf.items() if reads(file, key)}


def fits(release: str, bounds: str) -> bool:
    """Whether a release lies within bounds, as ``>=1.7`` or ``>=1.2,<1.8``; without bounds every one does.

    Raises ValueError for bounds that are none.
    """
    for bound in filter(None, bounds.split(",")):
        match = _BOUND.fullmatch(bound.strip())
        if not match:
            raise ValueError(f"{bound.strip()!r} is no bound of a release, as '>=1.7' is one")
        if not _COMPARE[match[1]](order(release), order(match[2])):
            return False
    return True


def order(release: str) -> tuple[int, ...]:
    """A release as three numbers that can be compared; parts that are missing count as 0."""
    parts = [int(part) for part in re.findall(r"\d+", release.partition("-")[0])]
    return tuple([*parts, 0, 0, 0][:3])


def _spoken(file: str) -> tuple[str, ...]:
    """The versions of the specification that a plugin answers to VERSION; none where its answer is of no use."""
    try:
        started = process.start([file], {"CNI_COMMAND": "VERSION", "PATH": os.defpath})
        deadline = Deadline.after(_SECONDS, f"the answer of {file} to VERSION")
        answer = process.finish(started, b'{"cniVersion": "1.0.0"}', deadline)
        return tuple(json.loads(answer.stdout)["supportedVersions"])
    except (OSError, CnitestError, ValueError, KeyError, TypeError):
        return ()


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""
