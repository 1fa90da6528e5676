"""The pytest interface: options, marks, and what a failed test shows. The fixtures are in ``cnitest.fixtures``."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from cnitest.report import options
from cnitest.report.given import declare_by_command, plugin_path, resolve_paths
from cnitest.report.stashed import LAB, LAST_STORY

if TYPE_CHECKING:
    from cnitest.report.failure_report import Section

#: The rest of the interface. Named by ``pytest_plugins``, each would have pytest read what all packages here declare.
_PARTS = (
    "cnitest.fixtures.network",
    "cnitest.report.baseline.hooks",
    "cnitest.report.verdicts",
    "cnitest.report.ran",
    "cnitest.report.ci.hooks",
    "cnitest.report.marks.covers",
    "cnitest.report.marks.regressions",
    "cnitest.report.unprivileged",
)

#: Set with the run once its person wants to leave: nothing slow is begun any more.
LEAVING = pytest.StashKey[bool]()
#: Set where SIGTERM and SIGHUP end the run as Ctrl-C does: labs are to be cleaned up.
_HEEDED = pytest.StashKey[bool]()
_REQUIRES = ("kernel", "plugin", "binary")
_LABS = {"lab", "cni", "network"}


class _Leaving:
    """Notices Ctrl-C, which pytest announces before fixtures are ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._signal = config, 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The person wants to leave; whoever would say so is not there before pytest is configured."""
        from cnitest import interrupts

        self._config.stash[LEAVING] = True
        if not isinstance(excinfo.value, KeyboardInterrupt):  # pytest.exit has a code and words of its own
            return
        self._signal = interrupts.number_of(excinfo.value)
        if hasattr(self._config, "workerinput"):
            interrupts.ignore()  # whoever leads it kills it, should it take too long
            self._config.pluginmanager.unregister(name="terminalreporter")  # whose summary nobody sees
            return
        if self._signal == signal.SIGINT and self._config.stash.get(_HEEDED, False):
            interrupts.heed_others()
        _end_workers(self._config)
        if not self._config.pluginmanager.hasplugin("terminalreporter"):
            print(f"cnitest: {interrupts.words(self._signal)}", file=sys.stderr)  # noqa: T201

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Have the exit code say which signal it was; workers that were about to start have no end of a session. A
        worker that was interrupted ends here: its fixtures have, and pytest would go on to collect garbage."""
        if not self._signal:
            return
        from cnitest import interrupts

        if hasattr(self._config, "workerinput"):
            os._exit(interrupts.code(self._signal))
        if session := self._config.pluginmanager.get_plugin("session"):
            session.exitstatus = interrupts.code(self._signal)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None]:
        """Start workers of xdist without Ctrl-C: whoever leads them gets it, once they have been started. Signals are
        heeded from here on, for pytest would only warn of one in a callback had it come last."""
        is_worker = hasattr(self._config, "workerinput")
        leads = () if is_worker else getattr(self._config.option, "tx", ())
        if not (is_worker or leads) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            return (yield)  # nothing is imported
        from cnitest import interrupts

        if is_worker:
            interrupts.heed()
        elif leads:
            _heed(self._config)
        interrupts.watch_callbacks()
        local = [re.fullmatch(r"(\d+\*)?popen", spec) for spec in leads]
        if not local or not all(local):  # another machine may let us wait
            return (yield)
        with interrupts.withheld():
            return (yield)


