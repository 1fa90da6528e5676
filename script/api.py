#!/usr/bin/env python3
"""Writes docs/api.md from the docstrings of the public API: script/api.py [FILE]. A test holds the file to it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).resolve().parents[1] / "docs" / "api.md"

HEAD = """\
# API

Written by `script/api.py` from the docstrings: change those, not this file. What is not here may change any day.
A class is imported from `cnitest`, unless it says from where.

`cnitest` works without pytest:

```python
from cnitest import Lab, difference, load
from cnitest.topology import find

with Lab(load(find("bridge-walkthrough"))) as lab:
    ns01, node = lab.sandbox("ns01"), lab.host("node")
    before = node.state()
    reach = ns01.ping("10.40.80.12")
    print(reach.story())

    node.run(["ip", "link", "set", "br01", "down"])

    assert reach
    assert not ns01.ping("10.40.80.12")
    print(*difference(before, node.state()), sep="\\n")
```

A `Lab` is a context: at the end of the block its processes are killed, and its namespaces are gone.
"""


class Chapter(NamedTuple):
    """A class of the API: where it is, and which of its public members are for the package's own use."""

    path: str
    internal: frozenset[str] = frozenset()


def chapter(path: str, internal: str = "") -> Chapter:
    """A chapter with its internal members as words."""
    return Chapter(path, frozenset(internal.split()))


CHAPTERS = (
    chapter(
        "cnitest.lab.lab.Lab",
        "know forget remember has_owner fresh_namespace pid_namespace sniffer sniffers own_file_reader owner settle "
        "thread remembered blind probing plan",
    ),
    chapter("cnitest.lab.place.Place", "execute start namespace role"),
    chapter("cnitest.lab.hosts.Host", "adopt inside mounts start_supervised close host"),
    chapter("cnitest.lab.hosts.Sandbox", "leave start host"),
    chapter("cnitest.lab.hosts.Switch", "host start state"),
    chapter("cnitest.lab.place.Output"),
    chapter("cnitest.lab.reach.Reach"),
    chapter("cnitest.lab.explanation.Explanation"),
    chapter("cnitest.lab.explanation.Cause"),
    chapter("cnitest.lab.explanation.Hop"),
    chapter("cnitest.lab.reach.Verdict"),
    chapter("cnitest.lab.reachability.matrix.Reachability", "note"),
    chapter("cnitest.lab.reachability.grid.Cell"),
    chapter("cnitest.lab.reachability.truth.TruthTable"),
    chapter("cnitest.lab.reachability.mismatch.Mismatch"),
    chapter("cnitest.lab.reachability.mismatch.Group"),
    chapter("cnitest.lab.reachability.mismatch.Differing"),
    chapter("cnitest.lab.flows.connection.Connection", "ends"),
    chapter("cnitest.lab.probe.kinds.live.End", "push pull end look take_out count sent_again_within socket"),
    chapter("cnitest.lab.flows.throughput.Throughput"),
    chapter("cnitest.lab.frames.capture.Capture"),
    chapter("cnitest.lab.snapshot.state.State"),
    chapter("cnitest.lab.snapshot.difference.Difference"),
    chapter("cnitest.cni.runtime.Runtime"),
    chapter("cnitest.cni.attachment.Attachment"),
    chapter("cnitest.testing.scripted.ScriptedPlugin"),
    chapter("cnitest.testing.reply.Reply"),
    chapter("cnitest.testing.records.Record"),
)
_LONG = 30
MADE = ("Lab", "Runtime", "ScriptedPlugin", "Reply", "TruthTable")
FIXTURES = ("lab", "cni", "network")
MARKS = ("topology", "requires")


def page() -> str:
    """The whole document."""
    parts = [HEAD, *(_class(each) for each in CHAPTERS), _functions(), _errors(), _fixtures(), _marks(), _options()]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _class(each: Chapter) -> str:
    module, _, name = each.path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    lines = [f"## {name}", "", *_where(module, name), *_constructor(found), *_text(found), ""]
    lines += [line for kind in _own(found) for line in _attributes(kind, each.internal)]
    lines += [line for member in _members(found, each.internal) for line in member]
    return "\n".join(lines)


def _where(module: str, name: str) -> list[str]:
    import cnitest

    package = module.rpartition(".")[0]
    if name in cnitest.__all__:
        return []
    exported = name in getattr(importlib.import_module(package), "__all__", ())
    return [f"`from {package if exported else module} import {name}`", ""]


def _constructor(found: type) -> list[str]:
    """How it is made, where users make it."""
    return ["```text", *_signature(found.__name__, found.__init__), "```", ""] if found.__name__ in MADE else []  # type: ignore[misc]


def _functions() -> str:
    import cnitest
    from cnitest.topology import find

    lines = ["## Functions", ""]
    for function, where in ((cnitest.load, "cnitest"), (find, "cnitest.topology"), (cnitest.difference, "cnitest")):
        name = function.__name__
        signature = _signature(name, function, bound=False)
        lines += [f"### {name}", "", f"`from {where} import {name}`", "", "```text", *signature, "```", ""]
        lines += [*_text(function), ""]
    return "\n".join(lines)


