"""Every requirement of the specification, checked for a configuration: the registry of checks as scenarios.

A check runs in a lab of its own. What is known of a plugin is no news here, nor what comes with CNI's Go library
(``conformance/model/deviations.yaml``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from cnitest.conformance.bench.bench import Bench, open_bench
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.checks import registry, running
from cnitest.conformance.checks.registry import Variant
from cnitest.conformance.model import deviation, requirement
from cnitest.conformance.model.finding import Finding, NotApplicable, Undecided
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import CnitestError
from cnitest.fuzz.model.example import Example, version_of
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.violation import Violation

RULE = "requirement"


def applying(subject: Subject, version: str) -> list[str]:
    """The names of the checks that apply to a subject in a version, once for each of their variants."""
    known = registry.variants().items()
    return [name for name, one in known if not subject.gap(requirement.find(one.requirement), version)]


def about(subject: Subject, network: Example) -> list[Scenario]:
    """A scenario for each check that applies to a subject with a network, in its version."""
    return [Scenario((network,), (), held=name) for name in applying(subject, version_of(network))]


class Outcome(NamedTuple):
    """What came of a check: where it ran, and what does not hold."""

    trial: Trial
    variant: Variant
    bench: Bench
    details: tuple[str, ...] = ()


def tried(trial: Trial, scenario: Scenario) -> list[Violation]:
    """What does not hold of a requirement, as one violation whose cause is the requirement."""
    done = hold(trial, scenario)
    if not done.details:
        return []
    wanted = requirement.find(done.variant.requirement)
    words = f"{wanted.id}, {wanted.says} {'; '.join(done.details)}"
    return [Violation(RULE, done.trial.subject.plugin, words, done.details[0], about=wanted.id)]


def hold(trial: Trial, scenario: Scenario) -> Outcome:
    """Run the check of a scenario up to the first thing that is not known.

    Raises ValueError for one that there is not.
    """
    variant = registry.variants().get(scenario.held)
    if variant is None:
        raise ValueError(f"there is no test {scenario.held!r} in the conformance suite")
    held = _trial(trial, scenario.networks[0])
    known = deviation.concerning(variant.requirement, held.subject, held.version)
    record = BenchRecord(enough=lambda detail: bool(deviation.unexplained([detail], known)))
    with open_bench(held, record) as bench:
        found = _details(variant, bench)
    return Outcome(held, variant, bench, tuple(deviation.unexplained(found, known)))


def _details(variant: Variant, bench: Bench) -> Sequence[str]:
    """What a check complains of; nothing where it says nothing about this plugin, or could not be decided."""
    try:
        running.run(variant, bench)
    except Finding as found:
        return found.details
    except (NotApplicable, Undecided, CnitestError):
        return ()
    return ()


def _trial(trial: Trial, network: Example) -> Trial:
    """A trial of the same plugin with another network, and with what the runtime passes there."""
    subject, plugins = trial.subject, network.plugins
    at = next((at for at, conf in enumerate(plugins) if conf.get("type") == subject.plugin), len(plugins) - 1)
    setting = replace(
        subject.setting,
        ifname=network.ifname,
        args=network.args,
        capabilities=dict(network.capabilities),
        defaults=False,  # what is provided was drawn
    )
    name = str(network.network.get("name", ""))
    changed = replace(subject, network=name, conf=plugins[at], before=tuple(plugins[:at]), setting=setting)
    if changed != subject:
        changed = replace(changed, result={})  # the first ADD was another network's
    return Trial(changed, version_of(network))
