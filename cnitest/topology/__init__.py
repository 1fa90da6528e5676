"""Topologies: the language in which a network is declared, how it is validated, and its picture."""

from __future__ import annotations

from cnitest.topology import model
from cnitest.topology.load import find, load, loads, shipped
from cnitest.topology.model import *  # noqa: F403
from cnitest.topology.picture.draw import draw
from cnitest.topology.problem import Problem
from cnitest.topology.rules.check import check, problems
from cnitest.topology.schema import json_schema

__all__ = ["Problem", "check", "draw", "find", "json_schema", "load", "loads", "problems", "shipped"]
__all__ += model.__all__
