"""Scenarios for the tests of fuzzing: drawn ones, and one that is at hand."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario, Step

Conf = dict[str, Any]
NETWORK: Conf = {
    "cniVersion": "1.0.0",
    "name": "net",
    "plugins": [{"type": "bridge", "mtu": 1400, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}],
}
draws = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
values = st.recursive(
    scalars, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=4), of, max_size=3), max_leaves=6
)
examples = st.builds(
    Example,
    st.fixed_dictionaries({"plugins": st.lists(st.dictionaries(st.text(max_size=4), values, max_size=3), max_size=2)}),
    st.sampled_from(Validity),
    ifname=st.text(max_size=5),
    args=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    capabilities=st.dictionaries(st.text(max_size=3), values, max_size=2),
    why=st.text(max_size=5),
)
steps = st.builds(Step, st.sampled_from(["ADD", "DEL"]), st.integers(0, 1), st.text(max_size=3), st.text(max_size=3))
raws = st.builds(
    Raw,
    st.text(max_size=5),
    st.sampled_from(["ADD", "VERSION"]),
    st.none() | st.binary(max_size=20),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    st.sampled_from([None, True, False]),
)
scenarios = st.builds(
    Scenario,
    st.lists(examples, min_size=1, max_size=2).map(tuple),
    st.lists(steps, max_size=3).map(tuple),
    st.none() | raws,
)


def scenario(*operations: str, network: Conf | None = None, more: tuple[Example, ...] = ()) -> Scenario:
    """A scenario with one network, and perhaps more."""
    return Scenario((Example(network or NETWORK), *more), tuple(Step(operation) for operation in operations) or LIFE)
