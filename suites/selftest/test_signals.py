"""What ends a run as Ctrl-C does: SIGTERM and SIGHUP, with one line, the exit code of shells, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cnitest.suites.selftest.processes import at_work, interrupted

from cnitest import cli, interrupts
from cnitest.cli import commands

#: Signals, the exit code after each, and what is said of it.
ENDS = {
    signal.SIGINT: (2, "interrupted"),
    signal.SIGTERM: (143, "ended by SIGTERM"),
    signal.SIGHUP: (129, "ended by SIGHUP"),
}
each_signal = pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
#: A plugin that hangs.
HANGS = "#!/bin/sh\necho $$ >{}/hung\nexec tail -f /dev/null\n"
TEST = """
import os, pathlib, signal

def test_it(lab):
    with lab.host("node").start(["tail", "-f", "/dev/null"]) as program:
        pathlib.Path("pid").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.{})
        signal.pause()
"""
TWICE = """
import os, pathlib, signal, pytest

@pytest.fixture
def cleaned_up():
    yield
    os.kill(os.getpid(), signal.SIGINT)
    pathlib.Path("cleaned-up").touch()

def test_it(lab, cleaned_up):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""
FORKS = """
import os, signal

def test_it():
    if not (pid := os.fork()):
        signal.pause()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
"""


def pytest_alone(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest over a test file, in a session of its own."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, "test_it.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, start_new_session=True
    )


@pytest.fixture
def unheeded():
    """Signals end this process, as they do where nobody ignores or handles them."""
    defaults = {**dict.fromkeys(interrupts.ENDING, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@each_signal
def test_a_command_says_which_signal_it_was(number, unheeded, monkeypatch, capsys):
    """In one line, where it has nothing else to tell."""
    monkeypatch.setattr(commands, "main", lambda _: signal.raise_signal(number))

    assert cli.main(["doctor"]) == ENDS[number][0]
    assert capsys.readouterr().err == f"cnitest: {ENDS[number][1]}\n"


def test_the_second_signal_of_a_pair_changes_nothing(unheeded):
    """A shell and the terminal both send SIGHUP; what cleans up goes on. After the block all is as before."""
    with interrupts.heeded():
        with pytest.raises(interrupts.Ended, match="ended by SIGHUP"):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@each_signal
@pytest.mark.parametrize("workers", ["1", "2"])
def test_conformance_ends(number, workers, tmp_path):
    """While a plugin hangs, which goes with it."""
    plugin = tmp_path / "hangs"
    plugin.write_text(HANGS.format(tmp_path))
    plugin.chmod(0o755)
    (tmp_path / "net.conf").write_text('{"cniVersion": "1.0.0", "name": "net", "type": "hangs"}')
    arguments = ["run", "net.conf", "--cni-path", str(tmp_path), "-n", workers]

    code, text, _ = interrupted(arguments, tmp_path, lambda _: (tmp_path / "hung").exists(), number)

    assert code == ENDS[number][0], text
    assert ENDS[number][1] in text
    assert "Traceback" not in text


@pytest.mark.parametrize("number", interrupts.ENDING, ids=lambda number: number.name)
@pytest.mark.requires(plugin="host-local")
def test_fuzzing_ends(number, tmp_path):
    """With its summary; its workers go, too."""
    arguments = ["fuzz", "host-local", "-n", "2"]

    code, text, _ = interrupted(arguments, tmp_path, lambda pid: at_work(pid) == 2, number)

    assert code == ENDS[number][0], text
    assert f"({ENDS[number][1]})" in text
    assert "Traceback" not in text


@each_signal
def test_pytest_ends_its_labs(number, tmp_path):
    """As after Ctrl-C: what was started is gone, and the exit code says which signal it was."""
    done = pytest_alone(tmp_path, TEST.format(number.name))

    assert done.returncode == ENDS[number][0], done.stdout
    assert "KeyboardInterrupt" in done.stdout or f"{ENDS[number][1]} !" in done.stdout
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_pytest_cleans_up_at_a_second_ctrl_c(tmp_path):
    """Where tests use labs, a person who presses it twice does not keep their fixtures from ending."""
    done = pytest_alone(tmp_path, TWICE)

    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "cleaned-up").exists()


@pytest.mark.parametrize("number", interrupts.ENDING, ids=lambda number: number.name)
def test_a_signal_while_pytest_starts_is_one_line(number, tmp_path):
    """Where ``run`` has handed over and pytest imports what it runs."""
    (tmp_path / "ending.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\n")
    given = [sys.executable, "-m", "cnitest.cli", "run", "--", "-p", "ending"]
    outside = {**os.environ, "PYTHONPATH": str(tmp_path)}

    done = subprocess.run(given, env=outside, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == ENDS[number][0]
    assert (done.stdout, done.stderr) == ("", f"cnitest: {ENDS[number][1]}\n")


def test_tests_of_other_things_are_left_alone(tmp_path):
    """What they fork dies of a signal as without the plugin."""
    done = pytest_alone(tmp_path, FORKS)

    assert done.returncode == 0, done.stdout


@each_signal
def test_a_second_signal_changes_nothing(number, unheeded, monkeypatch):
    """Soon after the first: a person presses Ctrl-C twice while we clean up. Later it does, for what does not end."""
    with interrupts.heeded():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)
    monkeypatch.setattr(interrupts, "_CLEANING", 0.0)
    with interrupts.heeded():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@each_signal
def test_a_signal_that_cannot_be_raised_comes_again(number, unheeded, monkeypatch, capsys):
    """Where it strikes in a callback, whose exceptions Python only prints."""

    class Callback:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def struck() -> int:
        Callback()
        threading.Event().wait(30.0)
        return 0

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    assert interrupts.ended(struck) == ENDS[number][0]
    assert capsys.readouterr() == ("", f"cnitest: {ENDS[number][1]}\n")


@each_signal
def test_a_signal_that_comes_again_too_late_is_not_shown(number, unheeded, monkeypatch, capsys):
    """Where Python is about to end, and starts no thread any more."""

    class Callback:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading.Thread, "start", no_thread)

    assert interrupts.ended(lambda: Callback() and 0) == 0
    assert capsys.readouterr() == ("", "")


