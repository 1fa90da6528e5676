"""A peer in a process of its own, asked for one run at a time."""

from __future__ import annotations

import json
import selectors
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from measure import Run

HERE = Path(__file__).resolve().parent
TIMEOUT = 600.0
"""Seconds that the slowest peer may take for one run before it is given up."""


class PeerMissingError(Exception):
    """A peer that cannot run here; the message is the reason."""


class PeerFailedError(Exception):
    """A run that ended badly; the message is what the peer said."""


@dataclass(frozen=True)
class Tools:
    """What peers are started with: the compiled floor, or why there is none, and the command for one echo."""

    floor: Path | None
    no_floor: str
    echo: str | None


def tools(folder: Path) -> Tools:
    """Compiles the floor into ``folder``; it also pings where ping(8) is not installed."""
    floor = folder / "floor"
    reason = _compile(floor)
    return Tools(None if reason else floor, reason, _echo_command(None if reason else floor))


def _echo_command(floor: Path | None) -> str | None:
    if shutil.which("ping"):
        return f"{shutil.which('ping')} -c1 -W3 -q"
    return f"{floor} ping" if floor else None


def _compile(program: Path) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return "no C compiler (apt-get install gcc libc6-dev)"
    source = str(HERE / "floor.c")
    done = subprocess.run([compiler, "-O2", "-o", str(program), source], capture_output=True, text=True)
    return f"floor.c does not compile: {done.stderr.strip().splitlines()[0]}" if done.returncode else ""


class Worker:
    """One peer's process; ``with Worker(...) as worker: worker.run(2)``."""

    def __init__(self, name: str, tools: Tools) -> None:
        self.name = name
        command = _command(name, tools)
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by close()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )
        try:
            self._expect_ready()
        except BaseException:
            self.close()
            raise

    def _expect_ready(self) -> None:
        greeting = self._read()
        if "ready" not in greeting:
            raise PeerMissingError(greeting.get("missing") or greeting["failed"])

    def run(self, size: int, timeout: float = TIMEOUT) -> Run:
        """Builds, pings and removes one network of that many sandboxes. Raises PeerFailedError, also at the timeout."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size}\n".encode())
        answer = self._read(timeout)
        if "failed" in answer:
            raise PeerFailedError(answer["failed"])
        return Run(**answer)

    def _read(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        output = self._process.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            if not selector.select(timeout):
                return {"failed": f"no answer within {timeout:.0f} s"}
        line = output.readline()
        return json.loads(line) if line else {"failed": self._last_words()}

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        return said[-1] if said else f"its process ended with exit code {self._process.wait(TIMEOUT)}"

    def close(self) -> None:
        """Ends the process: politely, then not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def _command(name: str, tools: Tools) -> list[str]:
    if name == "c":
        if tools.floor is None:
            raise PeerMissingError(tools.no_floor)
        return [str(tools.floor)]
    if tools.echo is None and name != "cnitest":
        raise PeerMissingError(f"no ping(8) (apt-get install iputils-ping), and {tools.no_floor}")
    return [sys.executable, "-Wignore", str(HERE / "peers" / "serve.py"), name, tools.echo or ""]
