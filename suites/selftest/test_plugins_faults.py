"""The proof of suites/plugins: a plugin whose fault only traffic shows is caught by the tests that its table names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cnitest.fixtures.faulty import traffic
from cnitest.fixtures.faulty.traffic import Fault

from cnitest.report.marks import known

CHECKOUT = Path(__file__).resolve().parents[2]
SUITE = CHECKOUT / "suites" / "plugins"
PLUGINS = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
LIMIT = 900.0
#: Plugins whose links not every kernel has.
GUESTS = ("ipvlan", "vlan")
#: What `layer` of the faulty plugins says when a fault does not work.
BROKEN = "the fault failed, not the plugin:"


def outcomes(fault: Fault, tests: Iterable[str], place: Path) -> dict[str, str]:
    """How tests end with a plugin, by ``NAME[PARAMETERS]``: ``passed``, ``failed``, ``error``, ``skipped: WHY``, or
    ``broken`` where the fault itself did not work."""
    path, out = place / "plugins", place / "outcomes.xml"
    path.mkdir()
    try:
        traffic.install(fault, path, PLUGINS)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",  # these tests use none, and it takes a quarter of a second
        "--cni-path",
        ":".join((str(path), *PLUGINS)),
    ]
    named = [f"{SUITE}/{test}" for test in sorted(set(tests))]
    whole = [*argv, f"--junitxml={out}", *named]
    done = subprocess.run(whole, cwd=CHECKOUT, capture_output=True, text=True, timeout=LIMIT)
    assert out.exists(), f"{' '.join(whole)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    assert "INTERNALERROR" not in done.stdout, done.stdout[-4000:]
    return {case.attrib["name"]: _outcome(case) for case in ElementTree.parse(out).iter("testcase")}


def _outcome(case: ElementTree.Element) -> str:
    if case.find("error") is not None:
        return "error"
    failure = case.find("failure")
    if failure is not None:
        return "broken" if BROKEN in f"{failure.get('message')}{failure.text}" else "failed"
    skipped = case.find("skipped")
    return "passed" if skipped is None else f"skipped: {skipped.get('message')}"


def concerned(fault: Fault, found: Mapping[str, str]) -> dict[str, str]:
    """Those outcomes that are a fault's own, by its tests and cases; without what was skipped, and without what the
    release that is wrapped is known to fail by itself."""
    names = {test.rpartition("::")[2]: test for test in fault.caught_by}
    own = {}
    for test, outcome in found.items():
        name, _, cases = test.partition("[")
        if name in names and re.search(fault.cases, cases.removesuffix("]")) and not outcome.startswith("skipped"):
            own[test] = outcome
    return {test: own[test] for test in own if not is_known(fault.plugin, names[test.partition("[")[0]], test)}


def is_known(plugin: str, test: str, case: str) -> bool:
    """Whether the plugin that is there, of a release of the reference plugins, is known to fail a case of a test."""
    name = f"{test}{''.join(case.partition('[')[1:])}"
    release = known.release(plugin, PLUGINS)
    return any(row.plugin == plugin and row.speaks_of(name) and row.concerns(release) for row in known.read(SUITE))


def _param(name: str, value: Fault | Path, plugin: str) -> object:
    """A case of a plugin, which a guest runs where this kernel lacks the links that the plugin makes."""
    needs = [pytest.mark.requires(kernel=plugin)] if plugin in GUESTS else []
    return pytest.param(value, id=name, marks=needs)


@pytest.mark.parametrize("fault", [_param(fault.name, fault, fault.plugin) for fault in traffic.faults()])
def test_a_fault_that_traffic_shows_is_caught(fault: Fault, tmp_path: Path) -> None:
    """Every case of the tests that the fault's row names fails, and none of them breaks."""
    found = outcomes(fault, fault.caught_by, tmp_path)
    own = concerned(fault, found)

    if not own:
        pytest.skip(
            next(
                (said for said in found.values() if said.startswith("skipped")),
                "the release that is there fails it anyway",
            )
        )
    assert set(own.values()) == {"failed"}, own
    assert {test.partition("[")[0] for test in own} == {test.rpartition("::")[2] for test in fault.caught_by}


@pytest.mark.parametrize("table", [_param(table.stem, table, table.stem) for table in traffic.tables()])
def test_the_same_plugin_without_a_fault_passes(table: Path, tmp_path: Path) -> None:
    """With nothing but what runs around the plugin, all those tests pass."""
    faults = traffic.read(table)
    sound = Fault(table.stem, table.stem, "It has no fault.", "", ())

    found = outcomes(sound, (test for fault in faults for test in fault.caught_by), tmp_path)

    for fault in faults:
        assert set(concerned(fault, found).values()) <= {"passed"}, found


def test_a_fault_that_does_not_work_catches_nothing(tmp_path: Path) -> None:
    """A fault that breaks by itself is broken, not caught, though the test that is to catch it fails."""
    test = "test_loopback.py::test_the_interface_name_does_not_matter"
    broken = Fault("broken", "loopback", "It has no function.", "sound.missing", (test,))

    assert set(outcomes(broken, [test], tmp_path).values()) == {"broken"}


@pytest.mark.parametrize("table", traffic.tables(), ids=lambda table: table.stem)
def test_there_are_at_least_three_faults_of_a_plugin(table: Path) -> None:
    """A table has three faults or more, each with a sentence and with a test that is there."""
    faults = traffic.read(table)

    assert len(faults) >= 3
    for fault in faults:
        assert fault.says.endswith("."), fault.says
        assert fault.caught_by, "nothing is named that should catch it"
        for test in fault.caught_by:
            file, name = test.partition("::")[0], test.rpartition("::")[2]
            assert f"def {name}(" in (SUITE / file).read_text(), f"{test} is not there"
