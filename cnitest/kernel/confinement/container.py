"""Signs of a container around this process, and which options its runtime needs for a lab in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from cnitest.kernel.confinement import capabilities
from cnitest.kernel.confinement.proc import read

_UNMASKED = (
    "--security-opt systempaths=unconfined (podman: unmask=ALL; Kubernetes: procMount: Unmasked, hostUsers: false)"
)
# Without capabilities of its own a process makes a user namespace, in which the kernel lets nobody mount a /proc that
# shows more than the one around (mount_namespaces(7), "Restrictions on mount namespaces").
_UNCONFINED = f"--security-opt seccomp=unconfined (Kubernetes: seccompProfile: {{type: Unconfined}}) and {_UNMASKED}"
_FEW = 2
# What kernels keep empty directories in /sys for; nothing of it is hidden by a mount there.
_OF_SYS = frozenset(
    {"sysfs", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "efivarfs", "fusectl", "pstore", "securityfs"}
    | {"selinuxfs", "smackfs", "tracefs"}
)
# What AppArmor's profile for containers takes away, whatever capabilities there are.
_WITHOUT_APPARMOR = "--security-opt apparmor=unconfined (Kubernetes: appArmorProfile: {type: Unconfined})"


def seccomp() -> bool:
    """Whether a filter of system calls is installed."""
    return re.search(r"^Seccomp:\s*2", read("self/status"), re.M) is not None


def apparmor() -> str:
    """The profile of AppArmor that this process is confined by; empty when by none."""
    said = read("self/attr/apparmor/current") or read("self/attr/current")
    profile, _, mode = said.strip("\0\n ").partition(" ")
    return profile if mode in ("(enforce)", "(kill)") else ""


def masked_proc() -> tuple[str, ...]:
    """The places in /proc that something else is mounted over, as runtimes do to hide them or make them read-only."""
    places = (line.split()[4] for line in read("self/mountinfo").splitlines())
    return tuple(dict.fromkeys(place for place in places if place.startswith("/proc/")))


def covered_sys() -> tuple[str, ...] | None:
    """The places in /sys that something else is mounted over, as LXC does by lxcfs; None where no /sys is mounted."""
    mounted = [(words[4], words[words.index("-") + 1]) for words in map(str.split, read("self/mountinfo").splitlines())]
    if ("/sys", "sysfs") not in mounted:
        return None
    covered = (place for place, kind in mounted if place.startswith("/sys/") and kind not in _OF_SYS)
    return tuple(dict.fromkeys(covered))


def hidden_processes() -> str:
    """How /proc hides the processes of others, as it was mounted (``hidepid=2``); empty when it does not."""
    for line in read("self/mountinfo").splitlines():
        words = line.split()
        if words[4] == "/proc" and (found := re.search(r"hidepid=(\w+)", words[-1])) and found[1] not in ("0", "off"):
            return found[0]
    return ""


def add(names: Iterable[str]) -> str:
    """The option that gives capabilities to a container, for Docker and Podman, and for Kubernetes."""
    listed = list(names)
    options = " ".join(f"--cap-add {name}" for name in listed)
    return f"{options} (Kubernetes: capabilities: {{add: [{', '.join(listed)}]}})"


def rights() -> str:
    """The options with which a container's runtime lets who runs in it make labs: root by capabilities, anybody else
    by a user namespace."""
    wanted = add(capabilities.missing()) if os.geteuid() == 0 else _UNCONFINED
    return f"{wanted} and {_WITHOUT_APPARMOR}" if apparmor() else wanted


def open_proc(instead: str = "") -> str:
    """Why no /proc can be mounted here, as far as there are signs of it, and the options that its runtime needs.

    ``instead`` is what else would do, where /proc is masked.
    """
    if apparmor() or in_first_user_namespace():
        who = f"AppArmor's profile {apparmor()}" if apparmor() else "AppArmor or SELinux"
        return f"{who} forbids mounts; start the container with {_WITHOUT_APPARMOR}"
    if masked := masked_proc():
        listed = ", ".join(masked[:_FEW]) + (", …" if len(masked) > _FEW else "")
        why = f"below a /proc that is masked ({listed}) a user namespace gets no other"
        if len(masked) <= _FEW:  # runtimes of containers mask more
            return f"{why}; as root: umount {' '.join(masked)}"
        return f"{why}; start the container with {instead or _UNMASKED}, or --privileged"
    return "run as root, in a container with --privileged"


def in_first_user_namespace() -> bool:
    """Whether this process has what capabilities it has towards the whole machine."""
    return read("self/uid_map").split() == ["0", "0", "4294967295"]
