"""Our own tables are read as topologies are: each fault has its line, its column, its path, and what may be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cnitest.fixtures import faulty

from cnitest.conformance.model import requirement
from cnitest.errors import ConfigError
from cnitest.fuzz.search import survey

REQUIREMENT = """\
ADD-01:
  levl: MUST
  section: "2"
  says: It is so.
  why: It has to be.
  kinds: [interfaces]
  since: 0.4
"""
KNOWN = """\
- plugin: bridge
  rule: harms
  cause: "(open"
  reason: It is so.
"""


@pytest.mark.parametrize(
    ("read", "text", "reported"),
    [
        (
            requirement.read,
            REQUIREMENT,
            [
                "2:3: ADD-01.levl: unknown key. Did you mean 'level'?",
                "6:11: ADD-01.kinds[0]: 'interfaces' is not one of 'interface', 'meta', 'ipam'. "
                "Did you mean 'interface'?",
                "7:10: ADD-01.since: '0.4' is no version. Did you mean '0.4.0'?",
            ],
        ),
        (
            lambda file: list(survey.read(file)),
            KNOWN,
            [
                "1:3: [0].link: is missing (expected text)",
                "2:9: [0].rule: there is no rule 'harms'. Did you mean 'harm'?",
                "3:10: [0].cause: is no regular expression: missing ), unterminated subpattern at position 0",
            ],
        ),
    ],
    ids=["requirements", "known causes"],
)
def test_every_fault_of_a_table_is_reported_with_its_place(
    read: Callable[[Path], Any], text: str, reported: list[str], tmp_path: Path
):
    """All at once, in the order of the file."""
    file = tmp_path / "table.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as error:
        read(file)

    assert str(error.value).splitlines() == [f"{file}:{line}" for line in reported]


def test_a_fault_in_a_table_of_faulty_plugins_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The tables of faulty plugins are read in the same way."""
    (tmp_path / "wire.yaml").write_text("cuts-names: {says: It cuts., made: anywhere.cuts_names, caught_by: ADD-01}\n")
    monkeypatch.setattr(faulty, "HERE", tmp_path)
    monkeypatch.setattr(faulty, "FAMILIES", ("wire",))

    with pytest.raises(ConfigError) as error:
        faulty.faults()

    assert str(error.value).splitlines() == [
        f"{tmp_path}/wire.yaml:1:30: cuts-names.made: unknown key. Did you mean 'made_by'?",
        f"{tmp_path}/wire.yaml:1:68: cuts-names.caught_by: expected a list, not 'ADD-01'. Did you mean ['ADD-01']?",
    ]


def test_a_known_cause_may_have_the_former_name_of_its_rule(tmp_path: Path):
    """What is known of the rule ``sentence`` is known of ``requirement``, which it is called now."""
    file = tmp_path / "known.yaml"
    file.write_text("- {plugin: a, rule: sentence, cause: b, reason: c, link: d}\n")

    (row,) = survey.read(file)

    assert row.rule == "requirement"
