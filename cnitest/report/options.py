"""Every option of a run, once: how pytest calls it, how the command does, and what becomes of its value.

To add one, add a row. A row with ``report`` is a report: a function that writes what a run came to into a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cnitest import paths

#: What --cni-topology is where nobody says another.
DEFAULT_TOPOLOGY = "node-with-uplink"
#: What `cnitest run` gives pytest, so that messages call options as they were typed there. No help lists it.
BY_COMMAND = "--cni-by-command"


class Option(NamedTuple):
    """One option. ``pytest`` and ``command`` are its names for each, empty where there is none; ``fills`` is what a
    run will write to, ``report`` the function (``module:name``) that gets the run's Outcome and the file to write.
    ``reads`` is a file that a run reads, ``check`` the function that gets the name typed and the value, and raises
    ConfigError for a wrong one."""

    dest: str
    pytest: str
    command: str
    help: str
    metavar: str | None = None
    action: Literal["store", "append", "store_true", "optional"] = "store"
    default: str | None = None
    choices: tuple[str, ...] | None = None
    fills: Literal["", "file", "directory"] = ""
    report: str = ""
    reads: bool = False
    check: str = ""

    def declared(self) -> dict[str, Any]:
        """How argparse, and pytest's parser, want it declared, but for its name."""
        if self.action == "store_true":
            return {"dest": self.dest, "action": self.action, "help": self.help}
        if self.action == "optional":
            return {"dest": self.dest, "nargs": "?", "const": "", "help": self.help, "metavar": self.metavar}
        words: dict[str, Any] = {"dest": self.dest, "action": self.action, "help": self.help}
        words |= {"default": list[str]() if self.action == "append" else self.default}
        return words | ({"metavar": self.metavar} if self.choices is None else {"choices": self.choices})

    def words(self, value: Any) -> list[str]:
        """A value as pytest's command line has it; nothing for the default."""
        if self.action == "store_true":
            return [self.pytest] if value else []
        if self.action == "optional":
            return [] if value is None else [self.pytest, *([value] if value else [])]
        values = value if self.action == "append" else [value] if value != self.default else []
        return [word for each in values for word in (self.pytest, str(each))]

    def resolved(self, name: str, value: str, base: str | os.PathLike[str]) -> str:
        """The value, checked, by the ``name`` that was typed; a path of what it fills or reads is made absolute. Raises
        ConfigError."""
        if self.reads:
            value = paths.absolute(value, base)
        elif self.fills:
            value = (paths.file_to_write if self.fills == "file" else paths.directory_to_fill)(name, value, base)
        if self.check:
            _function(self.check)(name, value)
        return value


