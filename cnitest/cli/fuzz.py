"""``cnitest fuzz``: generated configurations and sequences of operations; findings are minimised to a script."""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cnitest import interrupts, paths, text
from cnitest.cli.output import complain, say
from cnitest.cni.calls.invoke import search_path
from cnitest.errors import ConfigError
from cnitest.kernel.processes import programs
from cnitest.report.options import BASELINE, PLUGIN_PATH, declare_to_command, resolve

if TYPE_CHECKING:
    from cnitest.fuzz.search.campaign import Campaign
    from cnitest.fuzz.search.searcher import FuzzFinding

USUAL = ("configs", "sequences", "requirements", "differential")
KINDS = (*USUAL, "faults")
#: The names that kinds had before, which still work in this release.
FORMER = {"sentences": "requirements", "histories": "sequences"}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_UNITS = {None: 1, "": 1, "s": 1, "m": 60, "h": 3600}
_USUAL = 120.0
# How many examples a worker is worth its start for.
_WORTHWHILE = 50
FOUND, STOPPED = 1, 3


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.description = (
        "Generate configurations, calls and sequences of operations, try each with the real plugin, and check what "
        "must always be true. What does not hold is minimised and written as a script and as a test. Exit codes: "
        "0 nothing new (known findings are those of --profile reference or a baseline), 1 findings, 2 interrupted, "
        "3 stopped early without findings, 4 wrong usage, 143 after SIGTERM, 129 after SIGHUP."
    )
    parser.add_argument("subject", metavar="CONF|PLUGIN", help="a .conf, .conflist, cnitest.yaml, or a known plugin")
    declare_to_command(parser, [PLUGIN_PATH])
    parser.add_argument("--cni-path-next", metavar="DIRS", help="another release, to compare with and to upgrade to")
    parser.add_argument("--examples", metavar="N", help="stop after N examples")
    parser.add_argument("--time", metavar="T", help="stop after a time such as 90s, 10m or 1h (default: 2m)")
    parser.add_argument("-n", metavar="N", dest="workers", help="how many workers (default: two per processor)")
    parser.add_argument("--seed", metavar="S", help="a number: the same one generates the same examples")
    _declare_expected(parser)
    parser.add_argument(
        "--database",
        metavar="PLACE",
        action="append",
        default=[],
        help="where findings are kept: a directory, redis://HOST:PORT/DB or unix:///SOCKET; may be repeated"
        " (default: .cnitest/examples)",
    )
    parser.add_argument("--out", metavar="DIR", default=".cnitest/findings", help="where findings are written")
    declare_to_command(parser.add_argument_group("baseline"), BASELINE)
    parser.set_defaults(run=run)


def _declare_expected(parser: argparse.ArgumentParser) -> None:
    """What is generated, and what is expected of it."""
    parser.add_argument(
        "--only",
        type=_kind,
        choices=KINDS,
        metavar="KIND",
        action="append",
        help="only configs, sequences (of operations), requirements, differential, or faults; may be repeated",
    )
    parser.add_argument(
        "--profile",
        choices=("spec", "reference"),
        default="spec",
        help="expect what must be true, or what the reference plugins are known to do, too (default: %(default)s)",
    )
    parser.add_argument(
        "--release", metavar="V", default="", help="the plugins' release (default: what they say of themselves)"
    )


def _kind(word: str) -> str:
    """A kind by its name, or by the one that it had before."""
    return FORMER.get(word, word)


def run(arguments: argparse.Namespace) -> int:
    """Check what was given, fuzz, and report what was found."""
    seconds, examples = _seconds(arguments.time), _number("--examples", arguments.examples, least=1)
    seed = _number("--seed", arguments.seed)
    workers = _number("-n", arguments.workers, least=1) or _workers(examples)
    path = search_path(arguments.cni_path)
    resolve(arguments, command=True)
    from cnitest.fuzz.search import store
    from cnitest.fuzz.search.campaign import Campaign

    store.keep_tables_apart()
    campaign = Campaign.begin(
        arguments.subject,
        path,
        chosen=tuple(arguments.only or USUAL),
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
        seconds=seconds or (3600.0 if examples else _USUAL),
        examples=examples or 0,
        workers=workers,
        release=arguments.release,
        next_path=_next_path(arguments.cni_path_next),
        databases=[_database(place) for place in arguments.database],
        out=Path(paths.directory_to_fill("--out", arguments.out)),
        reference=arguments.profile == "reference",
    )
    _warn(paths.absolute(arguments.subject), path)
    return _held_to_baseline(campaign, arguments.cni_baseline, arguments.cni_write_baseline)


