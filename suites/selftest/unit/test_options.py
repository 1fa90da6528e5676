"""Options, reports and subcommands: a row each, which reaches pytest, the command and the choice of plugins."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cnitest.cli import commands
from cnitest.cli.run import pytest_arguments, reject_what_is_anothers, suites
from cnitest.errors import ConfigError
from cnitest.report import options, suite
from cnitest.report.baseline import files
from cnitest.report.baseline.model import EMPTY
from cnitest.report.conformance.choice import asked
from cnitest.report.options import Option

SUITES = Path(__file__).resolve().parents[2]
DIGEST = Option("cni_digest", "--cni-digest", "--digest", "write a digest", "FILE", fills="file", report="os.path:join")

#: Values of options that take no words of their own and no path.
VALUES = {"cni_shard": "1/2"}


def run_of(*words: str) -> argparse.Namespace:
    """What ``cnitest run`` makes of a command line."""
    parsed = commands._parser("run")[0].parse_args(["run", *words])
    parsed.rest = []
    return parsed


@pytest.mark.parametrize("option", options.ALL, ids=lambda option: option.dest)
def test_a_row_reaches_pytest(option: Option, pytestconfig: pytest.Config) -> None:
    """Pytest knows each option, with the default of its row."""
    assert hasattr(pytestconfig.option, option.dest)
    assert option.pytest.startswith("--cni-")


@pytest.mark.parametrize("option", [each for each in options.ALL if each.command], ids=lambda option: option.dest)
def test_a_row_reaches_pytest_by_the_command(option: Option, tmp_path: Path) -> None:
    """What the command is given for an option is what pytest gets by its own name for it."""
    value = option.choices[-1] if option.choices else VALUES.get(option.dest) or str(tmp_path / "new")
    typed = [option.command] if option.action == "store_true" else [option.command, value]
    if option.dest == "cni_path":
        Path(value).mkdir()
    if option.dest == "cni_baseline":
        files.write(EMPTY, value)

    given = pytest_arguments(run_of("--suite", "conformance", *typed))

    assert option.pytest in given
    assert (
        option.action == "store_true" or given[given.index(option.pytest) + 1] == value or option.dest == "cni_plugin"
    )


@pytest.mark.parametrize("name", suites())
def test_hypothesis_s_plugin_is_left_out(name: str) -> None:
    """None of our suites uses it, and it imports all of Hypothesis at the end of a run, also of an interrupted one;
    somebody's own tests, which are named behind the dashes, may."""
    alone, with_theirs = run_of("--suite", name), run_of("--suite", name)
    with_theirs.rest = ["tests/test_mine.py"]

    assert "no:hypothesispytest" in pytest_arguments(alone)
    assert ("no:hypothesispytest" in pytest_arguments(with_theirs)) == (name == "conformance")


@pytest.mark.parametrize("name", suites())
def test_comparisons_are_shown_in_full(name: str) -> None:
    """A failed comparison shows all of both sides, as in a CI, and not eight lines of it."""
    given = pytest_arguments(run_of("--suite", name))

    assert given[given.index("verbosity_assertions=2") - 1] == "-o"


def test_defaults_are_left_to_pytest() -> None:
    """What nobody said is not handed on, so that pytest's own configuration counts."""
    given = pytest_arguments(run_of("--suite", "walkthrough"))

    assert [word for word in given if word.startswith("--cni-")] == ["--cni-require-any", "--cni-by-command"]


OF_CONFORMANCE = {
    option.command: [option.command, *(["x"] if option.action != "store_true" else [])]
    for option in options.CONFORMANCE
} | {"--profile": ["--profile", "reference"]}


@pytest.mark.parametrize("name", suites())
@pytest.mark.parametrize("vm", [(), ("--vm",)], ids=["here", "guest"])
@pytest.mark.parametrize("option", OF_CONFORMANCE)
def test_no_option_is_ignored(option: str, vm: tuple[str, ...], name: str) -> None:
    """An option of the conformance suite is handed on to a suite that reads it, and rejected by name for any other."""
    given, wanted = run_of("--suite", name, *vm, *OF_CONFORMANCE[option]), [name]
    read = name == "conformance" or (name == "regressions" and option == "--json")

    if read:
        reject_what_is_anothers(given, wanted)
        assert f"--cni-{option.removeprefix('--').removeprefix('cni-')}" in pytest_arguments(given)
    else:
        with pytest.raises(
            ConfigError, match=rf"^{option} is of the suite conformance\b.*, and {name} has nothing for it"
        ):
            reject_what_is_anothers(given, wanted)


@pytest.mark.parametrize("name", suites())
def test_no_configuration_is_ignored(name: str) -> None:
    """A configuration is for suites that try it; any other names them."""
    given = run_of("my.conflist", "--suite", name)

    if name in ("conformance", "walkthrough"):
        reject_what_is_anothers(given, [name])
    else:
        with pytest.raises(ConfigError, match=rf"^my\.conflist: {name} has networks of its own; .*walkthrough"):
            reject_what_is_anothers(given, [name])


