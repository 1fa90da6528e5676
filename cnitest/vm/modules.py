"""A kernel's modules: which files, in which order, give what a guest needs before it has a filesystem."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnitest.errors import GuestError
from cnitest.vm import needs

#: What a guest needs to see this machine's files, talk to us, and be a network's host. Those that matter to no boot are
#: loaded here since it is quicker than by modprobe(8) from the shared files.
NEEDED = ("virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay")
USEFUL = ("virtio_rng", "crc32c_generic", "br_netfilter", "nf_conntrack", "tun")
#: Seconds for depmod(8) over all modules of a kernel; a distribution's four thousand take a few.
INDEXING = 120.0


def indexed(tree: Path, place: Path) -> Path:
    """A tree of modules with its indexes, as modprobe(8) wants it: itself, else links to it and what depmod(8) makes of
    them in ``place``. Raises GuestError without depmod, or when that fails or takes too long.
    """
    if (tree / "modules.dep.bin").is_file():
        return tree
    made = place / "lib/modules" / tree.name
    made.mkdir(parents=True)
    for entry in tree.iterdir():
        if entry.name not in ("source", "build"):
            (made / entry.name).symlink_to(entry)
    done = _depmod(place, tree.name)
    if done.returncode or not (made / "modules.dep.bin").is_file():
        raise GuestError(f"depmod failed on {tree}: {(done.stderr.strip().splitlines() or ['it made no index'])[-1]}")
    return made


def _depmod(place: Path, release: str) -> subprocess.CompletedProcess[str]:
    argv = [needs.depmod(), "-b", str(place), release]
    try:
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=INDEXING)
    except subprocess.TimeoutExpired:
        raise GuestError(f"depmod made no index of {release}'s modules within {INDEXING:g} s") from None


def ordered(tree: Path) -> list[Path]:
    """The files of what is `NEEDED` and `USEFUL` and not built in, each after those it depends on, of an indexed tree.

    Raises GuestError where a needed module is missing.
    """
    depends = dict(_depends(tree / "modules.dep"))
    by_name = {_name(path): path for path in depends}
    built_in = {_name(line) for line in _built_in(tree)}
    lacking = [name for name in NEEDED if name not in by_name and name not in built_in]
    if lacking:
        raise GuestError(f"the kernel {tree.name} has no module {', '.join(lacking)}, which a guest needs")
    files: dict[str, None] = {}
    for name in (*NEEDED, *USEFUL):
        if name in by_name:
            files |= dict.fromkeys((*reversed(depends[by_name[name]]), by_name[name]))
    return [tree / file for file in files]


def _built_in(tree: Path) -> list[str]:
    """The modules that a kernel has in itself. Raises GuestError where nothing says which those are."""
    try:
        return (tree / "modules.builtin").read_text().split()
    except FileNotFoundError:
        raise GuestError(
            f"{tree} has no modules.builtin, which says what needs no module: install the kernel's modules, as "
            "`make modules_install` does"
        ) from None


def _depends(file: Path) -> Iterator[tuple[str, Sequence[str]]]:
    for line in file.read_text().splitlines():
        path, _, others = line.partition(":")
        yield path, others.split()


def _name(path: str) -> str:
    return re.sub(r"\.ko(\..*)?$", "", path.rpartition("/")[2]).replace("-", "_")