@each_signal
def test_an_error_that_comes_of_a_signal_is_not_shown(number, unheeded, capsys):
    """Python's import system has a KeyError then, at times; before any signal, it is an error as any other."""

    def fails(first: signal.Signals | None) -> int:
        try:
            if first:
                signal.raise_signal(first)
        finally:
            raise KeyError("a lock")

    with pytest.raises(KeyError):
        interrupts.ended(lambda: fails(None))
    assert interrupts.ended(lambda: fails(number)) == ENDS[number][0]
    assert capsys.readouterr() == ("", f"cnitest: {ENDS[number][1]}\n")


@each_signal
def test_signals_after_the_end_change_nothing(number):
    """What a process does last has decided on its exit code, and Python says of no signal that comes then."""
    code = "import signal, sys; from cnitest import interrupts; code = interrupts.ended(lambda: 7, last=True)\n"
    code += f"signal.raise_signal({int(number)}); sys.exit(code)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


@each_signal
def test_a_signal_while_the_command_is_imported_is_one_line(number, tmp_path):
    """It strikes where its first modules are, and ends the process at once."""
    (tmp_path / "contextlib.py").write_text(f"import _signal\n_signal.raise_signal({int(number)})\n")
    code = "import sys; from cnitest import cli\n"
    code += f"sys.path.insert(0, {str(tmp_path)!r}); sys.modules.pop('contextlib', None); sys.exit(cli.main())"

    done = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (ENDS[number][0], "", f"cnitest: {ENDS[number][1]}\n")


LONG = """
import os, pathlib, signal, threading, pytest

@pytest.fixture
def cleaned_up():
    yield
    pathlib.Path("cleaned-up").touch()

def test_it(lab, cleaned_up):
    pathlib.Path("worker").write_text(str(os.getpid()))
    os.kill(os.getppid(), signal.{})
    threading.Event().wait(60.0)
"""
#: Strikes who leads workers where nothing can be raised.
STRUCK = """
import signal

class Callback:
    def __del__(self):
        signal.raise_signal(signal.{})

def pytest_runtest_logreport(report):
    if hasattr(report, "node"):
        Callback()
"""


#: Waits, before xdist ends its workers, for what the fixture of one leaves.
BEFORE = """
import pathlib, time, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    until = time.monotonic() + 20
    if not hasattr(session.config, "workerinput"):
        while not pathlib.Path("cleaned-up").exists() and time.monotonic() < until:
            time.sleep(0.05)
        pathlib.Path("at-once").write_text(str(pathlib.Path("cleaned-up").exists()))
"""


@each_signal
def test_workers_end_at_once(number, tmp_path):
    """Where only who leads them gets the signal, too: their tests are interrupted, and fixtures end; execnet would
    wait for five seconds."""
    (tmp_path / "conftest.py").write_text(BEFORE)

    done = pytest_alone(tmp_path, LONG.format(number.name), "-n", "1", "-q")

    assert done.returncode == ENDS[number][0], done.stdout + done.stderr
    assert (tmp_path / "at-once").read_text() == "True"
    assert not Path("/proc", (tmp_path / "worker").read_text()).exists()
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", interrupts.ENDING, ids=lambda number: number.name)
def test_a_signal_in_a_callback_ends_pytest_with_workers(number, tmp_path):
    """pytest sees to errors of callbacks itself, and would warn of it and go on."""
    (tmp_path / "conftest.py").write_text(STRUCK.format(number.name))

    done = pytest_alone(
        tmp_path,
        "import threading\ndef test_it(lab): pass\ndef test_two(): threading.Event().wait(5)\n",
        "-n",
        "1",
        "-q",
    )

    assert done.returncode == ENDS[number][0], done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
