"""``cnitest run``: the shipped suites, through pytest."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from cnitest.cni import conf
from cnitest.cni.mode import MODES
from cnitest.errors import CnitestError
from cnitest.topology import find, load

_DEFAULT = "walkthrough"


def add(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "run",
        help="run suites against a plugin set",
        usage="cnitest run [CONF…] [--cni-path DIRS] [--topology T] [--suite NAME]… [--runtime MODE] [-n N] [-k EXPR] "
        "[-- PYTEST ARGS]",
        description="Run the shipped suites against the plugins of a search path; exit codes are pytest's.",
    )
    parser.add_argument("confs", metavar="CONF", nargs="*", help="a .conf or .conflist to try")
    parser.add_argument("--cni-path", metavar="DIRS", help="directories with plugins, separated by colons")
    parser.add_argument(
        "--topology", metavar="T", help="the topology of tests without a mark: a shipped name or a file"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME",
        action="append",
        help=f"a suite, may be repeated (default: {_DEFAULT}; there are: {', '.join(suites())})",
    )
    parser.add_argument(
        "--runtime",
        choices=tuple(MODES),
        default="spec",
        help="how to call plugins where libcni leaves the specification (default: %(default)s)",
    )
    parser.add_argument("-n", metavar="N", dest="workers", help="how many workers, or auto")
    parser.add_argument("-k", metavar="EXPR", dest="select", help="only tests whose names match, as pytest -k")
    parser.set_defaults(run=run)


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


def run(arguments: argparse.Namespace) -> NoReturn:
    """Check what was given, then hand over to pytest."""
    for file in arguments.confs:
        conf.network(Path(file), MODES[arguments.runtime])
    if arguments.topology:
        load(find(arguments.topology))
    argv = [sys.executable, "-m", "pytest", *pytest_arguments(arguments)]
    sys.stdout.flush()
    os.execv(sys.executable, argv)  # pytest wants to be first to import what it rewrites


def pytest_arguments(arguments: argparse.Namespace) -> list[str]:
    """The pytest command line for ours. Raises CnitestError for a suite that there is not."""
    targets = [f"cnitest.suites.{_known(name)}" for name in arguments.suite or [_DEFAULT]]
    given = ["--pyargs", *targets, "--rootdir", os.getcwd(), "-p", "no:cacheprovider", "-ra"]
    for option, value in (
        ("--cni-path", arguments.cni_path),
        ("--cni-topology", arguments.topology),
        ("--cni-runtime", arguments.runtime),
        ("-n", arguments.workers),
        ("-k", arguments.select),
    ):
        if value:
            given += [option, value]
    for file in arguments.confs:
        given += ["--cni-conf", file]
    return given + list(arguments.rest)


def _known(name: str) -> str:
    there = suites()
    if name in there:
        return name
    close = difflib.get_close_matches(name, there, 1)
    advice = f" Did you mean {close[0]!r}?" if close else ""
    raise CnitestError(f"there is no suite {name!r}; there are: {', '.join(there)}.{advice}")
