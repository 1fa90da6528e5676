"""``cnitest run``: the shipped suites, through pytest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cnitest import interrupts, outputs, paths
from cnitest.conformance.model import shipped
from cnitest.errors import CnitestError, ConfigError, FeatureMissing
from cnitest.report import options, suite
from cnitest.topology import find, load
from cnitest.typos import did_you_mean

_WORKERS = re.compile(r"\d+|auto|logical")
_DEFAULT, _CONFORMANCE, _REGRESSIONS = "walkthrough", "conformance", "regressions"
#: pytest as a program that says of Ctrl-C at any time, also while it imports, what it says of one in a test; and the
#: same of other signals that end it. What it imports of ours before pytest would not be rewritten by it.
_PYTEST = f"""
import runpy, signal, sys
ours = runpy.run_path({interrupts.__file__!r})
def pytest():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, *ours["ENDING"]])
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except OSError as error:
        return runpy.run_path({outputs.__file__!r})["report"](error)
sys.exit(ours["ended"](pytest, last=True))
"""
#: The suites that have an option, where they are not the conformance suite alone.
_ELSEWHERE = {"cni_json": "conformance or regressions"}
#: What other suites have instead of an option.
_INSTEAD = {
    "cni_json": "; --junitxml FILE writes every test's outcome",
    "cni_repro": "; --artifacts DIR writes a folder for each failure",
    "cni_requirement": "; -k selects tests by their names",
    "cni_plugin": "; -k selects tests by their names",
    "cni_strict": " without --baseline",
}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.usage = (
        "cnitest run [CONF…] [--cni-path DIRS] [--suite NAME]… [--profile PROFILE] [-n N] [-k EXPR] [-- PYTEST ARGS]"
    )
    parser.description = (
        "Check plugins against the specification (with a CONF, or --suite conformance), or run another of the "
        "shipped suites against the plugins of a search path. Exit codes are pytest's."
    )
    parser.add_argument("cni_conf", metavar="CONF", nargs="*", help="a .conf, a .conflist, or a profile cnitest.yaml")
    parser.add_argument(
        "--suite",
        metavar="NAME",
        action="append",
        help=f"a suite, may be repeated (default: {_CONFORMANCE} with a CONF, else {_DEFAULT}; "
        f"there are: {', '.join(suites())})",
    )
    options.declare_to_command(parser, options.NETWORK)
    parser.add_argument("-n", metavar="N", dest="workers", help="how many workers, or auto")
    parser.add_argument(
        "-k", metavar="EXPR", dest="select", help="only tests whose names, or requirements' IDs, match, as pytest -k"
    )
    parser.add_argument("--junitxml", metavar="FILE", help="write the results as JUnit XML")
    group = parser.add_argument_group("continuous integration")
    options.declare_to_command(group, options.CI)
    options.declare_to_command(parser.add_argument_group("baseline"), options.BASELINE)
    options.declare_to_command(parser, options.GUEST)
    group = parser.add_argument_group("conformance")
    options.declare_to_command(group, options.CONFORMANCE)
    group.add_argument("-v", "--verbose", action="store_true", help="show each case, with its calls")
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
    """Check what was given, then hand over to pytest, which enters a user namespace by itself.

    Raises FeatureMissing with the line that allows it where that is forbidden.
    """
    from cnitest.cni.calls.invoke import search_path
    from cnitest.report import unprivileged

    if arguments.workers and not _WORKERS.fullmatch(arguments.workers):
        raise ConfigError(f"-n {arguments.workers!r}: wants a number of workers, or auto")
    _check_selection(arguments)
    arguments.cni_conf += _behind_the_kernel(arguments)
    for word in arguments.cni_conf:
        if name := shipped.plugin_meant(word):
            raise ConfigError(
                f"{word}: there is no such file, but a plugin: `cnitest run --plugin {name}` tries it with the "
                "configuration that is shipped for it"
            )
    arguments.cni_conf = list({os.path.realpath(file): file for file in arguments.cni_conf}.values())
    if arguments.cni_vm is None and (why := unprivileged.forbidden()):
        raise FeatureMissing(why)
    wanted = [_known(name) for name in _suites_of(arguments)]
    reject_what_is_anothers(arguments, wanted)
    if arguments.cni_topology != options.DEFAULT_TOPOLOGY:
        load(find(arguments.cni_topology))
    path = search_path(arguments.cni_path)
    if _CONFORMANCE in wanted:
        from cnitest.report.conformance import choice

        confs = tuple(map(paths.absolute, arguments.cni_conf))
        choice.check(choice.asked(arguments, path, lambda: ("all",))._replace(given=confs))
    else:
        _check_networks(arguments, path)
    tables = {"HYPOTHESIS_STORAGE_DIRECTORY": paths.cache("hypothesis")}  # else they are in the working directory
    argv = [sys.executable, "-c", _PYTEST, *pytest_arguments(arguments)]
    sys.stdout.flush()
    with interrupts.withheld(*interrupts.ENDING):  # until the other program can say so
        os.execve(sys.executable, argv, {**tables, **os.environ})  # pytest wants to be first to import what it rewrites


def _check_networks(arguments: argparse.Namespace, path: Sequence[str]) -> None:
    """Raise ConfigError for configurations that cannot be used, and warn of what is strange in those that can."""
    from cnitest.cli.warned import warn
    from cnitest.cni import conf
    from cnitest.cni.calls.mode import MODES

    for file in arguments.cni_conf:
        warn(conf.network(Path(paths.absolute(file)), MODES[arguments.cni_runtime]), path)


def _check_selection(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for an expression of -k or -m that pytest cannot read: with workers it ends in a traceback."""
    rest = list(arguments.rest)
    given = [(word, rest[at]) for at, word in enumerate(rest[:-1], 1) if word in ("-k", "-m")]
    given += [("-k", arguments.select)] if arguments.select else []
    for option, text in given:
        if not _is_expression(text):
            raise ConfigError(
                f"{option} {text!r} is no expression: words stand alone, or between 'and', 'or', 'not' and parentheses"
            )


