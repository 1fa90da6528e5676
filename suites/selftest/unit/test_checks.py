"""The registry of checks: what a function has to be, what it is given, and in which order all of them are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.conformance.checks.registry import NEEDS, check, checks, checks_of, variants
from cnitest.conformance.checks.running import provided
from cnitest.conformance.model.requirement import TOPICS, registry
from cnitest.errors import CnitestError


def mistyped(bnech: Any) -> None:
    """It holds."""


def plain(bench: Any, command: str) -> None:
    """It holds."""


def del_can_be_repeated(bench: Any) -> None:
    """It holds, too."""


@pytest.mark.parametrize(
    ("function", "identifier", "parameters", "words"),
    [
        (mistyped, "ADD-01", {}, r"\.mistyped takes 'bnech', which is neither .*; did you mean 'bench'\?"),
        (lambda: None, "ADD-01", {}, "<lambda> has no docstring"),
        (plain, "ADD-01", {}, r"\.plain takes 'command', which is neither a keyword of @check nor one of bench, "),
        (plain, "ADD-01", {"command": "AD", "comand": "AD"}, r"takes no 'comand'.*; did you mean 'command'\?"),
        (plain, "ADD-011", {"command": "AD"}, "no requirement 'ADD-011'; did you mean .*ADD-01"),
        (del_can_be_repeated, "ADD-01", {}, r"has the name of .*\.attachments\.delete\.del_can_be_repeated"),
    ],
)
def test_a_check_that_cannot_be_one_is_rejected(
    function: Callable[..., None], identifier: str, parameters: dict[str, Any], words: str
):
    """What is wrong is reported with the function's place, and a mistyped word with the one that is meant."""
    known = dict(checks())

    with pytest.raises(CnitestError, match=words):
        check(identifier, **parameters)(function)

    assert known.items() <= checks().items()


def test_checks_come_in_the_order_of_requirements():
    """Workers that load modules in another order have the same tests in the same order."""
    program = (
        "import cnitest.conformance.checks.calls.version, cnitest.conformance.checks.attachments.gc\n"
        "from cnitest.conformance.checks.registry import checks\nprint(*checks())"
    )

    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    order = list(registry())
    numbers = [order.index(one.requirement) for one in checks().values()]
    assert there == list(checks())
    assert numbers == sorted(numbers)
    assert {one.topic for one in checks().values()} == set(TOPICS)


def test_the_checks_of_a_requirement_are_found():
    """One requirement has those that decide it, each with what it says."""
    found = checks_of("DEL-10")

    assert [one.name for one in found] == ["test_del_does_not_mind_the_rest", "test_del_does_not_mind_arguments"]
    assert all(one.says.startswith("DEL succeeds") for one in found)


def test_variants_have_every_combination():
    """A check with parameters is there once for each combination of their values, one without once."""
    for one in checks().values():
        count = 1
        for values in one.parameters.values():
            count *= len(values)

        assert sum(each.check is one for each in variants().values()) == count > 0


def test_a_check_gets_what_it_takes():
    """Every need is provided on the one bench; the directory is empty, and gone afterwards."""
    bench: Any = SimpleNamespace(trial=object())

    with ExitStack() as undo:
        found = provided([name for name in NEEDS if name != "shared_attachment"], bench, undo)
        entries = list(found["tmp_path"].iterdir())

    assert found["bench"] is found["shared_bench"] is bench
    assert found["trial"] is bench.trial
    assert entries == []
    assert not found["tmp_path"].exists()
