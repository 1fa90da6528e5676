"""Kernels from Debian's archive: packages are looked up, fetched and unpacked by apt and dpkg, never installed.

A name may have a suite, as apt-get(8) takes it: ``linux-image-amd64/bookworm-backports``. What the machine's own lists
do not know is looked up in lists of our own, which are kept in the cache; the machine's are left as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cnitest.errors import GuestError
from cnitest.kernel.processes import programs
from cnitest.vm import cache, children

#: The package that stands for Debian's newest kernel of the release.
DEFAULT = "linux-image-amd64"
_NEEDED = ("apt-get", "apt-cache", "dpkg")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(/[a-z0-9./-]+)?")
_CONCRETE = re.compile(r"linux-image-\S*\d\S*")
_MINUTES = 15
_SOURCES = "suite.sources"
#: The options of entries in one line whose fields have another name.
_LONG = {"arch": "architectures", "lang": "languages", "target": "targets"}


class _Lists(NamedTuple):
    """Whose lists of packages apt reads: options for every call of it; ``kept`` is where ours are (None: the machine's)
    and ``suite`` the only one in them (empty: all of the machine's sources)."""

    options: tuple[str, ...] = ()
    kept: Path | None = None
    suite: str = ""


def is_name(text: str) -> bool:
    """Whether a text can be the name of a package with a kernel."""
    return text.startswith("linux-image") and _NAME.fullmatch(text) is not None


def unpacked(name: str, place: Path, kept: Path) -> Path:
    """The directory with a package's files, fetched into ``place`` unless it is there; ``kept`` is for apt's lists.

    Raises GuestError in one line where the package, the network or the room for it is missing.
    """
    for program in _NEEDED:
        if not programs.find(program):
            raise GuestError(f"no {program} to fetch {name} with: name a directory or a kernel image instead")
    seen, there = _remembered(name, place)
    if there and seen == _age():
        return there
    try:
        return _fetched(name, place, kept)
    except GuestError:
        if there:
            return there  # the archive cannot be asked now, and an older kernel is better than none
        raise


def _remembered(name: str, place: Path) -> tuple[str, Path | None]:
    """What a name stood for the last time, and how old the machine's lists of packages were then."""
    try:
        seen, _, directory = (place / _note(name)).read_text().partition("\n")
    except OSError:
        return "", None
    return seen, place / directory if directory and (place / directory).is_dir() else None


def _note(name: str) -> str:
    return f"{name.replace('/', '@')}.resolved"


def _age() -> str:
    """What changes when the machine's lists of packages do."""
    try:
        return str(os.stat("/var/lib/apt/lists").st_mtime_ns)
    except OSError:
        return "none"


def _fetched(name: str, place: Path, kept: Path) -> Path:
    package, _, suite = name.partition("/")
    failures = []
    for lists in ([] if suite else [_Lists()]) + [_own(kept, suite)]:
        try:
            return _from(lists, name, package, place)
        except GuestError as error:
            failures.append(str(error))
    raise GuestError(failures[-1])


def _own(kept: Path, suite: str) -> _Lists:
    """Lists of our own, of the machine's sources and, where one is asked for, one suite more."""
    options = [f"Dir::State::lists={kept / 'lists'}", f"Dir::Cache={kept / 'cache'}", "Acquire::Languages=none"]
    if suite:
        options += [f"Dir::Etc::sourcelist={kept / _SOURCES}", "Dir::Etc::sourceparts=/dev/null"]
    return _Lists(tuple(word for option in options for word in ("-o", option)), kept, suite)


def _from(lists: _Lists, name: str, package: str, place: Path) -> Path:
    if lists.kept:
        _update(lists, lists.kept)
    concrete = _concrete(lists, package)
    directory = cache.made(place / _file_name(lists, concrete), lambda new: _unpack(lists, concrete, new))
    cache.note(place / _note(name), f"{_age()}\n{directory.name}")
    return directory


def _update(lists: _Lists, kept: Path) -> None:
    for directory in ("lists/partial", "cache/archives/partial"):
        cache.directory_in(kept / directory)
    if lists.suite:
        cache.note(kept / _SOURCES, _source(lists.suite))
    _apt(("apt-get", *lists.options, "update", "-qq", "--error-on=any"), "the lists of packages cannot be fetched")


class _Release(NamedTuple):
    """A release that the machine has a source for: the archive's address, its name, and the file that says so."""

    uri: str
    name: str
    file: Path


def _source(suite: str) -> str:
    """The entry of sources.list(5), in its form with fields, for a suite of the archive of the machine's own release.

    It is the machine's own entry for another suite, so that keys, proxies and mirrors of that one count here, too.
    """
    form = "$(REPO_URI) $(RELEASE) $(SOURCESENTRY)"
    output = _apt(("apt-get", "indextargets", "--format", form, "Created-By: Packages"), "apt names no sources")
    rows = [line.split(" ", 2) for line in output.splitlines() if line.count(" ") >= 2]
    there = [_Release(uri, name, Path(entry.rpartition(":")[0])) for uri, name, entry in rows]
    release = suite.partition("-")[0].partition("/")[0]
    close = [each for each in there if each.name == release] or there
    if not close:
        raise GuestError(f"apt knows no source of packages, so none of the suite {suite}: see sources.list(5)")
    fields = {**_options(close[0]), "Types": "deb", "URIs": close[0].uri, "Suites": suite, "Components": "main"}
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _options(release: _Release) -> dict[str, str]:
    """What the machine's entry for a release says beside the archive: which key signs it, and so on, as fields."""
    try:
        text = release.file.read_text()
    except OSError:
        return {}
    entries = map(_fields, re.split(r"\n\s*\n", text)) if release.file.suffix == ".sources" else _one_line(text)
    address = release.uri.rstrip("/")
    found = [
        entry
        for entry in entries
        if address in (uri.rstrip("/") for uri in entry.get("uris", "").split())
        and release.name in entry.get("suites", "").split()
    ]
    own = ("types", "uris", "suites", "components")
    return {name.title(): value for name, value in (found[0] if found else {}).items() if name not in own}


def _fields(stanza: str) -> dict[str, str]:
    """The fields of an entry, by their names in small letters; a value may go on in further lines."""
    plain = re.sub(r"^#.*\n?", "", stanza, flags=re.MULTILINE)
    found = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", plain, re.MULTILINE)
    return {name.lower(): value.rstrip() for name, value in found}


def _one_line(text: str) -> Iterator[dict[str, str]]:
    """The same of entries in the form of one line each: ``deb [signed-by=KEY] URI SUITE COMPONENT…``."""
    for options, uri, suite in re.findall(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
        given = dict(word.split("=", 1) for word in options.split() if "=" in word)
        named = {_LONG.get(name.lower(), name.lower()): value.replace(",", " ") for name, value in given.items()}
        yield {**named, "uris": uri, "suites": suite}


def _concrete(lists: _Lists, package: str) -> str:
    """The package with the kernel itself: a package without a version in its name depends on it."""
    output = _apt(("apt-cache", *lists.options, "depends", package), f"apt knows no package {package}")
    found = [word for line in output.splitlines() if "Depends:" in line for word in _CONCRETE.findall(line)]
    return found[0] if found and not re.search(r"\d+\.\d+", package) else package


def _file_name(lists: _Lists, package: str) -> str:
    """A package's file name without its ending: package, version and architecture."""
    output = _apt(("apt-get", *lists.options, "download", "--print-uris", package), f"apt can fetch no {package}")
    named = re.search(r"^'[^']*' (\S+)\.deb ", output, re.MULTILINE)
    if named is None:
        raise GuestError(f"apt knows {package}, and no file of it: apt-get update may help")
    return named[1]


def _unpack(lists: _Lists, package: str, directory: Path) -> None:
    _apt(
        ("apt-get", *lists.options, "-o", "APT::Sandbox::User=root", "download", "-qq", package),
        f"{package} cannot be fetched",
        directory,
    )
    (fetched,) = directory.glob("*.deb")
    _apt(("dpkg", "-x", str(fetched), str(directory)), f"{package} cannot be unpacked")
    fetched.unlink()


def _apt(argv: Sequence[str], otherwise: str, directory: Path | None = None) -> str:
    """What a program of apt's prints. Raises GuestError with the last of its complaints."""
    found = [programs.find(argv[0]), *argv[1:]]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = children.finished(found, directory, environment, seconds=60 * _MINUTES)
    except subprocess.TimeoutExpired:
        raise GuestError(f"{otherwise}: {argv[0]} did not end within {_MINUTES} minutes") from None
    if done.returncode:
        raise GuestError(f"{otherwise}: {_complaint(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout


def _complaint(stderr: str) -> str:
    output = [line for line in stderr.splitlines() if line.strip() and not line.startswith("W:")]
    full = [line for line in output if "No space left" in line]
    return (full or [line for line in output if line.startswith("E:")] or output or [""])[0].removeprefix("E: ")
