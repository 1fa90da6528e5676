"""A finding as files that a person can keep: the configuration, a shell script, and a test for pytest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from cnitest import text
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import requirement
from cnitest.conformance.model.requirement import Kind, Level, Requirement
from cnitest.conformance.repro import reproducer
from cnitest.fuzz.execute import requirements
from cnitest.fuzz.execute.executor import Isolation, ReusingExecutor
from cnitest.fuzz.execute.run import run
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import RULES, Violation
from cnitest.fuzz.search.searcher import FuzzFinding

_TEST = '''\
"""{about}

Written by cnitest fuzz. It fails while the fault is there, and passes once it is fixed:
python -m pytest {file} --cni-path DIR
"""

import pytest

from {module} import {function}

SUBJECT = {subject}
SCENARIO = {scenario}


def test_{name}(pytestconfig: pytest.Config) -> None:
    """{rule}."""
    violations = {function}(SUBJECT, SCENARIO, pytestconfig.getoption("--cni-path"){more})

    assert not violations, "\\n".join(violation.words for violation in violations)
'''


def slug(finding: FuzzFinding) -> str:
    """A short name for a finding, the same in each run."""
    digest = hashlib.sha256(finding.cause.encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", f"{finding.violation.plugin} {finding.violation.rule}".lower()).strip("-")
    return f"{words}-{digest}"


def write(finding: FuzzFinding, executor: ReusingExecutor, directory: Path, subject: str) -> Path:
    """Write a finding's files into a directory of its own; where that is.

    ``subject`` is what a user types to name what was fuzzed: a configuration's path, or a plugin's name.
    """
    place = directory / slug(finding)
    place.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(finding.scenario.networks):
        document = json.dumps(example.network, indent=2)
        (place / f"network{number + 1 if number else ''}.conflist").write_text(document + "\n")
    (place / "steps.txt").write_text(steps(finding), encoding="utf-8")
    (place / "repro.sh").write_text(script(finding, executor))
    name = slug(finding).replace("-", "_")
    (place / f"test_{name}.py").write_text(_test(finding, subject, name, executor.next_path))
    return place


def steps(finding: FuzzFinding) -> str:
    """What was done, what came of it, and how it was found, for a person."""
    lines = [finding.violation.words, "", f"rule: {finding.violation.rule}: {RULES[finding.violation.rule]}"]
    lines += [f"steps: {finding.scenario.words}"]
    if finding.scenario.raw and finding.scenario.raw.stdin is not None:
        lines.append(f"stdin: {finding.scenario.raw.stdin[:400]!r}")
    if finding.scenario.raw:
        lines += [f"{key}={value!r}" for key, value in finding.scenario.raw.variables.items()]
    for example in finding.scenario.networks:
        lines += [f"network: {json.dumps(example.network)}"]
        lines += [f"CNI_ARGS: {dict(example.args)}"] if example.args else []
        lines += [f"capabilities: {json.dumps(example.capabilities)}"] if example.capabilities else []
    if finding.depends:
        lines.append("It was seen only on a host that other scenarios had used before.")
    lines.append(f"found after {finding.seconds:.1f} s and {finding.examples} examples, seed {finding.seed}")
    return text.lines("\n".join(lines)) + "\n"


def script(finding: FuzzFinding, executor: ReusingExecutor) -> str:
    """A shell script that does it again with unshare, ip and the plugins alone."""
    if finding.scenario.held:
        return _held(finding, executor)
    with (
        ReusingExecutor(executor.trial, isolation=Isolation.EXAMPLE, next_path=executor.next_path) as fresh,
        fresh.scenario_run(finding.scenario) as scenario_run,
    ):
        run(scenario_run, finding.scenario)
        wanted = [violation for violation in scenario_run.violations if violation.cause == finding.cause]
        if not wanted:  # then what plugins answered is all there is to see again
            wanted = [finding.violation]
            scenario_run.note(wanted)
        return _script(finding, executor, scenario_run.bench, wanted)


def _held(finding: FuzzFinding, executor: ReusingExecutor) -> str:
    """A script for a requirement; when it holds this time, for what was done to see that."""
    done = requirements.hold(executor.trial, finding.scenario)
    wanted, details = requirement.find(done.variant.requirement), done.details or (finding.violation.evidence,)
    if not done.details:
        done.bench.complain(*details)
    return reproducer.script(wanted, done.trial, done.bench.lab.plan, done.bench.record, details, "repro.sh")


def _script(finding: FuzzFinding, executor: ReusingExecutor, bench: Bench, violations: list[Violation]) -> str:
    details = [violation.evidence or violation.words for violation in violations]
    return reproducer.script(
        _requirement(finding.violation.rule), executor.trial, bench.lab.plan, bench.record, details, "repro.sh"
    )


def _requirement(rule: str) -> Requirement:
    """A rule in the form that a script's head is written from."""
    says = RULES[rule]
    return Requirement(f"FUZZ {rule}", "fuzz", Level.MUST, "-", says, says, frozenset(Kind), "0.1.0", "1.1.0")


def _test(finding: FuzzFinding, subject: str, name: str, next_path: Sequence[str]) -> str:
    differs = finding.violation.rule == "differs"
    next_path = () if finding.kind == "backends" else next_path
    needs_next = differs or finding.scenario.upgrades
    about = text.lines(finding.violation.words, 2000).replace("\\", "\\\\").replace('"""', "'''")
    return _TEST.format(
        about=about,
        file=f"test_{name}.py",
        subject=repr(subject),
        scenario=_literal(finding.scenario),
        name=name,
        module="cnitest.fuzz.execute.differential" if differs else "cnitest.fuzz.replay",
        function="compare" if differs else "replay",
        more=f", {list(next_path)!r}" if needs_next else "",
        rule=RULES[finding.violation.rule].capitalize(),
    )


def _literal(scenario: Scenario) -> str:
    """A scenario as Python that is easy to read."""
    dumped = scenario.dumps()
    plain = dumped.isprintable() and "'''" not in dumped and not dumped.endswith("'")
    return f"r'''{dumped}'''" if plain else repr(dumped)
