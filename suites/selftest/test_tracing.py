"""The trace of a process: what it notes of packets, whose it is, and that nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cnitest.fixtures import guard
from cnitest.suites.selftest.processes import until

from cnitest import Lab
from cnitest.kernel.tracing import instances, trace
from cnitest.topology import find, load

ARM = "from cnitest.kernel.tracing import trace\narmed = trace.await_armed()\nprint(armed.name, flush=True)\n"
STAY = ARM + "import signal\nsignal.pause()\n"


def why_not() -> str:
    """Why nothing can be traced here; empty where it can."""
    return "" if trace.await_armed() else trace.why()


@pytest.fixture(autouse=True)
def _needs_tracing():
    """All of this needs a trace."""
    if why := why_not():
        pytest.skip(why)


@pytest.fixture
def directory() -> Iterator[int]:
    """The directory of instances."""
    with instances.opened() as opened:
        yield opened


@contextlib.contextmanager
def process(program: str, *, group: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs a program, and the instance that it says it has; one that is killed leaves it to us."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, process_group=group
    ) as started:
        try:
            yield started, started.stdout.readline().strip()
        finally:
            started.kill()
            started.wait(30)
            trace.sweep()


@pytest.fixture(scope="module")
def lab():
    """Two sandboxes on a bridge, a router and the internet; what is forwarded is dropped."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        built.host("node").run(["iptables", "-P", "FORWARD", "DROP"])
        yield built


def test_a_dropped_packet_is_noted_from_its_sending_to_its_end(lab):
    """The very buffer that was sent is seen on each link and then freed, with the reason and by whom."""
    armed = trace.await_armed()
    began = time.monotonic_ns()

    assert not lab.place("node/ns01").ping("8.8.8.8")

    noted = armed.since(began)
    freed = [event for event in noted if event.name == "kfree_skb" and event.fields["reason"] == "NETFILTER_DROP"]
    assert freed
    address = freed[-1].fields["skbaddr"]
    before = noted[: noted.index(freed[-1])]  # afterwards the buffer is another packet's
    way = [event.fields["dev"] for event in before if event.fields.get("skbaddr") == address and "dev" in event.fields]
    assert way[-4:] == ["eth01", "veth01", "veth01", "br01"]
    assert freed[-1].fields["location"].partition("+")[0] in ("nft_do_chain", "nf_hook_slow")
    assert freed[-1].task == os.getpid()


def test_what_was_before_is_left_out(lab):
    """Only what was noted since the moment that is named; nothing of a moment to come."""
    armed = trace.await_armed()
    lab.place("node/ns01").ping("10.40.80.1")
    middle = time.monotonic_ns()
    lab.place("node/ns01").ping("10.40.80.1")

    noted = armed.since(middle)

    assert noted
    assert min(event.when for event in noted) >= middle
    assert armed.since(time.monotonic_ns() + 10**9) == ()


def test_what_a_full_buffer_has_lost_is_said(lab):
    """More than the buffer holds: nothing is reported of it, rather than half; the next time as much is whole."""
    armed = trace.Trace(instances.open_all(), threading.get_native_id())
    with contextlib.ExitStack() as undo:
        undo.callback(armed.end)
        began = time.monotonic_ns()
        # Each processor has a buffer of its own.
        undo.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for _ in range(300):
            lab.place("node/ns01").ping("10.40.80.1")
        assert armed.since(began) is None

        after = time.monotonic_ns()
        for _ in range(300):
            lab.place("node/ns01").ping("10.40.80.1")
        assert armed.since(after)


def ends_by_itself(started: subprocess.Popen[str]) -> None:
    """Normally."""


def interrupted(started: subprocess.Popen[str]) -> None:
    """By Ctrl-C."""
    started.send_signal(signal.SIGINT)


@pytest.mark.parametrize(("program", "end"), [(ARM, ends_by_itself), (STAY, interrupted)])
def test_a_process_that_ends_leaves_no_instance(program: str, end: Callable[..., None], directory: int):
    """Normally, or by Ctrl-C."""
    with process(program) as (started, name):
        assert name.startswith(f"cnitest-{started.pid}-")
        end(started)
        started.wait(30)

    assert name not in os.listdir(directory)


def test_what_a_killed_process_leaves_is_removed_by_the_next(directory: int):
    """SIGKILL leaves the instance; the next process that arms its own removes it. The guard of the machine sees it."""
    before = guard.snapshot()
    with process(STAY) as (started, name):
        started.kill()
        started.wait(30)
        orphans = guard.changes(before, guard.snapshot())
        removed = name not in os.listdir(directory)  # by a process of another test

        with process(ARM):
            until(lambda: name not in os.listdir(directory), 30, "the next process to remove it")

    assert removed or f"trace instances without an owner: + {name}" in orphans


