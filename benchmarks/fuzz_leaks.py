"""What many scenarios leave open in the process that runs them: descriptors, threads, namespaces, memory.

    python benchmarks/fuzz_leaks.py [EXAMPLES] [DIRECTORY OF PLUGINS]

Runs calls by hand and lives of containers in one executor, and prints what is held at the start and after each tenth.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario
from cnitest.fuzz.model.subjects import subject_of, trial_of

BRIDGE = {"type": "bridge", "isGateway": True, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}
NETWORK = {"cniVersion": "1.0.0", "name": "net", "plugins": [BRIDGE]}
WARM_UP, EVERY_LIFE = 60, 10


def scenario(number: int) -> Scenario:
    """A call by hand, and each tenth time the life of a container."""
    if number % EVERY_LIFE == 0:
        return Scenario((Example(NETWORK),), LIFE)
    names = ("a/b", "", "..", "sixteen-letters0")
    return Scenario((Example(NETWORK),), (), Raw("bridge", variables={"CNI_IFNAME": names[number % len(names)]}))


def held() -> dict[str, int]:
    """What this process holds."""
    place = Path("/proc/self/fd")
    files = [os.readlink(file) for file in place.iterdir() if os.path.lexists(file)]
    (resident,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return {
        "files": len(files),
        "namespaces": sum(1 for file in files if file.startswith("net:")),
        "threads": len(os.listdir("/proc/self/task")),
        "kB": int(resident.split()[1]),
    }


def main(examples: int, path: str) -> None:
    began, seen = time.monotonic(), 0
    with ReusingExecutor(trial_of(subject_of("bridge", (path,)))) as executor:
        for number in range(WARM_UP + examples + 1):
            if number >= WARM_UP and (number - WARM_UP) % max(examples // 10, 1) == 0:
                words = "  ".join(f"{key} {value}" for key, value in held().items())
                print(f"{number - WARM_UP:6} examples  {executor.builds:4} hosts  {words}", flush=True)
            seen += len(executor.run(scenario(number)))
    print(f"{seen} violations, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2] if len(sys.argv) > 2 else "/usr/lib/cni")
