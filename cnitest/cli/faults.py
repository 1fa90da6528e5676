"""``cnitest faults``: kills a plugin, or fails a call of it, at every call that changes something."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from cnitest import interrupts, paths
from cnitest.cli.output import say
from cnitest.cli.warned import warn
from cnitest.cni import conf, plugins
from cnitest.cni.calls.invoke import search_path
from cnitest.cni.conf import Network
from cnitest.conformance.model import shipped
from cnitest.conformance.model.subject import Setting
from cnitest.errors import CnitestError
from cnitest.faults import table
from cnitest.faults.sweep import COMMANDS, TIMEOUT, WAYS, sweep
from cnitest.report.options import PLUGIN_PATH, declare_to_command


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.description = (
        "Run ADD and DEL of a network once for each system call of its plugins that changes something, "
        "kill the plugin there or have the call fail, and check what follows against the specification: DEL succeeds "
        "and leaves nothing, the next ADD works. Exit code 1 when something does not hold."
    )
    parser.add_argument("conf", metavar="CONF", help="a .conf, a .conflist, or a profile (cnitest.yaml)")
    declare_to_command(parser, [PLUGIN_PATH])
    parser.add_argument(
        "--commands", metavar="COMMANDS", default="add,del", help="add, del or both (default: %(default)s)"
    )
    # Its former name, which still works in this release.
    parser.add_argument("--verbs", dest="commands", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=WAYS, help="only kill the plugin, or only fail its calls")
    parser.add_argument("--calls", metavar="N-M", help="only the calls with these numbers, such as 3,7-9")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=TIMEOUT, help="when a plugin hangs (default: %(default)g)"
    )
    parser.add_argument("--json", metavar="FILE", help="write every trial as JSON")
    parser.add_argument(
        "-n", metavar="N", dest="workers", type=int, default=os.cpu_count() or 1, help="how many workers"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Inject the faults, print the table; 1 when something was found."""
    path = search_path(arguments.cni_path)
    report = Path(paths.file_to_write("--json", arguments.json)) if arguments.json else None
    if name := shipped.plugin_meant(arguments.conf):
        raise CnitestError(
            f"{arguments.conf}: there is no such file; a network is tried, with each call of its plugins failing once: "
            f"name a configuration with the plugin {name}"
        )
    network, path, setting = _subject(Path(paths.absolute(arguments.conf)), path)
    _require(network, path)
    warn(network, path, setting.capabilities, setting.knowledge)
    found = sweep(
        network,
        path,
        commands=_commands(arguments.commands),
        ways=(arguments.only,) if arguments.only else WAYS,
        numbers=_numbers(arguments.calls) if arguments.calls else None,
        timeout=arguments.timeout,
        workers=arguments.workers,
        setting=setting,
    )
    if report:
        _write(report, json.dumps(table.document(found), indent=2))
    say("\n".join(table.lines(found)))
    return interrupts.code(found.signal) if found.signal else int(found.faulty)


def _subject(file: Path, path: tuple[str, ...]) -> tuple[Network, tuple[str, ...], Setting]:
    """What is tried: the network of a configuration as it stands, or what a profile says."""
    if file.suffix not in (".yaml", ".yml"):
        return conf.network(file), path, Setting()
    from cnitest.fuzz.model.subjects import subject_of
    from cnitest.fuzz.search.networks import network_of

    subject = subject_of(str(file), path)
    return conf.network(network_of(subject)), subject.path, subject.setting


def _require(network: Network, path: tuple[str, ...]) -> None:
    """Reject a network with a plugin that is not there."""
    for plugin in network.plugins:
        name = str(plugin.get("type"))
        if not plugins.find(name, path):
            raise CnitestError(f"{network.source}: there is no plugin {name!r} in {':'.join(path)}; use --cni-path")


def _commands(text: str) -> tuple[str, ...]:
    given = [word.strip().upper() for word in text.split(",")]
    unknown = [word for word in given if word not in COMMANDS]
    if unknown:
        raise CnitestError(f"--commands {text}: {unknown[0]!r} is none of {', '.join(COMMANDS)}")
    return tuple(command for command in COMMANDS if command in given)


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise CnitestError(f"--calls {text}: {part.strip()!r} is no number and no range such as 7-9")
        found += range(int(first), int(last or first) + 1)
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CnitestError(f"--json {path}: cannot be written: {error.strerror}") from error
