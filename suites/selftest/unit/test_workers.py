"""Worker processes: what they send and get, and what is heard of one that ends too soon."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
from typing import Any

import pytest

from cnitest.kernel.processes.workers import Connection, Gone, Workers


def echo(word: str, parent: Connection) -> None:
    """Send back what comes, with a word, until nothing comes any more."""
    while (got := parent.recv()) is not None:
        parent.send((word, got))


def end(how: int, parent: Connection) -> None:
    """Begin a message longer than a pipe takes, and end in the middle of it; below 0 by a signal."""
    parent.send("begun")
    os.write(parent.fileno(), b"\0\0\xff\xff some")
    if how < 0:
        os.kill(os.getpid(), -how)
    sys.exit(how)


def forsaken(parent: Connection) -> None:
    """Send more than anybody reads."""
    while True:
        parent.send("x" * 1000)


def busy(parent: Connection) -> None:
    """Say who this is, and have nothing to say any more."""
    parent.send(os.getpid())
    signal.pause()


def leader(parent: Connection) -> None:
    """A process with a worker of its own, whose number it passes on; killed once that is known."""
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # may have children
    with Workers(busy, [()]) as workers:
        ((_, pid),) = workers.received(30.0)
        parent.send(pid)
        signal.pause()


def all_of(workers: Workers) -> list[tuple[int, Any]]:
    """All that comes, until each has ended."""
    found = []
    while workers.left:
        found += workers.received(30.0)
    return found


@pytest.fixture
def no_semaphores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no /dev/shm."""

    def rejected(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("_multiprocessing.SemLock", rejected)


def test_each_gets_what_is_sent_to_it(no_semaphores):
    """And the parent hears of each that it has done its work."""
    with Workers(echo, [("a",), ("b",)]) as workers:
        for number, message in ((0, 1), (1, 2), (0, None), (1, None)):
            workers.send(number, message)
        found = all_of(workers)

    assert {(0, ("a", 1)), (1, ("b", 2))} <= set(found)
    assert {(0, Gone(0, True)), (1, Gone(0, True))} <= set(found)


@pytest.mark.parametrize(
    ("how", "words"), [(-signal.SIGKILL, "its process was ended by SIGKILL"), (3, "its process ended with exit code 3")]
)
def test_one_that_ends_too_soon_is_reported(how, words):
    """In the middle of a message, too; what is sent to it afterwards is lost, and the others go on."""
    with Workers(end, [(how,)]) as workers:
        found = all_of(workers)
        workers.send(0, "too late")

    assert found == [(0, "begun"), (0, Gone(how, False))]
    assert found[-1][1].words == words


def test_all_have_ended_after_the_block(capfd):
    """Also those that could not go on; they say nothing."""
    with Workers(forsaken, [(), ()]) as workers:
        workers.received(30.0)
        pids = [process.pid for process in workers._processes]

    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
    assert capfd.readouterr() == ("", "")


def test_one_whose_parent_is_gone_ends_by_itself(capfd):
    """Without a word, at the next thing that it has to say."""
    with Workers(forsaken, [()]) as workers:
        workers.received(30.0)
        (connection,) = workers._connections
        connection.close()
        workers._connections.clear()
        (process,) = workers._processes
        process.join(30.0)

        assert process.exitcode == 1
    assert capfd.readouterr() == ("", "")


def test_one_ends_with_a_parent_that_is_killed():
    """At once, though it has nothing to say to it: what works for half a minute is not left for half a minute."""
    with Workers(leader, [()]) as workers:
        ((_, pid),) = workers.received(30.0)
        handle = os.pidfd_open(pid)
        (process,) = workers._processes
        process.kill()
        ended, _, _ = select.select([handle], [], [], 10.0)
        os.close(handle)

    assert ended == [handle]
