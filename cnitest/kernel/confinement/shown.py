"""Directories with programs of the machine that a host's own files hide: found, and shown there, so that nobody writes.

A host's /run and /var/lib/cni are its own, and the layers over /etc and /var do not show what is mounted below them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from cnitest.kernel import mounts
from cnitest.kernel.syscalls import attach_tree, open_tree, read_only_tree

#: What hosts have of their own, and what that is in: nothing is put over it, and its programs are shown singly.
_OWN = frozenset(
    str(place)
    for directory in (*mounts.DIRECTORIES, *mounts.COVERED, mounts.LAYERS, mounts.SHARED_MEMORY)
    for place in (PurePath(directory), *PurePath(directory).parents)
)


class Wanted(NamedTuple):
    """A directory, or a program, of the machine: its real path, what is in it, and another path that leads to it."""

    path: str
    names: frozenset[str] = frozenset()
    alias: str = ""
    single: bool = False

    def hidden(self) -> bool:
        """Whether it is not there as on the machine; to be called inside the host."""
        try:
            there = os.path.exists(self.path) if self.single else self.names <= set(os.listdir(self.path))
            return not there or not os.path.exists(self.alias or self.path)
        except OSError:
            return True


class Tree(NamedTuple):
    """What is to be shown, and the mount with it, a descriptor."""

    wanted: Wanted
    fd: int


def wanted(directories: Iterable[str]) -> Iterator[Wanted]:
    """What there is of a search path on the machine, with the directories that links in there lead to, and of other
    files; to be called outside of hosts."""
    for directory in directories:
        with contextlib.suppress(OSError):
            real = os.path.realpath(directory)
            if not os.path.isdir(real):
                yield from [Wanted(real, single=True)] if os.path.isfile(real) else []
                continue
            names = frozenset(os.listdir(real))
            yield from _shown_as(real, names, directory if directory != real else "")
            for place, linked in _linked(real, names).items():
                yield from _shown_as(place, frozenset(linked))


def _linked(directory: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Where the links in a directory lead to: the files, by the directories they are in."""
    found: dict[str, list[str]] = {}
    for file in (f"{directory}/{name}" for name in sorted(names)):
        place, name = os.path.split(os.path.realpath(file))
        if os.path.islink(file) and place != directory and os.path.isfile(file):
            found.setdefault(place, []).append(name)
    return found


def _shown_as(directory: str, names: frozenset[str], alias: str = "") -> Iterator[Wanted]:
    if directory not in _OWN:
        yield Wanted(directory, names, alias)
        return
    for file in sorted(f"{directory}/{name}" for name in names):
        if os.path.isfile(file) and not os.path.islink(file) and os.access(file, os.X_OK):
            yield Wanted(file, single=True)


def opened(hidden: Sequence[Wanted]) -> list[Tree]:
    """Mounts of what is hidden in a host, to be called outside of it; none where the kernel refuses."""
    found = []
    for each in hidden:
        with contextlib.suppress(OSError):
            fd = open_tree(each.path)
            try:
                read_only_tree(fd)
            except OSError:
                os.close(fd)
                raise
            found.append(Tree(each, fd))
    return found


def show(trees: Collection[Tree]) -> tuple[set[str], set[str]]:
    """Show them inside the host: the paths where they are, and those that were made on the way to them."""
    places: set[str] = set()
    for tree in trees:
        with contextlib.suppress(OSError):
            _make_place(tree.wanted)
            attach_tree(tree.fd, tree.wanted.path)
            places.add(tree.wanted.path)
            _make_alias(tree.wanted)
        os.close(tree.fd)
    ways = places.union(tree.wanted.alias for tree in trees if tree.wanted.alias)
    return places, {*ways, *(str(parent) for place in ways for parent in PurePath(place).parents)}


def _make_place(place: Wanted) -> None:
    os.makedirs(os.path.dirname(place.path) if place.single else place.path, exist_ok=True)
    if place.single and not os.path.exists(place.path):
        os.close(os.open(place.path, os.O_CREAT | os.O_CLOEXEC, 0o644))


def _make_alias(place: Wanted) -> None:
    """Have the path that was typed lead there."""
    if place.alias and not os.path.exists(place.alias):
        os.makedirs(os.path.dirname(place.alias), exist_ok=True)
        os.symlink(place.path, place.alias)
