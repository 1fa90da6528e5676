"""What ip(8) and bridge(8) write on one line, read as the mapping that it stands for: each word keeps its place, so
that a fault in it is reported there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_CORE = "tag:yaml.org,2002:"


class Notation(NamedTuple):
    """How a class of the model is written: words with a value, words that stand alone, and what a bare word is.

    ``aliases`` are other words for a field, known in mappings, too. ``implied`` maps a word that stands alone to
    the field it sets and the value; ``bare`` is the field of a first word that is none of these. ``repeated`` are
    fields whose word opens a part of its own, which goes on to the next such word. ``lead`` are words before
    all of it (``ip rule add``) and ``joined`` the words that some values begin with (``lock 1400``); numbers of the
    fields ``hexadecimal`` are so without ``0x``, a number with a colon in front is that of the field ``numbered``,
    and with ``has_family`` a line without a colon or ``-6`` is one of IPv4.
    """

    aliases: Mapping[str, str]
    words: frozenset[str]
    implied: Mapping[str, tuple[str, str]] = {}
    bare: str = ""
    repeated: frozenset[str] = frozenset()
    lead: tuple[str, ...] = ()
    joined: frozenset[str] = frozenset()
    hexadecimal: frozenset[str] = frozenset()
    numbered: str = ""
    has_family: bool = False

    def field(self, word: str) -> str:
        """The field that a word stands for."""
        return self.aliases.get(word, word)


@dataclass
class Mark:
    """Where a word starts, counted from 0."""

    line: int
    column: int


@dataclass
class Word:
    """A node made of a part of a line; as those of YAML."""

    value: Any
    start_mark: Mark
    tag: str = f"{_CORE}str"
    style: str | None = None
    id: str = "scalar"


@dataclass
class _Reader:
    """Reads the words of one line into pairs of nodes."""

    notation: Notation
    words: list[Word]
    pairs: list[tuple[Word, Word]] = field(default_factory=list)
    parts: dict[str, list[Word]] = field(default_factory=dict)

    def read(self) -> None:
        target, first = self.pairs, True
        while self.words:
            word = self.words.pop(0)
            name = self.notation.field(word.value)
            if name in self.notation.repeated:
                target = []
                self.parts.setdefault(name, []).append(Word(target, word.start_mark, f"{_CORE}map", id="mapping"))
            elif word.value in self.notation.implied:
                known, value = self.notation.implied[word.value]
                target.append(self.pair(word, known, value))
            elif word.value in self.notation.words or not (first and self.notation.bare):
                target.append((word, self._value(word)))
            else:
                target.append(self.pair(word, self.notation.bare, word.value))
            # After a kind, a family or a flag the target is still to come.
            first = first and word.value in self.notation.implied
        for name, found in self.parts.items():
            opened = found[0].start_mark
            self.pairs.append((Word(name, opened), Word(found, opened, f"{_CORE}seq", id="sequence")))

    def pair(self, word: Word, name: str, value: str) -> tuple[Word, Word]:
        """A field with a value that stands where ``word`` does."""
        tag = f"{_CORE}bool" if value == "true" else f"{_CORE}str"
        return Word(name, word.start_mark), Word(value, word.start_mark, tag)

    def _value(self, word: Word) -> Word:
        if not self.words:
            return Word("", word.start_mark, f"{_CORE}null")
        found = self.words.pop(0)
        if found.value in self.notation.joined and self.words:
            found = Word(f"{found.value} {self.words.pop(0).value}", found.start_mark)
        if self.notation.field(word.value) in self.notation.hexadecimal and re.fullmatch("[0-9a-f]+", found.value):
            found = Word(f"0x{found.value}", found.start_mark)
        return found


def read_line(node: Any, notation: Notation) -> Word:
    """The mapping that the text of ``node`` stands for."""
    start = node.start_mark
    shift = 1 if node.style in ("'", '"') else 0
    words = [
        Word(found[0], Mark(start.line, start.column + shift + found.start()))
        for found in re.finditer(r"\S+", node.value)
    ]
    for lead in notation.lead:
        if words and words[0].value == lead:
            words.pop(0)
    reader = _Reader(notation, words)
    if notation.numbered and words and re.fullmatch(r"[0-9]+:", words[0].value):
        number = words.pop(0)
        reader.pairs.append(reader.pair(number, notation.numbered, number.value[:-1]))
    reader.read()
    if notation.has_family and not re.search(r":|(^|\s)-[46]\s", node.value):
        reader.pairs.append(reader.pair(Word("family", Mark(start.line, start.column)), "family", "4"))
    return Word(reader.pairs, Mark(start.line, start.column), f"{_CORE}map", id="mapping")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Of what is written as a mapping only.
NO_NOTATION = Notation({}, frozenset())
RULE = Notation(
    aliases={
        "from": "source",
        "lookup": "table",
        "fwmark": "mark",
        "dev": "iif",
        "dsfield": "tos",
        "not": "inverted",
        "pref": "priority",
        "preference": "priority",
        "order": "priority",
        "sup_pl": "suppress_prefixlength",
        "proto": "protocol",
        "type": "kind",
    },
    words=_words(
        "from to tos dsfield fwmark iif dev oif priority pref preference order table lookup goto sup_pl ipproto sport "
        "dport uidrange suppress_prefixlength suppress_ifgroup tun_id proto protocol type"
    ),
    implied={
        "not": ("inverted", "true"),
        "l3mdev": ("l3mdev", "true"),
        "nop": ("kind", "nop"),
        **{kind: ("kind", kind) for kind in ("blackhole", "unreachable", "prohibit")},
        "-4": ("family", "4"),
        "-6": ("family", "6"),
    },
    lead=("ip", "rule", "add"),
    hexadecimal=frozenset({"tos"}),
    numbered="priority",
)
ROUTE = Notation(
    aliases={
        "dev": "link",
        "src": "source",
        "proto": "protocol",
        "nexthop": "nexthops",
        "dsfield": "tos",
        "type": "kind",
        "priority": "metric",
        "preference": "metric",
    },
    words=frozenset(
        [
            "to",
            "via",
            "dev",
            "src",
            "table",
            "metric",
            "priority",
            "preference",
            "mtu",
            "advmss",
            "window",
            "hoplimit",
            "initcwnd",
            "initrwnd",
            "quickack",
            "congctl",
            "proto",
            "protocol",
            "scope",
            "tos",
            "dsfield",
            "type",
            "weight",
        ]
    ),
    implied={
        "onlink": ("onlink", "true"),
        **{
            kind: ("kind", kind)
            for kind in _words("unicast local broadcast anycast multicast blackhole unreachable prohibit throw")
        },
        "-4": ("family", "4"),
        "-6": ("family", "6"),
    },
    bare="to",
    repeated=frozenset({"nexthops"}),
    lead=("ip", "route", "add"),
    has_family=True,
    joined=frozenset({"lock", "inet", "inet6"}),
    hexadecimal=frozenset({"tos"}),
)
NEXTHOP = Notation(
    aliases={"dev": "link"},
    words=frozenset({"via", "dev", "weight"}),
    implied={"onlink": ("onlink", "true")},
    lead=("nexthop",),
    joined=frozenset({"inet", "inet6"}),
)
NEIGHBOUR = Notation(
    aliases={"dev": "link", "lladdr": "mac"},
    words=frozenset({"to", "dev", "lladdr", "nud"}),
    implied={"proxy": ("proxy", "true"), "router": ("router", "true")},
    bare="to",
    lead=("ip", "neigh", "neighbour", "neighbor", "add"),
)
FDB = Notation(
    aliases={"dev": "link", "lladdr": "mac", "self": "own", "master": "bridged"},
    words=frozenset({"dev", "dst", "vlan", "vni", "port"}),
    implied={"self": ("own", "true"), "master": ("bridged", "true"), "sticky": ("sticky", "true")}
    | {word: ("state", word) for word in ("permanent", "static", "dynamic")}
    | {"local": ("state", "permanent")},
    bare="mac",
    lead=("bridge", "fdb", "add", "append"),
)
PORT_VLAN = Notation(
    aliases={},
    words=frozenset({"vid"}),
    implied={word: (word, "true") for word in ("pvid", "untagged")},
    bare="vid",
    lead=("bridge", "vlan", "add"),
)
