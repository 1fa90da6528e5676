"""The registries of requirements and of checks keep step with each other, and with the tables around them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from cnitest.cli import main
from cnitest.cni import spec
from cnitest.conformance.checks.registry import checks
from cnitest.conformance.model import deviation
from cnitest.conformance.model.requirement import TOPICS, Level, find, registry
from cnitest.errors import CnitestError, ConfigError

SUITE = Path(__file__).resolve().parents[2] / "conformance"
#: What of the specification's checks no black box can decide, and why.
UNDECIDABLE = {
    "PROTO-26": "what container an error means is known to the plugin alone",
    "PROTO-27": "standard error is free by definition",
    "PREV-10": "it speaks of the runtime, whose own tests see it",
    "CAP-04": "it speaks of the runtime, whose own tests see it",
}


def test_every_requirement_has_a_check():
    """No requirement is only written down."""
    decided = {check.requirement for check in checks().values()}

    assert set(registry()) - decided == set()


def test_every_check_is_a_test_of_the_suite():
    """The suite's modules hold a test for each check, under its name, in the module of its topic."""
    found = {
        name: topic
        for topic in TOPICS
        for name in vars(importlib.import_module(f"cnitest.suites.conformance.test_{topic}"))
        if name.startswith("test_")
    }

    assert found == {check.name: check.topic for check in checks().values()}


def test_requirements_are_well_formed():
    """Each has a section of the specification, a sentence with its end, a reason, and versions that exist."""
    for requirement in registry().values():
        assert re.fullmatch(r"[1-5]", requirement.section), requirement
        assert requirement.says.endswith("."), requirement
        assert requirement.why.endswith("."), requirement
        assert spec.between(requirement.since, requirement.until, spec.VERSIONS[-1]), requirement


@pytest.mark.parametrize(
    ("series", "last"),
    [
        ("PROTO", 34),
        ("VER", 6),
        ("ADD", 20),
        ("PREV", 11),
        ("DEL", 17),
        ("CHK", 20),
        ("STA", 6),
        ("GC", 10),
        ("DLG", 12),
        ("ARG", 4),
        ("CAP", 5),
        ("CON", 6),
        ("NET", 5),
    ],
)
def test_no_number_is_left_out_silently(series: str, last: int):
    """Every number of a series is there, or is known to be undecidable for a black box."""
    numbers = [f"{series}-{number:02}" for number in range(1, last + 1)]

    assert [name for name in numbers if name not in registry() and name not in UNDECIDABLE] == []


def test_topics_are_files():
    """Each topic has its file of requirements and its file of tests, and none is forgotten."""
    data = Path(deviation.__file__).parent / "requirements"

    assert {path.stem for path in data.glob("*.yaml")} == set(TOPICS)
    assert {path.stem.removeprefix("test_") for path in SUITE.glob("test_*.py")} == set(TOPICS)


def test_deviations_speak_of_requirements():
    """Each known deviation names a requirement, says why, and has patterns that are narrow enough to miss something."""
    for entry in deviation.table():
        assert entry.requirement in registry(), entry
        assert entry.reason.endswith("."), entry
        assert entry.shows, entry
        assert not any(pattern.search("something else entirely") for pattern in entry.shows), entry


def test_a_requirement_is_found_by_its_id_in_any_case():
    """Upper and lower case do not matter; an ID that is none is answered with the nearest."""
    assert find("addf-A").id == "ADDF-a"
    with pytest.raises(CnitestError, match="did you mean .*DEL-05"):
        find("DEL-5")


def test_requirements_are_listed_and_explained(capsys: pytest.CaptureFixture[str]):
    """The command lists every ID, and explains one with its sentence, its tests and who is known to break it."""
    assert main(["requirements"]) == 0
    listed = capsys.readouterr().out
    assert main(["requirements", "PROTO-03"]) == 0
    explained = capsys.readouterr().out

    assert all(identifier in listed for identifier in registry())
    assert "MUST" in explained
    assert "test_a_missing_verb_is_rejected" in explained
    assert "skel" in explained


def test_levels_are_counted():
    """There are requirements of every level."""
    assert {requirement.level for requirement in registry().values()} == set(Level)


def test_every_fault_of_a_table_of_deviations_is_reported_with_its_place(tmp_path: Path):
    """A misspelt key has the right one beside it, a pattern that is none its line, in one ConfigError."""
    file = tmp_path / "d.yaml"
    row = "  plugin: x\n  reason: r\n"
    file.write_text(f"- requirement: A\n{row}  show: [a]\n- requirement: B\n{row}  shows: '('\n")

    with pytest.raises(ConfigError) as raised:
        deviation.read(file)

    first, second = str(raised.value).splitlines()
    assert first == f"{file}:4:3: [0].show: unknown key. Did you mean 'shows'?"
    assert second.startswith(f"{file}:8:10: [1].shows: is no regular expression")