def _own(found: type) -> list[type]:
    """The class and the parts it is made of, but not the class that it is a kind of."""
    described = {each.path for each in CHAPTERS}
    bases = [base for base in found.__mro__[1:] if base.__module__.startswith("cnitest.")]
    kinds = [base for base in bases if f"{base.__module__}.{base.__name__}" in described]
    return [found, *(base for base in bases if not any(issubclass(kind, base) for kind in kinds))]


def _attributes(found: type, internal: frozenset[str]) -> Iterator[str]:
    """The fields of a record, and the attributes that have a comment of their own."""
    if issubclass(found, tuple) or dataclasses.is_dataclass(found):
        hints = {name: hint for name, hint in inspect.get_annotations(found).items() if name[0] != "_"}
        yield from ["Fields: " + ", ".join(f"`{name}: {hint}`" for name, hint in hints.items()), ""] if hints else []
    source = inspect.getsource(found)
    for match in re.finditer(r"((?:^ *#: .*\n)+) *(?:self\.)?([a-z]\w*)", source, re.MULTILINE):
        words = " ".join(line.strip().removeprefix("#: ") for line in match[1].splitlines())
        if match[2] not in internal:
            yield from [f"- `{match[2]}`: {_plain(words)}", ""]


def _members(found: type, internal: frozenset[str]) -> Iterator[list[str]]:
    for kind in _own(found):
        for name, member in vars(kind).items():
            if name.startswith("_") or name in internal or name in dir(tuple):
                continue
            described = _member(found.__name__, name, member)
            if described:
                yield described


def _member(owner: str, name: str, member: Any) -> list[str]:
    if isinstance(member, property) or type(member).__name__ == "cached_property":
        getter = getattr(member, "fget", None) or member.func  # type: ignore[attr-defined]
        gives = inspect.signature(getter).return_annotation
        return [f"### {owner}.{name}", "", f"A property: `{gives}`", "", *_text(getter), ""]
    function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    if not inspect.isfunction(function):
        return []
    return [f"### {owner}.{name}", "", "```text", *_signature(name, function), "```", "", *_text(function), ""]


def _signature(name: str, function: Any, *, bound: bool = True) -> list[str]:
    """``name(a: int, *, b: str = "x") -> Thing``, an argument a line where it is long."""
    signature = inspect.signature(function)
    words, starred = [], False
    for each in list(signature.parameters.values())[bound:]:
        if each.kind is each.KEYWORD_ONLY and not starred:
            words, starred = [*words, "*"], True
        starred |= each.kind is each.VAR_POSITIONAL
        prefix = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        hint = "" if each.annotation is each.empty else f": {each.annotation}"
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        words.append(f"{prefix}{each.name}{hint}{default}")
    gives = "" if signature.return_annotation in (signature.empty, "None") else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(words)}){gives}"
    return [line] if len(line) <= 100 else [f"{name}(", *(f"    {word}," for word in words), f"){gives}"]


def _default(value: Any) -> str:
    """A default as one would write it; what takes more than a word is left to the docstring."""
    if isinstance(value, str):
        return f'"{value}"'
    return value.__name__ if isinstance(value, type) else repr(value) if len(repr(value)) < _LONG else "…"


def _text(found: Any) -> list[str]:
    return [_plain(line) for line in (inspect.getdoc(found) or "").splitlines()]


def _plain(words: str) -> str:
    return words.replace("``", "`")


def _errors() -> str:
    from cnitest import errors

    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CnitestError)]
    ordered = sorted(kinds, key=lambda kind: inspect.getsourcelines(kind)[1])
    lines = [f"- `{kind.__name__}`: {' '.join(' '.join(_text(kind)).split())}" for kind in ordered]
    return "\n".join(["## Errors", "", "`from cnitest.errors import …`", "", *lines, ""])


def _fixtures() -> str:
    from cnitest.fixtures import network

    lines = ["## pytest: fixtures", ""]
    for name in FIXTURES:
        fixture = getattr(network, name)
        lines += [f"### {name}", "", *_text(getattr(fixture, "__wrapped__", fixture)), ""]
    return "\n".join(lines)


def _marks() -> str:
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "pytest", "--markers", "-p", "no:cacheprovider"]
        printed = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout
    found = re.findall(rf"^@pytest\.mark\.((?:{'|'.join(MARKS)})\(.*\)): (.*)$", printed, re.MULTILINE)
    return "\n".join(["## pytest: marks", "", *(f"- `{mark}`: {_plain(words)}" for mark, words in found), ""])


def _options() -> str:
    from cnitest import plugin

    options = _Options()
    plugin.pytest_addoption(options)  # type: ignore[arg-type]
    return "\n".join(["## pytest: options", "", *options.lines, ""])


class _Options:
    """Stands for pytest's parser, and notes what is added to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def getgroup(self, *_: Any, **__: Any) -> _Options:
        """The only group."""
        return self

    def addini(self, *_: Any, **__: Any) -> None:
        """No option."""

    def addoption(self, *names: str, **about: Any) -> None:
        """Note an option."""
        choices = "{" + ",".join(about["choices"]) + "}" if "choices" in about else ""
        value = about.get("metavar") or choices
        words = str(about.get("help", "")) % {"default": about.get("default")}
        self.lines.append(f"- `{' '.join([names[-1], value]).strip()}`: {_plain(words)}")


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).write_text(page())
