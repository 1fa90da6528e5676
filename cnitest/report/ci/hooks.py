"""Registers with pytest what a run's options, or its environment, ask for; nothing else is imported."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register what was asked for."""
    given = config.option
    if given.cni_shard or given.cni_durations_file or given.cni_store_durations:
        from cnitest.report.ci import shard

        shard.register(config)