PLUGIN_PATH = Option(
    "cni_path",
    "--cni-path",
    "--cni-path",
    "directories with plugins, in the order they are searched: separated by colons, or the option repeated "
    "(default: the variable CNI_PATH, else those of the distributions)",
    "DIRS",
    "append",
)
NETWORK = (
    PLUGIN_PATH,
    Option(
        "cni_conf",
        "--cni-conf",
        "",
        "a .conf or .conflist that tests with the fixture `network` run with; may be repeated",
        "FILE",
        "append",
    ),
    Option(
        "cni_topology",
        "--cni-topology",
        "--topology",
        "the topology of tests that have no mark of their own: a shipped name or a file (default: %(default)s)",
        "NAME|FILE",
        default=DEFAULT_TOPOLOGY,
    ),
    Option(
        "cni_runtime",
        "--cni-runtime",
        "--runtime",
        "how to call plugins where libcni leaves the specification (default: %(default)s)",
        default="spec",
        choices=("spec", "libcni"),
    ),
    Option(
        "cni_blind",
        "--cni-blind",
        "",
        "let every probe see nothing: a check of the checks, every connectivity test must fail",
        action="store_true",
    ),
    Option(
        "cni_require_all",
        "--cni-require-all",
        "--require-all",
        "let every test that is skipped fail, with the reason",
        action="store_true",
    ),
    Option(
        "cni_require_any",
        "--cni-require-any",
        "",
        "fail the run when no test ran at all, because each was skipped or left out; cnitest run does",
        action="store_true",
    ),
    Option(
        "cni_coverage",
        "--cni-coverage",
        "",
        "write as JSON which keys of which plugins the tests with the mark `covers` covered, and how",
        "FILE",
        fills="file",
    ),
)
CONFORMANCE = (
    Option(
        "cni_plugin",
        "--cni-plugin",
        "--plugin",
        "the plugin to check: with a configuration one of its list; without, one that has a shipped profile, or all; "
        "may be repeated",
        "NAME",
        "append",
    ),
    Option(
        "cni_profile",
        "--cni-profile",
        "--profile",
        "expect the specification, or what the reference plugins are known to do (default: %(default)s)",
        default="spec",
        choices=("spec", "reference"),
    ),
    Option(
        "cni_strict",
        "--cni-strict",
        "--strict",
        "count a SHOULD that does not hold as a failure, and a limitation of CNI's Go library, too",
        action="store_true",
    ),
    Option(
        "cni_version",
        "--cni-version",
        "--cni-version",
        "test in this version of the specification only; may be repeated",
        "V",
        "append",
    ),
    Option(
        "cni_requirement",
        "--cni-requirement",
        "--requirement",
        "test this requirement only; may be repeated (`cnitest requirements` lists them)",
        "ID",
        "append",
    ),
    Option(
        "cni_keep_going",
        "--cni-keep-going",
        "--keep-going",
        "test every requirement even if the network's first ADD fails",
        action="store_true",
    ),
    Option(
        "cni_json",
        "--cni-json",
        "--json",
        "write every verdict of the conformance suite as JSON",
        "FILE",
        fills="file",
        report="cnitest.report.conformance.summary:write_json",
    ),
    Option(
        "cni_repro",
        "--cni-repro",
        "--repro",
        "write a shell script for each cause (with -v: for each finding) that reproduces it",
        "DIR",
        fills="directory",
    ),
)
BASELINE = (
    Option(
        "cni_baseline",
        "--cni-baseline",
        "--baseline",
        "do not fail for findings whose causes are in this file; report the causes in it that are no longer found",
        "FILE",
        reads=True,
        check="cnitest.report.baseline.files:check",
    ),
    Option(
        "cni_write_baseline",
        "--cni-write-baseline",
        "--write-baseline",
        "write the causes of all findings into this file, with the comments that it has; findings that are written "
        "do not fail the run",
        "FILE",
        fills="file",
        check="cnitest.report.baseline.files:check",
    ),
)
GUEST = (
    Option(
        "cni_vm",
        "--cni-vm",
        "--vm",
        "run in a virtual machine with another kernel: a Debian package, a directory with a kernel, or an image "
        "(default: Debian's kernel)",
        "KERNEL",
        "optional",
    ),
    Option(
        "cni_vm_share",
        "--cni-vm-share",
        "--vm-share",
        "a directory in which the guest's changes are kept, besides the working directory, pytest's root and those "
        "of reports; may be repeated",
        "DIR",
        "append",
    ),
    Option(
        "cni_vm_only",
        "--cni-vm-only",
        "--vm-only",
        "in the guest run only the tests that need what this machine's kernel lacks (mark requires)",
        action="store_true",
    ),
    Option("cni_vm_memory", "--cni-vm-memory", "--vm-memory", "the guest's memory (default: 4G)", "M"),
)
CI = (
    Option(
        "cni_shard",
        "--cni-shard",
        "--shard",
        "run the I-th of N shares of the tests, which are balanced by --cni-durations-file; each test is in exactly "
        "one share",
        "I/N",
        check="cnitest.report.ci.shares:parse",
    ),
    Option(
        "cni_durations_file",
        "--cni-durations-file",
        "--durations-file",
        "balance shares by the durations of tests in this file, which need not exist yet",
        "FILE",
        reads=True,
        check="cnitest.report.ci.durations:check",
    ),
    Option(
        "cni_store_durations",
        "--cni-store-durations",
        "--store-durations",
        "write how long each test took into this file, beside what it has of other tests",
        "FILE",
        fills="file",
        check="cnitest.report.ci.durations:check",
    ),
    Option(
        "cni_artifacts",
        "--cni-artifacts",
        "--artifacts",
        "write a folder for each failed test: its report, calls, what changed, packets, picture, and how to try again",
        "DIR",
        fills="directory",
        check="cnitest.report.ci.folders:check",
    ),
)
ALL = (*NETWORK, *CONFORMANCE, *BASELINE, *CI, *GUEST)


def declare_to_command(parser: Any, options: Iterable[Option]) -> None:
    """Declare those that the command has to a parser of argparse, or to a group of it."""
    for option in options:
        if option.command:
            parser.add_argument(option.command, **option.declared())


def declare_to_pytest(group: Any, options: Iterable[Option]) -> None:
    """Declare them to a group of pytest's parser."""
    for option in options:
        group.addoption(option.pytest, **option.declared())


def resolve(given: Any, base: str | os.PathLike[str] = "", *, command: bool = False) -> None:
    """Check values, and make the paths that a run will read or write absolute, from ``base``. Raises ConfigError by the
    name that was typed."""
    files = [paths.Used("a configuration", file, False) for file in getattr(given, "cni_conf", ())]
    for option in ALL:
        value, name = getattr(given, option.dest, None), option.command if command else option.pytest
        if (option.fills or option.reads or option.check) and value:
            value = option.resolved(name, value, base)
            setattr(given, option.dest, value)
            if option.reads or option.fills == "file":
                files.append(paths.Used(name, value, not option.reads, option.check))
    if junit := getattr(given, "junitxml" if command else "xmlpath", None):
        files.append(paths.Used("--junitxml", paths.absolute(junit, base), True))
    paths.apart(files)


def as_pytest(given: Any) -> Iterator[str]:
    """The pytest command line for the values of the command."""
    for option in ALL:
        if hasattr(given, option.dest):
            yield from option.words(getattr(given, option.dest))


def reports(given: Any) -> Iterator[tuple[str, str]]:
    """The reports that were asked for: the function that writes one (``module:name``), and its file."""
    for option in ALL:
        if option.report and getattr(given, option.dest, None):
            yield option.report, getattr(given, option.dest)


def _function(name: str) -> Any:
    """The function of a module's dotted name, a colon and its own; imported only now, like what imports it."""
    import pkgutil

    return pkgutil.resolve_name(name)


def write_reports(given: Any, outcome: Any) -> str:
    """Write the reports that were asked for; which of them could not be written, and why, or nothing."""
    for function, file in reports(given):
        try:
            _function(function)(outcome, Path(file))
        except OSError as error:  # there was space when the run began
            return f"{file} could not be written: {error.strerror or error}"
    return ""
