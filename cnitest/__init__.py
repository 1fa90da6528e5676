"""Tests container networks for real: declared topologies, any CNI plugin set, real packets."""

from __future__ import annotations

TYPE_CHECKING = False  # of typing: importing more than nothing here is time in which Ctrl-C would be a traceback
if TYPE_CHECKING:
    from typing import Any

    from cnitest.cni.runtime import Attachment, Runtime
    from cnitest.errors import (
        CnitestError,
        ConfigError,
        FeatureMissing,
        PluginError,
        ProbeUnproven,
        TopologyError,
        UsageError,
    )
    from cnitest.explain.lab import Lab
    from cnitest.lab.explanation import Cause, Explanation, Hop
    from cnitest.lab.flows.connection import Connection
    from cnitest.lab.flows.throughput import Throughput
    from cnitest.lab.frames.capture import Capture
    from cnitest.lab.hosts import Host, Sandbox, Switch
    from cnitest.lab.place import Place
    from cnitest.lab.reach import Reach, Verdict
    from cnitest.lab.reachability.matrix import Reachability
    from cnitest.lab.reachability.truth import TruthTable
    from cnitest.lab.snapshot.difference import Difference, difference
    from cnitest.lab.snapshot.state import State
    from cnitest.topology import Topology, load

__all__ = [
    "Attachment",
    "Capture",
    "Cause",
    "CnitestError",
    "ConfigError",
    "Connection",
    "Difference",
    "Explanation",
    "FeatureMissing",
    "Hop",
    "Host",
    "Lab",
    "Place",
    "PluginError",
    "ProbeUnproven",
    "Reach",
    "Reachability",
    "Runtime",
    "Sandbox",
    "State",
    "Switch",
    "Throughput",
    "Topology",
    "TopologyError",
    "TruthTable",
    "UsageError",
    "Verdict",
    "difference",
    "load",
]

_HOMES = {
    "cnitest.cni.runtime": ("Attachment", "Runtime"),
    "cnitest.errors": (
        "CnitestError",
        "ConfigError",
        "FeatureMissing",
        "PluginError",
        "ProbeUnproven",
        "TopologyError",
        "UsageError",
    ),
    "cnitest.lab.frames.capture": ("Capture",),
    "cnitest.lab.flows.connection": ("Connection",),
    "cnitest.lab.snapshot.difference": ("Difference", "difference"),
    "cnitest.explain.lab": ("Lab",),
    "cnitest.lab.explanation": ("Cause", "Explanation", "Hop"),
    "cnitest.lab.hosts": ("Host", "Sandbox", "Switch"),
    "cnitest.lab.place": ("Place",),
    "cnitest.lab.reach": ("Reach", "Verdict"),
    "cnitest.lab.reachability.matrix": ("Reachability",),
    "cnitest.lab.reachability.truth": ("TruthTable",),
    "cnitest.lab.snapshot.state": ("State",),
    "cnitest.lab.flows.throughput": ("Throughput",),
    "cnitest.topology": ("Topology", "load"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: pytest loads us even where nobody uses us."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cnitest' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME_OF[name]), name)
