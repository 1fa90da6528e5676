"""Reads the command line and hands it to one subcommand; each is a module with ``add`` and ``run``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cnitest import paths, text
from cnitest.cli import doctor, faults, fuzz, requirements, run, topology, trace
from cnitest.cli.output import complain
from cnitest.errors import CnitestError

#: The exit code for something that we were asked for and that makes no sense, as pytest's.
USAGE_ERROR = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(_before_dashes(given))
    arguments.rest = given[len(_before_dashes(given)) + 1 :]
    try:
        _warn_of_paths(arguments)
        code: int = arguments.run(arguments)
    except CnitestError as error:
        complain(str(error))
        return USAGE_ERROR
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _warn_of_paths(arguments: argparse.Namespace) -> None:
    """Name the directories of a search path that are not there, where others are."""
    for option in ("cni_path", "cni_path_next"):
        typed = getattr(arguments, option, None)
        name = f"--{option.replace('_', '-')}"
        if typed and any(map(os.path.isdir, paths.directories(name, [typed], there=False))):
            for words in paths.lacking(name, [typed]):
                complain(f"warning: {words}")


def _before_dashes(given: list[str]) -> list[str]:
    return given[: given.index("--")] if "--" in given else given


class _Parser(argparse.ArgumentParser):
    """Ends with our exit code for wrong usage, and says it in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(USAGE_ERROR, f"{self.prog}: {text.line(message)} (see {self.prog} --help)\n")


def _version() -> str:
    from importlib import metadata

    try:
        return f"cnitest {metadata.version('cnitest')}"
    except metadata.PackageNotFoundError:
        return "cnitest, not installed"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cnitest", description="Test container networks for real.")
    parser.add_argument("--version", action="version", version=_version(), help="show cnitest's version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (run, fuzz, faults, requirements, doctor, topology, trace):
        module.add(commands)
    return parser
