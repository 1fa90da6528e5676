"""The filesystem of a host we play: the real one to read, and the places that programs write to for itself.

/run is empty and private, and so are /dev/shm and /var/lib/cni: what the machine's own plugins remember is not this
host's. Programs start in a private directory, so that what they write by a relative path stays in the host. /sys shows
the host's own links, and whatever is written under /etc, /var, /usr, /opt or /srv lands in a layer that only this host
sees (overlayfs; where the kernel lacks it, private directories at the places that plugins are known to write to).
Volumes below /usr, /opt and /srv can only be read, and so can plugins that lie where hosts have files of their own
(`confinement.shown`). /tmp and the users' own directories stay the machine's: there tests
and plugins exchange files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable

from cnitest.kernel.syscalls import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    umount,
    unshare,
)

#: Where the written layers of a host lie, inside the host.
LAYERS = "/run/.cnitest"
#: The directories that are covered by a private layer.
COVERED = ("/etc", "/var", "/usr", "/opt", "/srv")
#: Those of them that have programs: what is mounted below them, plugins of a volume for instance, stays in view.
_OF_PROGRAMS = ("/usr", "/opt", "/srv")
_STATE = "/var/lib/cni"
_SHIELDED = MS_NOSUID | MS_NODEV | MS_NOEXEC
#: What hosts have of their own even without overlayfs.
WITHOUT_OVERLAY = (_STATE, "/etc/cni", "/var/tmp")
#: Where programs share memory: private, and empty after a reboot.
SHARED_MEMORY = "/dev/shm"
# ip(8) mounts it over itself where that was not done: names of before could not be removed any more.
_NAMES = "/run/netns"
#: Where the programs of a host are started: a runtime's is /, which is the machine's.
WORKING_DIRECTORY = "/run/working-directory"
#: The directories that a host has from the start.
DIRECTORIES = (_NAMES, "/run/lock", "/run/cni", WORKING_DIRECTORY, _STATE, "/etc/cni/net.d")


def make_private() -> None:
    """Cut the mount namespace off: nothing mounted here shows up elsewhere."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def read_only(path: str) -> bool:
    """Whether what is mounted there cannot be written to by anybody."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def writable_sysctls() -> None:
    """Where /proc/sys is read-only, as in containers, give the calling thread a /proc of its own that is not.

    Where that cannot be mounted all stays as it is: writing a sysctl then fails with an error that says so.
    """
    if read_only("/proc/sys"):
        with contextlib.suppress(OSError):
            own_proc()


def own_proc() -> None:
    """Give the calling thread a mount namespace with a /proc of its own. Raises OSError that names the mount."""
    unshare(CLONE_NEWNS)
    make_private()
    mount("proc", "/proc", "proc", _SHIELDED)


def furnish(proc: int) -> None:
    """Give the calling thread's mount namespace a filesystem of its own. ``proc`` is our own /proc, which knows our
    thread. Raises OSError that names the mount."""
    fresh_sys()
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    _fresh_shared_memory()
    os.mkdir(LAYERS, 0o700)
    covered = [directory for directory in COVERED if os.path.isdir(directory) and not os.path.islink(directory)]
    below = _set_aside([directory for directory in covered if directory in _OF_PROGRAMS], proc)
    for directory in covered:
        _cover(directory)
    _put_back(below)
    for directory in _directories():
        try:
            os.makedirs(directory, exist_ok=True)
        except PermissionError:  # below a user namespace the real root's directories are not ours to write to
            _private(directory)
    _mount_names()
    if os.path.isdir(_STATE) and (not os.access(_STATE, os.R_OK | os.W_OK | os.X_OK) or os.listdir(_STATE)):
        _private(_STATE)


def _mount_names() -> None:
    mount(_NAMES, _NAMES, flags=MS_BIND)


def _fresh_shared_memory() -> None:
    if os.path.isdir(SHARED_MEMORY):
        mount("tmpfs", SHARED_MEMORY, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def _directories() -> list[str]:
    """The directories that a host gets. Where the machine has no /etc or no /var there is nothing to cover, and what
    is made there would be made on the machine."""
    return [directory for directory in DIRECTORIES if os.path.isdir(f"/{directory.split('/')[1]}")]


def empty_run(proc: int) -> None:
    """Give a host the /run, /sys and /dev/shm that it has at boot, in the namespaces that the calling thread is in.

    What was mounted and written in /run is gone; the layers with what was written elsewhere stay: they are its disk.
    ``proc`` is our own /proc, which knows our thread.
    """
    for place in reversed(_mounted_in(["/run"], proc)):
        if not f"{place}/".startswith(f"{LAYERS}/"):
            umount(place)
    for entry in os.scandir("/run"):
        if entry.path == LAYERS:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    for directory in _directories():
        os.makedirs(directory, exist_ok=True)
    _mount_names()
    if os.path.isdir("/sys"):
        umount("/sys")
    fresh_sys()
    if os.path.isdir(SHARED_MEMORY):
        umount(SHARED_MEMORY)
    _fresh_shared_memory()


def _mounted_in(directories: Iterable[str], proc: int) -> list[str]:
    """The places below some directories where something is mounted, in the order they were."""
    with open(os.open("thread-self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
        escaped = [line.split()[4] for line in file]  # blanks and backslashes as \040: proc_pid_mountinfo(5)
    found = [os.fsdecode(place.decode("unicode_escape").encode("latin-1")) for place in escaped]
    return [place for place in found if place.startswith(tuple(f"{directory}/" for directory in directories))]


def fresh_sys() -> None:
    """Show the links of the network namespace that the calling thread is in under /sys, where the machine has one.

    In a user namespace the kernel shows no more of it than is mounted around: below a container whose /sys is
    read-only, a read-only one; where none is mounted, or something lies over parts of it, none. Then /sys is empty,
    for the machine's would show other links. Raises OSError that names the mount.
    """
    if not os.path.isdir("/sys"):
        return
    try:
        mount("sysfs", "/sys", "sysfs", _SHIELDED)
    except PermissionError:
        try:
            mount("sysfs", "/sys", "sysfs", _SHIELDED | MS_RDONLY)
        except PermissionError:
            mount("tmpfs", "/sys", "tmpfs", _SHIELDED | MS_RDONLY, "mode=555")


def shows_links() -> bool:
    """Whether /sys shows links to who is asking."""
    return os.path.isdir("/sys/class/net")


def layer(directory: str) -> str | None:
    """Where the changes to one of the covered directories lie, or None without overlayfs."""
    upper = f"{LAYERS}{directory}/upper"
    return upper if os.path.isdir(upper) else None


def entries_before(directory: str) -> frozenset[str] | None:
    """The paths that a directory had before it was rebuilt around a private one; None where it was not rebuilt."""
    old = f"{LAYERS}/old{directory}"
    return frozenset(f"{directory}/{name}" for name in os.listdir(old)) if os.path.ismount(old) else None


def why_no_layers() -> str:
    """Why what is written in this host's directories lands in no layer, tried again; empty where it does."""
    if all(layer(place) for place in COVERED if os.path.isdir(place) and not os.path.islink(place)):
        return ""
    trial = f"{LAYERS}/trial"
    upper, work, shown = (f"{trial}/{name}" for name in ("upper", "work", "shown"))
    try:
        for place in (upper, work, shown):
            os.makedirs(place)
        mount("overlay", shown, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
        umount(shown)
    except OSError as error:
        return f"overlayfs cannot be mounted ({os.strerror(error.errno or 0)})"
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return "some directories have no layer"


def _cover(directory: str) -> None:
    upper, work = f"{LAYERS}{directory}/upper", f"{LAYERS}{directory}/work"
    os.makedirs(upper)
    os.makedirs(work)
    try:
        mount("overlay", directory, "overlay", 0, f"lowerdir={directory},upperdir={upper},workdir={work}")
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EINVAL, errno.EPERM):
            raise
        os.rmdir(upper)
        for place in WITHOUT_OVERLAY:
            if place.startswith(directory + "/"):
                _private(place)


