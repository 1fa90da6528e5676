"""A shell script that does again what was done on a bench, with nothing but unshare(1), ip(8) and the plugin.

What happens stands first, for a person to read; how it is done (``repro.sh``, the same for all) after it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import Ask, Complaint, Release
from cnitest.conformance.model.requirement import Requirement
from cnitest.conformance.model.subject import Trial
from cnitest.conformance.repro.quote import quoted
from cnitest.conformance.repro.signs import Sign, Signs
from cnitest.conformance.repro.steps import AtOnce, Steps
from cnitest.conformance.repro.topology import PlaceNames
from cnitest.lab.place import ENVIRONMENT
from cnitest.text import line
from cnitest.topology.building.plan import Plan

_MOST_DETAILS = 8
_SHOWN = 160
_OTHER = ", CNI_PATH_NEXT=DIR:DIR those of the other release"
# How often what depends on chance is tried.
_TRIES = 3
_HEAD = """\
#!/usr/bin/env bash
{about}
#
# Run as root: bash {name}
# CNI_PATH=DIR:DIR takes the plugins from elsewhere{other}.
# Everything happens in namespaces that end with this script; the machine is not touched. It exits with 1 when it sees
# what the report says, with 0 when it does not, and with 2 when it could not run.{limits}
path={path}
host={host}
python={python}
tries={tries}
usual=({usual})
"""


def script(
    requirement: Requirement, trial: Trial, plan: Plan, record: BenchRecord, details: Sequence[str], file: str
) -> str:
    """The script for what a record complains of, as far as it is among ``details``; ``file`` is its name."""
    subject, host = trial.subject, trial.subject.setting.host
    machines = PlaceNames(plan, host)
    signs = Signs(record.steps, subject.plugin, host, machines)
    shown = [(complaint, signs.of(complaint)) for complaint in _reported(record, details)]
    looks = {name for _, sign in shown for name in sign.looks}
    packets = tuple(dict.fromkeys(sign.packet for _, sign in shown if sign.packet))
    steps = Steps(record.steps, record.needed, subject.path, machines, looks, packets)
    chance = _chance(record, packets)
    parts = [_head(_about(requirement, trial, details), trial, record, file, chance)]
    parts += _function("topology", machines.commands(), "The machines and the links between them.")
    parts += _function("steps", steps.commands(), "What was done, in order.")
    parts += _function("signs", _signs(shown), "What the report says, and the condition that holds while it is so.")
    return "\n".join([*parts, _machinery()])


def _head(about: Iterator[str], trial: Trial, record: BenchRecord, file: str, chance: str) -> str:
    return _HEAD.format(
        about="\n".join(f"# {words}".rstrip() for words in about),
        name=file,
        limits=chance,
        other=_OTHER if any(isinstance(step, Release) for step in record.steps) else "",
        tries=_TRIES if chance else 1,
        path=quoted(":".join(trial.subject.path)),
        host=quoted(trial.subject.setting.host),
        python=quoted(sys.executable),
        usual=" ".join(quoted(f"{key}={value}") for key, value in ENVIRONMENT.items()),
    )


def name(identifier: str, subject: str, version: str, test: str) -> str:
    """A file name for a script."""
    return re.sub(r"[^\w.-]+", "_", f"{identifier}-{subject}-{version}-{test}").strip("_") + ".sh"


def _reported(record: BenchRecord, details: Sequence[str]) -> list[Complaint]:
    counted = [complaint for complaint in record.complaints if complaint.detail in details]
    return (counted or record.complaints)[:_MOST_DETAILS]


def _about(requirement: Requirement, trial: Trial, details: Sequence[str]) -> Iterator[str]:
    where = f"{requirement.level.value}, SPEC section {requirement.section}"
    yield _line(f"{requirement.id} ({where}), {trial.subject.name} in version {trial.version}:")
    yield requirement.says
    yield ""
    yield "The report says:"
    yield from (f"  {_line(detail)}" for detail in details[:_MOST_DETAILS])
    if len(details) > _MOST_DETAILS:
        yield f"  and {len(details) - _MOST_DETAILS} more"


def _line(text: str) -> str:
    words = line(" ".join(text.split()))
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


def _chance(record: BenchRecord, packets: Sequence[AtOnce]) -> str:
    """What a script cannot promise."""
    asks = [step for step in record.steps if isinstance(step, Ask)]
    found = []
    if any(ask.batch for ask in asks):
        found.append("Calls that ran side by side do so here, too; what comes of it may be another thing each time.")
    if any(ask.change for ask in asks):
        found.append(
            "Calls are killed before the same changes as in the report where python has cnitest, else after times."
        )
    elif any(ask.limit is not None for ask in asks):
        found.append("Calls are killed after the same times as in the report; what they had done by then may differ.")
    if packets:
        found.append("Packets are sent the moment that a call has ended; on a busy machine that may be too late.")
    if found:
        found.append(f"So it is tried {_TRIES} times, until it is seen.")
    return "".join(f"\n# {line}" for line in found)


def _function(name: str, lines: Iterator[str], about: str) -> Iterator[str]:
    """A shell function; what is in it is not indented, since texts in it would be, too."""
    yield f"# {about}\n{name}() {{\n:"
    yield from lines
    yield "}\n"


def _signs(shown: Sequence[tuple[Complaint, Sign]]) -> Iterator[str]:
    for complaint, sign in shown:
        yield f"says {quoted(_line(complaint.detail))} holds {quoted(sign.condition)}"
    for looks in dict.fromkeys(sign.looks for _, sign in shown if sign.looks):
        yield f"differs {' '.join(looks)}"


@cache
def _machinery() -> str:
    return (Path(__file__).parent / "repro.sh").read_text()
