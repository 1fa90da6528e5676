"""Runs a command in a container and hands back what it said, and how it ended; nothing stays of either."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cnitest.suites.selftest.containers import seccomp
from cnitest.suites.selftest.containers.enter import FAILED
from cnitest.suites.selftest.containers.filesystem import HOME
from cnitest.suites.selftest.containers.spec import PRIVILEGED, Container

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIMIT = 170


def run(container: Container, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the first process of a container; ``python`` is this Python, with this cnitest.

    Exit code 125 means that the container itself could not be made.
    """
    # None of pytest's, which nobody else may enter; the container's own user has to.
    base = Path(tempfile.mkdtemp(prefix="cnitest-container-", dir="/tmp"))
    base.chmod(0o755)
    words = [sys.executable if word == "python" else word for word in command]
    given = {"PATH": f"{Path(sys.executable).parent}:{_PATH}", "HOME": HOME, "PYTHONDONTWRITEBYTECODE": "1"}
    enter = [sys.executable, "-m", "cnitest.suites.selftest.containers.enter", str(base), container.text()]
    try:
        return subprocess.run(
            [*enter, *words],
            cwd="/",
            env={**given, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    finally:
        for place in (base / "image", base / "layers", base):  # empty: what was mounted there was the container's
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()


def cnitest(container: Container, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cnitest in a container."""
    return run(container, "python", "-m", "cnitest.cli", *words, **environment)


@functools.cache
def why_not() -> str:
    """Why no container can be imitated here; empty where one can, seen by making one."""
    mapped = Path("/proc/self/uid_map").read_text().split()
    if os.geteuid() != 0 or mapped != ["0", "0", "4294967295"]:
        return "only the machine's root can make containers as runtimes do"
    if not seccomp.available():
        return "no libseccomp for filters of system calls: apt-get install libseccomp2"
    done = run(PRIVILEGED, "true")
    return f"no container can be made here: {done.stderr.strip()}" if done.returncode == FAILED else ""
