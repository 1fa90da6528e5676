"""Why a plugin's file cannot be started, each way once, by starting it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cnitest.cni.calls.unstartable import advice

_HEADER = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0"
_FOREIGN = (22).to_bytes(2, "little")
FILES = {
    "empty": (b"", 0o755, "; the file is empty"),
    "no first line": (
        b"echo hi\n",
        0o755,
        "; it is neither a program nor a script whose first line names an interpreter",
    ),
    "not executable": (b"#!/bin/sh\n", 0o644, "; it is not executable: chmod +x "),
    "interpreter": (
        b"#!/usr/bin/pyhton3 -u\n",
        0o755,
        "; its first line names the interpreter '/usr/bin/pyhton3', which is not",
    ),
    "Windows": (
        b"#!/bin/sh\r\necho hi\r\n",
        0o755,
        "; its lines end in \\r\\n, so the interpreter's name in its first line has a \\r: sed -i 's/\\r$//' /",
    ),
    "machine": (_HEADER + _FOREIGN + bytes(100), 0o755, "; it is built for s390x, and this machine is "),
    "big endian": (b"\x7fELF\2\2\1" + bytes(9) + b"\0\2\0\x16" + bytes(100), 0o755, "; it is built for s390x, and"),
}


@pytest.mark.parametrize(("content", "mode", "words"), FILES.values(), ids=FILES)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, content: bytes, mode: int, words: str):
    """With what to do where that can be said."""
    file = tmp_path / "plugin"
    file.write_bytes(content)
    file.chmod(mode)

    with pytest.raises(OSError) as caught:  # noqa: PT011
        subprocess.run([file], check=False)

    assert advice(str(file), caught.value).startswith(words)


def test_a_directory(tmp_path: Path):
    """It is called one."""
    with pytest.raises(PermissionError) as caught:
        subprocess.run([tmp_path], check=False)

    assert advice(str(tmp_path), caught.value) == "; it is a directory"


def test_what_is_not_there_has_no_advice(tmp_path: Path):
    """The error itself says so."""
    assert advice(str(tmp_path / "nothing"), FileNotFoundError(2, "No such file or directory")) == ""
