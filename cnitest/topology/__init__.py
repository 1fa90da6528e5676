"""Topologies: the language in which a network is declared, how it is validated, and its picture."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cnitest.topology import model
from cnitest.topology.load import find, load, loads, shipped
from cnitest.topology.model import *  # noqa: F403

if TYPE_CHECKING:
    from cnitest.topology.picture.draw import draw
    from cnitest.topology.problem import Problem
    from cnitest.topology.rules.check import check, problems
    from cnitest.topology.schema import json_schema

__all__ = ["Problem", "check", "draw", "find", "json_schema", "load", "loads", "problems", "shipped"]
__all__ += model.__all__

_HOME_OF = {
    "Problem": "cnitest.topology.problem",
    "check": "cnitest.topology.rules.check",
    "draw": "cnitest.topology.picture.draw",
    "json_schema": "cnitest.topology.schema",
    "problems": "cnitest.topology.rules.check",
}


def __getattr__(name: str) -> Any:
    """Load what not everybody needs from its module when it is first asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cnitest.topology' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
