"""What this process may do here: namespaces, capabilities, processes of a lab, and what it may write to."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.cli.doctor.examined import Examined
from cnitest.errors import CnitestError
from cnitest.kernel import features, mounts, sysctl
from cnitest.kernel.confinement import capabilities, container
from cnitest.kernel.confinement.writable import why_no_temporary_files
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.tracing import trace
from cnitest.lab.lab import Lab
from cnitest.topology import Host, Topology

_GROUP = "privileges"
_PTRACE = "SYS_PTRACE"
_AS_ROOT = "run as the machine's root, outside of user namespaces, as containers of a rootful runtime do"
_MOUNT_SYS = "as root: mount -t sysfs sysfs /sys"
_LAYERS_REMEDY = "overlayfs stacks twice at most: keep the files of the runtime inside on a volume (-v /var/lib/docker)"


def examine(forbidden: str) -> Iterator[Examined]:
    """Everything that rights decide, each tried; little is left to try where namespaces cannot be made."""
    made = features.privilege()
    why = forbidden or made.why
    yield Examined(_GROUP, "namespaces" if forbidden else made.name, not why, True, why)
    yield _temporary_directory()
    if why:
        return
    yield _sysctls()
    yield from _in_a_lab()
    yield _tracing()
    yield _fault_injection()
    yield _other_processes()


def _temporary_directory() -> Examined:
    """Where tests, plugins and pytest keep files."""
    why = why_no_temporary_files()
    return Examined(_GROUP, "temporary files", not why, True, why)


def _fault_injection() -> Examined:
    """Failing system calls of plugins."""
    traces = capabilities.has(_PTRACE)
    why = "" if traces else f"this process lacks {_PTRACE}: no system call of a plugin can be failed (cnitest faults)"
    return Examined(_GROUP, "fault injection", traces, False, why, container.add([_PTRACE]))


def _sysctls() -> Examined:
    """Sysctls of a new network namespace."""
    thread = NamespaceThread()
    try:
        namespace = NetworkNamespace.make(thread)
        try:
            namespace.run(lambda: sysctl.write("net.ipv4.ip_forward", "1"))
        finally:
            namespace.close()
    except OSError as error:
        why = f"sysctls of a new network namespace cannot be written ({error.strerror})"
        return Examined(_GROUP, "sysctls", False, True, why, container.open_proc())
    finally:
        thread.end()
    return Examined(_GROUP, "sysctls", True, True)


def _in_a_lab() -> Iterator[Examined]:
    """What a host has: processes, a /sys of its own, layers for what is written."""
    try:
        with Lab(Topology(name="doctor", hosts={"node": Host()})) as lab:
            node = lab.host("node")
            node.run(["true"])
            shows, read_only = node.inside(lambda: (mounts.shows_links(), mounts.read_only("/sys")))
            why = node.inside(mounts.why_no_layers)
    except (CnitestError, OSError) as error:
        yield Examined(_GROUP, "processes in a lab", False, True, str(error))
        return
    yield Examined(_GROUP, "processes in a lab", True, True)
    yield _sys(read_only) if shows else _no_sys()
    yield _layers(why)


def _sys(read_only: bool) -> Examined:
    why = "read-only in hosts, too: plugins that write there fail" if read_only else ""
    return Examined(_GROUP, "/sys", not read_only, False, why, _AS_ROOT)


def _no_sys() -> Examined:
    covered = container.covered_sys()
    lies = f"something lies over {', '.join((covered or ())[:2])}" if covered else "/sys is not mounted"
    why = f"empty in hosts: {lies}, and then a user namespace gets none: plugins that read there find no links"
    remedy = f"as root: umount {' '.join(covered)}" if covered else _MOUNT_SYS
    return Examined(_GROUP, "/sys", False, False, why, f"{remedy}; or run cnitest as root")


def _layers(why: str) -> Examined:
    places = ", ".join(mounts.WITHOUT_OVERLAY)
    words = f"{why}: a host has {places} of its own, the rest is the machine's" if why else ""
    return Examined(_GROUP, "layers of hosts", not why, False, words, _LAYERS_REMEDY)


def _tracing() -> Examined:
    """The kernel's trace of packets."""
    trace.await_armed()
    why = trace.why()
    words = f"{why}: a drop is reported only after silence" if why else ""
    return Examined(_GROUP, "tracing", not why, False, words, _AS_ROOT if mounts.shows_links() else _MOUNT_SYS)


def _other_processes() -> Examined:
    """Whether /proc shows programs that run as other users, as dnsmasq does."""
    hidden = "" if capabilities.has(_PTRACE) else container.hidden_processes()
    words = f"/proc hides those of other users ({hidden}): what they leave of a lab is not found" if hidden else ""
    return Examined(
        _GROUP,
        "other processes",
        not hidden,
        False,
        words,
        f"{container.add([_PTRACE])}, or mount -o remount,hidepid=0 /proc",
    )
