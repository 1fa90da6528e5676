"""What a worker of pytest-xdist leaves of its trace: nothing, also when nobody waits for its exit, or it is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnitest.kernel.tracing import instances, trace


@pytest.fixture(autouse=True)
def _needs_tracing() -> None:
    """All of this needs a trace."""
    if not trace.await_armed():
        pytest.skip(trace.why())


ARMED = """
import os
import signal

from cnitest.kernel.tracing import trace

def test_a_trace_is_armed():
    with open("armed", "w") as file:
        file.write(trace.await_armed().name)
"""

LATER = """
import os

import pytest

from cnitest.kernel.tracing import instances

@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session):
    yield
    if hasattr(session.config, "workerinput"):
        with instances.opened() as directory, open("later", "w") as file:
            file.write(" ".join(os.listdir(directory)))
"""


def test_a_worker_ends_its_trace_with_its_session(pytester: pytest.Pytester) -> None:
    """The instance is gone before the worker begins to exit."""
    pytester.makeconftest(LATER)
    pytester.makepyfile(ARMED)
    pytester.runpytest_subprocess("-n", "1").assert_outcomes(passed=1)

    assert Path("armed").read_text() not in Path("later").read_text().split()


def test_the_trace_of_a_killed_worker_is_removed(pytester: pytest.Pytester) -> None:
    """Who leads the workers removes what a killed one cannot."""
    pytester.makepyfile(ARMED + "    os.kill(os.getpid(), signal.SIGKILL)\n")
    pytester.runpytest_subprocess("-n", "1").assert_outcomes(failed=1)

    with instances.opened() as directory:
        assert instances.owner(Path("armed").read_text())
        assert Path("armed").read_text() not in os.listdir(directory)
