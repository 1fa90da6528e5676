"""Baselines: causes that are accepted, in a file that people read, and what a run makes of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cnitest.cli.commands import main
from cnitest.cni import spec
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import LACKING, Case, CaseVerdict
from cnitest.errors import ConfigError
from cnitest.fuzz.model.violation import Violation
from cnitest.report.baseline import cases, files, fuzzing, words
from cnitest.report.baseline.model import EMPTY, Baseline, Entry, Scope, updated

BLIND = Entry("the MTU is N: bridge CHECK: succeeds, but should refuse", plugin="bridge", requirement="CHK-20")
LEAK = Entry("node: + routes default: scope=link", plugin="bridge", requirement="DEL-01")
ALL = ("1.0.0", "1.1.0")
KNOWN = replace(EMPTY, plugins=(Scope("bridge", ALL),), findings=(BLIND, LEAK))
HEAD = f"format: cnitest-baseline/1\nspec: {spec.VERSIONS[-1]}\n"
TESTS = """
import random

import pytest


def test_words():
    raise ValueError(f"{random.getrandbits(40):#x} at 10.0.0.{random.randint(1, 200)}\\nsecond line")


@pytest.fixture
def broken():
    raise OSError("no such file")


def test_fixture(broken):
    pass


def test_fine():
    pass
"""


def case(
    *details: str, fingerprints: tuple[str, ...] = (), verdict: CaseVerdict = CaseVerdict.FAILED, **more: str
) -> Case:
    """A case of bridge that ended so."""
    return Case(
        more.get("requirement", "CHK-20"), "bridge", "1.1.0", "test", verdict, details, more.get("reason", ""),
        fingerprints=fingerprints,
    )  # fmt: skip


def subject(versions: tuple[str, ...] = ALL) -> Subject:
    """The plugin bridge."""
    return Subject("bridge", "bridge", Kind.INTERFACE, "net", {}, (), (), versions, versions, "")


def read(directory: Path, text: str) -> Baseline:
    """What a file of that text is read as."""
    file = directory / "base.yaml"
    file.write_text(text)
    return files.read(str(file))


def pytest_run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a directory, without a cache."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(directory), *arguments]
    variables = {**os.environ, "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=120, check=False, env=variables
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """A baseline is the same after a file, with comments, and the file is the same after another time."""
    file = tmp_path / "base.yaml"
    given = replace(KNOWN, findings=(replace(BLIND, comment="see https://example.com: 'it' #1"), LEAK))
    files.write(given, str(file))
    before = file.read_text()

    again = files.read(str(file))
    files.write(again, str(file))

    assert again == given
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty; a baseline begins with 'format: cnitest-baseline/1'"),
        ("a: [", "base.yaml:1:"),
        ("format: cnitest-baseline/9\nspec: 7.0\nnew: 1\n", "'cnitest-baseline/9', and this release reads"),
        ("format: cnitest-baseline/1\nspec: 0.4.0\n", "version 0.4.0 of the CNI specification"),
        ("spec: 1.1.0\n", "format"),
        (HEAD + "findigs: []\n", "did you mean 'findings'?"),
        (HEAD + "findings:\n- plugin: a\n  cause: b\n", "it wants one of requirement, rule and test"),
        (HEAD + "findings:\n- {plugin: a, requirement: CHK-5, cause: b}\n", "did you mean CHK-"),
        (HEAD + "findings:\n- {requirement: CHK-05, cause: b}\n", "names no plugin"),
        (HEAD + "findings:\n- {plugin: a, rule: lefft, cause: b}\n", "Did you mean 'left'?"),
        (HEAD + "findings:\n- {plugin: a, requirement: CHK-05}\n", "has no cause"),
        (HEAD + "plugins: [{name: a, versions: [9.9.9]}]\n", "there is no version '9.9.9'"),
    ],
)
def test_what_is_no_baseline_is_reported(tmp_path: Path, text: str, says: str) -> None:
    """Each fault is named by the file's name, its place where it has one, and what to write instead."""
    with pytest.raises(ConfigError, match=re.escape(says) + "|" + re.escape(says).replace("did", "Did")) as reported:
        read(tmp_path, text)

    assert "base.yaml" in str(reported.value)
    assert len(str(reported.value).splitlines()) == 1


