"""``cnitest run``: the shipped suites, through pytest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from cnitest import paths
from cnitest.cni import conf
from cnitest.cni.calls.invoke import search_path
from cnitest.cni.calls.mode import MODES
from cnitest.errors import CnitestError
from cnitest.report.conformance import choice
from cnitest.topology import find, load
from cnitest.typos import did_you_mean

_DEFAULT, _CONFORMANCE = "walkthrough", "conformance"


def add(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "run",
        help="run suites against a plugin set",
        usage="cnitest run [CONF…] [--cni-path DIRS] [--suite NAME]… [--profile PROFILE] [-n N] [-k EXPR] "
        "[-- PYTEST ARGS]",
        description="Hold plugins to the specification (with a CONF, or --suite conformance), or run another of the "
        "shipped suites against the plugins of a search path. Exit codes are pytest's.",
    )
    parser.add_argument("confs", metavar="CONF", nargs="*", help="a .conf, a .conflist, or a profile cnitest.yaml")
    parser.add_argument("--cni-path", metavar="DIRS", help="directories with plugins, separated by colons")
    parser.add_argument(
        "--topology", metavar="T", help="the topology of tests without a mark: a shipped name or a file"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME",
        action="append",
        help=f"a suite, may be repeated (default: {_CONFORMANCE} with a CONF, else {_DEFAULT}; "
        f"there are: {', '.join(suites())})",
    )
    parser.add_argument(
        "--runtime",
        choices=tuple(MODES),
        default="spec",
        help="how to call plugins where libcni leaves the specification (default: %(default)s)",
    )
    parser.add_argument("-n", metavar="N", dest="workers", help="how many workers, or auto")
    parser.add_argument(
        "-k", metavar="EXPR", dest="select", help="only tests whose names, or requirements' IDs, match, as pytest -k"
    )
    parser.add_argument("--junitxml", metavar="FILE", help="write the results as JUnit XML")
    _add_conformance(parser.add_argument_group("conformance"))
    parser.add_argument(
        "--require-all", action="store_true", help="let every test fail that would be skipped for what is missing"
    )
    parser.set_defaults(run=run)


def _add_conformance(group: Any) -> None:
    """The options of the conformance suite."""
    group.add_argument(
        "--plugin",
        metavar="NAME",
        action="append",
        help="with a CONF the one plugin of its list that is meant, else one with a shipped profile, or all; "
        "may be repeated",
    )
    group.add_argument(
        "--profile",
        choices=("spec", "reference"),
        default="spec",
        help="expect the specification, or what the reference plugins are known to do (default: %(default)s)",
    )
    group.add_argument("--strict", action="store_true", help="let SHOULD fail too, and what Go plugins inherit")
    group.add_argument(
        "--cni-version", metavar="V", action="append", help="test in this version of the specification only"
    )
    group.add_argument(
        "--requirement", metavar="ID", action="append", help="test this requirement only; may be repeated"
    )
    group.add_argument(
        "--keep-going", action="store_true", help="test every requirement although the network's first ADD fails"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="tell each case, with its calls")
    group.add_argument("--json", metavar="FILE", help="write every verdict as JSON")
    group.add_argument(
        "--repro",
        metavar="DIR",
        help="write a shell script for each cause (with -v: for each finding) that reproduces it",
    )


def suites() -> tuple[str, ...]:
    """The suites that are shipped, by name; our own self-tests are none of them."""
    found = importlib.util.find_spec("cnitest.suites")
    roots = found.submodule_search_locations if found else None
    return tuple(
        sorted(
            path.name
            for root in roots or ()
            for path in Path(root).iterdir()
            if (path / "__init__.py").is_file() and path.name != "selftest"
        )
    )


def _suites_directory() -> str:
    """Where the suites are: what tests are named by, so that their names are the same wherever we are installed."""
    found = importlib.util.find_spec("cnitest.suites")
    return next(iter(found.submodule_search_locations or ())) if found else os.getcwd()


def run(arguments: argparse.Namespace) -> NoReturn:
    """Check what was given, then hand over to pytest."""
    wanted = [_known(name) for name in _suites_of(arguments)]
    if arguments.topology:
        load(find(arguments.topology))
    if _CONFORMANCE in wanted:
        choice.check(_choice(arguments))
    else:
        for file in arguments.confs:
            conf.network(Path(paths.absolute(file)), MODES[arguments.runtime])
    argv = [sys.executable, "-m", "pytest", *pytest_arguments(arguments)]
    sys.stdout.flush()
    os.execv(sys.executable, argv)  # pytest wants to be first to import what it rewrites


def _suites_of(arguments: argparse.Namespace) -> list[str]:
    return arguments.suite or [_CONFORMANCE if arguments.confs or arguments.plugin else _DEFAULT]


def _plugins_of(arguments: argparse.Namespace) -> list[str]:
    """The shipped profiles to use: those named, else all when no configuration was given."""
    return arguments.plugin or ([] if arguments.confs else ["all"])


def _choice(arguments: argparse.Namespace) -> choice.Choice:
    path = search_path([] if arguments.cni_path is None else [arguments.cni_path])
    versions = tuple(arguments.cni_version or ())
    confs = tuple(map(paths.absolute, arguments.confs))
    return choice.Choice(confs, tuple(_plugins_of(arguments)), path, versions)


def pytest_arguments(arguments: argparse.Namespace) -> list[str]:
    """The pytest command line for ours. Raises CnitestError for a suite that there is not."""
    wanted = [_known(name) for name in _suites_of(arguments)]
    given = [
        "--pyargs",
        *(f"cnitest.suites.{name}" for name in wanted),
        "--rootdir",
        _suites_directory(),
        "--confcutdir",
        os.getcwd(),
    ]
    given += ["-p", "no:cacheprovider", "--cni-require-any"]
    given += ["--junitxml", paths.file_to_write("--junitxml", arguments.junitxml)] if arguments.junitxml else []
    given += ["--cni-require-all"] if arguments.require_all else []
    if arguments.cni_path is not None:
        given += ["--cni-path", ":".join(search_path([arguments.cni_path]))]
    for option, value in (
        ("--cni-topology", arguments.topology),
        ("--cni-runtime", arguments.runtime),
        ("-k", arguments.select),
    ):
        if value:
            given += [option, value]
    for file in arguments.confs:
        given += ["--cni-conf", paths.absolute(file)]
    if _CONFORMANCE in wanted:
        given += _conformance_arguments(arguments)
    else:
        given += ["-ra", *(["-n", arguments.workers] if arguments.workers else [])]
    return given + list(arguments.rest)


def _conformance_arguments(arguments: argparse.Namespace) -> list[str]:
    told = ["--verbose", "-rN"] if arguments.verbose else ["--quiet", "-rN", "--tb=no"]
    given = [*told, "-n", arguments.workers or "auto", "--dist", "worksteal", "-p", "no:hypothesispytest"]
    given += ["--cni-profile", arguments.profile]
    given += ["--cni-strict"] if arguments.strict else []
    given += ["--cni-keep-going"] if arguments.keep_going else []
    for option, values in (
        ("--cni-plugin", _plugins_of(arguments)),
        ("--cni-version", arguments.cni_version or ()),
        ("--cni-requirement", arguments.requirement or ()),
    ):
        for value in values:
            given += [option, value]
    given += ["--cni-json", paths.file_to_write("--json", arguments.json)] if arguments.json else []
    given += ["--cni-repro", paths.directory_to_fill("--repro", arguments.repro)] if arguments.repro else []
    return given


def _known(name: str) -> str:
    there = suites()
    if name in there:
        return name
    advice = did_you_mean(name, there) or "."
    raise CnitestError(f"there is no suite {name!r}; there are: {', '.join(there)}{advice}")
