"""This checkout's own tests: the plugin is on, and the real machine is the same after a run as before."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Turn the plugin on where it is not installed, and look at the machine before anything has run."""
    if not config.pluginmanager.hasplugin("cnitest") and not config.pluginmanager.hasplugin("cnitest.plugin"):
        config.pluginmanager.import_plugin("cnitest.plugin")
    if not hasattr(config, "workerinput"):
        from cnitest.fixtures import guard

        config.stash[_BEFORE] = guard.snapshot()


@pytest.fixture(scope="session", autouse=True)
def _what_works_once_a_process_is_imported() -> None:
    """pytester forgets what the runs of its own import, and PyYAML's part in C cannot be imported twice."""
    import yaml  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def _runs_of_tests_tell_github_nothing() -> Iterator[None]:
    """Runs of pytest that tests begin are to fail now and then, which no page of GitHub has to show."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _programs_of_tests_can_be_interrupted() -> Iterator[None]:
    """A job in a shell's background ignores SIGINT, and one below nohup SIGHUP; so would all that it starts, but what
    is handled is no longer ignored by them."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: lambda *_: None}
    ignored = [number for number in handlers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, handlers[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it changed the real machine."""
    before = session.config.stash.get(_BEFORE, None)
    if before is None:
        return
    from cnitest.fixtures import guard

    changed = guard.changes(before, guard.snapshot())
    if changed:
        session.config.stash[_CHANGED] = changed
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was changed."""
    changed = config.stash.get(_CHANGED, ())
    if changed:
        terminalreporter.section("the run changed the real machine", red=True)
        for line in changed:
            terminalreporter.line(line)


_BEFORE = pytest.StashKey[object]()
_CHANGED = pytest.StashKey[tuple[str, ...]]()
