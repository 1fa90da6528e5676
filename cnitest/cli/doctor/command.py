"""The subcommand: everything is tried, and reported as a list or as data."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from cnitest import text
from cnitest.cli.doctor import inventory, rights
from cnitest.cli.doctor.examined import Examined
from cnitest.cli.output import Colour, say, say_coloured
from cnitest.cni.calls.invoke import search_path
from cnitest.report import unprivileged
from cnitest.report.options import PLUGIN_PATH, declare_to_command

#: What each word is coloured like on a terminal.
_COLOURS: dict[str, Colour] = {"ok": "green", "missing": "red", "absent": "yellow"}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    declare_to_command(parser, [PLUGIN_PATH])
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 when this machine is ready, 1 when not."""
    findings = examine(search_path(arguments.cni_path), unprivileged.enter())
    healthy = all(finding.present for finding in findings if finding.needed)
    if arguments.json:
        document = {"healthy": healthy, "findings": [finding._asdict() for finding in findings]}
        print(json.dumps(document, indent=2))  # noqa: T201
    else:
        _show(findings, healthy)
    return 0 if healthy else 1


def examine(path: Sequence[str], forbidden: str = "") -> tuple[Examined, ...]:
    """Try everything and report each outcome; ``forbidden`` is why no user namespace could be entered, where one was
    needed."""
    return (
        *rights.examine(forbidden),
        *inventory.kernel(forbidden),
        *inventory.programs(),
        *inventory.plugins(tuple(path)),
        inventory.guests(),
    )


def _show(findings: Sequence[Examined], healthy: bool) -> None:
    group = ""
    for finding in findings:
        detail = finding.detail if finding.present else "; ".join(filter(None, (finding.detail, finding.remedy)))
        heading = finding.group if finding.group != group else ""
        word = finding.word
        say_coloured(f"{heading:11} {finding.name:19} ", f"{word:8}", _COLOURS[word], f" {text.line(detail)}".rstrip())
        group = finding.group
    lacking = [finding.name for finding in findings if finding.needed and not finding.present]
    say("Ready." if healthy else f"Not ready; missing: {', '.join(lacking)}")
