"""Runs a command in a container: ``python -m …enter BASE SPEC COMMAND…``, as the machine's root.

The command is the first process of a PID namespace, as runtimes have it, and everything ends with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from cnitest.suites.selftest.containers import filesystem, rights, seccomp
from cnitest.suites.selftest.containers.spec import Container

import cnitest
from cnitest.kernel.mounts import make_private
from cnitest.kernel.syscalls import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, unshare

_NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x02000000, 0x04000000, 0x08000000
_DIE_WITH_PARENT = 1
#: What a runtime of containers ends with when it could not start the command.
FAILED = 125

_libc = ctypes.CDLL(None, use_errno=True)


def main(base: Path, container: Container, command: list[str]) -> int:
    """The command's exit code."""
    needed = [Path(cnitest.__file__).parent.parent, Path(sys.prefix), Path(sys.base_prefix)]
    elsewhere = filesystem.on_other_filesystems(needed)
    unshare(CLONE_NEWNS)
    make_private()
    image = Path("/")
    if container.maps:
        image = base / "image"
        image.mkdir()
        os.chown(base, int(container.maps[0].split()[1]), -1)
        _enter_user_namespace(container.maps, image)
    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | _NEW_CGROUP | _NEW_UTS | _NEW_IPC)

    def first_process() -> None:
        filesystem.enter(filesystem.build(base, image, container, needed, elsewhere))
        _become(container, command)

    return _ended(_forked(first_process))


def _forked(function) -> int:
    """A child that runs a function and dies with us; its pid."""
    child = os.fork()
    if child:
        return child
    _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    try:
        function()
    except OSError as error:
        os.write(2, f"container: {error}\n".encode())
    finally:
        os._exit(FAILED)


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _enter_user_namespace(maps: tuple[str, ...], image: Path) -> None:
    """Become root of a user namespace that the real root has mapped, and show it the machine's files as its own."""
    ours, theirs = os.pipe(), os.pipe()
    root = os.getpid()

    def help_it() -> None:
        os.read(ours[0], 1)
        for name in ("uid", "gid"):
            Path(f"/proc/{root}/{name}_map").write_text("\n".join(maps))
        filesystem.show_as(os.open(f"/proc/{root}/ns/user", os.O_RDONLY), image)
        os._exit(0)

    helper = _forked(help_it)
    unshare(CLONE_NEWUSER)
    os.write(ours[1], b"\n")
    if _ended(helper):
        os._exit(FAILED)
    del theirs
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _become(container: Container, command: list[str]) -> None:
    """Give up rights as the container has to, and be its command."""
    if container.most_user_namespaces >= 0:
        Path("/proc/sys/user/max_user_namespaces").write_text(str(container.most_user_namespaces))
    filesystem.restrict(container)
    capabilities = rights.everything() if container.capabilities is None else container.capabilities
    rights.bound(capabilities)
    if container.apparmor:
        seccomp.refuse_mounts()
    if container.refused:
        seccomp.refuse_namespaces(user=container.refused == "user namespaces")
    if container.seccomp:
        seccomp.install(container.seccomp, capabilities)
    rights.become(container.user, capabilities, no_new_privileges=container.no_new_privileges)
    os.execvp(command[0], command)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Container.parse(sys.argv[2]), sys.argv[3:]))
