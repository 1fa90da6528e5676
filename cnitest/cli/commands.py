"""Reads the command line and hands it to one subcommand.

To add one, write a module with a function that declares it to a parser, and add a row to ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from cnitest import outputs, paths, text
from cnitest.cli.output import complain, forget_held_back, say, say_first, say_held_back
from cnitest.errors import (
    CnitestError,
    CommandError,
    DeadlineExceeded,
    FeatureMissing,
    KernelError,
    PluginError,
    UsageError,
)
from cnitest.typos import did_you_mean, nearest


class Command(NamedTuple):
    """One subcommand: ``declare`` is the function (``module:name``) that gets its parser, sets its description, options
    and, as the default of ``run``, what runs it; it is imported only when the subcommand is used. One that makes labs
    says so: an ordinary user's process enters a user namespace for it."""

    name: str
    declare: str
    help: str
    labs: bool = False


COMMANDS = (
    Command("run", "cnitest.cli.run:declare", "run suites against a plugin set"),
    Command(
        "fuzz",
        "cnitest.cli.fuzz:declare",
        "try generated configurations and sequences of operations on a plugin",
        labs=True,
    ),
    Command(
        "faults",
        "cnitest.cli.faults:declare",
        "fault injection: fail or kill a plugin at each system call that changes something",
        labs=True,
    ),
    Command(
        "requirements",
        "cnitest.cli.requirements:declare",
        "list the requirements of the conformance suite, or explain one",
    ),
    Command(
        "explain", "cnitest.cli.explain:declare", "send a packet through a topology, and say why it was lost", labs=True
    ),
    Command(
        "reach",
        "cnitest.cli.reach:declare",
        "probe many places from each other, and compare with what is expected",
        labs=True,
    ),
    Command("doctor", "cnitest.cli.doctor:declare", "list what this machine lacks"),
    Command("draw", "cnitest.cli.topology:declare_draw", "draw a topology"),
    Command("plan", "cnitest.cli.topology:declare_plan", "list the steps that build a topology"),
    Command(
        "schema",
        "cnitest.cli.topology:declare_schema",
        "print a JSON Schema: of topology files, or of a run's verdicts",
    ),
    Command("new", "cnitest.cli.recipes.command:declare", "write the pipeline of a plugin for a CI, to start from"),
    Command("vm", "cnitest.cli.vm:declare", "run a command on another kernel, in a virtual machine"),
    Command("trace-shim", "cnitest.cli.trace:declare", "record the plugin calls of a real runtime"),
)

_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
#: What other programs have as commands, and we as options.
_OPTIONS = {
    "help": "`cnitest --help` lists those that there are, `cnitest COMMAND --help` the options of one",
    "version": "`cnitest --version` says it",
}
#: The exit code for something that we were asked for and that makes no sense, as pytest's.
USAGE_ERROR = 4
#: What every machine has, and how to get it.
_ALL_HAVE = {
    "/proc/self": "mount -t proc proc /proc",
    "/dev/null": "mount --rbind the machine's /dev on /dev, or mknod -m 666 /dev/null c 1 3",
}
#: What may come of the rights that a lab has; any other error is of what was typed.
_OF_LABS = (KernelError, CommandError, PluginError, DeadlineExceeded)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parsed(_named(given), _before_dashes(given))
        arguments.rest = given[len(_before_dashes(given)) + 1 :]
        _look_around()
        _warn_of_paths(arguments)
        _prepare(_named(given))
        code: int = arguments.run(arguments)
    except CnitestError as error:
        if not any(isinstance(each, _OF_LABS) for each in (error, error.__cause__)):
            forget_held_back()
        say_held_back()
        complain(str(error))
        return USAGE_ERROR
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a limit, or a disk that is full
        say_held_back()
        return outputs.report(error)
    say_held_back()
    return code


def _look_around() -> None:
    """Raise UsageError where the working directory is none any more: every path that is typed begins there."""
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(f"the working directory cannot be used ({error.strerror}): change to another") from None


def _look_for_what_all_have() -> None:
    """Raise FeatureMissing where a file system is not there without which nothing can be tried."""
    for path, remedy in _ALL_HAVE.items():
        if not os.path.exists(path):
            raise FeatureMissing(f"there is no {path}: {remedy}")