@pytest.mark.parametrize("option", ["--baseline", "--write-baseline"])
def test_the_command_ends_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """A file that is no baseline ends the command before anything is run, in one line."""
    file = tmp_path / "base.yaml"
    file.write_text("what: is this\n")

    assert main(["run", "--suite", "walkthrough", option, str(file)]) == 4

    assert f"cnitest: {option}: {file}:1:1: " in capsys.readouterr().err


def test_a_missing_file_ends_with_4(tmp_path: Path) -> None:
    """A baseline that is not there is an error of pytest's usage, which names a similar file."""
    (tmp_path / "baseline.yaml").write_text(HEAD)

    done = pytest_run(tmp_path, "--cni-baseline", "basline.yaml")

    assert done.returncode == 4, done.stdout + done.stderr
    assert f"did you mean '{tmp_path}/baseline.yaml'?" in done.stdout + done.stderr


def test_a_baseline_of_another_plugin_is_refused() -> None:
    """It says whose it is, and which plugin the run tests."""
    with pytest.raises(ConfigError, match="is of bridge, and this run tests brigde. Did you mean 'bridge'"):
        files.check_plugins(KNOWN, "base.yaml", ["brigde"])

    files.check_plugins(KNOWN, "base.yaml", ["ptp", "bridge"])


def test_a_known_cause_is_no_failure() -> None:
    """A case whose details are all in the baseline is in it, whatever its values, with the author's comment."""
    known = replace(KNOWN, findings=(replace(BLIND, comment="#12"),))
    found = cases.accepted(case("the MTU is 1400: bridge CHECK: succeeds, but should refuse"), known)

    assert (found.verdict, found.reason, found.accepted) == (CaseVerdict.BASELINE, "#12", (BLIND.cause,))
    assert [*cases.entries(found)] == [BLIND]


def test_a_new_cause_in_a_known_case_fails() -> None:
    """What is left of a case is what the baseline does not have."""
    new = "the MAC is other: bridge CHECK: succeeds, but should refuse"
    found = cases.accepted(case("the MTU is 1400: bridge CHECK: succeeds, but should refuse", new), KNOWN)

    assert (found.verdict, found.details, found.accepted) == (CaseVerdict.FAILED, (new,), (BLIND.cause,))
    assert {entry.cause for entry in cases.entries(found)} == {BLIND.cause, words.general(new)}


def test_the_same_words_of_another_requirement_are_another_cause() -> None:
    """A requirement that held before and fails now is news."""
    found = cases.accepted(
        case("the MTU is 1400: bridge CHECK: succeeds, but should refuse", requirement="CHK-06"), KNOWN
    )

    assert found.verdict is CaseVerdict.FAILED


