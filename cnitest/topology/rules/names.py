"""Rules about what places and links are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from cnitest.topology.model import Switch
from cnitest.topology.problem import Problem, child
from cnitest.topology.survey import Item, Survey
from cnitest.typos import did_you_mean

_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Blanks, control characters, and what separates names. The kernel classifies bytes as Latin-1, where A0 is a blank too.
_REJECTED_BYTES = frozenset(b" \xa0/:%\x7f").union(range(0x20))
_REJECTED_WORDS = {
    "lo": "every place has its loopback; give it addresses with 'loopback'",
    ".": "the kernel refuses it",
    "..": "the kernel refuses it",
    "all": "the kernel keeps it for net.ipv4.conf.all",
    "default": "the kernel keeps it for net.ipv4.conf.default",
}
LONGEST_LINK_NAME = 15
_LONGEST_HOST = 63
_LONGEST_SANDBOX = 255


def someone_is_there(survey: Survey) -> Iterator[Problem]:
    """A topology has a name and at least one host."""
    topology = survey.topology
    if not topology.name.strip() or "\n" in topology.name:
        yield Problem("name", f"{topology.name!r} is not a name (some text on one line)")
    if not topology.hosts:
        yield Problem("hosts", "a topology needs at least one host", needs=("hosts",))


def place_names(survey: Survey) -> Iterator[Problem]:
    """Hosts, sandboxes and switches are called what a path and a shell can carry."""
    topology = survey.topology
    for name, host in topology.hosts.items():
        yield from _place_name(child("hosts", name), name, "host", _LONGEST_HOST)
        inside = child("hosts", name) + ".sandboxes"
        for inner in host.sandboxes:
            yield from _place_name(child(inside, inner), inner, "sandbox", _LONGEST_SANDBOX)
    for name in topology.switches:
        yield from _place_name(child("switches", name), name, "switch", _LONGEST_HOST)
        if name in topology.hosts:
            yield Problem(child("switches", name), f"{name!r} is a host already; hosts and switches share their names")


def _place_name(path: str, name: str, what: str, longest: int) -> Iterator[Problem]:
    if not _PLACE.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
        hint = f". Did you mean {better!r}?" if better else ""
        rule = "letters, digits, '.', '_', '-', starting with a letter or digit"
        yield Problem(path, f"{name!r} cannot name a {what} ({rule}){hint}")
    if len(name.encode(errors="replace")) > longest:
        yield Problem(path, f"{name!r} is {len(name)} bytes long; the name of a {what} has at most {longest}")


def link_names(survey: Survey) -> Iterator[Problem]:
    """A link's name is one that the kernel takes, and each place has it once."""
    for item in survey.items:
        path = f"{item.path}.name" if item.kind == "veth" else item.path
        if item.name and (fault := link_name_fault(item.name)):
            yield Problem(path, fault)
        elif not item.name and item.kind != "veth":
            yield Problem(path, "'' is not a link's name")


def link_name_fault(name: str) -> str | None:
    """Why the kernel, or this language, refuses ``name`` for a link; None when it does not."""
    raw = name.encode(errors="replace")
    if name in _REJECTED_WORDS:
        return f"{name!r} cannot name a link: {_REJECTED_WORDS[name]}"
    if len(raw) > LONGEST_LINK_NAME:
        hint = f". Did you mean {raw[:LONGEST_LINK_NAME].decode(errors='ignore')!r}?"
        return f"{name!r} is {len(raw)} bytes long; a link's name has 1 to {LONGEST_LINK_NAME}{hint}"
    if not _REJECTED_BYTES.isdisjoint(raw):
        bad = next(filter(_is_rejected, name))
        better = "".join("-" if _is_rejected(each) else each for each in name).strip("-")
        hint = f". Did you mean {better!r}?" if better and not link_name_fault(better) else ""
        return f"{name!r} cannot name a link: it holds {bad!r}{hint}"
    return None


def _is_rejected(character: str) -> bool:
    return not _REJECTED_BYTES.isdisjoint(character.encode(errors="replace"))


def unique_links(survey: Survey) -> Iterator[Problem]:
    """No place has two links of one name."""
    first: dict[tuple[str, str], Item] = {
        (name, Switch.BRIDGE): Item(name, Switch.BRIDGE, "bridge", survey.links[name][Switch.BRIDGE].link, path)
        for name, path in ((name, child("switches", name)) for name in survey.topology.switches)
    }
    for item in survey.items:
        holder = first.setdefault(item.key, item) if item.name else item
        if holder is not item and not _same_end_twice(holder, item):
            path = f"{item.path}.name" if item.kind == "veth" else item.path
            yield Problem(
                path, f"{item.place!r} already has a link {item.name!r}: {holder.path}{_remedy(survey, item)}"
            )


def _same_end_twice(holder: Item, item: Item) -> bool:
    """Whether the two are ends of one veth, which has a message of its own."""
    return holder.path.partition(".")[0] == item.path.partition(".")[0] and item.kind == holder.kind == "veth"


def _remedy(survey: Survey, item: Item) -> str:
    if survey.is_switch(item.place) and item.name == Switch.BRIDGE:
        return f" ({Switch.BRIDGE!r} is the switch's bridge)"
    return ""


def ends(survey: Survey) -> Iterator[Problem]:
    """A veth has two different ends, each in a known place and, outside a switch, with a name."""
    for number, pair in enumerate(survey.pairs):
        if len(pair) != 2:
            yield Problem(f"veths[{number}].ends", f"a veth has two ends, not {len(pair)}")
        elif pair[0].name and pair[0].key == pair[1].key:
            yield Problem(f"veths[{number}].ends[1]", f"both ends are {pair[0].name!r} at {pair[0].place!r}")
        yield from chain.from_iterable(_end(survey, end) for end in pair)


def _end(survey: Survey, end: Item) -> Iterator[Problem]:
    if end.place not in survey.spots:
        hint = _place_hint(survey, end.place)
        yield Problem(f"{end.path}.at", f"unknown place {end.place!r}{hint}", needs=survey.place_names(end.place))
    elif not end.name and not survey.is_switch(end.place):
        yield Problem(f"{end.path}.name", f"the end at {end.place!r} needs a name; only at a switch it can be left out")


def _place_hint(survey: Survey, name: str) -> str:
    inside = [known for known in survey.spots if known.endswith(f"/{name}")]
    if inside:
        return f". Did you mean {inside[0]!r}?"
    return did_you_mean(name, survey.spots)


RULES = (someone_is_there, place_names, link_names, ends, unique_links)
