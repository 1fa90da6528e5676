"""A network whose first ADD fails: the call, the plugin's own words, and the host as that call found it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.discover.plugin_logs import PluginLog, logs
from cnitest.conformance.model import protocol
from cnitest.conformance.model.subject import Subject
from cnitest.lab.place import ENVIRONMENT, Place

#: The programs that plugins start most.
PROGRAMS = ("iptables", "ip6tables", "nft", "ipset", "ip")
# Of what a plugin said, so much is searched for what it means: patterns take long on a megabyte.
_MOST_READ = 4096
# A file and why a system call about it failed, as Go words that, then shells and the programs that they start, Python
# and Node.
_FILES = tuple(
    map(
        re.compile,
        (
            r"\b(?:open|stat|lstat|read|readlink|write|mkdir|unlink) (?P<path>/[^\s\"']+?): (?P<why>[\w ]+)",
            r"[:\s'‘`\"](?P<path>/[^\s:'’\"]+)['’\"]?: "
            r"(?P<why>(?i:no such file or directory|directory nonexistent|not a directory|file name too long))\b",
            r"\[Errno \d+\] (?P<why>[\w ]+): '(?P<path>/[^'\n]+)'",
            r"\bE[A-Z]{3,}: (?P<why>[\w ]+), \w+ '(?P<path>/[^'\n]+)'",
        ),
    )
)
_SAME = {"directory nonexistent": "no such file or directory"}


class Caller(Enum):
    """What asked for an ADD, and so where what it lacks can be given: a profile, a test's own code, or a command that
    attaches sandboxes of a topology."""

    PROFILE = "profile"
    TEST = "test"
    COMMAND = "command"


@dataclass(frozen=True)
class StartFailure:
    """The first ADD of a network, or of the beginning of its list, that did not give a result.

    ``subject`` is what was tried, ``plugin`` whose call failed and ``conf`` its part of the list; ``words`` say how.
    ``call`` is None where a command of a profile failed before any call. ``error`` is the plugin's error document, and
    empty where it printed none. ``links`` are those of the host before, ``inside`` those of the container, with their
    addresses; ``plugins`` the names of the programs in the search path, ``programs`` where those in `PROGRAMS` are.
    ``caller`` says what asked for it; ``logs`` are the log files that were written on the host.
    """

    subject: Subject
    version: str
    plugin: str
    conf: Mapping[str, Any]
    words: str
    call: Call | None
    error: Mapping[str, Any]
    links: Mapping[str, str]
    inside: Mapping[str, str]
    plugins: tuple[str, ...]
    programs: Mapping[str, str]
    caller: Caller = Caller.PROFILE
    logs: tuple[PluginLog, ...] = ()

    @property
    def text(self) -> str:
        """What the failed call said, in one text: of each part as much as a person would read, and nothing of a
        configuration that it repeats as a whole. One that printed nothing said what it wrote into log files."""
        if self.call is None:
            return self.words
        if self.error:
            parts = [str(self.error.get(key, "")) for key in ("msg", "details")]
        else:
            parts = [said[:_MOST_READ].decode(errors="replace") for said in (self.call.stdout, self.call.stderr)]
            parts = parts if any(parts) else [log.end for log in self.logs]
        return " ".join(_without(self.call.stdin, part[:_MOST_READ]) for part in parts).strip()

    @property
    def named_files(self) -> tuple[tuple[str, str], ...]:
        """The files that it said something about: their paths, each with why, in small letters."""
        named = [(path, why.lower()) for words in _FILES for path, why in self._found(words)]
        return tuple(dict.fromkeys((path, _SAME.get(why, why)) for path, why in named))

    def _found(self, words: re.Pattern[str]) -> list[tuple[str, str]]:
        return [(found["path"], found["why"]) for found in words.finditer(self.text)]

    def advice(self, profile: str, test: str, command: str) -> str:
        """What to do: what a profile can say, what a test can do, or what helps where a command attaches sandboxes."""
        return {Caller.PROFILE: profile, Caller.TEST: test, Caller.COMMAND: command}[self.caller]

    @property
    def ipam(self) -> Mapping[str, Any]:
        """The IPAM section of the plugin's configuration; empty without one."""
        found = self.conf.get("ipam")
        return found if isinstance(found, Mapping) else {}

    @property
    def members(self) -> tuple[str, ...]:
        """The plugins that were called for this ADD, in their order."""
        return tuple(str(conf["type"]) for conf in (*self.subject.before, self.subject.conf))


def _without(stdin: str, said: str) -> str:
    """A text without the configuration that a plugin was given, if it repeats that."""
    return said.replace(stdin.strip(), "…") if stdin.strip() else said


def start_failure(
    subject: Subject,
    version: str,
    error: Exception,
    bench: Bench | None = None,
    before: Mapping[str, str] | None = None,
) -> StartFailure:
    """What an ADD that did not give a result came to, while its host still stands; without a bench, where not even the
    host could be set up. ``before`` are the host's links before it."""
    calls = bench.record.calls if bench else []
    failed = calls[-1] if calls and protocol.result_document(calls[-1]) is None else None
    plugin = failed.plugin if failed else subject.plugin
    confs = (*subject.before, subject.conf)
    containers = bench.node.sandboxes if bench else {}
    return StartFailure(
        subject=subject,
        version=version,
        plugin=plugin,
        conf=next((conf for conf in reversed(confs) if conf["type"] == plugin), subject.conf),
        words=str(error),
        call=failed,
        error=(protocol.error_document(failed) or {}) if failed else {},
        links=before or {},
        inside=links(containers["c1"]) if "c1" in containers else {},
        plugins=files(subject.path),
        programs={name: shutil.which(name, path=ENVIRONMENT["PATH"]) or "" for name in PROGRAMS},
        logs=logs(bench.node) if bench and failed else (),
    )


def links(place: Place) -> dict[str, str]:
    """The links of a place: their kinds and global addresses, by name."""
    addresses: dict[str, list[str]] = {}
    for one in place.addresses:
        if one.scope == "global":
            addresses.setdefault(one.link, []).append(one.address)
    return {link.name: ", ".join([link.kind or "device", *addresses.get(link.name, ())]) for link in place.links}


def files(path: Sequence[str]) -> tuple[str, ...]:
    """The names of the files in a search path that can be started, sorted."""
    there = (file for each in path if os.path.isdir(each) for file in Path(each).iterdir())
    return tuple(sorted({file.name for file in there if file.is_file() and os.access(file, os.X_OK)}))