def _set_aside(directories: Iterable[str], proc: int) -> dict[str, str]:
    """What is mounted below directories that are to be covered, which would hide it: where it is bound, by place."""
    try:
        places = _mounted_in(directories, proc)
    except OSError:
        return {}
    aside: dict[str, str] = {}
    for number, place in enumerate(dict.fromkeys(places)):
        bound = f"{LAYERS}/below/{number}"
        with contextlib.suppress(OSError):  # one that is hidden, or may not be seen
            _like(place, bound)
            mount(place, bound, flags=MS_BIND)
            aside[place] = bound
    return aside


def _put_back(aside: dict[str, str]) -> None:
    """Show again what was mounted below directories, so that nothing can be written there: it is the machine's."""
    for place, bound in aside.items():
        with contextlib.suppress(OSError):
            _like(bound, place)
            mount(bound, place, flags=MS_BIND)
            _forbid_writing(place)
        umount(bound)


def _forbid_writing(place: str) -> None:
    kept = os.statvfs(place).f_flag & _SHIELDED  # numbers of statvfs(3) and mount(2) are the same
    try:
        mount("none", place, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
    except OSError:
        umount(place)


def _like(model: str, place: str) -> None:
    """A directory, or a file, at a place, as the model is one; what is there stays."""
    if os.path.isdir(model):
        os.makedirs(place, exist_ok=True)
    elif not os.path.exists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_CLOEXEC, 0o644))


