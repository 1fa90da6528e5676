"""``cnitest requirements``: the requirements of the conformance suite, or one of them with all that is known of it."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from cnitest.cli.output import say
from cnitest.conformance.checks.registry import checks_of
from cnitest.conformance.model import deviation
from cnitest.conformance.model.requirement import Kind, Requirement, find, registry

_WIDTH = 100


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.add_argument("id", metavar="ID", nargs="?", help="explain this one, such as DEL-05")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or one explanation."""
    lines = explained(find(arguments.id)) if arguments.id else listed()
    say("\n".join(lines))
    return 0


def listed() -> Iterator[str]:
    """A line a requirement, by topic."""
    topic = ""
    for requirement in registry().values():
        if requirement.topic != topic:
            topic = requirement.topic
            yield f"{topic}:"
        yield f"  {requirement.id:9} {requirement.level.value:7} {requirement.says}"


def explained(requirement: Requirement) -> Iterator[str]:
    """All that is known of a requirement: the sentence, why, for whom, how it is tested, who is known to break it."""
    yield f"{requirement.id}  {requirement.level.value}  SPEC section {requirement.section}"
    yield from _wrapped(requirement.says)
    yield ""
    yield from _wrapped(f"Why: {requirement.why}")
    kinds = ", ".join(kind.value for kind in Kind if kind in requirement.kinds)
    yield f"For: {kinds} plugins, versions {requirement.since} to {requirement.until}"
    yield "Tested by:"
    for check in checks_of(requirement.id):
        yield from _wrapped(f"- {check.says} (test_{check.topic}.{check.name})", indent="  ")
    known = [entry for entry in deviation.table() if entry.requirement == requirement.id]
    yield "Known deviations:" if known else "Known deviations: none"
    for entry in known:
        link = f" {entry.link}" if entry.link else ""
        yield from _wrapped(f"- {', '.join(entry.plugins)}: {entry.reason}{link}", indent="  ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent))
