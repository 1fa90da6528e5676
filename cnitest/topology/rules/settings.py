"""Rules about sysctls, firewall lines, tc(8) and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from cnitest.topology.problem import Problem, child
from cnitest.topology.survey import Spot, Survey
from cnitest.topology.words.address import ip, prefix
from cnitest.topology.words.command_line import SHELL_WORDS, words_of
from cnitest.topology.words.sysctl_names import parts
from cnitest.typos import did_you_mean, nearest

_SWITCHES = {"true": 1, "yes": 1, "on": 1, "false": 0, "no": 0, "off": 0}
_OTHER = {"iptables": ("ip6tables", 6), "ip6tables": ("iptables", 4)}
_DUMP_TABLES = ("filter", "nat", "mangle", "raw", "security")
_CHAIN = re.compile(r":\S+ (ACCEPT|DROP|QUEUE|RETURN|-)( \[[0-9]+:[0-9]+\])?")
_TC_OBJECTS = ("qdisc", "class", "filter", "chain", "action", "actions")
_EVERY_LINK = ("all", "default", "lo")


def sysctls(survey: Survey) -> Iterator[Problem]:
    """A sysctl is one of the place's network, once, for a link that exists, with a value."""
    for spot in survey.spots.values():
        first: dict[tuple[str, ...], str] = {}
        for name, value in (spot.body.sysctls if spot.body else {}).items():
            path = child(f"{spot.path}.sysctls", name)
            yield from _name(survey, spot, path, name)
            yield from _value(path, value)
            if (before := first.setdefault(parts(name), name)) != name:
                yield Problem(path, f"the same sysctl as {before!r}")


def _name(survey: Survey, spot: Spot, path: str, name: str) -> Iterator[Problem]:
    words = parts(name)
    if words[0] != "net":
        whole = _below_net(name, words)
        if whole:
            yield Problem(path, f"{name!r} is no sysctl. Did you mean {whole!r}?")
        else:
            yield Problem(path, f"{name!r} would change the real machine; a place has its own only below 'net.'")
    elif len(words) < 3 or not all(words) or ".." in words or not name.isprintable() or " " in name:
        yield Problem(path, f"{name!r} is not the name of a sysctl (such as 'net.ipv4.ip_forward')")
    else:
        if words[2:3] in (("conf",), ("neigh",)) and len(words) > 3:
            yield from _link(survey, spot, path, words)
        yield from _spelling(path, name, words)


def _below_net(name: str, words: Sequence[str]) -> str:
    """The sysctl that a name without its first directories stands for; empty where it is none of networking."""
    if words[0] in ("ipv4", "ipv6", "core", "bridge", "netfilter"):
        return f"net.{name}"
    homes = [directory for directory, leaves in _known().items() if name in leaves]
    best = min(homes, key=lambda each: (each != "net/ipv4", "conf/default" not in each, each), default="")
    return f"{best.replace('/', '.').replace('.default', '.all')}.{name}" if best else ""


def _spelling(path: str, name: str, words: Sequence[str]) -> Iterator[Problem]:
    """A name that nearly is one the kernel has."""
    if better := nearest_sysctl(name, words):
        yield Problem(path, f"{name!r} is no sysctl. Did you mean {better!r}?")


def nearest_sysctl(name: str, words: Sequence[str]) -> str:
    """The sysctl that is most like a name with the parts ``words``; empty where it is one itself, or like none."""
    plain = ("default" if at == 3 and words[2] in ("conf", "neigh") else each for at, each in enumerate(words))
    *above, leaf = plain
    known = _known().get("/".join(above), frozenset())
    near = nearest(leaf, known, 0.8) if leaf not in known else None
    if not near:
        return ""
    separator = "/" if "/" in name else "."
    return name.removesuffix(leaf) + near if name.endswith(separator + leaf) else near


@cache
def _known() -> dict[str, frozenset[str]]:
    """The sysctls of Linux 6.18 by directory; those of links below ``default``."""
    found: dict[str, set[str]] = {}
    for line in Path(__file__).with_name("sysctls.txt").read_text().split():
        directory, _, leaf = line.rpartition("/")
        found.setdefault(directory, set()).add(leaf)
    return {directory: frozenset(leaves) for directory, leaves in found.items()}


def _link(survey: Survey, spot: Spot, path: str, words: Sequence[str]) -> Iterator[Problem]:
    link, known = words[3], survey.links[spot.name]
    rest = ".".join(words[3:])
    dotted = next((name for name in known if "." in name and rest.startswith(f"{name}.")), None)
    if dotted and dotted != link:
        better = "/".join((*words[:3], dotted, *rest.removeprefix(f"{dotted}.").split(".")))
        yield Problem(path, f"the dots in {dotted!r} would part it. Did you mean {better!r}?")
    elif link not in _EVERY_LINK and link not in known:
        hint = did_you_mean(link, [*known, *_EVERY_LINK])
        message = f"unknown link {link!r} in {spot.name!r}{hint}"
        yield Problem(path, message, survey.names_at(spot.name, link))


def _value(path: str, value: str | int) -> Iterator[Problem]:
    text = str(value)
    if text.lower() in _SWITCHES:
        yield Problem(path, f"{text!r} is a word; the kernel wants a number. Did you mean {_SWITCHES[text.lower()]}?")
    elif not text.strip() or not text.replace("\t", " ").isprintable():
        yield Problem(path, f"{text!r} is not a value to write into a sysctl")