def test_causes_are_apart_by_what_is_overlooked_or_left() -> None:
    """Blindness to two things, and two files that stay, are two causes each; two lost packets by what drops them."""
    details = (
        "the address is gone: bridge CHECK: succeeds, but should refuse",
        "the link is down: bridge CHECK: succeeds, but should refuse",
        "node: + files /var/lib/cni/a: kind=file mode=0644",
        "node: + files /var/lib/cni/b: kind=file mode=0644",
        "c1 reaches 8.8.8.8: no answer",
    )
    fingerprints = ("!CHECK accepts", "!CHECK accepts", "left + files kind=file", "left + files kind=file", "!lost x")

    found = [*words.of_details(details, fingerprints)]

    assert len({*found}) == 5
    assert found[-1] == "lost x"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("veth1a2b3c4d has 10.0.0.1/24", "veth5566ff00 has 10.99.0.7/16"),
        ("on fe80::1 by 0a:0b:0c:0d:0e:0f", "on fe80::ffff:2 by 02:00:00:00:00:01"),
        ("after 0.31 s of pid 4711", "after 12.7 s of pid 1"),
        ("/tmp/tmpab12cd_x/f of 0x7ffdeadbeef0", "/tmp/tmpzz99yy/f of 0x7ffd00000001"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-ffff-a456-42661417aaaa"),
        ("wc1d75072289ebb is up", "wcff00aab2233c5d is up"),
        ("calib3c4d5e6f7a has it", "cali00112233445 has it"),
        ("rule -A CNI-e842b5733261600d -j X", "rule -A CNI-0123456789abcdef0123 -j X"),
    ],
)
def test_values_are_no_part_of_a_cause(one: str, other: str) -> None:
    """What differs from run to run leaves a cause the same."""
    assert words.general(one) == words.general(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+ addresses 10.0.0.1/24", "+ addresses fd00::1/64"),
        ("+ routes default: family=2", "+ routes default: family=10"),
        ("-A FORWARD of iptables", "-A FORWARD of ip6tables"),
        ("IPv4 rule", "IPv6 rule"),
        ("+ files /var/lib/a", "+ files /var/lib/b"),
        ("eth0 is down", "eth1 is down"),
    ],
)
def test_what_tells_things_apart_is_part_of_a_cause(one: str, other: str) -> None:
    """Families, interfaces and paths are no values."""
    assert words.general(one) != words.general(other)


def test_a_call_that_fails_is_known_by_its_own_words() -> None:
    """What the test was doing is no part of it; which program failed is."""
    details = ("after a: x DEL (c1): fails: ip6tables no", "x DEL (c1): fails: ip6tables no", "DEL: fails: iptables no")

    found = [*words.of_details(details, ("!fails ipNtables no", "!fails ipNtables no", "!fails iptables no"))]

    assert found == ["fails: ip6tables no", "fails: ip6tables no", "fails: iptables no"]


def test_only_what_was_tried_can_be_gone() -> None:
    """A requirement is tried where no case of it is open, in all the versions that the baseline was written in."""
    passed = case(verdict=CaseVerdict.PASSED)
    opened = [
        case(verdict=CaseVerdict.UNDECIDED, reason="no"),
        case(verdict=CaseVerdict.NOT_APPLICABLE, reason=f"{LACKING}no nft"),
        case("boom", verdict=CaseVerdict.BROKEN),
    ]

    assert [*cases.decided([passed], [subject()], KNOWN)] == [("bridge", "CHK-20")]
    assert [*cases.decided([passed], [subject(("1.1.0",))], KNOWN)] == []
    assert [[*cases.decided([passed, one], [subject()], KNOWN)] for one in opened] == [[]] * 3
    assert [*cases.gone(KNOWN, [], [("bridge", "CHK-20")])] == [BLIND]
    assert [*cases.gone(KNOWN, [BLIND], [("bridge", "CHK-20"), ("bridge", "DEL-01")])] == [LEAK]


def test_writing_again_keeps_comments() -> None:
    """What is found stays with its comment, what has gone goes, what was not tried stays, what is new is added."""
    old = replace(KNOWN, findings=(replace(BLIND, comment="#12"), LEAK))
    new = Entry("x", plugin="ptp", requirement="ADD-01")

    found = updated(old, [BLIND, new], [LEAK], [Scope("ptp", ("1.0.0",)), Scope("bridge", ("0.4.0",))])

    assert found.findings == (replace(BLIND, comment="#12"), new)
    assert found.plugins == (Scope("bridge", ("0.4.0", *ALL)), Scope("ptp", ("1.0.0",)))


