"""The table of environments in docs/ci.md: each row is a test of a container, or says that it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cnitest.suites.selftest.containers.rows import FORBIDDEN, READY

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "ci.md"
NOT_RUN = "read, not run"


def rows() -> Iterator[list[str]]:
    """The cells of the table's rows."""
    table = GUIDE.read_text().partition("## Environments")[2].partition("\n### ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return ([cell.strip() for cell in line.strip("|").split(" |")] for line in lines[1:])


def test_each_row_is_a_test_or_says_that_it_was_not_run():
    """By the name of its container."""
    for row in rows():
        assert len(row) == 5, row
        assert row[-1] == NOT_RUN or row[-1].strip("`") in {*READY, *FORBIDDEN}, row[-1]


def test_each_container_has_a_row():
    """And what is said of the walkthrough is what its test demands."""
    said = {row[-1].strip("`"): row[3] for row in rows()}

    assert {*READY, *FORBIDDEN} <= said.keys()
    assert all(said[name].startswith("45 passed") for name in READY)
    assert all(said[name] == "exit code 4, one line" for name in FORBIDDEN)


def test_options_in_the_table_are_those_that_doctor_names():
    """What a person copies from one is what the other says."""
    reported = " ".join(line for _, _, line in FORBIDDEN.values())
    written = {option for row in rows() for option in re.findall(r"--(?:cap-add|security-opt) [\w=]+", row[1])}

    assert written - {"--security-opt label=disable"} <= set(re.findall(r"--(?:cap-add|security-opt) [\w=]+", reported))