def test_what_belongs_to_the_living_is_left_alone(directory: int):
    """Eight processes at once, some killed, others beginning: each of those that live keeps its own."""
    with contextlib.ExitStack() as stack:
        eight = [stack.enter_context(process(STAY)) for _ in range(8)]
        for started, _ in eight[::2]:
            started.kill()
            started.wait(30)
        with process(ARM) as (last, _):
            last.wait(30)
        names = set(os.listdir(directory))

        assert len({name for _, name in eight}) == 8
        assert [name in names for _, name in eight] == [False, True] * 4


@pytest.mark.parametrize("locked", [False, True], ids=["free", "locked"])
def test_another_process_with_the_same_pid_is_not_the_owner(locked: bool, directory: int):
    """A PID that was given anew does not keep an instance; a lock that someone holds does."""
    own = instances.own()
    name = f"cnitest-{own.pid}-{own.start - 1}-{own.group}"
    os.mkdir(name, dir_fd=directory)
    lock = instances._lock(directory, name) if locked else None

    swept = instances.sweep(directory)

    if lock is not None:
        os.close(lock)
        os.rmdir(name, dir_fd=directory)
    assert (name in swept) is not locked


def test_an_instance_of_somebody_else_is_never_touched(directory: int):
    """Whatever looks a little like ours is not."""
    name = f"cnitest-other-{os.getpid()}"
    os.mkdir(name, dir_fd=directory)

    swept = instances.sweep(directory)

    os.rmdir(name, dir_fd=directory)
    assert name not in swept


def test_a_child_that_is_forked_off_ends_nothing(directory: int):
    """The instance is its maker's, not of a copy of it that ends earlier."""
    forking = (
        ARM + "import os, sys\nif os.fork() == 0:\n    sys.exit()\nos.wait()\nprint(os.listdir(armed._directory))\n"
    )

    with process(forking) as (started, name):
        left = started.stdout.read()

    assert name in left


def test_without_real_root_the_reason_is_said():
    """In a user namespace there is no trace, a sentence, and no error."""
    asking = "from cnitest.kernel.tracing import trace\nprint(trace.await_armed(), trace.why())"
    try:
        done = subprocess.run(
            ["unshare", "-Urnm", sys.executable, "-c", asking], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs unshare(1)")

    if done.returncode and "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.startswith("None packets cannot be traced: tracefs is for the machine's root")


def test_arming_does_not_keep_anyone_waiting():
    """`begin` returns at once, and until it is done there is just no trace."""
    waiting = (
        "import time\nfrom cnitest.kernel.tracing import trace\nbegan = time.perf_counter()\ntrace.begin()\n"
        "took = time.perf_counter() - began\nassert trace.armed() is None or took < 0.001\nprint(took)\n"
    )

    took = min(float(subprocess.check_output([sys.executable, "-c", waiting])) for _ in range(3))

    assert took < 0.02


def test_each_thread_that_asks_is_followed(lab):
    """What another thread sends is noted as its own."""
    tasks: Counter[int] = Counter()

    def probe() -> None:
        armed = trace.await_armed()
        began = time.monotonic_ns()
        lab.place("node/ns01").ping("10.40.80.1")
        tasks.update(event.task for event in armed.since(began) or ())
        tasks[threading.get_native_id()] += 0
        assert tasks[threading.get_native_id()]

    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()

    assert len([task for task in tasks if tasks[task] > 5 and not _is_of_softirqs(task)]) == 1
    assert os.getpid() not in tasks


def _is_of_softirqs(task: int) -> bool:
    """Whether it is the kernel's own, which handles packets where a processor is busy."""
    try:
        return Path(f"/proc/{task}/comm").read_text().startswith("ksoftirqd")
    except OSError:  # it has ended, as no thread of the kernel's does
        return False


def test_threads_that_have_ended_are_not_followed_any_more(directory: int):
    """The kernel gives their ids to others."""
    armed = trace.Trace(os.dup(directory), threading.get_native_id())
    with contextlib.ExitStack() as undo:
        undo.callback(armed.end)
        ended = {_ended_thread() for _ in range(30)} - {threading.get_native_id()}
        armed.follow(*ended)
        opened = os.open(f"{armed.name}/set_event_pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        with open(opened, encoding="ascii") as file:
            followed = {int(line) for line in file}

    assert threading.get_native_id() in followed
    assert len(followed) > 1, "the threads of the kernel's softirqs are followed, too"
    assert not followed & ended


def _ended_thread() -> int:
    """The id of a thread that was."""
    ids: list[int] = []
    thread = threading.Thread(target=lambda: ids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    return ids[0]