def _prepare(name: str) -> None:
    """See to what making labs takes: temporary files, and for an ordinary user a user namespace.

    Raises FeatureMissing with what to do where one of them cannot be had.
    """
    command = next((command for command in COMMANDS if command.name == name), None)
    if command and (command.labs or command.name in ("run", "doctor")):
        _look_for_what_all_have()
    if command and (command.labs or command.name == "run"):
        from cnitest.kernel.confinement.limits import why_too_few_files
        from cnitest.kernel.confinement.writable import why_no_temporary_files

        if why := why_too_few_files() or why_no_temporary_files():
            raise FeatureMissing(why)
    if command and command.labs:
        from cnitest.report import unprivileged

        if why := unprivileged.enter(say_first) or unprivileged.forbidden():
            raise FeatureMissing(why)


def _warn_of_paths(arguments: argparse.Namespace) -> None:
    """Name the directories of a search path that are not there, where others are."""
    for option in ("cni_path", "cni_path_next"):
        typed = getattr(arguments, option, None)
        name = f"--{option.replace('_', '-')}"
        entries = [typed] if isinstance(typed, str) else typed or []
        if entries and any(map(os.path.isdir, paths.directories(name, entries, there=False))):
            for words in paths.lacking(name, entries):
                complain(f"warning: {words}")


def _before_dashes(given: list[str]) -> list[str]:
    return given[: given.index("--")] if "--" in given else given


class _Parser(argparse.ArgumentParser):
    """Ends with our exit code for wrong usage, and says it in one line."""

    def error(self, message: str) -> NoReturn:
        chosen = _CHOICE.search(message)
        if chosen and chosen[1] in _OPTIONS:
            self.exit(USAGE_ERROR, f"{self.prog}: {chosen[1]!r} is no command; {_OPTIONS[chosen[1]]}\n")
        hint = did_you_mean(chosen[1], re.findall(r"[\w.-]+", chosen[2]), clause=True) if chosen else ""
        self.exit(USAGE_ERROR, f"{self.prog}: {text.line(message)}{hint} (see {self.prog} --help)\n")

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """End for words that are no option of this command, with the option or positional argument that was meant."""
        typed = next((word.partition("=")[0] for word in words if word.startswith("-")), "")
        self.error(f"unrecognized arguments: {' '.join(words)}{self._meant(typed) if typed.startswith('--') else ''}")

    def _meant(self, typed: str) -> str:
        name = typed.removeprefix("--")
        own = name.removeprefix("cni-")  # as pytest has the same option
        if own.upper() in (action.metavar for action in self._get_positional_actions()):
            return f"; {own.upper()} is a positional argument: {self.prog} {own.upper()}"
        options = [option.removeprefix("--") for option in self._option_string_actions if option.startswith("--")]
        near = own if own in options else nearest(name, options)  # without the dashes, which all of them share
        return f"; did you mean '--{near}'?" if near else ""


class _Version(argparse.Action):
    """Says the version and ends; looking it up takes longer than any other option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        say(_version())
        parser.exit()


def _version() -> str:
    from importlib import metadata

    try:
        return f"cnitest {metadata.version('cnitest')}"
    except metadata.PackageNotFoundError:
        return "cnitest, not installed"


def _named(given: Sequence[str]) -> str:
    """The subcommand of a command line: its first word that is no option."""
    return next((word for word in given if not word.startswith("-")), "")


def _parsed(name: str, given: Sequence[str]) -> argparse.Namespace:
    """The command line as read. Ends this process for one that makes no sense."""
    parser, used = _parser(name)
    arguments, unknown = parser.parse_known_args(given)
    if unknown:
        used.unknown(unknown)
    return arguments


def _parser(used: str) -> tuple[_Parser, _Parser]:
    """The parser of the whole command, and that of the subcommand that is used, which knows its options."""
    parser = _Parser(prog="cnitest", description="Test container networks for real.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show cnitest's version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    own = parser
    for command in COMMANDS:
        made = commands.add_parser(command.name, help=command.help)
        if command.name == used:
            pkgutil.resolve_name(command.declare)(made)
            own = made
    return parser, own
