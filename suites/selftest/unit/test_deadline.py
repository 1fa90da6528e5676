"""Deadlines: a condition is asked until it holds, and its sentence is said when it does not."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded
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
