"""``cnitest vm`` and ``pytest --cni-vm``: a command, a shell or tests in a guest, and how they end."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cnitest.deadline import Deadline
from cnitest.errors import GuestError
from cnitest.vm import cache, needs, prepared

COMMAND = (sys.executable, "-m", "cnitest.cli", "vm")
NOTHING = ("--memory", "512M", "--", "sleep", "1000")


@pytest.fixture(scope="session", autouse=True)
def _guests() -> None:
    """Skip where no guest can be booted, with the reason."""
    if os.environ.get("CNITEST_VM"):
        pytest.skip("this is a guest: none is booted in it")
    for why in needs.missing():
        pytest.skip(why)
    try:
        prepared.prepare(None, cache.directory())
    except GuestError as error:
        pytest.skip(str(error))


def vm(*words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, ended; ``variables`` are added to its environment."""
    return subprocess.run(
        [*COMMAND, *words], input=stdin, capture_output=True, text=True, timeout=300, env={**os.environ, **variables}
    )


def children(pid: int) -> set[int]:
    """The processes that a process started."""
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


@contextmanager
def booting() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command and its guest's process, somewhere on the way to its end."""
    command = subprocess.Popen([*COMMAND, *NOTHING], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def guest() -> int:
        names = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in children(command.pid)}
        return next((pid for pid, name in names.items() if name.startswith("qemu")), 0)

    try:
        yield command, Deadline.after(60, "QEMU to be started").poll(guest)
    finally:
        command.kill()
        command.communicate()


def test_a_command_runs_in_another_kernel(tmp_path):
    """Outputs come apart, stdin and files are ours, what is shared is really written, and its status is ours."""
    (tmp_path / "there").write_text("of this machine\n")
    (tmp_path / "shared").mkdir()
    script = (
        f"cd {tmp_path}; cat there; cat; echo kept > shared/new; echo lost > new; "
        "ip link add name v1 type dummy && cat /sys/class/net/v1/flags >&2; exit 7"
    )

    done = vm("--share", str(tmp_path / "shared"), "--", "sh", "-c", script, stdin="through stdin\n")

    assert (done.stdout, done.stderr, done.returncode) == ("of this machine\nthrough stdin\n", "0x82\n", 7)
    assert (tmp_path / "shared" / "new").read_text() == "kept\n"
    assert not (tmp_path / "new").exists()


def test_a_guest_that_dies_is_one_line():
    """Without the command's status it ends with 125, and says what the kernel said of it."""
    done = vm("--", "sh", "-c", "echo c > /proc/sysrq-trigger")

    assert done.returncode == 125
    assert done.stderr.splitlines() == [
        "cnitest: the guest ended without an exit status: Kernel panic - not syncing: sysrq triggered crash"
    ]


def test_a_disk_that_is_full_is_one_line():
    """What a command cannot write any more is distinguished from its own failure, with what to do."""
    done = vm("--memory", "300M", "--", "sh", "-c", "cat /dev/zero > /var/tmp/big 2>/dev/null; exit 3")

    assert done.returncode == 125
    assert "the guest's disk is full" in done.stderr
    assert "--memory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_timeout_ends_it_at_once():
    """It ends with 124 and a line, whether it was still booting or not; on a slow machine no later."""
    done = vm("--timeout", "1", "--", "true", CNITEST_TIMEOUT_FACTOR="100")

    assert done.returncode == 124
    assert done.stderr == "cnitest: the guest was ended: its command took longer than 1 s\n"


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, b"cnitest: interrupted\n"),
        (signal.SIGTERM, 143, b"cnitest: ended by SIGTERM\n"),
        (signal.SIGHUP, 129, b"cnitest: ended by SIGHUP\n"),
        (signal.SIGKILL, -9, b""),
    ],
)
def test_no_signal_leaves_a_guest(number, status, line):
    """Each ends it with the status of shells and one line; its machine is gone with it, after SIGKILL, too."""
    with booting() as (command, guest):
        command.send_signal(number)
        _, reported = command.communicate(timeout=60)

        assert command.returncode == status
        assert reported == line
        Deadline.after(20, "QEMU to be gone").poll(lambda: not Path(f"/proc/{guest}").exists())


