"""Does the steps of a scenario, one after the other."""

from __future__ import annotations

from cnitest.conformance.bench.bench import Picture
from cnitest.fuzz.execute.operations import OPERATIONS
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.scenario import Scenario

# After these, one attachment alone needs no second look.
_USUAL = ("ADD", "CHECK")


def run(scenario_run: ScenarioRun, scenario: Scenario) -> Picture:
    """Do all steps of a scenario, and note in ``violations`` what does not hold; how the host is afterwards."""
    if scenario.raw:
        now = scenario_run.raw(scenario.networks[0], scenario.raw)
        return now if scenario_run.keeps_containers else scenario_run.finish()
    for step in scenario.steps:
        OPERATIONS[step.operation](scenario_run, step)
        if len(scenario_run.attached) > 1 or step.operation not in _USUAL:
            scenario_run.unharmed()
    return scenario_run.finish()
