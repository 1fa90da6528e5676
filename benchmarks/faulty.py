"""Which requirements fail on faulty plugins: python -m benchmarks.faulty OUT [NAME...].

Tries each fault with the requirements that are to catch it, a SHOULD like a MUST, and writes what `cnitest run --json`
does, of all of them in one file; without names, forty that are spread over the tables. Two such files, of two states
of this project, are compared by ``python -m benchmarks.verdicts --failing BEFORE AFTER``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnitest.fixtures import faulty
from cnitest.fixtures.faulty import Fault

CHECKOUT = Path(__file__).resolve().parents[1]
PLUGINS = (os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":")
MANY = 40
LIMIT = 4 * 3600.0


def spread(faults: Sequence[Fault], count: int = MANY) -> list[Fault]:
    """So many of them, evenly over their order, which is that of families and tables."""
    return [faults[place * len(faults) // count] for place in range(min(count, len(faults)))]


def tried(faults: Sequence[Fault], place: Path, profile: str) -> list[dict[str, Any]]:
    """The rows of a run over some faults, with the known deviations of one profile."""
    profiles = faulty.install(faults, place / "plugins", PLUGINS)
    confs = [word for one in profiles for word in ("--cni-conf", str(one))]
    out = place / "out.json"
    argv = [sys.executable, "-m", "pytest", str(CHECKOUT / "suites" / "conformance"), "-q", "-n", "2"]
    argv += ["-p", "no:cacheprovider", "-p", "cnitest.fixtures.faulty.narrow", "--cni-keep-going", "--cni-strict"]
    argv += ["--cni-profile", profile, *confs, "--cni-json", str(out)]
    wanted = json.dumps({fault.name: sorted(fault.caught_by) for fault in faults})
    subprocess.run(argv, cwd=CHECKOUT, env={**os.environ, "CNITEST_NARROW": wanted}, timeout=LIMIT, check=False)
    rows: list[dict[str, Any]] = json.loads(out.read_text())["requirements"]
    return rows


def main(out: str, *names: str) -> None:
    """Try them and write the file."""
    known = faulty.faults()
    chosen = [fault for fault in known if fault.name in names] if names else spread(known)
    rows = []
    for profile in ("spec", "reference"):
        faults = [fault for fault in chosen if (fault.family == "reference") == (profile == "reference")]
        if faults:
            with tempfile.TemporaryDirectory(prefix="cnitest-faulty-") as place:
                rows += tried(faults, Path(place), profile)
    Path(out).write_text(json.dumps({"requirements": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
