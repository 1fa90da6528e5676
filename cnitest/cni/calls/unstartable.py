"""Why a plugin's file cannot be started, read off the file, with what to do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

#: Machines of ELF files (elf(5), e_machine) as uname(2) names them.
_MACHINES = {
    3: ("i386", "i686"),
    21: ("ppc64le", "ppc64"),
    22: ("s390x",),
    40: ("armv7l", "armv8l", "arm"),
    62: ("x86_64",),
    183: ("aarch64",),
    243: ("riscv64",),
    258: ("loongarch64",),
}
_HEAD = 4096
_ELF = b"\x7fELF"


def advice(binary: str, error: OSError | ValueError) -> str:
    """What is wrong with a file that could not be started, and what to do: ``; …``, empty where nothing is found."""
    try:
        mode, head = os.stat(binary).st_mode, b""
        if stat.S_ISREG(mode) and os.access(binary, os.R_OK):
            with Path(binary).open("rb") as file:
                head = file.read(_HEAD)
    except OSError:
        return ""
    found = {
        errno.EACCES: lambda: _not_executable(binary, mode),
        errno.ENOENT: lambda: _no_interpreter(binary, head),
        errno.ENOEXEC: lambda: _wrong_format(head),
    }.get(getattr(error, "errno", None) or 0, str)()
    return f"; {found}" if found else ""


def _not_executable(binary: str, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "it is a directory"
    if not mode & 0o111:
        return f"it is not executable: chmod +x {binary}"
    return "its file system may be mounted noexec, or its interpreter or a directory above may not be entered"


def _no_interpreter(binary: str, head: bytes) -> str:
    if head.startswith(b"#!"):
        first = head[2:].split(b"\n")[0]
        named = first.split() or [b""]
        if first.endswith(b"\r"):
            why = "its lines end in \\r\\n, so the interpreter's name in its first line has a \\r"
            return f"{why}: sed -i 's/\\r$//' {binary}"
        return f"its first line names the interpreter {named[0].decode(errors='replace')!r}, which is not there"
    if head.startswith(_ELF):
        return "the loader that it was built for is not there (musl or glibc?): build it static (CGO_ENABLED=0)"
    return ""


def _wrong_format(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if not head.startswith(_ELF):
        return "it is neither a program nor a script whose first line names an interpreter, such as #!/bin/sh"
    machine = int.from_bytes(head[18:20], "big" if head[5:6] == b"\2" else "little")
    built_for = _MACHINES.get(machine, ("another machine",))
    here = os.uname().machine
    return "its file is damaged" if here in built_for else f"it is built for {built_for[0]}, and this machine is {here}"
