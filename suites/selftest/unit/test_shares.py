"""Shares of the tests of a run: each test once, balanced, the same each time; bad input in one line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cnitest.cli.commands import main
from cnitest.errors import ConfigError
from cnitest.report.ci import durations, shares
from cnitest.report.ci.shares import Shard

NAMES = st.lists(st.text("ab[]:", min_size=1, max_size=6), max_size=30)
SECONDS = st.floats(0, 100)
TESTS = """
import time
import pytest

@pytest.mark.parametrize("n", range(5))
def test_quick(n): pass

@pytest.mark.parametrize("n", (2, 1))
def test_slow(n): time.sleep(n / 20)
"""


def divided(names, known, number):
    """The positions of every share."""
    return [shares.positions(names, known, Shard(index, number)) for index in range(1, number + 1)]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(NAMES, st.dictionaries(st.text("ab[]:", min_size=1, max_size=6), SECONDS), st.integers(1, 40))
@example(["a", "a"], {}, 2)
def test_all_shares_together_are_each_test_once(names, known, number):
    """However many there are, whatever is known of them, and where one name stands for two tests."""
    found = divided(names, known, number)

    assert sorted(at for share in found for at in share) == list(range(len(names)))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(SECONDS, min_size=1, max_size=30), st.integers(1, 6))
def test_shares_take_about_as_long(lasting, number):
    """No share does more than the least busy one by more than one test, the last that it was given."""
    known = {f"t{at}": value for at, value in enumerate(lasting)}
    names = list(known)

    loads = [sum(known[names[at]] for at in share) for share in divided(names, known, number)]

    assert max(loads) - min(loads) <= max(lasting) + 1e-6


def test_the_longest_test_goes_first():
    """It has a share of its own where the others together last as long."""
    known = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 4}

    assert divided(list(known), known, 2) == [{4}, {0, 1, 2, 3}]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=6), unique=True, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_tests_does_not_count(names, chance: random.Random):
    """Machines that collect the same tests in another order give themselves the same shares."""
    other = chance.sample(names, len(names))

    ours, theirs = divided(names, {}, 3), divided(other, {}, 3)

    assert [{names[at] for at in share} for share in ours] == [{other[at] for at in share} for share in theirs]


def test_a_test_that_is_not_known_counts_as_the_median():
    """So that it neither fills a share of its own nor comes for nothing."""
    assert shares.seconds(["a", "b", "c", "new"], {"a": 1, "b": 2, "c": 9, "gone": 100}) == [1, 2, 9, 2]
    assert shares.seconds(["a", "b"], {"gone": 100}) == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3/2", "there is no share 3 of 2; I is from 1 to 2"),
        ("2/1", "I is 1 alone"),
        ("0/4", "JOB_COMPLETION_INDEX counts from 0"),
        ("1/0", "there cannot be 0 shares"),
        ("a/b", "it takes I/N, two numbers"),
        ("1/", "it takes I/N"),
        ("", "it takes I/N"),
        ("-1/2", "it takes I/N"),
        ("٣/٤", "it takes I/N"),
        ("1/2/3", "it takes I/N"),
        (f"1/{'9' * 500}", "it takes I/N"),
    ],
)
def test_what_is_no_share_is_reported(text, words):
    """By the option that was typed, with what it takes."""
    with pytest.raises(ConfigError, match=r"^--shard ") as raised:
        shares.parse("--shard", text)

    assert words in str(raised.value)


def test_a_share_of_very_many_costs_nothing():
    """N is a number, not a list."""
    assert shares.positions(["a"], {}, Shard(999_999_999, 999_999_999)) == frozenset()


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"a": "1"}', '{"a": -1}', '{"a": NaN}', '{"a": true}', "{" * 100_000, "\udcff"]
)
def test_a_file_of_no_durations_is_reported(tmp_path, text):
    """In one line, with its path and what it ought to be."""
    file = tmp_path / "durations.json"
    file.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError) as raised:
        durations.check("--durations-file", str(file))

    assert str(raised.value).startswith(f"--durations-file: {file} is not a JSON object")
    assert "\n" not in str(raised.value)


def test_durations_of_other_tests_stay(tmp_path):
    """Each share writes its own tests into the file that all share."""
    file = str(tmp_path / "durations.json")

    durations.store("--store-durations", file, {"a": 1.0, "b": 2.0})
    durations.store("--store-durations", file, {"b": 3.00004})

    assert durations.read("", file) == {"a": 1.0, "b": 3.0}
    assert [path.name for path in tmp_path.iterdir()] == ["durations.json"]


@pytest.fixture
def run(pytester):
    """Runs pytest in a process of its own on a test file; each run writes a JUnit file."""
    pytester.makepyfile(test_it=TESTS)

    def runner(*arguments):
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v", *arguments)

    return runner


def ran(result):
    """The names of the tests that ran."""
    lines = [line for line in result.outlines if "PASSED" in line]
    return sorted(word for line in lines for word in line.split() if word.startswith("test_it.py::"))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_shares_of_a_run_are_balanced_by_what_it_recorded(run, workers):
    """The two slow tests are in two shares, and together with the rest each test ran once."""
    names = [f"test_it.py::test_{kind}" for kind in [*(f"quick[{n}]" for n in range(5)), "slow[1]", "slow[2]"]]
    run("--cni-store-durations", "d.json", "-n", workers)

    shared = [run("--cni-shard", f"{i}/2", "--cni-durations-file", "d.json", "-n", workers) for i in (1, 2)]

    assert sorted(json.loads(Path("d.json").read_text())) == names
    assert sorted(ran(shared[0]) + ran(shared[1])) == names
    assert [sum("slow" in name for name in ran(one)) for one in shared] == [1, 1]
    assert any(line.startswith("shard 1/2: 1 of 7 tests, 0.1 of ") for line in shared[0].outlines)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_share_of_nothing_is_no_failure(run, workers):
    """Where there are more shares than tests; nor is it where something has to run."""
    result = run("--cni-shard", "8/8", "--cni-require-any", "-n", workers)

    assert result.ret == 0
    assert "shard 8/8: 0 of 7 tests: there are more shares than tests" in result.stdout.str()


def test_a_share_of_no_tests_at_all_is_the_run_that_it_was(run):
    """Where -k leaves out everything, every share ends as the whole run would."""
    assert run("--cni-shard", "1/2", "-k", "nothing").ret == 5
    assert "= nothing ran =" in run("--cni-shard", "1/2", "-k", "nothing", "--cni-require-any").stdout.str()


@pytest.mark.parametrize(
    "words", [("--cni-shard", "3/2"), ("--cni-durations-file", "."), ("--cni-store-durations", ".")]
)
def test_a_wrong_option_ends_a_run_before_it_begins(run, words):
    """With one line and pytest's code for it."""
    result = run(*words)

    assert result.ret == 4
    assert [line for line in result.errlines if line][:1][0].startswith(f"ERROR: {words[0]}")
    assert len([line for line in result.errlines if line]) == 1


