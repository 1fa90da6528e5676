"""``cnitest vm``: a command, or a shell, on another kernel, over this machine's files."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from cnitest import paths
from cnitest.cli.output import complain, say
from cnitest.errors import GuestError
from cnitest.vm import cache, packages
from cnitest.vm.guest import Ends
from cnitest.vm.machine import Task
from cnitest.vm.run import NO_GUEST, GuestTask, ended

_MEMORY = re.compile(r"(\d+)([MG])")
_LEAST_MEGABYTES = 256
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.usage = (
        "cnitest vm [--kernel PACKAGE|DIR|PATH] [--timeout T] [--memory M] [--share DIR]… [--cache DIR] [-- COMMAND]"
    )
    parser.description = (
        "Boot another kernel in a virtual machine that sees this machine's files, and run a command there as root; "
        "without one, a shell. What it writes is lost at the end, except in shared directories. The exit status is "
        "the command's; 124 after the timeout, 125 where no guest could be booted or it ended too early, 130 and 143 "
        "after Ctrl-C and SIGTERM."
    )
    parser.add_argument(
        "--kernel",
        metavar="PACKAGE|DIR|PATH",
        help="a Debian package, or PACKAGE/SUITE (linux-image-amd64/bookworm-backports); a directory with "
        f"boot/vmlinuz-* and lib/modules, / is this machine's; or an image (default: {packages.DEFAULT})",
    )
    parser.add_argument(
        "--timeout", metavar="T", type=_seconds, help="end the command after so many seconds, or 5m, 2h"
    )
    parser.add_argument("--memory", metavar="M", type=_memory, default="2G", help="512M, 2G, … (default: %(default)s)")
    parser.add_argument(
        "--share",
        metavar="DIR",
        action="append",
        default=[],
        help="a directory in which changes are kept; may be repeated",
    )
    parser.add_argument(
        "--cache", metavar="DIR", help=f"where prepared kernels are kept (default: {cache.VARIABLE}, else the user's)"
    )
    parser.add_argument("--clear", action="store_true", help="remove the prepared kernels from the cache, and exit")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command in a guest; its exit status."""
    kept = cache.directory(arguments.cache)
    if arguments.clear:
        return _clear(kept)
    terminal = not arguments.rest and sys.stdin.isatty() and sys.stdout.isatty()
    task = Task(
        arguments.rest or [_shell()],
        Path.cwd(),
        {**os.environ, "CNITEST_VM": arguments.kernel or packages.DEFAULT},
        tuple(Path(paths.absolute(directory)) for directory in arguments.share),
        arguments.memory,
        terminal,
        True,
    )
    request = GuestTask(task, _kernel(arguments.kernel), kept, arguments.timeout, Ends(sys.stdin.fileno()))
    return ended(request, complain)


def _kernel(named: str | None) -> str | None:
    return named if named is None or packages.is_name(named) else paths.absolute(named)


def _shell() -> str:
    return os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh"


def _clear(kept: Path) -> int:
    try:
        freed = cache.clear(kept)
    except GuestError as error:
        complain(str(error))
        return NO_GUEST
    say(f"{kept}: {freed / 1e6:.0f} MB removed" if freed else f"{kept}: nothing was kept there")
    return 0


def _memory(given: str) -> str:
    found = _MEMORY.fullmatch(given.upper().removesuffix("B"))
    size = int(found[1]) * (1024 if found[2] == "G" else 1) if found else 0
    if size < _LEAST_MEGABYTES:
        raise argparse.ArgumentTypeError(f"{given!r} is no size of a memory: at least {_LEAST_MEGABYTES}M, such as 2G")
    return f"{size}M"


def _seconds(given: str) -> float:
    found = _SECONDS.fullmatch(given)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{given!r} is no time: more than 0, in seconds, or such as 90s, 5m, 2h")
    return float(found[1]) * _UNITS[found[2]]
