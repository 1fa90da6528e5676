"""What a run took, what many runs say together, and a machine that is quiet enough to ask."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

LOST = 500.0
"""An answer slower than this many ms is one whose first request was lost and sent again."""


@dataclass(frozen=True)
class Run:
    """One run's phases in ms."""

    build: float
    ping: float
    down: float

    @property
    def total(self) -> float:
        return self.build + self.ping + self.down


@dataclass(frozen=True)
class Summary:
    """Many runs' medians in ms, the fastest and the 90th percentile, and how many first pings were lost."""

    runs: int
    build: float
    ping: float
    down: float
    total: float
    min: float
    p90: float
    lost: int

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def summary(runs: Sequence[Run]) -> Summary:
    """The runs as one line of the table."""
    totals = [run.total for run in runs]
    return Summary(
        runs=len(runs),
        build=statistics.median(run.build for run in runs),
        ping=statistics.median(run.ping for run in runs),
        down=statistics.median(run.down for run in runs),
        total=statistics.median(totals),
        min=min(totals),
        p90=percentile(totals, 90),
        lost=sum(run.ping > LOST for run in runs),
    )


def compiled(folder: Path) -> dict[str, str]:
    """An environment in which what is imported is compiled once, into ``folder``, as where it is installed,
    whatever the caller's says of bytecode."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least ``percent`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def milliseconds(action: Callable[[], object]) -> float:
    """How long the action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def quiet(share: float = 0.85, window: float = 0.03, at_most: float = 1.5) -> bool:
    """Waits until the processors are idle for most of a short window; False when they never were."""
    end = time.monotonic() + at_most
    while time.monotonic() < end:
        idle, everything = _processor_time()
        time.sleep(window)
        later_idle, later = _processor_time()
        if later_idle - idle >= share * (later - everything) > 0:
            return True
    return False


def _processor_time() -> tuple[int, int]:
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def end_within(minutes: float) -> None:
    """Has the program end with a line and exit code 1 when it has not done all by then."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(
            f"benchmarks: not done within {minutes:g} minutes: ask for less, or on a machine that is quieter"
        )

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60)


def drained(at_most: float = 10.0) -> bool:
    """Waits until the kernel has removed every namespace dropped so far; False when it took too long.

    Namespaces are removed in the background and in order: one more, dropped last, whose veth leads here, is
    gone when all before it are.
    """
    subprocess.run(["ip", "-batch", "-"], input=_CANARY, text=True, check=True)
    end = time.monotonic() + at_most
    while _canary_lives() and time.monotonic() < end:
        time.sleep(0.005)
    return not _canary_lives()


def _canary_lives() -> bool:
    return any(name == "canary" for _, name in socket.if_nameindex())


_CANARY = "netns add canary\nlink add canary type veth peer name inner netns canary\nnetns del canary\n"


def machine() -> dict[str, object]:
    """What the figures were measured on, as a class of machine rather than one machine."""
    return {
        "cores": os.cpu_count(),
        "kernel": os.uname().release.split("-")[0],
        "python": sys.version.split()[0],
        "load": round(os.getloadavg()[0], 2),
    }


def verdict(sentence: str, met: bool) -> NoReturn:
    """Says how it went and ends the program: 0 when the bar was met, 1 when not."""
    print(f"{'met' if met else 'MISSED'}: {sentence}")
    raise SystemExit(not met)


def checkout() -> Path:
    """The folder above this one."""
    return Path(__file__).resolve().parent.parent


def need_program(name: str, package: str) -> str | None:
    """Why a peer cannot run when the program is not there."""
    return None if shutil.which(name) else f"no {name} (apt-get install {package})"