def firewall(survey: Survey) -> Iterator[Problem]:
    """A firewall line is what follows the command's name, for one family; no shell sees it."""
    for spot in survey.spots.values():
        for command in _OTHER:
            lines = getattr(spot.body, command, ())
            if is_dump(lines):
                yield from _dump(f"{spot.path}.{command}", command, lines)
                continue
            for number, line in enumerate(lines):
                yield from _line(f"{spot.path}.{command}[{number}]", command, line)
        script = spot.body.nft.split() if spot.body else []
        if script[:1] == ["nft"]:
            yield Problem(f"{spot.path}.nft", "this is a script for 'nft -f', which does not begin with 'nft'")


def is_dump(lines: Sequence[str]) -> bool:
    """Whether the lines are what iptables-save writes, for iptables-restore, rather than one command each."""
    return any(line.startswith(("*", ":")) or line.strip() == "COMMIT" for line in lines)


def _dump(path: str, command: str, lines: Sequence[str]) -> Iterator[Problem]:
    """A dump has tables, each with chains and rules, each committed."""
    table = ""
    for number, raw in enumerate(lines):
        line, spot = raw.strip(), f"{path}[{number}]"
        if line.startswith("*"):
            if table:
                yield Problem(spot, f"the table {table!r} before it is not committed; end it with 'COMMIT'")
            table = line[1:]
            if table not in _DUMP_TABLES:
                yield Problem(spot, f"{table!r} is no table of {command}{did_you_mean(table, _DUMP_TABLES)}")
        elif line == "COMMIT":
            table = ""
        elif line and not line.startswith("#"):
            yield from _dump_line(spot, command, line, table)
    if table:
        yield Problem(f"{path}[{len(lines) - 1}]", f"the table {table!r} is not committed; end it with 'COMMIT'")


def _dump_line(path: str, command: str, line: str, table: str) -> Iterator[Problem]:
    if not table:
        yield Problem(path, f"{line!r} is in no table; the lines of a dump begin with one, such as '*filter'")
    elif line.startswith(":"):
        if not _CHAIN.fullmatch(line):
            yield Problem(path, f"{line!r} is not a chain as iptables-save writes it (':FORWARD DROP [0:0]')")
    elif not line.startswith(("-", "[")):
        yield Problem(path, f"{line!r} is not a line of iptables-save (a table, a chain, a rule or COMMIT)")
    else:
        yield from _line(path, command, line)


def _line(path: str, command: str, line: str) -> Iterator[Problem]:
    words = yield from _split(path, line, command, ("iptables", "ip6tables"))
    if words:
        yield from _families(path, command, line, words)


def _split(path: str, line: str, command: str, names: Sequence[str]) -> Generator[Problem, None, Sequence[str]]:
    """The words of one command, none where they are at fault; it does not begin with one of ``names``."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        yield Problem(path, f"{line!r} cannot be split into words: {str(error).lower()}")
        return ()
    if not words:
        yield Problem(path, f"{line!r} is empty; write what follows {command!r} on a command line")
    elif start := _commands_before(words, names):
        yield Problem(path, f"{line!r} begins with a command's name. Did you mean {shlex.join(words[start:])!r}?")
    elif "\n" in line.strip() or SHELL_WORDS.intersection(words):
        yield Problem(path, f"{line!r} is more than one command's words; no shell reads it. Write one rule a line")
    else:
        return words
    return ()


def _commands_before(words: Sequence[str], names: Sequence[str]) -> int:
    """How many leading words name the command itself (``sudo iptables``)."""
    count = 0
    while count < len(words) and words[count].rpartition("/")[2].startswith(("sudo", *names)):
        count += 1
    return count


def _families(path: str, command: str, line: str, words: Sequence[str]) -> Iterator[Problem]:
    other, family = _OTHER[command]
    for word in words:
        found = prefix(word) or ip(word)
        if found and found.family == family:
            yield Problem(path, f"{word!r} is IPv{family}. Did you mean to put {line!r} under {other!r}?")
            return


def traffic_control(survey: Survey) -> Iterator[Problem]:
    """A line of tc(8) is what follows its name, and names a link that is there."""
    for spot in survey.spots.values():
        for number, line in enumerate(spot.body.tc if spot.body else ()):
            path = f"{spot.path}.tc[{number}]"
            words = yield from _split(path, line, "tc", ("tc",))
            if words and words[0] not in _TC_OBJECTS:
                yield Problem(path, f"{words[0]!r} is nothing that tc(8) changes{did_you_mean(words[0], _TC_OBJECTS)}")
            for word, name in pairwise(words):
                known = [*survey.links[spot.name], "lo"]
                if word == "dev" and name not in known:
                    message = f"unknown link {name!r} in {spot.name!r}{did_you_mean(name, known)}"
                    yield Problem(path, message, survey.names_at(spot.name, name))


def setup(survey: Survey) -> Iterator[Problem]:
    """A command of the set-up has words; no shell reads it."""
    for spot in survey.spots.values():
        for number, command in enumerate(spot.body.setup if spot.body else ()):
            path = f"{spot.path}.setup[{number}]"
            if not isinstance(command, str):
                if not command:
                    yield Problem(path, "is a command without words")
                continue
            _, why = words_of(command)
            if why:
                yield Problem(path, why)


RULES = (sysctls, firewall, traffic_control, setup)
