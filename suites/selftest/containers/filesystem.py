"""The filesystem of a container: this machine's below a layer of its own, and /dev, /proc, /sys as runtimes do them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from cnitest.suites.selftest.containers.spec import MASKED, READ_ONLY, Container

from cnitest.kernel.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, mount, umount

_MS_REMOUNT = 0x20
_SHIELDED = MS_NOSUID | MS_NODEV | MS_NOEXEC
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_OPEN_TREE_CLONE, _AT_EMPTY_PATH, _MOVE_MOUNT_F_EMPTY_PATH, _MOUNT_ATTR_IDMAP = 1, 0x1000, 4, 0x100000
_AT_FDCWD = -100
_ROOM, _PAGE = "size=256m", 4096
#: Where the command starts.
HOME = "/home/cnitest"

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace"))


def show_as(user_namespace: int, place: Path) -> None:
    """Mount this machine's root at a place, its files' owners as a user namespace maps them, as Podman shows images.

    Raises OSError where the filesystem cannot do that.
    """
    tree = _checked(_libc.open_tree(_AT_FDCWD, b"/", _OPEN_TREE_CLONE), "open_tree /")
    try:
        attributes = _Attributes(set=_MOUNT_ATTR_IDMAP, user_namespace=user_namespace)
        size = ctypes.sizeof(attributes)
        _checked(_libc.mount_setattr(tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size), "mount_setattr /")
        moved = _libc.move_mount(tree, b"", _AT_FDCWD, os.fsencode(place), _MOVE_MOUNT_F_EMPTY_PATH)
        _checked(moved, f"move_mount {place}")
    finally:
        os.close(tree)


def build(base: Path, image: Path, container: Container, needed: Sequence[Path], elsewhere: Sequence[Path]) -> Path:
    """The root of a container below an empty directory: an image with what is ``needed``, some of it ``elsewhere``.

    Raises OSError.
    """
    base = base / "layers"
    base.mkdir()
    mount("tmpfs", str(base), "tmpfs", 0, f"mode=755,{_ROOM}")
    root = image
    for number in range(container.layers):
        root = _layer(base / str(number), root, rootless=bool(container.maps))
    for path in elsewhere:
        _share(path, root)
    for path in needed:
        _open_to_all(path, root)
    _devices(root / "dev", container)
    for name, flags, data in (
        ("proc", 0, "hidepid=2" if container.hide_pids else ""),
        ("sysfs", 0 if container.privileged else MS_RDONLY, ""),
    ):
        mount(name, str(root / name.removesuffix("fs")), name, _SHIELDED | flags, data)
    home = root / HOME[1:]
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, container.user, container.user)
    for program in container.without:
        _take_away(root, program)
    return root


def _layer(base: Path, lower: Path, *, rootless: bool) -> Path:
    """A layer over a tree, as storage drivers make one."""
    for name in ("upper", "work", "root"):
        (base / name).mkdir(parents=True)
    options = f"lowerdir={lower},upperdir={base}/upper,workdir={base}/work" + (",userxattr" if rootless else "")
    mount("overlay", f"{base}/root", "overlay", 0, options)
    return base / "root"


def on_other_filesystems(paths: Sequence[Path]) -> list[Path]:
    """Those of some directories that are not on the filesystem of the root."""
    return [path for path in paths if os.stat(path).st_dev != os.stat("/").st_dev]


def _share(path: Path, root: Path) -> None:
    """Show a directory of another filesystem."""
    target = root / path.relative_to("/")
    target.mkdir(parents=True, exist_ok=True)
    mount(str(path), str(target), flags=MS_BIND | MS_REC)


def _open_to_all(path: Path, root: Path) -> None:
    """Let every user of the container enter a directory, though here only root may."""
    for parent in path.relative_to("/").parents:
        where = root / parent
        where.chmod(where.stat().st_mode | 0o555)


def _take_away(root: Path, program: str) -> None:
    for directory in ("usr/sbin", "usr/bin", "sbin", "bin"):
        (root / directory / program).unlink(missing_ok=True)


def _devices(dev: Path, container: Container) -> None:
    """The few devices that a container has; all of the machine's when it is privileged."""
    if container.privileged:
        mount("/dev", str(dev), flags=MS_BIND | MS_REC)
        return
    mount("tmpfs", str(dev), "tmpfs", MS_NOSUID, "mode=755")
    for name in _DEVICES:
        (dev / name).touch()
        mount(f"/dev/{name}", str(dev / name), flags=MS_BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")
    (dev / "shm").mkdir()
    mount("tmpfs", str(dev / "shm"), "tmpfs", _SHIELDED, "mode=1777")


def enter(root: Path) -> None:
    """Make a tree the root of this mount namespace, and leave nothing of the old one."""
    os.chdir(root)
    _checked(_libc.pivot_root(b".", b"."), "pivot_root")
    umount(".")
    os.chdir(HOME)


def restrict(container: Container) -> None:
    """What a container may not see, or not write to; to be called inside."""
    for name, value in container.sysctls:
        _say_otherwise(Path("/proc/sys", name), value)
    if not container.unmasked:
        for path in filter(os.path.exists, MASKED):
            _mask(path)
        for path in filter(os.path.exists, READ_ONLY):
            _forbid_writing(path)
    _spoil(container)
    for place in container.tmpfs:
        mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    if container.apparmor:
        confined = Path(HOME, "confined")
        confined.write_text(f"{container.apparmor} (enforce)\n")
        mount(str(confined), "/proc/1/attr/current", flags=MS_BIND)
    if container.full:
        _fill(Path(HOME, "full"))
    if container.read_only:
        mount("none", "/", flags=MS_BIND | _MS_REMOUNT | MS_RDONLY)


def _spoil(container: Container) -> None:
    for place in container.unmounted:
        umount(place)
    for place in container.covered:
        mount("tmpfs", place, "tmpfs", _SHIELDED)
    for place in container.read_only_places:
        _forbid_writing(place)


def _forbid_writing(path: str) -> None:
    mount(path, path, flags=MS_BIND | MS_REC)
    mount("none", path, flags=MS_BIND | MS_REC | _MS_REMOUNT | MS_RDONLY | _SHIELDED)


def _mask(path: str) -> None:
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", _SHIELDED | MS_RDONLY, "size=0k")
    else:
        mount("/dev/null", path, flags=MS_BIND)


def _say_otherwise(file: Path, value: str) -> None:
    """Have a file of /proc/sys say something, though this kernel has none of that name."""
    kept = Path(HOME, file.name)
    kept.write_text(f"{value}\n")
    if not file.exists():
        others = {each.name: _content(each) for each in file.parent.iterdir() if each.is_file()}
        mount("tmpfs", str(file.parent), "tmpfs", _SHIELDED, "mode=755")
        for name, content in others.items():
            (file.parent / name).write_bytes(content)
        file.touch()
    mount(str(kept), str(file), flags=MS_BIND)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _fill(file: Path) -> None:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as written:
        try:
            while written.write(bytes(_PAGE)):
                pass
        except OSError:
            return


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