def _is_expression(text: str) -> bool:
    """Whether pytest can read a text; what a mark has in parentheses of its own is left to it."""
    wants_word, depth = True, 0
    for word in re.findall(r"[()]|[^\s()]+", text) if "=" not in text else ():
        if word in ("and", "or", ")"):
            if wants_word or (word == ")" and not depth):
                return False
            wants_word, depth = word != ")", depth - (word == ")")
        elif not wants_word:
            return False
        else:
            wants_word, depth = word in ("not", "("), depth + (word == "(")
    return not text.strip() or "=" in text or (not wants_word and not depth)


def _behind_the_kernel(arguments: argparse.Namespace) -> list[str]:
    """What was typed behind --vm and is no kernel, but a configuration."""
    if not arguments.cni_vm:
        return []
    from cnitest.report import guest

    arguments.cni_vm, other = guest.kernel_or_argument(arguments.cni_vm)
    return [other] if other else []


def _suites_of(arguments: argparse.Namespace) -> list[str]:
    return arguments.suite or [_CONFORMANCE if arguments.cni_conf or arguments.cni_plugin else _DEFAULT]


def pytest_arguments(arguments: argparse.Namespace) -> list[str]:
    """The pytest command line for ours. Raises CnitestError for a suite that there is not."""
    wanted = [_known(name) for name in _suites_of(arguments)]
    given = [
        "--pyargs",
        *(f"cnitest.suites.{name}" for name in wanted),
        "--rootdir",
        suite.directory(),  # what tests are named by, so that their names are the same wherever we are installed
        "--confcutdir",
        os.getcwd(),
    ]
    # Where plugins are not loaded by themselves (PYTEST_DISABLE_PLUGIN_AUTOLOAD), these two are needed all the same.
    given += ["-p", "cnitest", "-p", "xdist"] if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD") else []
    given += ["-p", "no:cacheprovider", "--cni-require-any", options.BY_COMMAND]
    given += ["-o", "verbosity_assertions=2"]  # both sides of a comparison in full, as pytest shows them in a CI
    given += ["--junitxml", paths.file_to_write("--junitxml", arguments.junitxml)] if arguments.junitxml else []
    given += ["-k", arguments.select] if arguments.select else []
    given += options.as_pytest(_resolved(arguments, wanted))
    if _CONFORMANCE in wanted:
        reporting = ["--verbose", "-rN"] if arguments.verbose else ["--quiet", "-rN", "--tb=no"]
        given += [*reporting, "-n", arguments.workers or "auto", "--dist", "worksteal"]
    else:
        # The table of bug reports says what the letters and the list of expected failures would.
        reporting = [] if wanted != [_REGRESSIONS] else ["-rN", *(["-v"] if arguments.verbose else ["-q", "--tb=no"])]
        given += [*(reporting or ["-ra"]), *(["-n", arguments.workers] if arguments.workers else [])]
    if _CONFORMANCE in wanted or not arguments.rest:  # none of our suites uses it, and it imports Hypothesis at the end
        given += ["-p", "no:hypothesispytest"]
    return given + list(arguments.rest)


