"""Rules about sysctls and firewall lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from cnitest.topology.address import ip, prefix
from cnitest.topology.problem import Problem, child, did_you_mean
from cnitest.topology.survey import Spot, Survey

_SHELL_WORDS = {";", "|", "||", "&", "&&", ">", ">>", "<", "2>&1"}
_SWITCHES = {"true": 1, "yes": 1, "on": 1, "false": 0, "no": 0, "off": 0}
_OTHER = {"iptables": ("ip6tables", 6), "ip6tables": ("iptables", 4)}
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


def parts(name: str) -> tuple[str, ...]:
    """A sysctl's name in its parts; where it is written with slashes, dots belong to a link's name."""
    return tuple(name.split("/" if "/" in name else "."))


def _name(survey: Survey, spot: Spot, path: str, name: str) -> Iterator[Problem]:
    words = parts(name)
    if words[0] != "net":
        hint = (
            f". Did you mean {f'net.{name}'!r}?" if words[0] in ("ipv4", "ipv6", "core", "bridge", "netfilter") else ""
        )
        yield Problem(path, f"{name!r} would change the real machine; a place has its own only below 'net.'{hint}")
    elif len(words) < 3 or not all(words) or ".." in words or not name.isprintable() or " " in name:
        yield Problem(path, f"{name!r} is not the name of a sysctl (such as 'net.ipv4.ip_forward')")
    elif words[2:3] in (("conf",), ("neigh",)) and len(words) > 3:
        yield from _link(survey, spot, path, words)


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
            for number, line in enumerate(getattr(spot.body, command, ())):
                yield from _line(f"{spot.path}.{command}[{number}]", command, line)
        script = spot.body.nft.split() if spot.body else []
        if script[:1] == ["nft"]:
            yield Problem(f"{spot.path}.nft", "this is a script for 'nft -f', which does not begin with 'nft'")


def _line(path: str, command: str, line: str) -> Iterator[Problem]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        yield Problem(path, f"{line!r} cannot be split into words: {str(error).lower()}")
        return
    if not words:
        yield Problem(path, f"{line!r} is empty; write what follows {command!r} on a command line")
    elif start := _commands_before(words):
        yield Problem(path, f"{line!r} begins with a command's name. Did you mean {shlex.join(words[start:])!r}?")
    elif "\n" in line.strip() or _SHELL_WORDS.intersection(words):
        yield Problem(path, f"{line!r} is more than one command's words; no shell reads it. Write one rule a line")
    else:
        yield from _families(path, command, line, words)


def _commands_before(words: Sequence[str]) -> int:
    """How many leading words name the command itself (``sudo iptables``)."""
    count = 0
    while count < len(words) and words[count].rpartition("/")[2].startswith(("sudo", "iptables", "ip6tables")):
        count += 1
    return count


def _families(path: str, command: str, line: str, words: Sequence[str]) -> Iterator[Problem]:
    other, family = _OTHER[command]
    for word in words:
        found = prefix(word) or ip(word)
        if found and found.family == family:
            yield Problem(path, f"{word!r} is IPv{family}. Did you mean to put {line!r} under {other!r}?")
            return


RULES = (sysctls, firewall)
