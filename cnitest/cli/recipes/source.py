"""What a directory with a plugin's source holds: the plugin's name, how it is built, its configuration."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnitest.cni import conf
from cnitest.conformance.model.profile import NAME as PROFILE
from cnitest.errors import CnitestError, ConfigError

#: Where configurations are looked for, in this order.
_PLACES = (".", "conf", "config", "examples", "testdata", "deploy")
_SCRIPTS = ("build.sh", "script/build", "scripts/build.sh", "hack/build.sh")
_GO_MODULE = re.compile(r"^module\s+(\S+)", re.M)
_CRATE = re.compile(r"^\[package\][^\[]*?^name\s*=\s*[\"']([^\"']+)", re.M | re.S)
_MAIN = re.compile(r"^package main\b", re.M)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PluginSource(NamedTuple):
    """``build`` is the command that leaves the ``plugin``'s program in ``directory``, empty where there is nothing to
    build; ``conf`` the configuration, ``found`` whether it is there; ``language`` is ``go``, ``rust`` or empty."""

    plugin: str
    build: str
    directory: str
    conf: str
    found: bool
    language: str = ""


def source(place: Path, plugin: str = "") -> PluginSource:
    """What a directory holds; ``plugin`` is the plugin's name where the author said one. Raises ConfigError for a name
    that no program can have."""
    if plugin and not _NAME.fullmatch(plugin):
        raise ConfigError(f"--plugin {plugin!r}: is no name of a plugin: it is that of its program, as 'type' has it")
    found = next(_configurations(place), "")
    name = plugin or _named(place, found)
    build, directory, language = _build(place, name)
    return PluginSource(name, build, directory, found or f"10-{name}.conflist", bool(found), language)


def _configurations(place: Path) -> Iterator[str]:
    """The configurations and profiles, relative to the directory, a profile first."""
    for below in _PLACES:
        names = sorted(each.name for each in (place / below).glob("*") if each.is_file())
        for name in [name for name in names if name == PROFILE] + [
            name for name in names if name.endswith((".conflist", ".conf"))
        ]:
            file = f"{below}/{name}".removeprefix("./")
            if name == PROFILE or _types(place / file):
                yield file


def _types(file: Path) -> list[str]:
    """The plugins of a configuration; none of a file that is another thing's."""
    try:
        return [str(plugin["type"]) for plugin in conf.network(file).plugins]
    except CnitestError:
        return []


def _named(place: Path, configuration: str) -> str:
    """The plugin's name: the program's own, if the configuration has one of that name, else the first there."""
    words = [name for name in (_module(place), _crate(place), place.resolve().name) if _NAME.fullmatch(name)]
    types = _types(place / configuration) if configuration and not configuration.endswith(PROFILE) else []
    here = [name for name in types if any(os.access(place / below / name, os.X_OK) for below in (".", "bin"))]
    return next((name for name in [*words, *here] if name in types), (types + words + ["plugin"])[0])


def _module(place: Path) -> str:
    """The name that Go gives the program of a module."""
    path = _matched(place / "go.mod", _GO_MODULE)
    return re.sub(r"/v\d+$", "", path).rpartition("/")[2]


def _crate(place: Path) -> str:
    return _matched(place / "Cargo.toml", _CRATE)


def _matched(file: Path, pattern: re.Pattern[str]) -> str:
    try:
        found = pattern.search(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1].strip('"') if found else ""


def _build(place: Path, name: str) -> tuple[str, str, str]:
    """The command that builds, the directory where it leaves the program, and the language."""
    if (place / "go.mod").is_file():
        return _of_go(place, name), "bin", "go"
    if (place / "Cargo.toml").is_file():
        return "cargo build --release", "target/release", "rust"
    if (place / "Makefile").is_file():
        return "make", "bin", ""
    if script := next((each for each in _SCRIPTS if (place / each).is_file()), ""):
        return f"sh {script}" if not os.access(place / script, os.X_OK) else f"./{script}", "bin", ""
    places = (below for below in (".", "bin", "plugins", "src") if (place / below / name).is_file())
    return "", next(places, "bin"), ""


def _of_go(place: Path, name: str) -> str:
    """Go's command: of the package that is the program, or of all."""
    if any(_MAIN.search(file.read_text(encoding="utf-8", errors="replace")) for file in place.glob("*.go")):
        package, output = ".", f"bin/{name}"
    elif (place / "cmd" / name).is_dir():
        package, output = f"./cmd/{name}", f"bin/{name}"
    else:
        package, output = "./...", "bin/"
    return f"CGO_ENABLED=0 go build -o {shlex.quote(output)} {shlex.quote(package)}"
