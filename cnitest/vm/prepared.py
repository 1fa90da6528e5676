"""From the name of a kernel to what QEMU boots: found, fetched, made quick to boot, and kept for the next time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnitest import paths
from cnitest.vm import cache, cpio, images, modules, needs, packages

_DIRECTORIES = ("bin", "dev", "proc", "sys", "modules", "lower", "over", "plain", "root")
_APPLETS = ("sh", "mount", "insmod", "mkdir", "cp", "ip", "switch_root", "ln", "poweroff", "mknod", "hostname")
#: A part of the key of what is prepared: to be raised when prepared files get another form.
_FORM = "2"


class Prepared(NamedTuple):
    """A kernel that can be booted: ``initrd`` has busybox and modules, ``modules`` is its ``lib/modules/VERSION``."""

    image: Path
    initrd: Path
    version: str
    modules: Path | None


def prepare(named: str | None, kept: Path) -> Prepared:
    """Make a kernel ready: a package's name, a directory or an image; the cache ``kept`` has it the next time.

    Raises GuestError, in one line, where anything that it takes is missing.
    """
    with cache.opened(kept) as place:
        kernel = images.found(_directory(named or packages.DEFAULT, place))
        ready = cache.made(place / "prepared" / _key(kernel), lambda new: _fill(new, kernel))
    image, index = ready / "vmlinux", ready / "lib/modules" / kernel.version
    return Prepared(
        image if image.exists() else kernel.image,
        ready / "initrd",
        kernel.version,
        index if index.is_dir() else kernel.modules,
    )


def _directory(named: str, place: Path) -> Path:
    if packages.is_name(named) and not os.path.exists(named):
        return packages.unpacked(named, place / "packages", place / "apt")
    return Path(paths.absolute(named))


def _key(kernel: images.Kernel) -> str:
    """What the prepared files depend on, in a name."""
    files = [kernel.image, Path(needs.busybox()), *([kernel.modules / "modules.order"] if kernel.modules else [])]
    facts = [_FORM, *modules.NEEDED, *modules.USEFUL, str(kernel.modules), *map(_identity, files)]
    return f"{kernel.version}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def _identity(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path}: none"
    return f"{path}: {found.st_mtime_ns} {found.st_size}"


def _fill(directory: Path, kernel: images.Kernel) -> None:
    data = images.read(kernel.image)
    quick = images.quickest(data)
    if quick is not data:
        (directory / "vmlinux").write_bytes(quick)
    files = []
    if kernel.modules:
        files = modules.ordered(modules.indexed(kernel.modules, directory))
    (directory / "initrd").write_bytes(cpio.archive(_entries(files)))


def _entries(files: list[Path]) -> Iterator[cpio.Member]:
    yield from map(cpio.directory, _DIRECTORIES)
    yield cpio.device("dev/console", 5, 1)
    yield cpio.device("dev/null", 1, 3)
    yield cpio.file("bin/busybox", Path(needs.busybox()).read_bytes(), executable=True)
    yield from (cpio.link(f"bin/{applet}", "busybox") for applet in _APPLETS)
    names = [f"{number:02}-{path.name.partition('.')[0]}.ko" for number, path in enumerate(files)]
    yield from (cpio.file(f"modules/{name}", images.module(path)) for name, path in zip(names, files, strict=True))