def test_the_command_says_it_by_its_own_names(capsys, tmp_path):
    """``cnitest run --shard``: exit code 4, and nothing else was begun."""
    broken = tmp_path / "d.json"
    broken.write_text("[")

    codes = [main(["run", "--shard", "3/2"]), main(["run", "--shard", "1/2", "--durations-file", str(broken)])]

    said = capsys.readouterr().err.splitlines()
    assert codes == [4, 4]
    assert [line.split()[:2] for line in said] == [["cnitest:", "--shard"], ["cnitest:", "--durations-file:"]]


def test_what_nobody_asked_for_is_not_imported(pytester):
    """A run without an option of continuous integration imports one small module of it."""
    names = "[name for name in sys.modules if name.startswith('cnitest.report.ci.')]"
    pytester.makepyfile(f"import sys\ndef test_it(): assert {names} == ['cnitest.report.ci.hooks']\n")

    assert pytester.runpytest_subprocess("-p", "no:cacheprovider").ret == 0


def test_a_file_of_durations_that_cannot_be_read_is_reported(tmp_path):
    """Why, and not that it is no JSON."""
    with pytest.raises(ConfigError, match=rf"^--durations-file: {tmp_path} cannot be read: Is a directory$"):
        durations.check("--durations-file", str(tmp_path))