def reject_what_is_anothers(arguments: argparse.Namespace, wanted: Sequence[str]) -> None:
    """Raise ConfigError for options of the conformance suite where it does not run, and nobody else reads them."""
    if _CONFORMANCE in wanted:
        return
    if arguments.cni_conf and _DEFAULT not in wanted:
        raise ConfigError(
            f"{arguments.cni_conf[0]}: {' and '.join(wanted)} {'has' if len(wanted) == 1 else 'have'} networks of "
            f"{'its' if len(wanted) == 1 else 'their'} own; a configuration is tried by the suites {_CONFORMANCE} and "
            f"{_DEFAULT}"
        )
    for option in options.CONFORMANCE:
        value = getattr(arguments, option.dest)
        if value not in (option.default, [], False, None) and not _is_read(option.dest, arguments, wanted):
            where, others = _ELSEWHERE.get(option.dest, _CONFORMANCE), " and ".join(wanted)
            has = f"{others} {'has' if len(wanted) == 1 else 'have'} nothing for it{_INSTEAD.get(option.dest, '')}"
            raise ConfigError(f"{option.command} is of the suite {where}, and {has}")


def _is_read(dest: str, arguments: argparse.Namespace, wanted: Sequence[str]) -> bool:
    """Whether a run without the conformance suite reads one of its options."""
    baseline = arguments.cni_baseline or arguments.cni_write_baseline
    return (dest == "cni_json" and _REGRESSIONS in wanted) or (dest == "cni_strict" and bool(baseline))


def _resolved(arguments: argparse.Namespace, wanted: Sequence[str]) -> argparse.Namespace:
    """The options as pytest shall get them: paths as they are from here, and without a configuration all plugins.

    The options of the conformance suite are left out of runs of other suites, but for those that these read.
    """
    from cnitest.cni.calls.invoke import search_path

    given = argparse.Namespace(**vars(arguments))
    given.cni_path = [":".join(search_path(given.cni_path))] if given.cni_path else []
    given.cni_conf = [paths.absolute(file) for file in given.cni_conf]
    given.cni_plugin = given.cni_plugin or ([] if given.cni_conf else ["all"])
    for option in () if _CONFORMANCE in wanted else options.CONFORMANCE:
        if not _is_read(option.dest, arguments, wanted):
            delattr(given, option.dest)
    options.resolve(given, command=True)
    return given


def _known(name: str) -> str:
    there = suites()
    if name in there:
        return name
    advice = did_you_mean(name, there) or "."
    raise CnitestError(f"there is no suite {name!r}; there are: {', '.join(there)}{advice}")
