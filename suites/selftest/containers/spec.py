"""What a container is given, as data: the words are those of docker run(1) and of Kubernetes' securityContext."""

from __future__ import annotations

import json
from typing import NamedTuple

#: What Docker, containerd and CRI-O give by default (https://docs.docker.com/engine/security/).
DOCKER = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"),
    *("NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)
#: What Podman gives by default (podman-run(1), containers.conf(5)).
PODMAN = tuple(name for name in DOCKER if name not in ("MKNOD", "NET_RAW", "AUDIT_WRITE"))
#: What no container sees of /proc and /sys, and what it cannot write to (moby, oci/defaults.go).
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/proc/acpi", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Container(NamedTuple):
    """How a container is run. ``capabilities`` None are all, as ``--privileged`` gives them.

    ``maps`` are lines of /proc/PID/uid_map for a container in a user namespace of its own; ``user`` is who runs the
    command, as the container sees them. ``unmasked`` is ``--security-opt systempaths=unconfined`` (Kubernetes:
    ``procMount: Unmasked``). ``layers`` are those of overlayfs below it, ``without`` names programs that it lacks.
    ``sysctls`` are files below /proc/sys that say something else than this machine's. ``apparmor`` is a profile's name,
    and then nothing can be mounted. ``refused`` is what the machine itself refuses: ``user namespaces``, or rights in
    them (``namespaces``). ``unmounted`` and ``covered`` are places where nothing, or something else, is mounted;
    ``read_only_places`` cannot be written to.
    """

    capabilities: tuple[str, ...] | None = DOCKER
    seccomp: str = "docker"
    user: int = 0
    maps: tuple[str, ...] = ()
    privileged: bool = False
    unmasked: bool = False
    read_only: bool = False
    no_new_privileges: bool = False
    hide_pids: bool = False
    layers: int = 1
    without: tuple[str, ...] = ()
    full: bool = False
    tmpfs: tuple[str, ...] = ()
    apparmor: str = ""
    sysctls: tuple[tuple[str, str], ...] = ()
    most_user_namespaces: int = -1
    refused: str = ""
    unmounted: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    read_only_places: tuple[str, ...] = ()

    def text(self) -> str:
        """As JSON, for the process that enters."""
        return json.dumps(self._asdict())

    @classmethod
    def parse(cls, text: str) -> Container:
        """What `text` wrote."""
        return cls(**{name: _frozen(value) for name, value in json.loads(text).items()})


PRIVILEGED = Container(capabilities=None, seccomp="", privileged=True, unmasked=True)


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