def _warn(file: str, path: tuple[str, ...]) -> None:
    """Say what is wrong in the configuration of a file, where one was named, and what plugins will not find here."""
    for name in ("iptables", "ip6tables"):
        if not programs.find(name):
            get = programs.how_to_get(name)
            complain(f"warning: this machine has no program {name!r}: that an ADD fails for it is no finding; {get}")
    from cnitest.cli.warned import warn
    from cnitest.conformance.discover.source import source

    if os.path.exists(file):
        given = source(Path(file), path)
        warn(given.network, (*given.path, *path), given.setting.capabilities, given.setting.knowledge)


def _held_to_baseline(campaign: Campaign, file: str | None, written: str | None) -> int:
    """Search for what the baseline of a file does not have; what is written into another is no failure."""
    from cnitest.report.baseline import fuzzing

    subject = campaign.settings.subject
    baseline = fuzzing.read(file, subject) if file else None
    campaign.accepted = fuzzing.causes(baseline) if baseline else frozenset()
    code = _tell(campaign)
    if not written or code not in (0, FOUND):
        return code
    found = [*campaign.met.values(), *(finding.violation for finding in campaign.findings)]
    say(fuzzing.write(written, baseline, found, subject))
    return 0 if campaign.findings or not code else code


def _next_path(given: str | None) -> tuple[str, ...]:
    return () if given is None else search_path([given], option="--cni-path-next")


def _database(place: str) -> str:
    return place if "://" in place else paths.directory_to_fill("--database", place)


def _tell(campaign: Campaign) -> int:
    """Search, with a line that lives, and everything that was found at the end."""
    say(f"cnitest fuzz: {campaign.words}")
    live = _Line()
    try:
        for finding in _watched(campaign, live):
            live.clear()
            say(_finding_words(campaign, finding))
        signal = 0
    except KeyboardInterrupt as error:
        signal = interrupts.number_of(error)
    live.clear()
    if campaign.findings or campaign.stopped or "faults" not in campaign.settings.kinds or signal:
        say(campaign.summary() + (f" ({interrupts.words(signal)})" if signal else ""))
    if signal:
        return interrupts.code(signal)
    from cnitest.faults import table

    done = campaign.faults()  # every call of the plugins, if that was asked for
    for line in table.lines(done) if done else ():
        say(line)
    if done and done.signal:
        return interrupts.code(done.signal)
    return FOUND if campaign.findings or (done and done.faulty) else STOPPED if campaign.stopped else 0


def _watched(campaign: Campaign, live: _Line) -> Iterator[FuzzFinding]:
    for finding in campaign.run():
        live.show(campaign.progress())
        if finding is not None:
            yield finding


def _finding_words(campaign: Campaign, finding: FuzzFinding) -> str:
    from cnitest.fuzz.search.finding_files import steps

    known = campaign.explained.get(finding.cause)
    if known:
        words = " ".join(finding.violation.words.split())[:110]
        return f"known of {known.plugin}: {known.rule}: {words}\n    {known.reason} ({known.link})"
    again = " (seen before)" if finding.examples == 0 else ""
    lines = [*steps(finding).rstrip().splitlines(), f"written to {paths.near(campaign.places[finding.cause])}"]
    indented = "\n".join(f"    {line}" for line in lines)
    return f"\nFOUND{again} in {finding.violation.plugin or 'the network'}: {finding.violation.rule}\n{indented}"


class _Line:
    """One line on a terminal that is written over; elsewhere one every ten seconds."""

    _EVERY = 10.0

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def show(self, words: str) -> None:
        """Show how far it is."""
        words = text.line(words)
        if self._is_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            sys.stderr.write(f"\r\x1b[K{words[:width]}")
            sys.stderr.flush()
        elif time.monotonic() - self._last > self._EVERY:
            self._last = time.monotonic()
            sys.stderr.write(f"{words}\n")

    def clear(self) -> None:
        """Make room for other words."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _seconds(given: str | None) -> float:
    if given is None:
        return 0.0
    found = _SECONDS.fullmatch(given)
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise ConfigError(f"--time {given!r}: wants a time above 0 such as 90s, 10m or 1h")
    return seconds


def _workers(examples: int | None) -> int:
    """Two a processor, for plugins wait more than they compute; but none for a few examples alone."""
    usual = 2 * (os.cpu_count() or 1)
    return usual if examples is None else min(usual, -(-examples // _WORTHWHILE))


def _number(option: str, given: str | None, least: int | None = None) -> int | None:
    if given is None:
        return None
    if not re.fullmatch(r"-?\d+", given) or (least is not None and int(given) < least):
        raise ConfigError(f"{option} {given!r}: wants a whole number{f' of at least {least}' if least else ''}")
    return int(given)
