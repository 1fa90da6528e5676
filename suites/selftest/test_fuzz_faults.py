"""Fuzzing's own proof: it finds faults that only a rare configuration or a sequence shows, and makes them small.

By default a few are tried. With CNITEST_FAULTS=fuzz all rare ones are, and some of the others; with
CNITEST_FAULTS=shipped all that the conformance suite is tried with: each for two minutes at most, and nearly all have
to be found. Names of faults and families after that, with commas between (fuzz,wire-cuts-long-names), try those alone.
With --log-cli-level=INFO it says how far it is.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from cnitest.fixtures import faulty
from cnitest.fixtures.faulty import Fault, Rare

from cnitest.cni.calls.invoke import search_path
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.execute.executor import alone
from cnitest.fuzz.model import keys
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.model.violation import RULES
from cnitest.fuzz.search.reduce import reduced
from cnitest.fuzz.search.searcher import FuzzFinding
from cnitest.fuzz.search.workers import FuzzSettings, together

CHECKOUT = Path(__file__).resolve().parents[2]
HONEST = CHECKOUT / "fixtures" / "honest"
PLUGINS = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
KINDS = {"fuzz": ("configs", "sequences"), "shipped": ("configs", "sequences", "requirements")}
LOG = logging.getLogger("cnitest.faults")
SEED, BUDGET, SHARE = 1, 120.0, 0.95
CHOSEN = os.environ.get("CNITEST_FAULTS", "").split(",")
MODE = CHOSEN[0] if CHOSEN[0] in KINDS else ""
IS_ALL = bool(MODE)
#: As many as ``cnitest fuzz`` has, or one for a few.
WORKERS = 2 * (os.cpu_count() or 1) if IS_ALL else 1
#: Tried in every run: two that are found in seconds.
FEW = ("pool-cuts-at-a-dot", "wire-check-is-shaken")
#: Faults of the other families that fuzzing has to find, too, and the rules that they break.
OTHERS = {
    "wire-leaks-a-link": {"left"},
    "wire-keeps-its-rules": {"left"},
    "wire-deletes-the-network": {"harm"},
    "wire-tells-another-mac": {"untrue"},
    "wire-needs-its-link": {"delete"},
    "pool-frees-nothing": {"left"},
    "pool-frees-the-containers-other": {"harm", "check"},
    "mark-keeps-its-rules": {"left"},
    "mark-deletes-all-rules": {"harm", "check"},
    "bridge-leaks-a-link": {"left"},
    "host-local-deletes-once": {"delete"},
    "portmap-demands-the-result": {"delete"},
}


Row = tuple[Fault, frozenset[str], int]


def wanted() -> dict[str, Row]:
    """By name: the faults to try, the rules that they break, and how many steps are enough for that."""
    rows: dict[str, Row] = {fault.name: (fault, fault.shows, fault.steps) for fault in faulty.rare()}
    if not IS_ALL:
        return {name: rows[name] for name in FEW}
    others = {fault.name: (fault, frozenset(OTHERS.get(fault.name, RULES)), 4) for fault in faulty.faults()}
    rows |= {name: row for name, row in others.items() if name in OTHERS}
    if MODE == "shipped":
        rows = {name: (fault, frozenset(RULES), 3) for name, (fault, *_) in others.items()}
    return {name: row for name, row in rows.items() if not CHOSEN[1:] or {name, row[0].family} & set(CHOSEN)}


def found(subject: Subject, fault: Fault, rules: Collection[str]) -> FuzzFinding | None:
    """The first finding that is the fault's, within the budget."""
    words = fault.words if isinstance(fault, Rare) else ""
    for one in findings(subject):
        if one.violation.rule in rules and re.search(words, one.violation.words) and not without(fault, one):
            return one
    return None


def findings(subject: Subject, seconds: float = BUDGET) -> Iterator[FuzzFinding]:
    """What fuzzing finds."""
    for event in together(FuzzSettings(subject, KINDS[MODE or "fuzz"], SEED, seconds, release="1.1.1"), WORKERS):
        if isinstance(event, FuzzFinding):
            yield event


def without(fault: Fault, finding: FuzzFinding) -> bool:
    """Whether a finding is there without the fault, too: of reference plugins, fuzzing finds a few things."""
    if fault.plugin not in keys.plugins():
        return False
    violations = alone(trial_of(subject_of(fault.plugin, search_path(PLUGINS))), finding.scenario)
    return any(one.cause == finding.cause for one in violations)


def amiss(subject: Subject, finding: FuzzFinding, steps: int) -> str:
    """What is wrong with a finding's size; empty when it is as small as can be."""
    if finding.depends:
        return ""
    scenario = finding.scenario
    if not scenario.raw and len(scenario.steps) > steps:
        return f"{len(scenario.steps)} steps instead of {steps}: {scenario.words}"
    if MODE != "fuzz":
        return ""

    def holds(candidate: Scenario) -> bool:
        return any(one.cause == finding.cause for one in alone(trial_of(subject), candidate))

    smaller = reduced(scenario, holds)
    return "" if smaller == scenario else f"could be smaller: {scenario.dumps()}, {smaller.dumps()}"


def test_faults_are_found_and_made_small(tmp_path: Path) -> None:
    """Nearly every fault is found by a rule that it breaks, with few steps and no needless key."""
    missed, large = [], []
    rows = wanted()
    for fault, rules, steps in rows.values():
        (profile,) = faulty.install([fault], tmp_path, PLUGINS)
        subject = subject_of(str(profile), search_path(PLUGINS))
        began = time.monotonic()
        finding = found(subject, fault, rules)
        seconds = time.monotonic() - began
        LOG.info("%s: %.0f s: %s", fault.name, seconds, finding.violation.words[:160] if finding else "MISSED")
        if finding is None:
            missed.append(f"{fault.name}: not found in {seconds:.0f} s")
        elif words := amiss(subject, finding, steps):
            large.append(f"{fault.name}: {words}")

    assert len(missed) <= (1 - SHARE) * len(rows), "\n".join(missed)
    assert not large, "\n".join(large)


@pytest.mark.parametrize("name", ["wire", "pool", "mark"])
def test_honest_plugins_have_none(name: str) -> None:
    """Without a fault nothing is found: there are no false alarms."""
    subject = subject_of(str(HONEST / f"{name}.yaml"), search_path(PLUGINS))

    reported = [
        f"{one.violation.words}: {one.scenario.dumps()}" for one in findings(subject, seconds=60.0 if IS_ALL else 10.0)
    ]

    assert not reported, "\n".join(reported)


@pytest.mark.parametrize("fault", faulty.rare(), ids=lambda fault: fault.name)
def test_a_rare_fault_names_rules(fault: Rare) -> None:
    """What shows of a fault are rules that there are, and its sentence is one."""
    assert fault.shows, "nothing is named that should show it"
    assert fault.shows <= RULES.keys()
    assert fault.needs in ("config", "sequence")
    assert fault.says.endswith("."), fault.says


def test_there_are_many_rare_faults() -> None:
    """There are at least 15, of both sorts."""
    assert len(faulty.rare()) >= 15
    assert {fault.needs for fault in faulty.rare()} == {"config", "sequence"}
