"""Circles of imports: modules that import each other, directly or by way of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cnitest.suites.selftest.unit.sources import Source, imports

Graph = Mapping[str, Iterable[str]]


def graph(sources: list[Source], *, typed: bool = False) -> dict[str, set[str]]:
    """Which module imports which, at once or later; those for type checkers alone only where ``typed``."""
    modules = {source.module for source in sources}
    return {source.module: set(_imported_modules(source, modules, typed)) for source in sources}


def _imported_modules(source: Source, modules: set[str], typed: bool) -> Iterator[str]:
    for each in imports(source, typed=typed):
        found = each.name if each.name in modules else each.name.rpartition(".")[0]
        if found in modules and found != source.module:
            yield found


def circles(graph: Graph) -> list[list[str]]:
    """Each circle as the shortest way from one of its modules back to it, the module of the first name first.

    Of modules that are all in each other's circles one circle is given.
    """
    found, seen = [], set[str]()
    for module in sorted(graph):
        if module not in seen and (way := _way_back(graph, module)):
            found.append(way)
            seen |= knot(graph, module)
    return found


def knot(graph: Graph, module: str) -> set[str]:
    """All modules that can be reached from one and from which it can be reached."""
    return {other for other in _reached(graph, module) if module in _reached(graph, other)}


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        fresh = set(graph.get(left.pop(), ())) - found
        found |= fresh
        left += fresh
    return found


def _way_back(graph: Graph, start: str) -> list[str]:
    """The shortest way from a module back to it; empty when there is none."""
    ways: list[list[str]] = [[start]]
    seen: set[str] = set()
    for way in ways:
        for following in sorted(graph.get(way[-1], ())):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