def is_own(directory: str) -> bool:
    """Whether what is written in a directory lies in one of a host's private layers."""
    real = os.path.realpath(directory)
    return any(f"{real}/".startswith(f"{place}/") for place in ("/run", "/proc", "/sys", "/dev", *COVERED))


def own(directory: str) -> bool:
    """Give a host an empty directory of its own where it has the machine's; whether that could be done. A parent that
    lacks it is rebuilt. Raises OSError."""
    directory = os.path.realpath(directory)
    above = directory
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    if above == "/":
        return False
    if above != directory and not os.path.ismount(f"{LAYERS}/old{above}"):
        _rebuild(above)
    os.makedirs(directory, exist_ok=True)
    mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    return True


def _private(place: str) -> None:
    """An empty private directory at ``place``; a parent that lacks it is rebuilt around it by binds."""
    if not os.path.isdir(place):
        _rebuild(os.path.dirname(place))
        os.makedirs(place)
    mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")


def _rebuild(parent: str) -> None:
    """Cover ``parent`` by a private directory whose entries are the old ones, bound in."""
    if not os.path.isdir(parent):
        _rebuild(os.path.dirname(parent))
        os.makedirs(parent)
        return
    old = f"{LAYERS}/old{parent}"
    os.makedirs(old)
    mount(parent, old, flags=MS_BIND | MS_REC)
    mount("tmpfs", parent, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for entry in os.scandir(old):
        target = f"{parent}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
            continue
        if entry.is_dir():
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC, 0o644))
        with contextlib.suppress(FileNotFoundError):  # somebody removed it meanwhile
            mount(entry.path, target, flags=MS_BIND | MS_REC)


def bind_namespace(proc: int, namespace: int, path: str) -> None:
    """Bind the namespace of an fd to a path; the source is relative to ``proc``, our own /proc, for the one that is
    mounted here does not know us. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o444))
    os.fchdir(proc)
    mount(f"thread-self/fd/{namespace}", path, flags=MS_BIND)


def unbind_namespace(path: str) -> None:
    """Take a namespace's path away again, whoever has done so already."""
    with contextlib.suppress(OSError):
        umount(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