def test_strict_is_also_of_baselines() -> None:
    """With a baseline --strict is handed on to every suite: there it is about causes that are gone."""
    given = run_of("--suite", "walkthrough", "--strict", "--write-baseline", "x")

    reject_what_is_anothers(given, ["walkthrough"])

    assert "--cni-strict" in pytest_arguments(given)


def test_a_report_is_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row with a report is declared, handed on, its file checked, and its function named at the end."""
    monkeypatch.setattr(options, "CONFORMANCE", (*options.CONFORMANCE, DIGEST))
    monkeypatch.setattr(options, "ALL", (*options.ALL, DIGEST))
    parsed = run_of("--digest", str(tmp_path / "digest"), "--suite", "conformance")

    handed_on = pytest_arguments(parsed)
    reports = list(options.reports(parsed))

    assert handed_on[handed_on.index("--cni-digest") + 1] == str(tmp_path / "digest")
    assert reports == [("os.path:join", str(tmp_path / "digest"))]
    with pytest.raises(ConfigError, match=r"--digest .*nowhere"):
        pytest_arguments(run_of("--digest", str(tmp_path / "nowhere" / "digest"), "--suite", "conformance"))


def test_a_subcommand_is_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """A module that declares a subcommand and a row are enough; it is imported when it is used, not before."""
    (tmp_path / "greeting.py").write_text(
        "def declare(parser):\n"
        "    parser.add_argument('name')\n"
        "    parser.set_defaults(run=lambda given: print(given.name))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    row = commands.Command("greet", "greeting:declare", "say a name")
    missing = commands.Command("later", "no.such.module:declare", "never used")
    monkeypatch.setattr(commands, "COMMANDS", (*commands.COMMANDS, row, missing))

    code = commands.main(["greet", "Ada"])

    assert (code, capsys.readouterr().out) == (None, "Ada\n")


@pytest.mark.parametrize("row", commands.COMMANDS, ids=lambda row: row.name)
def test_every_subcommand_has_its_help(row: commands.Command, capsys) -> None:
    """Each row's function declares a subcommand that explains its options."""
    with pytest.raises(SystemExit, match="0"):
        commands.main([row.name, "--help"])

    assert f"usage: cnitest {row.name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "base", "modules", "named"),
    [
        ("cnitest.suites.conformance", "/", True, True),
        ("cnitest.suites.conformance.test_add", "/", True, True),
        ("cnitest.suites.conformance", "/", False, False),
        ("cnitest.suites.conformance_of_mine", "/", True, False),
        (str(SUITES / "conformance" / "test_add.py") + "::test_x", "/", False, True),
        ("conformance", SUITES, False, True),
        ("conformance/../conformance", SUITES, False, True),
        ("conformance", "/srv", False, False),
        ("/srv/my-conformance/test_x.py", "/", False, False),
        ("fuzz", SUITES, False, False),
    ],
)
def test_the_suite_is_known_by_its_place(argument: str, base: str, modules: bool, named: bool) -> None:
    """The conformance suite is asked for by its own path or module, not by a name that has its word in it."""
    assert suite.is_named([argument], Path(base), modules=modules) is named


@pytest.mark.parametrize(
    ("words", "plugins", "newest", "topology"),
    [
        ((), ("all",), True, ""),
        (("a.conf",), (), False, ""),
        (("a.conf", "--plugin", "b"), ("b",), False, ""),
        (("--topology", "lan"), ("all",), True, "lan"),
        (("--topology", options.DEFAULT_TOPOLOGY), ("all",), True, ""),
    ],
)
def test_options_become_a_choice(words: tuple[str, ...], plugins, newest: bool, topology: str) -> None:
    """The choice of plugins is read off the options, whoever parsed them."""
    choice = asked(run_of(*words), ("/p",), lambda: ("all",))

    assert (choice.plugins, choice.newest, choice.topology, choice.path) == (plugins, newest, topology, ("/p",))


@pytest.mark.parametrize(
    ("word", "kind"),
    [("requirements",) * 2, ("sentences", "requirements"), ("histories", "sequences"), ("configs",) * 2],
)
def test_fuzzing_takes_kinds_by_either_name(word: str, kind: str) -> None:
    """``--only requirements`` is what ``--only sentences`` was, which still works."""
    parsed = commands._parser("fuzz")[0].parse_args(["fuzz", "bridge", "--only", word])

    assert parsed.only == [kind]


@pytest.mark.parametrize("option", ["--baseline", "--cni-baseline", "--write-baseline", "--cni-write-baseline"])
def test_a_file_that_is_no_baseline_names_what_writes_one(tmp_path: Path, option: str) -> None:
    """By the same kind of name as the option that named the file."""
    file = tmp_path / "base.yaml"
    file.write_text("")
    writes = "--cni-write-baseline" if "cni" in option else "--write-baseline"

    with pytest.raises(ConfigError, match=f"'; {writes} writes one"):
        files.check(option, str(file))
