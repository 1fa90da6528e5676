"""A lab for one command: built from a topology, with commands run in it and sandboxes attached by plugins."""

from __future__ import annotations

import argparse
import ipaddress
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cnitest import paths
from cnitest.cni.calls.invoke import search_path
from cnitest.errors import CnitestError, PluginError, UnknownName, UsageError
from cnitest.report.options import PLUGIN_PATH, declare_to_command
from cnitest.topology import find, load, shipped
from cnitest.typos import nearest

if TYPE_CHECKING:
    from cnitest.lab.hosts import Sandbox
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place

#: What only an address looks like, right or wrong.
_LIKE_ADDRESS = re.compile(r"\d+(\.\d+)+(/\d+)?|[\da-fA-F.]*:[\da-fA-F:.]*(/\d+)?")
_AFTER = re.compile(r"([\w./-]+):\s+(.*)", re.DOTALL)
#: How much like a place's name one is that was mistyped (0 to 1).
_ALIKE = 0.6
#: The exit code where no verdict stands.
UNPROVEN = 3


def declare_lab(parser: argparse.ArgumentParser) -> None:
    """Declare what builds the lab: TOPOLOGY, --after, --conf and where plugins are."""
    parser.add_argument("topology", metavar="TOPOLOGY", help=f"a file, or one of: {', '.join(shipped())}")
    parser.add_argument(
        "--after",
        metavar="'PLACE: CMD'",
        action="append",
        default=[],
        help="a command to run at a place first, such as 'node: iptables -P FORWARD DROP'; may be repeated",
    )
    parser.add_argument(
        "--conf", metavar="FILE", help="attach the sandboxes that are named to this network (.conf or .conflist) first"
    )
    declare_to_command(parser, [PLUGIN_PATH])


@contextmanager
def built(arguments: argparse.Namespace, sandboxes: Sequence[str] = (), *, after: bool = True) -> Iterator[Lab]:
    """The lab that a command line describes; ``sandboxes`` are attached where it names a configuration. Without
    ``after`` it is left to the caller to `run_after`.

    Raises CnitestError for a topology that cannot be built, a plugin's rejection, with its likely causes, and a
    command that fails.
    """
    from cnitest.explain.lab import Lab

    topology = load(find(arguments.topology))
    path = search_path(arguments.cni_path)
    with Lab(topology) as lab:
        if arguments.conf:
            _attach(lab, paths.absolute(arguments.conf), path, sandboxes)
        if after:
            run_after(lab, arguments)
        yield lab


def run_after(lab: Lab, arguments: argparse.Namespace) -> None:
    """Run the commands of --after. Raises UsageError for one that fails, or names no place."""
    for given in arguments.after:
        _run(lab, given)


def _attach(lab: Lab, conf: str, path: Sequence[str], sandboxes: Sequence[str]) -> None:
    """Attach sandboxes to a network, each once; those that the topology does not declare are made."""
    from cnitest.cli.warned import warn
    from cnitest.cni.conf import network
    from cnitest.cni.runtime import Runtime
    from cnitest.conformance.host.data import data_directories

    wanted = [found for name in dict.fromkeys(sandboxes) if (found := _sandbox(lab, name)) is not None]
    if not wanted:
        raise UsageError("--conf attaches sandboxes, and none is named: write one as HOST/SANDBOX")
    attached_to = network(conf)
    warn(attached_to, path)
    runtime = Runtime(lab, path)
    for sandbox in wanted:
        sandbox.host.own(data_directories(attached_to.plugins))
        try:
            runtime.add(sandbox, attached_to)
        except PluginError as error:
            raise PluginError(_with_causes(str(error), lab), error.code) from error


def _with_causes(words: str, lab: Lab) -> str:
    """What a plugin said when it failed, and the likely causes, a line each."""
    from cnitest.report.failure_report import rejection

    causes = rejection(lab, by_command=True)
    return "\n".join([words, *(f"  {'or' if number else 'likely'}: {cause}" for number, cause in enumerate(causes))])


def _sandbox(lab: Lab, name: str) -> Sandbox | None:
    """The sandbox of a name, which is made on its host if need be; None of the name of another place, or an address."""
    if is_address(name) or name in {place.full_name for place in lab.places if place.role != "sandbox"}:
        return None
    host, slash, inner = name.partition("/")
    if not slash and not _sandboxes(lab, name) and not nearest(name, [place.name for place in lab.places], _ALIKE):
        ways = " or ".join(f"{host}/{name}" for host in lab.hosts)
        raise UnknownName(f"{lab.topology.name} has no place {name!r}; a sandbox that --conf is to make is {ways}")
    return lab.host(host).sandbox(inner) if slash else lab.sandbox(name)


def place(lab: Lab, name: str) -> Place:
    """A place by its full name, a sandbox also by its own. Raises UnknownName that lists those there are."""
    known = {place.full_name for place in lab.places}
    host, slash, sandbox = name.partition("/")
    if slash and host in lab.hosts and name not in known:
        there = f"there are {', '.join(sorted(known))}"
        raise UnknownName(f"{host} has no sandbox {sandbox!r}; --conf FILE makes one, attached by plugins; {there}")
    if _LIKE_ADDRESS.fullmatch(name) and name not in known:
        raise UnknownName(f"{name!r} is neither an IP address nor a place; there are {', '.join(sorted(known))}")
    return lab.place(name) if name in known or "/" in name or not _sandboxes(lab, name) else lab.sandbox(name)


def _sandboxes(lab: Lab, name: str) -> list[Place]:
    return [place for place in lab.places if place.role == "sandbox" and place.name == name]


def is_address(word: str) -> bool:
    """Whether a word is an IP address, and not the name of a place."""
    try:
        ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True


def address(lab: Lab, word: str, *, six: bool = False) -> str:
    """An address as it is, or that of a place: its first global one, IPv4 before IPv6, or IPv6 alone with ``six``.

    Raises UnknownName for the name of no place, UsageError for a place without such an address.
    """
    if is_address(word):
        return word
    there = place(lab, word)
    rows = [row.ip for row in there.addresses if row.scope == "global"]
    found = [ip for ip in rows if (":" in ip) == six] or ([] if six else rows)
    if not found:
        family = "IPv6 " if six else ""
        attached = "" if there.role != "sandbox" else ": attach it with --conf"
        raise UsageError(f"{there.full_name} has no global {family}address{attached}")
    return found[0]


def _run(lab: Lab, given: str) -> None:
    found = _AFTER.fullmatch(given.strip())
    if not found:
        places = ", ".join(place.full_name for place in lab.places)
        raise UsageError(
            f"--after {given!r}: name a place before the command, as in 'node: ip route'; there are {places}"
        )
    try:
        place(lab, found[1]).run(shlex.split(found[2]))
    except (ValueError, CnitestError) as error:
        said = "; ".join(str(error).splitlines())
        raise UsageError(f"--after {given!r}: {said}") from error
