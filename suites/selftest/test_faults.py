"""The conformance suite's own proof: honest plugins pass, and each faulty one is caught by what its fault is about.

What a run does is in CNITEST_FAULTS: ``caught`` tries every fault with the tests that are to catch it, in ten minutes;
``all`` tries it with the whole suite, so that nothing else may catch it, in two hours (``tox -e faults``). Names of
faults and families, with commas between, try those with the whole suite. Without it a few are tried as by ``caught``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cnitest.fixtures import faulty
from cnitest.fixtures.faulty import Fault

from cnitest.conformance.model import requirement
from cnitest.conformance.model.requirement import Kind

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
LIMIT = 4 * 3600.0
HONEST = ("wire", "mark", "pool")
#: A few faults of each family, for every run, with the tests that are to catch them.
FEW = (
    "wire-overlooks-the-mac",
    "wire-announces-nothing",
    "wire-puts-the-host-inside",
    "wire-overlooks-rules-of-ipv6",
    "wire-overlooks-the-second",
    "mark-loses-dns",
    "mark-overlooks-switches",
    "pool-gives-the-gateway",
    "pool-version-makes-a-file",
    "pool-gc-does-nothing",
    "pool-writes-in-pieces",
    "pool-knows-no-capitals",
)
_CHOSEN = os.environ.get("CNITEST_FAULTS", "")
_KINDS = {"wire": Kind.INTERFACE, "mark": Kind.META, "pool": Kind.IPAM}


def chosen() -> tuple[Fault, ...]:
    """The faults to try."""
    if _CHOSEN in ("all", "caught"):
        return faulty.faults()
    names = _CHOSEN.split(",") if _CHOSEN else FEW
    found = tuple(fault for fault in faulty.faults() if fault.name in names or fault.family in names)
    assert found or _CHOSEN in ("fuzz", "shipped"), f"CNITEST_FAULTS={_CHOSEN}: no fault has such a name or family"
    return found


def run(profiles: Sequence[Path], out: Path, expected: str, *options: str, only: str = "") -> dict[str, Any]:
    """The JSON of a run of the suite over some profiles; ``only`` limits it (see `narrow`)."""
    confs = [word for profile in profiles for word in ("--cni-conf", str(profile))]
    argv = [sys.executable, "-m", "pytest", str(CHECKOUT / "suites" / "conformance"), "-q", "-n", "4"]
    argv += [
        "--dist",
        "worksteal",
        "-p",
        "no:cacheprovider",
        "--cni-strict",
        "--cni-keep-going",
        "--cni-profile",
        expected,
    ]
    argv += ["-p", "cnitest.fixtures.faulty.narrow"] if only else []
    whole = [*argv, *confs, "--cni-json", str(out), *options]
    environment = {**os.environ, "CNITEST_NARROW": only}
    done = subprocess.run(whole, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert out.exists(), f"{' '.join(argv)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    assert "INTERNALERROR" not in done.stdout, done.stdout[-4000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def cases(document: dict[str, Any], name: str, *verdicts: str) -> list[dict[str, Any]]:
    """The cases of a subject with one of some verdicts."""
    return [
        case
        for row in document["requirements"]
        if row["subject"] == name
        for case in row["cases"]
        if case["verdict"] in verdicts
    ]


def reported(found: Sequence[dict[str, Any]]) -> str:
    """Cases in lines."""
    return "\n".join(f"  {case['requirement']} {case['test']}: {'; '.join(case['details'])[:300]}" for case in found)


def verdicts(place: Path) -> dict[str, dict[str, Any]]:
    """The JSON of the runs over all chosen faults, by what was expected of them."""
    found = {}
    for expected in ("spec", "reference"):
        faults = [fault for fault in chosen() if (fault.family == "reference") == (expected == "reference")]
        if faults:
            profiles = faulty.install(faults, place, PLUGINS)
            found[expected] = run(profiles, place / f"{expected}.json", expected, only=_narrowed(faults))
    return found


def _narrowed(faults: Sequence[Fault]) -> str:
    """The requirements to decide by subject; empty for all."""
    wanted = {fault.name: sorted(fault.caught_by) for fault in faults}
    return json.dumps(wanted) if _CHOSEN in ("", "caught") else ""


def amiss(fault: Fault, document: dict[str, Any]) -> str:
    """What is wrong with how a fault was caught; empty when it was by exactly what it is about."""
    failed, broken = cases(document, fault.name, "failed"), cases(document, fault.name, "broken")
    names = {case["requirement"] for case in failed}
    missed, more = fault.caught_by - names, names - fault.caught_by - fault.at_times
    words = [f"not caught by {', '.join(sorted(missed))}"] if missed else []
    words += [f"also caught by {', '.join(sorted(more))}:\n{reported(failed)}"] if more else []
    words += [f"broken:\n{reported(broken)}"] if broken else []
    return f"{fault.name}: {'; '.join(words)}" if words else ""


def test_faults_are_caught_by_what_they_are_about(tmp_path: Path) -> None:
    """Exactly the requirements that are named for a fault fail, and none of our own tests breaks."""
    documents = verdicts(tmp_path)

    wrong = [amiss(fault, documents["reference" if fault.family == "reference" else "spec"]) for fault in chosen()]

    assert not any(wrong), "\n".join(filter(None, wrong))


def test_honest_plugins_pass(tmp_path: Path) -> None:
    """Without a fault nothing fails, nothing is undecided and nothing breaks: in the newest version, or in all."""
    profiles = [CHECKOUT / "fixtures" / "honest" / f"{name}.yaml" for name in HONEST]
    options = () if _CHOSEN == "all" else ("--cni-version", "1.1.0", "-k", "pool")

    document = run(profiles, tmp_path / "honest.json", "spec", *options)

    for name in HONEST:
        wrong = cases(document, name, "failed", "undecided", "broken", "warning")
        assert not wrong, reported(wrong)
    assert cases(document, "pool", "passed")


def test_every_requirement_catches_a_fault() -> None:
    """For each requirement there is a fault that it must catch, but for a few that need what no fault of ours has."""
    caught = {name for fault in faulty.faults() for name in fault.caught_by | fault.at_times}

    lacking = sorted(set(requirement.registry()) - caught)

    assert set(lacking) <= {"CHK-12", "CON-03", "CON-04", "DEL-08"}, f"no fault is caught by {', '.join(lacking)}"


@pytest.mark.parametrize("fault", faulty.faults(), ids=lambda fault: fault.name)
def test_a_fault_names_requirements_that_apply(fault: Fault) -> None:
    """What is to catch a fault speaks of its plugin's kind and version, and the sentence is one."""
    versions = fault.versions or ("1.1.0",)

    for name in fault.caught_by:
        found = requirement.find(name)
        kind = _KINDS.get(fault.plugin)
        assert kind is None or any(not found.gap(kind, version) for version in versions), f"{name} does not apply"
    assert fault.says.endswith("."), fault.says
    assert fault.caught_by, "nothing is named that should catch it"


def test_there_are_many_faults() -> None:
    """There are at least 45 faults, in every family."""
    assert len(faulty.faults()) >= 45
    assert {fault.family for fault in faulty.faults()} == set(faulty.FAMILIES)
