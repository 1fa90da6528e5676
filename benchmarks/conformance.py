"""How long the conformance suite takes, and what more workers bring: python -m benchmarks.conformance [ROUNDS].

Bridge alone in one version, then bridge, portmap and firewall as a list in every version that all of them speak, with
one process, two workers and -n auto. Ratios are of runs in turn on the same machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

IPAM = {"type": "host-local", "subnet": "10.22.0.0/16"}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipMasq": True, "ipam": IPAM}
ALONE = {"cniVersion": "1.0.0", "name": "alone", **BRIDGE}
LIST: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "chain",
    "plugins": [BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "firewall"}],
}
RUNS = {
    "bridge, 1.0.0, -n 2": ("alone.conf", "--cni-version", "1.0.0", "-n", "2"),
    "list, -n 2": ("chain.conflist", "-n", "2"),
    "list, -n auto": ("chain.conflist", "-n", "auto"),
    "list, -n 0": ("chain.conflist", "-n", "0"),
}
#: Seconds that one run may take.
LIMIT = 900


def main(rounds: int) -> None:
    """Run everything in turn and print medians, shares and the gain of workers."""
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    shares: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        (where / "alone.conf").write_text(json.dumps(ALONE))
        (where / "chain.conflist").write_text(json.dumps(LIST))
        for _ in range(rounds):
            for name, arguments in RUNS.items():
                began = time.monotonic()
                shares[name] = run(where, arguments)
                seconds[name].append(time.monotonic() - began)
    for name, times in seconds.items():
        share = shares[name]
        parts = ", ".join(f"{key} {share[key]:.0%}" for key in ("plugins", "tools", "own"))
        print(f"{name:22} {statistics.median(times):7.1f} s   {share['calls']:.0f} calls; {parts}")
    one, auto = (statistics.median(seconds[f"list, -n {n}"]) for n in ("0", "auto"))
    print(f"-n auto is {one / auto:.2f} times as fast as -n 0")


def run(where: Path, arguments: tuple[str, ...]) -> dict[str, float]:
    """One run; where its time went."""
    command = [sys.executable, "-m", "cnitest.cli", "run", *arguments, "--json", "out.json"]
    subprocess.run(command, cwd=where, stdout=subprocess.DEVNULL, check=False, timeout=LIMIT)
    found: dict[str, float] = json.loads((where / "out.json").read_text())["shares"]
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
