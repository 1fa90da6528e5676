"""Messages name options as whoever began a run typed them: by the command's names, or by pytest's."""

from __future__ import annotations

import pytest

from cnitest.report import options
from cnitest.report.given import of_command
from cnitest.report.options import BY_COMMAND

pytest_plugins = ("pytester",)

TYPED = {"cnitest run": ("-p", "cnitest", BY_COMMAND), "pytest": ("-p", "cnitest")}


@pytest.fixture(params=TYPED)
def run(request, pytester):
    """Runs pytest over a skipped test as a command does, and how that command calls an option."""
    pytester.makepyfile(test_it="import pytest\n\ndef test_it():\n    pytest.skip('not today')\n")
    by_command = request.param == "cnitest run"

    def named(dest: str) -> str:
        option = next(option for option in options.ALL if option.dest == dest)
        return option.command if by_command else option.pytest

    return lambda *words: pytester.runpytest_inprocess(*TYPED[request.param], *words), named


def test_a_skip_that_is_not_allowed_names_the_option(run):
    """A skip that fails says which option has it fail."""
    runs, named = run

    said = runs("--cni-require-all").stdout.str()

    assert f"skipped, which {named('cni_require_all')} does not allow: not today" in said


def test_a_share_names_the_options(run):
    """A share says which option would balance it, and a run without a test which one may have left it out."""
    runs, named = run

    share = runs("--cni-shard", "1/1").stdout.str()
    nothing = runs("--cni-shard", "1/1", "-k", "nothing", "--cni-require-any").stdout.str()

    assert f"no {named('cni_durations_file')} was given" in share
    assert f"1 left out by -k, -m or {named('cni_shard')}" in nothing


def test_json_that_is_not_written_names_the_option(run):
    """Where no test is one that it could be about."""
    runs, named = run

    assert f"{named('cni_json')}: " in runs("--cni-json", "out.json").stdout.str()


def test_a_guests_choice_names_the_options(run):
    """Outside of a guest there is no choosing among tests by what the kernel outside lacks."""
    runs, named = run

    said = runs("--cni-vm-only")

    assert f"{named('cni_vm_only')} chooses among tests in a guest: give {named('cni_vm')}, too" in (
        said.stdout.str() + said.stderr.str()
    )


def test_a_baseline_that_was_written_names_the_option(run, pytester):
    """What is new is to be commented, and read with the option for that."""
    runs, named = run
    pytester.makepyfile(test_it="def test_it():\n    assert 0\n")

    said = runs("--cni-write-baseline", "base.yaml").stdout.str()

    assert f"say in its comments why, and run with {named('cni_baseline')} base.yaml" in said


def test_an_option_of_pytest_alone_keeps_its_name():
    """The command has no other for it."""
    assert of_command("cni_coverage") == "--cni-coverage"
    assert of_command("cni_json") == "--json"
