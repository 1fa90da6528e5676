"""Standard streams that are closed or cannot be written, and what the machine refuses: one line instead of a traceback.

`cnitest.cli.run` runs this file by itself, before pytest imports anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any

#: The exit code for what cannot be done here, as for wrong usage.
REFUSED = 4
#: What an error names as its file that came of writing there.
STDOUT = "stdout"
_SPACE = "free some space there, or have TMPDIR and the files that are written elsewhere"
#: What to do about errors of the machine, by their numbers.
_REMEDIES = {
    errno.EMFILE: "allow more open files: ulimit -n 1024",
    errno.ENFILE: "the machine has too many open files: close some, or raise fs.file-max",
    errno.EAGAIN: "allow more processes and threads: ulimit -u, or the container's limit of PIDs",
    errno.ENOMEM: "allow more memory: ulimit -v, or the container's limit",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "allow larger files: ulimit -f unlimited",
    errno.EROFS: "have a file system there that can be written to",
    errno.EPERM: "see what `cnitest doctor` says is missing",
    errno.EACCES: "see what `cnitest doctor` says is missing",
}


def open_closed() -> None:
    """Have standard streams that are closed lead to /dev/null: the next file that is opened would get their numbers.
    Programs that are started have them, too."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            if not _lead_nowhere(number):
                return
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _lead_nowhere(number: int) -> bool:
    """Have a descriptor lead to /dev/null; whether there is one."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
    except OSError:
        return False
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)
    return True


def report(error: OSError) -> int:
    """Say in a line what the machine refused, and what to do; the exit code. Raises an error that is none of these."""
    if error.errno not in _REMEDIES:
        raise error
    if written(sys.stdout) and error.filename != STDOUT:
        where, remedy = f"{error.filename}: " if error.filename else "", _REMEDIES[error.errno]
    else:
        where, remedy = "stdout cannot be written: ", "have it lead elsewhere"
    with contextlib.suppress(OSError):
        print(f"cnitest: {where}{error.strerror}: {remedy}", file=sys.stderr)  # noqa: T201
    written(sys.stderr)
    return REFUSED


def written(stream: Any) -> bool:
    """Whether all that was said is written; else what is left goes nowhere, or it would be an error at the end."""
    try:
        stream.flush()
    except OSError:
        _lead_nowhere(stream.fileno())
        return False
    return True
