"""A baseline over the life of a plugin: a fault is accepted, another one comes, the first one goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cnitest.fixtures import faulty

from cnitest.report.baseline import files


def plugin(directory: Path, fault: str) -> str:
    """The profile of the honest plugin wire, with a fault or without."""
    if not fault:
        directory.mkdir(exist_ok=True)
        profile, text = directory / "wire.yaml", (faulty.HONEST / "wire.yaml").read_text()
        profile.write_text(f"{text.replace('path: [.]', f'path: [{faulty.HONEST}]')}\nversions: ['1.1.0']\n")
        return str(profile)
    (chosen,) = (each for each in faulty.faults() if each.name == f"wire-{fault}")
    profile = directory / chosen.name / f"{chosen.name}.yaml"
    if profile.exists():
        return str(profile)
    faulty.install([chosen], directory)
    profile.write_text(profile.read_text().replace(f"name: wire-{fault}", "name: wire"))
    return str(profile)


def run(directory: Path, fault: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``cnitest run`` of two requirements of ADD."""
    wanted = ["--requirement", "ADD-08", "--requirement", "ADD-01", "-n", "0", *arguments]
    command = [sys.executable, "-m", "cnitest.cli", "run", plugin(directory / (fault or "fine"), fault), *wanted]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)


def test_a_baseline_over_the_life_of_a_plugin(tmp_path: Path):
    """Accepted it does not fail; another cause of the same requirement does; one that has gone is reported once."""
    wrote = run(tmp_path, "tells-another-mac", "--write-baseline", "base.yaml")
    (entry, *others) = files.read(str(tmp_path / "base.yaml")).findings

    known = run(tmp_path, "tells-another-mac", "--baseline", "base.yaml", "--json", "known.json")
    other = run(tmp_path, "tells-no-default-route", "--baseline", "base.yaml")
    fine = run(tmp_path, "", "--baseline", "base.yaml", "--json", "fine.json")

    assert (wrote.returncode, known.returncode, other.returncode, fine.returncode) == (0, 0, 1, 0), other.stdout
    assert (entry.plugin, entry.requirement, entry.comment) == ("wire", "ADD-08", "")
    document = json.loads((tmp_path / "known.json").read_text())
    verdicts = {row["id"]: row["verdict"] for row in document["requirements"] if row["id"] in ("ADD-08", "ADD-01")}
    assert verdicts == {"ADD-08": "in the baseline", "ADD-01": "passed"}
    assert document["baseline"]["accepted"] == 3  # the first attachment, a second interface and a second container
    assert "1 in the baseline" in known.stdout
    assert "ADD-08" in other.stdout.partition("= requirements =")[0], other.stdout
    for each in (other, fine):
        assert each.stdout.count(f"no longer found: {entry.words}; remove it from base.yaml") == 1, each.stdout
    gone = json.loads((tmp_path / "fine.json").read_text())["baseline"]["disappeared"]
    assert [row["cause"] for row in gone] == [entry.cause, *(one.cause for one in others)]


def test_what_was_left_out_is_not_gone(tmp_path: Path):
    """Of a requirement of which tests were left out, by -k here, nothing is said, in whatever process they would run;
    a baseline of another plugin is refused."""
    run(tmp_path, "tells-another-mac", "--write-baseline", "base.yaml")
    text = (tmp_path / "base.yaml").read_text()

    part = run(tmp_path, "", "--baseline", "base.yaml", "-k", "ADD-01", "-n", "2")
    (tmp_path / "base.yaml").write_text(text.replace("wire", "wier"))
    other = run(tmp_path, "", "--baseline", "base.yaml")

    assert part.returncode == 0, part.stdout
    assert "no longer found" not in part.stdout
    assert other.returncode == 4, other.stdout
    assert "--baseline base.yaml: is of wier, and this run tests wire. Did you mean 'wier'?" in other.stderr
