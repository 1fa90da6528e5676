"""``cnitest reach``: builds a topology, probes many places from each other, and compares with what is expected."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnitest import paths
from cnitest.cli.built import UNPROVEN, built, declare_lab
from cnitest.cli.output import say
from cnitest.errors import UsageError
from cnitest.lab.reachability.kinds import DEFAULT

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.reachability.matrix import Reachability
    from cnitest.lab.reachability.mismatch import Mismatch
    from cnitest.lab.reachability.truth import TruthTable

_DIFFERS = 1


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.description = (
        "Build a topology, attach sandboxes with plugins, run commands, and probe each place from each other one. "
        "Prints a table of who reaches whom; with --expect what differs from it, and why. Exit codes: 0 as expected, "
        "1 different, 3 unproven, 4 wrong usage."
    )
    declare_lab(parser)
    parser.add_argument("--expect", metavar="FILE", help="a truth table in YAML to compare with")
    _several(parser, "--probe", "PROBE", f"icmp, tcp:PORT, udp:PORT, icmp6, … (default: {', '.join(DEFAULT)})")
    _several(parser, "--from", "PLACE", "a place or a pattern (default: all)")
    _several(parser, "--to", "PLACE", "a place or a pattern (default: those of --from)")
    _several(parser, "--address", "PLACE=ADDRESS", "where a place is probed: an address or a link of it")
    parser.add_argument("-6", dest="family", action="store_const", const=6, help="probe over IPv6")
    parser.add_argument("--json", action="store_true", help="print every cell as JSON")
    parser.set_defaults(run=run)


def _several(parser: argparse.ArgumentParser, name: str, metavar: str, words: str) -> None:
    parser.add_argument(name, dest=f"{name[2:]}_", metavar=metavar, action="append", default=[], help=words)


def run(arguments: argparse.Namespace) -> int:
    """Build, probe, compare."""
    expected = _expected(arguments.expect)
    with built(arguments, [word for word in (*arguments.from_, *arguments.to_) if not _is_pattern(word)]) as lab:
        matrix = _matrix(lab, arguments)
        found = matrix.difference(expected) if expected else None
        say(
            json.dumps(document(matrix, found), indent=2) if arguments.json else str(matrix if found is None else found)
        )
    return _code(matrix, found)


def _matrix(lab: Lab, arguments: argparse.Namespace) -> Reachability:
    """Who reaches whom. Raises UsageError in the words of the command line."""
    try:
        return lab.reachability(
            arguments.from_ or None,
            arguments.probe_ or DEFAULT,
            to=arguments.to_ or None,
            family=arguments.family,
            addresses=_addresses(arguments.address_),
        )
    except UsageError as error:
        said = str(error).removeprefix("reachability(): ")
        raise UsageError(f"--probe {said.removeprefix('probes: ')}" if said.startswith("probes: ") else said) from None


def _is_pattern(word: str) -> bool:
    return bool({*word} & {*"*?["})


def _expected(given: str | None) -> TruthTable | None:
    if given is None:
        return None
    from cnitest.lab.reachability.truth import TruthTable

    return TruthTable.read(paths.absolute(given))


def _addresses(given: list[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for word in given:
        place, equals, address = word.partition("=")
        if not (place and equals and address):
            raise UsageError(f"--address {word!r}: write PLACE=ADDRESS or PLACE=LINK, as in node=eth0")
        found[place] = (*found.get(place, ()), address)
    return found


def _code(matrix: Reachability, found: Mismatch | None) -> int:
    if found is None:
        return UNPROVEN if matrix.unproven else 0
    return _DIFFERS if found.differing else UNPROVEN if found.unproven else 0


def document(matrix: Reachability, found: Mismatch | None) -> dict[str, Any]:
    """A matrix, and what differs from what was expected of it with its causes, as JSON has them."""
    if found is None:
        return matrix.data()
    causes = [
        {
            "what": group.what,
            "cells": [each.cell.data() for each in group.cells],
            "likely": [each.cell.data() for each in group.likely],
            "explanation": str(group.explanation) if group.explanation else None,
        }
        for group in found.causes()
    ]
    unproven = [{**each.cell.data(), "reason": each.words} for each in found.unproven]
    return {**matrix.data(), "differing": causes, "unproven": unproven}
