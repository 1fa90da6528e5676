"""The benchmarks run and print what is promised; their bars are for a quiet machine, not for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.requires(binary=["gcc", "ip"])
@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are in the checkout only")
def test_topology_times_ours_beside_the_peers():
    """Two runs each beside the C floor and ip(8): medians in ms, and ratios of the peers' medians over ours."""
    argv = [sys.executable, str(BENCHMARKS / "topology.py"), "--only", "cnitest", "c", "ip", "--sizes", "2,3"]
    done = subprocess.run(
        [*argv, "--runs", "2", "--json", "-"], capture_output=True, text=True, check=True, timeout=120
    )
    figures = json.loads(done.stdout[done.stdout.index("{\n") :])

    assert set(figures["medians_ms"]) == {"cnitest", "c", "ip"}
    assert figures["ratios"]["ip"] == pytest.approx(
        figures["medians_ms"]["ip"] / figures["medians_ms"]["cnitest"], rel=0.01
    )
    assert figures["ratios"]["ip"] > 1
    assert set(figures["scale"]) == {"3"}
