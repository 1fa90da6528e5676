"""Leaves the machine's own network, mounts and /run behind, before anything else happens."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Puts this process and its children in namespaces of their own, with a fresh /run and /sys.

    Without root it happens inside a user namespace where the caller is root.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid:
        _call("unshare (a user namespace)", _libc.unshare, CLONE_NEWUSER)
        _become_root(uid, gid)
    _call("unshare", _libc.unshare, CLONE_NEWNS | CLONE_NEWNET)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs", 0)
    _mount("sysfs", "/sys", "sysfs", 0)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _become_root(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [text and text.encode() for text in (source, target, kind)]
    _call(f"mount {target}", _libc.mount, *encoded, ctypes.c_ulong(flags), None)


def _call(what: str, function: Callable[..., int], *args: object) -> None:
    if function(*args):
        number = ctypes.get_errno()
        remedy = "run as root, or where `unshare -Urnm true` works"
        raise SystemExit(f"benchmarks: {what}: {os.strerror(number)}: {remedy}")
