"""The command ``cnitest``: run suites, look at the machine, draw and check topologies."""

from __future__ import annotations

from cnitest.cli.main import main

__all__ = ["main"]
