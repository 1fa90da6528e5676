"""A topology as a picture in characters: hosts around sandboxes and bridges, switches, and the wires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cnitest.topology.model import Topology
from cnitest.topology.picture.boxes import Box, Wire, fold, in_rows, stack
from cnitest.topology.picture.describe import Words
from cnitest.topology.survey import Item, Survey

WIDTH = 100
_FRAME = 4
_COLUMN = 44
_LONGEST_TITLE = 60


def draw(
    topology: Topology, *, failed: tuple[str, str] | None = None, extra: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The picture of ``topology``, of lines of at most 100 columns without trailing blanks.

    ``failed`` names two places (``node/ns01``) between which traffic failed: both are marked, and a last
    line says so. ``extra`` adds lines to places, such as the links that a plugin made; a place that is not
    declared is drawn too.
    """
    picture = _Picture(Survey(topology), failed or (), extra or {})
    title = f"{topology.name}: {topology.about}" if topology.about else topology.name
    lines = [*_folded([title], WIDTH), *picture.lines()]
    if failed:
        lines += _folded(["", f"{failed[0]} ✗→ {failed[1]}"], WIDTH)
    return "\n".join(line.rstrip() for line in lines)


class _Picture:
    """The boxes of one topology, from the inside out."""

    def __init__(self, survey: Survey, failed: Sequence[str], extra: Mapping[str, Sequence[str]]) -> None:
        self._survey = survey
        self._words = Words(survey)
        self._failed = failed
        self._extra = extra

    def lines(self) -> list[str]:
        """Hosts and switches in layers, joined by their wires."""
        boxes = {box.key: box for box in (*map(self._host, self._hosts()), *self._switches())}
        wires = [wire for pair in self._survey.pairs if len(pair) == 2 and (wire := self._outer_wire(*pair))]
        rows = [row for layer in self._layers(boxes, wires) for row in in_rows(map(boxes.__getitem__, layer), WIDTH)]
        return stack(rows, wires, WIDTH)

    def _hosts(self) -> list[str]:
        undeclared = [name.partition("/")[0] for name in self._extra]
        known = [*self._survey.topology.hosts]
        return [*dict.fromkeys([*known, *(name for name in undeclared if name not in self._survey.topology.switches)])]

    def _switches(self) -> list[Box]:
        return [
            self._box(name, f"{name} (switch)", self._words.switch(name), _COLUMN)
            for name in self._survey.topology.switches
            if name not in self._survey.topology.hosts
        ]

    def _outer_wire(self, one: Item, other: Item) -> Wire | None:
        here, there = self._top(one.place), self._top(other.place)
        return Wire(here, there, self._label(one), self._label(other)) if here != there else None

    def _top(self, place: str) -> str:
        spot = self._survey.spots.get(place)
        return spot.host if spot else place

    def _label(self, end: Item) -> str:
        """What a wire's end is called beside the box that it leaves: nothing for a port nobody named."""
        if not getattr(end.link, "name", None):
            return ""
        inner = end.place.partition("/")[2]
        return _printable(f"{inner}:{end.name}" if inner else end.name)

    def _layers(self, boxes: Iterable[str], wires: Sequence[Wire]) -> list[list[str]]:
        """Plain hosts on top, below them what they are wired to, and so on outwards."""
        waiting = [*boxes]
        layers: list[list[str]] = []
        while waiting:
            layer = self._next_layer(waiting, layers[-1] if layers else [], wires)
            waiting = [name for name in waiting if name not in layer]
            layers.append(layer)
        return layers

    def _next_layer(self, waiting: Sequence[str], above: Sequence[str], wires: Sequence[Wire]) -> list[str]:
        near = {other for wire in wires for one, other in (wire[:2], wire[1::-1]) if one in above}
        wired = [name for name in waiting if name in near]
        return wired or [name for name in waiting if self._role(name) == "host"] or [waiting[0]]

    def _role(self, name: str) -> str:
        host = self._survey.topology.hosts.get(name)
        return host.role if host else "switch" if name in self._survey.topology.switches else "host"

    # Inside a host

    def _host(self, name: str) -> Box:
        role = self._role(name)
        title = name if role in ("host", name) else f"{name} ({role})"
        inner = self._inside(name, WIDTH - _FRAME)
        width = max([_COLUMN, *map(len, inner)])
        own = _folded(self._own_lines(name), width)
        return Box(name, self._title(name, title), (*inner, *own))

    def _own_lines(self, name: str) -> list[str]:
        declared = [*self._words.place(name)] if name in self._survey.spots else []
        return [*declared, *self._extra.get(name, ())]

    def _inside(self, host: str, width: int) -> list[str]:
        sandboxes = {name: self._sandbox(name) for name in self._sandboxes(host)}
        bridges = [item for item in self._survey.links.get(host, {}).values() if item.kind == "bridge"]
        wires = [wire for pair in self._survey.pairs if len(pair) == 2 and (wire := self._inner_wire(host, *pair))]
        rows: list[list[Box]] = []
        for bridge in bridges:
            key = _bridge_key(bridge)
            near = {other for wire in wires for one, other in (wire[:2], wire[1::-1]) if one == key}
            around = in_rows([sandboxes.pop(name) for name in [*sandboxes] if name in near], width)
            half = (len(around) + 1) // 2
            rows += [*around[:half], [self._bridge(bridge)], *around[half:]]
        return stack([*in_rows(sandboxes.values(), width), *rows], wires, width)

    def _sandboxes(self, host: str) -> list[str]:
        declared = [name for name, spot in self._survey.spots.items() if spot.host == host and "/" in name]
        return [*dict.fromkeys([*declared, *(name for name in self._extra if name.startswith(f"{host}/"))])]

    def _sandbox(self, name: str) -> Box:
        return self._box(name, self._title(name, name.partition("/")[2]), self._own_lines(name), _COLUMN)

    def _bridge(self, item: Item) -> Box:
        return self._box(_bridge_key(item), f"{item.name} (bridge)", self._words.bridge(item), _COLUMN)

    def _inner_wire(self, host: str, one: Item, other: Item) -> Wire | None:
        if {self._top(one.place), self._top(other.place)} != {host}:
            return None
        here, there = self._inner_key(one), self._inner_key(other)
        return Wire(here, there, _printable(one.name), _printable(other.name)) if here != there else None

    def _inner_key(self, end: Item) -> str:
        bridge = self._survey.bridge_of(end)
        return _bridge_key(bridge) if bridge and "/" not in end.place else end.place

    def _box(self, key: str, title: str, lines: Iterable[str], width: int) -> Box:
        return Box(key, _short(title), tuple(_folded(lines, width)))

    def _title(self, name: str, title: str) -> str:
        marked = any(place in (name, name.partition("/")[2] or name) for place in self._failed)
        return f"✗ {_short(title)}" if marked else _short(title)


def _bridge_key(item: Item) -> str:
    return f"{item.place}:{item.name}"


def _short(title: str) -> str:
    clean = _printable(title)
    return clean if len(clean) <= _LONGEST_TITLE else f"{clean[: _LONGEST_TITLE - 1]}…"


def _folded(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in fold(_printable(line), width)]


def _printable(text: str) -> str:
    """``text`` with each character that would disturb the picture replaced."""
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)
