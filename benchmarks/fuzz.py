"""How many examples a second fuzzing tries: python -m benchmarks.fuzz [SECONDS].

A full example is ADD, the result held against the kernel, ping, DEL, and the host held against what it was before, with
bridge and host-local; by one worker and by four. Then calls that are to be rejected, and strategies alone.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings

from cnitest.cni.calls.invoke import Call, search_path
from cnitest.conformance.model.subject import Trial
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.generate import configs
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Raw, Scenario, Step
from cnitest.fuzz.model.subjects import subject_of

NETWORK = {
    "cniVersion": "1.0.0",
    "name": "fuzz",
    "plugins": [{"type": "bridge", "isGateway": True, "ipam": {"type": "host-local", "subnet": "10.9.0.0/16"}}],
}
FULL = Scenario((Example(NETWORK),), (Step("ADD"), Step("DEL")))
REJECTED = Scenario((Example(NETWORK),), (), Raw("bridge", stdin=b"[]", valid=False))
DRAWN = 4000


def main(seconds: float) -> None:
    """Measure each, and print it."""
    one, share = rate(FULL, seconds)
    print(f"full examples, one worker     {one:7.1f}/s   (at least 18; plugins take {share:.0%} of the time)")
    print(f"full examples, four workers   {together(4, seconds):7.1f}/s   (at least 45)")
    rejected, share = rate(REJECTED, seconds)
    print(f"rejected calls, one worker     {rejected:7.1f}/s   (at least 150; plugins take {share:.0%} of the time)")
    print(f"examples drawn                {drawn():7.0f}/s   (at least 2000)")


def rate(scenario: Scenario, seconds: float) -> tuple[float, float]:
    """Examples a second, and the plugins' share of the time."""
    with ReusingExecutor(Trial(subject_of("bridge", search_path(())), "1.0.0")) as executor:
        calls: list[Call] = []
        count, began = 0, time.monotonic()
        while time.monotonic() - began < seconds:
            with executor.scenario_run(scenario) as scenario_run:
                from cnitest.fuzz.execute.run import run

                executor.finish(run(scenario_run, scenario))
                assert not scenario_run.violations, scenario_run.violations
                calls += scenario_run.bench.record.calls
            count += 1
        took = time.monotonic() - began
    return count / took, sum(call.seconds for call in calls) / took


def together(workers: int, seconds: float) -> float:
    """Examples a second of several processes."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return sum(result for result, _ in pool.starmap(rate, [(FULL, seconds)] * workers))


def drawn() -> float:
    """Examples of configurations that Hypothesis draws in a second."""
    return _timed(lambda: _draw())


def _timed(function: Callable[[], int]) -> float:
    began = time.monotonic()
    return function() / (time.monotonic() - began)


def _draw() -> int:
    seen = 0

    @settings(
        max_examples=DRAWN,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(configs.examples("bridge"))
    def draw(_: Example) -> None:
        nonlocal seen
        seen += 1

    draw()
    return seen


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