def _end_workers(config: pytest.Config) -> None:
    """Interrupt workers of xdist on this machine at once, for execnet waits five seconds before it does. One that has
    not begun its session has nothing to clean up, and is killed."""
    manager = getattr(config.pluginmanager.get_plugin("dsession"), "nodemanager", None)
    for gateway in getattr(manager, "group", ()):
        process = getattr(gateway._io, "popen", None)
        if gateway.spec.popen and process:
            begun = hasattr(getattr(gateway, "node", None), "workerinfo")
            process.send_signal(signal.SIGINT if begun else signal.SIGKILL)


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Have the rest of the interface registered once this module is, as what ``pytest_plugins`` names."""
    if plugin is sys.modules[__name__]:
        for name in _PARTS:
            manager.import_plugin(name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of their own groups."""
    group = parser.getgroup("cni", "container networks (cnitest)")
    options.declare_to_pytest(group, options.NETWORK)
    declare_by_command(group)
    options.declare_to_pytest(parser.getgroup("cni baseline", "accepted findings (cnitest)"), options.BASELINE)
    group = parser.getgroup("cni vm", "other kernels (cnitest)")
    options.declare_to_pytest(group, options.GUEST)
    group = parser.getgroup("cni ci", "continuous integration (cnitest)")
    options.declare_to_pytest(group, options.CI)
    group = parser.getgroup("cni conformance", "conformance to the CNI specification (cnitest)")
    options.declare_to_pytest(group, options.CONFORMANCE)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run in a guest what was asked to run there."""
    if config.option.cni_vm is None:
        return None
    from cnitest.report import guest

    return guest.boot(config) if guest.asked(config) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not to run in a guest."""
    if config.option.cni_vm_only:
        from cnitest.report import guest

        guest.chosen(items, config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """End by SIGTERM and SIGHUP as by Ctrl-C where tests use labs; others', which may fork, are left as they are."""
    if "cnitest.lab.lab" in sys.modules or any(_LABS.intersection(_fixtures(item)) for item in session.items):
        _heed(session.config)


def _heed(config: pytest.Config) -> None:
    from cnitest import interrupts

    config.stash[_HEEDED] = True
    if hasattr(config, "workerinput"):  # a worker that is killed fails its test alone
        config.add_cleanup(interrupts.heed_interrupts())
    else:
        config.add_cleanup(interrupts.heed_ending())


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.hookimpl(tryfirst=True)  # whoever reads our options shall find them resolved
def pytest_configure(config: pytest.Config) -> None:
    """Resolve what was given, and register the marks."""
    resolve_paths(config)
    config.pluginmanager.register(_Leaving(config))
    config.addinivalue_line("markers", "topology(name_or_path): the topology that the fixture `lab` builds")
    config.addinivalue_line(
        "markers",
        "requires(kernel=…, plugin=…, binary=…): skip the test, with the reason, where one of these is missing; "
        "a plugin may have bounds of its release: 'bridge>=1.7'",
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End a worker's trace with its session: what takes longer than 10 s to exit afterwards is killed by xdist."""
    tracing = sys.modules.get("cnitest.kernel.tracing.trace")
    if tracing and hasattr(session.config, "workerinput"):
        tracing.end()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(error: object) -> None:
    """Remove what a worker that was killed has left on the machine."""
    if error:
        from cnitest.kernel.tracing import trace

        trace.sweep()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with everything that is missing in one reason."""
    missing = [why for mark in item.iter_markers("requires") for why in _missing(mark, item.config)]
    if missing:
        pytest.skip("; ".join(dict.fromkeys(missing)) + _advice(item))


def _advice(item: pytest.Item) -> str:
    """Where else a test that the kernel keeps from running would run."""
    from cnitest.kernel import features
    from cnitest.report import guest

    wanted = [name for mark in item.iter_markers("requires") for name in _names(mark.kwargs.get("kernel"))]
    return guest.advice([name for name in wanted if features.kernel(name).why], guest.command(item))


def _missing(mark: pytest.Mark, config: pytest.Config) -> list[str]:
    unknown = set(mark.kwargs) - set(_REQUIRES)
    if unknown or mark.args:
        wrong = ", ".join(map(repr, mark.args or sorted(unknown)))
        pytest.fail(f"the mark requires takes {', '.join(_REQUIRES)} as keywords, not {wrong}", pytrace=False)
    return [why for kind in _REQUIRES for name in _names(mark.kwargs.get(kind)) if (why := _absent(kind, name, config))]


def _names(value: Any) -> tuple[str, ...]:
    names = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in names):
        pytest.fail(f"the mark requires takes a name or a list of names, not {value!r}", pytrace=False)
    return tuple(names)


def _absent(kind: str, name: str, config: pytest.Config) -> str:
    """Why a thing is not there; empty when it is. A name that nobody knows is an error of who wrote it."""
    why, known = _looked_for(kind, name, config)
    if known:
        pytest.fail(f"requires({kind}={name!r}): {known}", pytrace=False)
    return why


def _looked_for(kind: str, name: str, config: pytest.Config) -> tuple[str, str]:
    """Why a thing is not there, and what is wrong with its name."""
    if kind == "kernel":
        from cnitest.kernel import features

        unknown = features.unknown(name)
        return ("", unknown) if unknown else (features.kernel(name).why, "")
    if kind == "binary":
        from cnitest.kernel.processes import programs

        close = programs.misspelt(name)
        return programs.absent(name), f"there is no such program; did you mean {close!r}?" if close else ""
    return _plugin_looked_for(name, plugin_path(config))


def _plugin_looked_for(wanted: str, path: tuple[str, ...]) -> tuple[str, str]:
    """The same of a plugin, whose name may be followed by bounds of its release; another author's has no release."""
    from cnitest.cni import plugins, releases

    name = re.split("[<>=]", wanted, maxsplit=1)[0].strip()
    bounds = wanted[len(name) :]
    close = plugins.misspelt(name, path)
    if close or (absent := plugins.absent(name, path)):
        return "" if close else absent, f"there is no such plugin; did you mean {close!r}?" if close else ""
    release = releases.reference(plugins.find(name, path)) if bounds else ""
    try:
        fits = not release or releases.fits(release, bounds)
    except ValueError as error:
        return "", str(error)
    return "" if fits else f"needs {name} {bounds}; this is {release}", ""


def pytest_assertrepr_compare(op: str, left: Any, right: Any) -> list[str] | None:
    """Show of a matrix that is not as expected just the cells that differ, and why."""
    if op != "==" or "cnitest.lab.reachability.matrix" not in sys.modules:
        return None
    from cnitest.lab.reachability.matrix import Reachability

    matrix, expected = (left, right) if isinstance(left, Reachability) else (right, left)
    if not isinstance(matrix, Reachability):
        return None
    return [f"{matrix!r} == what is expected", "", *str(matrix.difference(expected)).splitlines()]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the network's story to the report of a test that failed, in its fixtures or in itself; not where a suite's
    table of known failures has it."""
    if call.excinfo and isinstance(call.excinfo.value, pytest.fail.Exception):
        _name_what_succeeded(call.excinfo.value, item)
    report = yield
    if report.failed:
        report.sections += item.stash.get(LAST_STORY, []) if call.when == "teardown" else story_of(item)
    return report


def _name_what_succeeded(failure: Any, item: pytest.Item) -> None:
    """Where a test expected a plugin to refuse, say beside pytest's words which calls did not."""
    if str(failure.msg).startswith("DID NOT RAISE") and "PluginError" in failure.msg and (lab := _lab_of(item)):
        from cnitest.report.failure_report import succeeded

        failure.msg += f": {words}" if (words := succeeded(lab)) else ""


def _lab_of(item: pytest.Item) -> Any:
    return item.stash.get(LAB, None) or getattr(item, "funcargs", {}).get("lab")


def story_of(item: pytest.Item) -> list[Section]:
    """What the lab of a test has to report while it is built."""
    lab = _lab_of(item)
    if lab is None:
        return []
    from cnitest.report import failure_report

    try:
        return failure_report.sections(lab)
    except Exception as error:  # a report that fails must not hide the failure
        from cnitest import text

        return [("cnitest", text.lines(f"the network's report cannot be made: {type(error).__name__}: {error}"))]
