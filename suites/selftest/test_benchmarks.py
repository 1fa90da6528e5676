"""The benchmarks run and print what is promised; their bars are for a quiet machine, not for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.skipif(not (BENCHMARKS.parent / ".venv/bin/python").exists(), reason="needs the environment of a checkout")
def test_a_checkout_is_timed_against_another(tmp_path: Path):
    """Each task's time before and now, as ratios; here of the same checkout."""
    out = tmp_path / "figures.json"
    argv = [sys.executable, str(BENCHMARKS / "before.py"), str(BENCHMARKS.parent), "--json", str(out)]
    subprocess.run([*argv, "--rounds", "1", "--runs", "1", "--only", "planning", "cnitest --help"], timeout=120)
    figures = json.loads(out.read_text())

    assert set(figures["ratios"]) == {"cnitest --help", "plan 2 sandboxes", "plan 50 sandboxes"}
    assert figures["least_ms"].keys() == {"before", "now"}


@pytest.mark.requires(binary=["gcc", "ip"])
@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are in the checkout only")
def test_topology_ends_when_its_time_is_over():
    """What could not be measured by then is left out, and the floor's bar with it."""
    argv = [sys.executable, str(BENCHMARKS / "topology.py"), "--only", "cnitest", "c", "--minutes", "0.02"]
    done = subprocess.run([*argv, "--runs", "100000"], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.startswith("cnitest, c in turns, for 0.02 minutes at most\n")
    assert "200 sandboxes" in done.stdout
    assert "200 sandboxes: within" not in done.stdout


@pytest.mark.requires(binary=["gcc", "ip"])
@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are in the checkout only")
def test_topology_times_ours_beside_the_peers():
    """Two runs each beside the C floor and ip(8): medians in ms, and ratios of the peers' medians over ours."""
    argv = [sys.executable, str(BENCHMARKS / "topology.py"), "--only", "cnitest", "c", "ip", "--sizes", "2,3"]
    done = subprocess.run(
        [*argv, "--runs", "2", "--settle", "1", "--json", "-"], capture_output=True, text=True, check=True, timeout=120
    )
    figures = json.loads(done.stdout[done.stdout.index("{\n") :])

    assert set(figures["medians_ms"]) == {"cnitest", "c", "ip"}
    assert figures["ratios"]["ip"] == pytest.approx(
        figures["medians_ms"]["ip"] / figures["medians_ms"]["cnitest"], rel=0.01
    )
    assert figures["ratios"]["ip"] > 1
    assert set(figures["scale"]) == {"3"}