def test_without_a_command_there_is_a_shell_on_the_terminal():
    """Keys go to it, what it prints is shown, and its status is ours."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(COMMAND[0], [*COMMAND, "--memory", "512M"], {**os.environ, "SHELL": "/bin/sh", "TERM": "dumb"})
    try:
        _read_until(terminal, b"# ")
        os.write(terminal, b"tty; exit 5\n")
        shown = _read_until(terminal, b"/dev/hvc0")
        _read_until(terminal, b"")
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGTERM)
        _, ended = os.waitpid(pid, 0)

    assert b"/dev/hvc0" in shown
    assert os.waitstatus_to_exitcode(ended) == 5


def test_a_shell_follows_the_terminals_size():
    """It begins with the size that the terminal has, and is changed with it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(COMMAND[0], [*COMMAND, "--memory", "512M"], {**os.environ, "SHELL": "/bin/sh", "TERM": "dumb"})
    try:
        termios.tcsetwinsize(terminal, (20, 60))
        _read_until(terminal, b"# ")
        os.write(terminal, _until("20 60") + b"trap 'echo chan''ged' WINCH; echo rea''dy\n")
        _read_until(terminal, b"ready")
        termios.tcsetwinsize(terminal, (33, 99))
        os.write(terminal, _until("33 99") + b"echo en''d; exit 6\n")
        shown = _read_until(terminal, b"end")
        _read_until(terminal, b"")
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGTERM)
        _, ended = os.waitpid(pid, 0)

    assert b"changed" in shown
    assert os.waitstatus_to_exitcode(ended) == 6


def _until(size: str) -> bytes:
    """A shell's line that ends once its terminal has some size."""
    return f"until [ \"$(stty size)\" = '{size}' ]; do :; done; ".encode()


def _read_until(terminal: int, wanted: bytes) -> bytes:
    """What is shown until some words are; without words, until whoever is on the terminal has ended."""
    shown, deadline = b"", Deadline.after(120, f"{wanted!r} on the terminal")
    while not wanted or wanted not in shown:
        if not select.select([terminal], [], [], deadline.remaining)[0]:
            deadline.check()
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    return shown


def test_tests_run_in_a_guest_as_if_they_ran_here(tmp_path):
    """The same command line: output, exit status and reports are those of the guest's run."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import os, pytest\n"
        "def test_passes(): assert os.path.exists('/sys/class/virtio-ports')\n"
        "def test_fails(): assert os.uname().release == 'another'\n"
        "@pytest.mark.requires(kernel='ipvlan')\n"
        "def test_needs(): open('made', 'w').write('by the guest')\n"
    )
    argv = [sys.executable, "-m", "pytest", "--cni-vm", "test_it.py", "-p", "no:cacheprovider", "--junitxml", "out.xml"]

    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert done.returncode == 1, done.stderr
    assert "1 failed, 2 passed" in done.stdout
    (suite,) = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
    assert (tmp_path / "made").read_text() == "by the guest"


def test_what_failed_before_ctrl_c_is_told(tmp_path):
    """Tests in a guest get Ctrl-C as on a terminal: pytest says where it was and what had failed, and ends with its own
    exit code."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import signal\n"
        "def test_fails(): assert 'this' == 'that'\n"
        "def test_hangs():\n    open('hangs', 'w').close()\n    signal.pause()\n"
    )
    argv = [sys.executable, "-m", "pytest", "--cni-vm", "test_it.py", "-p", "no:cacheprovider"]

    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        Deadline.after(120, "a test in the guest").poll((tmp_path / "hangs").exists)
        command.send_signal(signal.SIGINT)
        told, complained = command.communicate(timeout=120)

    assert command.returncode == 2
    assert "assert 'this' == 'that'" in told
    assert "KeyboardInterrupt" in told
    assert complained == "cnitest: interrupted: tests in the guest come to their end; Ctrl-C once more ends the guest\n"
