"""Deadlines: a condition is asked until it holds, and its sentence is said when it does not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnitest.deadline import Deadline, factor
from cnitest.errors import ConfigError, DeadlineExceeded
from cnitest.kernel.file_events import APPEARED, WRITTEN, file_events, nearest_directory


def test_poll_gives_what_holds_at_once() -> None:
    """A condition that holds is asked once, and nothing is waited for."""
    asked, waited = [], []

    found = Deadline.after(5, "a word").poll(lambda: asked.append(1) or "word", wait=waited.append)

    assert (found, asked, waited) == ("word", [1], [])


def test_poll_ends_as_soon_as_it_holds() -> None:
    """Nothing is waited for once the condition holds, and never longer than a step."""
    answers, waited = iter([0, 0, 7]), []

    found = Deadline.after(5, "seven").poll(lambda: next(answers), 0.3, waited.append)

    assert (found, waited) == (7, [0.3, 0.3])


def test_poll_says_its_sentence() -> None:
    """A condition that never holds is asked at the deadline once more, and then an error says what was waited for."""
    asked: list[float] = []
    deadline = Deadline.after(0.1, "the moon")

    with pytest.raises(DeadlineExceeded, match=r"0\.1 s.*the moon"):
        deadline.poll(lambda: asked.append(time.monotonic()), step=0.04)

    assert asked[-1] >= deadline.end


def test_a_file_that_appears_ends_a_wait(tmp_path: Path) -> None:
    """A wait ends at the event, long before its step."""
    wanted = tmp_path / "made" / "there"
    began = time.monotonic()

    with file_events() as events:

        def wait(seconds: float) -> None:
            if not events.watch(nearest_directory(str(wanted)), APPEARED):
                events.wait(seconds)

        maker = threading.Timer(0.1, lambda: (wanted.parent.mkdir(), wanted.touch()))
        maker.start()
        Deadline.after(20, "a file").poll(wanted.exists, 10, wait)

    assert time.monotonic() - began < 8
    maker.join()


def test_a_closed_writer_ends_a_wait(tmp_path: Path) -> None:
    """So it does when who wrote a file closes it."""
    file = tmp_path / "written"
    writer = os.open(file, os.O_CREAT | os.O_WRONLY)
    began = time.monotonic()

    with file_events() as events:
        events.watch(str(file), WRITTEN)
        closer = threading.Timer(0.1, os.close, [writer])
        closer.start()
        events.wait(10)

    assert time.monotonic() - began < 8
    closer.join()


def test_a_slow_machine_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable multiplies the seconds of a deadline, but not of one that is exact."""
    monkeypatch.setenv("CNITEST_TIMEOUT_FACTOR", "2.5")
    factor.cache_clear()

    scaled, exact = Deadline.after(4, "a word"), Deadline.exactly(4, "a word")

    assert (scaled.seconds, exact.seconds) == (10, 4)
    assert 9 < scaled.remaining <= 10


@pytest.mark.parametrize("given", ["0.5", "ten", "-1", "inf", "nan"])
def test_a_wrong_factor_is_reported(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """What is no factor raises one line that names the variable and what it wants."""
    monkeypatch.setenv("CNITEST_TIMEOUT_FACTOR", given)
    factor.cache_clear()

    with pytest.raises(ConfigError, match=f"CNITEST_TIMEOUT_FACTOR='{given}': wants a number from 1"):
        Deadline.after(4, "a word")


@pytest.fixture(autouse=True)
def _usual_factor() -> Iterator[None]:
    """What a test made of the factor ends with it."""
    yield
    factor.cache_clear()
