"""The lab as users make it: one whose probes can say why they were lost."""

from __future__ import annotations

from cnitest.lab import lab
from cnitest.lab.explanation import Explanation
from cnitest.lab.probe.base import Probe
from cnitest.lab.reach import Reach
from cnitest.topology.building.plan import Plan
from cnitest.topology.model import Topology


class Lab(lab.Lab):
    """``with Lab(topology) as lab:`` builds it on the way in and leaves nothing behind on the way out.

    Raises TopologyError for a topology that cannot be built, FeatureMissing for what this machine lacks.
    ``blind`` makes every probe see nothing, to prove that no verdict stands without evidence.
    """

    def __init__(self, topology: Topology | Plan, *, blind: bool = False) -> None:
        super().__init__(topology, blind=blind, explain=explain)


def explain(probe: Probe, reach: Reach) -> Explanation:
    """As `explainer.explain`, which is loaded when the first probe was lost."""
    from cnitest.explain import explainer

    return explainer.explain(probe, reach)
