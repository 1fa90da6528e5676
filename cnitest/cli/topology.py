"""``cnitest draw``, ``plan`` and ``schema``: a topology as a picture, its steps; the forms of our files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from cnitest.cli.output import say
from cnitest.report.conformance.schema import conformance_schema
from cnitest.topology import draw, find, json_schema, load, shipped
from cnitest.topology.building.plan import plan


def declare_draw(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``draw``."""
    _declare(parser, _draw)


def declare_plan(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``plan``."""
    _declare(parser, _plan)


def _declare(parser: argparse.ArgumentParser, function: Callable[[argparse.Namespace], int]) -> None:
    parser.add_argument("topology", metavar="TOPOLOGY", help=f"a file, or one of: {', '.join(shipped())}")
    parser.set_defaults(run=function)


def declare_schema(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``schema``."""
    parser.add_argument(
        "of", nargs="?", choices=("topology", "conformance"), default="topology", help="of what (default: %(default)s)"
    )
    parser.set_defaults(run=_schema)


def _draw(arguments: argparse.Namespace) -> int:
    say(draw(load(find(arguments.topology))))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    say(str(plan(load(find(arguments.topology)))))
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    schema = conformance_schema() if arguments.of == "conformance" else json_schema()
    say(json.dumps(schema, indent=2))
    return 0