def test_fuzzing_has_entries_of_its_own(tmp_path: Path) -> None:
    """What is written of a violation is its cause again; a comment stays, and what another run found."""
    file = str(tmp_path / "base.yaml")
    files.write(KNOWN, file)
    found = [Violation("left", "bridge", "node: + links veth1234"), Violation("silent", "", "no answer from 10.0.0.1")]

    reported = fuzzing.write(file, None, found, subject())
    fuzzing.write(file, None, found[:1], subject())
    baseline = fuzzing.read(file, subject())

    assert reported.endswith("base.yaml: written, 4 causes (2 new); say in its comments why")
    assert fuzzing.causes(baseline) == {violation.cause for violation in found}
    assert set(KNOWN.findings) < set(baseline.findings)
    assert baseline.plugins == KNOWN.plugins
    with pytest.raises(ConfigError, match=r"is of bridge, and this run tests ptp, host-local"):
        fuzzing.read(file, replace(subject(), name="ptp", plugin="ptp", conf={"ipam": {"type": "host-local"}}))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_tests_of_ones_own_have_causes_too(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """A failure is known by test, phase, exception and first line; another one fails; what has gone is reported."""
    file = tmp_path / "test_own.py"
    file.write_text(TESTS)
    wrote = pytest_run(tmp_path, "--cni-write-baseline", "base.yaml", *workers)
    entries = files.read(str(tmp_path / "base.yaml")).findings
    known = pytest_run(tmp_path, "--cni-baseline", "base.yaml", "--junitxml", "junit.xml", *workers)
    file.write_text(TESTS.replace("ValueError", "KeyError").replace("raise OSError", "return OSError"))
    changed = pytest_run(tmp_path, "--cni-baseline", "base.yaml", *workers)
    partly = pytest_run(tmp_path, "--cni-baseline", "base.yaml", "-k", "fine", *workers)

    assert (wrote.returncode, known.returncode, changed.returncode, partly.returncode) == (0, 0, 1, 0)
    assert [(entry.test, entry.cause) for entry in entries] == [
        ("test_own.py::test_fixture", "at setup: OSError: no such file"),
        ("test_own.py::test_words", "ValueError: NUMBER at ADDRESS"),
    ]
    assert "1 passed, 2 in the baseline" in known.stdout
    junit = (tmp_path / "junit.xml").read_text()
    assert 'name="in the baseline" value="2"' in junit
    assert "in the baseline: ValueError: NUMBER at ADDRESS" in junit
    assert "FAILED test_own.py::test_words" in changed.stdout
    assert "no longer found: test_own.py::test_fixture: at setup: OSError: no such file; remove it" in changed.stdout
    assert "no longer found: test_own.py::test_words: ValueError: NUMBER at ADDRESS; remove it" in changed.stdout
    assert "no longer found" not in partly.stdout


def test_strict_fails_what_has_gone(tmp_path: Path) -> None:
    """With --cni-strict a cause that has gone fails the run; without it a line tells."""
    (tmp_path / "test_own.py").write_text("def test_it():\n    pass\n")
    entry = Entry("ValueError: x", test="test_own.py::test_it")
    files.write(replace(EMPTY, findings=(entry,)), str(tmp_path / "base.yaml"))

    calm = pytest_run(tmp_path, "--cni-baseline", "base.yaml")
    strict = pytest_run(tmp_path, "--cni-baseline", "base.yaml", "--cni-strict")

    assert (calm.returncode, strict.returncode) == (0, 1)
    assert "no longer found: test_own.py::test_it: ValueError: x; remove it from base.yaml" in calm.stdout


def test_a_run_that_ends_early_writes_nothing(tmp_path: Path) -> None:
    """With -x nothing is known of what did not run, so nothing is written, and its failure stays one."""
    (tmp_path / "test_own.py").write_text(TESTS)

    done = pytest_run(tmp_path, "--cni-write-baseline", "base.yaml", "-x")

    assert done.returncode == 1
    assert not (tmp_path / "base.yaml").exists()
    assert "did not come to its end" in done.stdout


def test_errors_are_never_accepted(tmp_path: Path) -> None:
    """A module that cannot be imported fails the run that writes a baseline, and the next one."""
    (tmp_path / "test_own.py").write_text("import nothing_of_that_name\n")

    wrote = pytest_run(tmp_path, "--cni-write-baseline", "base.yaml", "--continue-on-collection-errors")

    assert wrote.returncode == 1, wrote.stdout
