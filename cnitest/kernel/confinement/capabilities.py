"""The capabilities of this process, by name as ``docker run --cap-add`` takes them (capabilities(7))."""

from __future__ import annotations

import re

from cnitest.kernel.confinement.proc import read

#: The number of each that we ask for.
NUMBERS = {
    "DAC_OVERRIDE": 1,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
}
#: What making a lab and probing in it takes, found by leaving out one after the other: namespaces and mounts; setns(2)
#: into a mount namespace; links and rules; packet sockets; overlayfs, whose directory of work in progress is closed to
#: everybody; services on ports below 1024.
NEEDED = ("SYS_ADMIN", "SYS_CHROOT", "NET_ADMIN", "NET_RAW", "DAC_OVERRIDE", "NET_BIND_SERVICE")


def has(name: str) -> bool:
    """Whether this process has a capability, in the user namespace that it is in."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", read("self/status"), re.M)
    return found is not None and bool(int(found[1], 16) >> NUMBERS[name] & 1)


def missing() -> tuple[str, ...]:
    """Those of `NEEDED` that this process has not."""
    return tuple(name for name in NEEDED if not has(name))
