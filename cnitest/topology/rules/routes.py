"""Rules about routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnitest.topology.model import NextHop, Route
from cnitest.topology.problem import Problem
from cnitest.topology.survey import Spot, Survey
from cnitest.topology.words.address import Prefix, expected_prefix, ip, prefix, suggest_prefix
from cnitest.topology.words.symbols import PROTOCOLS, SCOPES, SERVICES, TABLES, gateway_of, metric_of
from cnitest.typos import did_you_mean

_TABLES = range(1, 1 << 32)
_BYTE = range(256)
_WEIGHTS = range(1, 257)
_NOWHERE = ("blackhole", "unreachable", "prohibit", "throw")
_U32 = range(1 << 32)
_MTU = range(68, 65536)
_MAIN = 254
_ANY = {4: Prefix(4, 0, 0), 6: Prefix(6, 0, 0)}


def network_fault(text: str, words: Sequence[str] = ()) -> str | None:
    """Why ``text`` is not a prefix to route by, or None when it is; ``words`` are those allowed instead."""
    found = prefix(text)
    if found is None:
        hint = suggest_prefix(text, host=False) or did_you_mean(text, words)
        return f"{text!r} is not {' or '.join([*map(repr, words), expected_prefix(text)])}{hint}"
    if found.network != found:
        return f"{text!r} has bits beyond its prefix. Did you mean '{found.network}'?"
    return None


def family_of(route: Route) -> int | None:
    """The family a route belongs to by its target, gateway, source or word; None while nothing shows it."""
    gateways = (route.via, *(each.via for each in route.nexthops))
    via = (None if each and each.startswith("inet") else each for each in gateways)
    texts = (None if route.to == "default" else route.to, *via, route.source)
    implied = next((found.family for text in texts if text and (found := prefix(text) or ip(text))), None)
    return implied or route.family


def values(survey: Survey) -> Iterator[Problem]:
    """Each value of a route is one by itself."""
    for _, path, route in _routes(survey):
        if route.to != "default" and (fault := network_fault(route.to, ["default"])):
            yield Problem(f"{path}.to", fault)
        yield from bare(f"{path}.source", route.source)
        for spot, each in ways(path, route):
            yield from bare(f"{spot}.via", gateway_of(each.via))
            if isinstance(each, NextHop):
                yield from ranges(spot, {"weight": (each.weight, _WEIGHTS, None)})
        yield from ranges(
            path,
            {
                "table": (route.table, _TABLES, TABLES),
                "metric": (route.metric, _U32, None),
                "protocol": (route.protocol, _BYTE, PROTOCOLS),
                "scope": (route.scope, _BYTE, SCOPES),
                "tos": (route.tos, _BYTE, SERVICES),
            },
        )
        yield from _metrics(path, route)


def ways(path: str, route: Route) -> Iterator[tuple[str, Route | NextHop]]:
    """What a route leads through, with the paths: itself, or each of its next hops."""
    if not route.nexthops:
        yield path, route
    for number, each in enumerate(route.nexthops):
        yield f"{path}.nexthops[{number}]", each


def _metrics(path: str, route: Route) -> Iterator[Problem]:
    for name in Route.METRICS:
        value = getattr(route, name)
        allowed = _MTU if name == "mtu" else _U32
        found = metric_of(value) if value is not None else (allowed.start, False)
        if found is None:
            yield Problem(f"{path}.{name}", f"{value!r} is not a number, nor 'lock' and a number")
        elif found[0] not in allowed:
            yield Problem(f"{path}.{name}", f"{found[0]} is out of range ({allowed.start}-{allowed.stop - 1})")


def bare(path: str, text: str | None) -> Iterator[Problem]:
    """A text is an address without prefix."""
    if text is not None and not ip(text):
        found = prefix(text)
        hint = f". Did you mean '{found.address}'?" if found else ""
        yield Problem(path, f"{text!r} is not an address (without prefix){hint}")


def ranges(
    path: str, values: Mapping[str, tuple[int | str | None, range, Mapping[str, int] | None]]
) -> Iterator[Problem]:
    """Each value is a number of its range; a text is a name that is not known."""
    for name, (value, allowed, names) in values.items():
        if isinstance(value, str):
            said = f"a number or one of {', '.join(names)}" if names else "a number"
            bare = value.strip().lstrip("0")
            hint = f". Did you mean {bare}?" if bare.isdecimal() else did_you_mean(value, names or ())
            yield Problem(f"{path}.{name}", f"{value!r} is not {said}{hint}")
        elif value is not None and value not in allowed:
            yield Problem(f"{path}.{name}", f"{value} is out of range ({allowed.start}-{allowed.stop - 1})")


def shape(survey: Survey) -> Iterator[Problem]:
    """A route leads somewhere, in the one family of its words."""
    for _, path, route in _routes(survey):
        yield from _direction(path, route)
        yield from _family(path, route)


def _direction(path: str, route: Route) -> Iterator[Problem]:
    needs = tuple(f"{path}.{name}" for name in ("kind", "via", "link", "nexthops"))
    if route.nexthops and (route.via or route.link):
        yield Problem(f"{path}.nexthops", "a route has either next hops or its own 'via' and 'link'", needs)
    for spot, each in ways(path, route):
        leads = bool(each.via or each.link)
        if route.kind not in _NOWHERE and not leads:
            yield Problem(spot, "leads nowhere; say 'via' (a gateway) or 'link'", needs)
        if route.kind in _NOWHERE and leads:
            yield Problem(f"{path}.kind", f"{route.kind!r} takes neither 'via' nor 'link'", needs)
        if each.onlink and not (each.via and each.link):
            yield Problem(f"{spot}.onlink", "needs both 'via' and 'link'", needs)


def _family(path: str, route: Route) -> Iterator[Problem]:
    family, needs = family_of(route), tuple(f"{path}.{name}" for name in ("to", "via", "source", "family", "nexthops"))
    if family is None:
        yield Problem(path, "a default route without a gateway needs 'family: 4' or 'family: 6'", needs)
    texts = [(f"{path}.source", route.source), *((f"{spot}.via", each.via) for spot, each in ways(path, route))]
    for spot, text in texts:
        found = ip(text) if text else None
        if found and found.family != family:
            yield Problem(spot, f"{text!r} is IPv{found.family} while {route.to!r} is IPv{family}", needs)
    if route.family and route.family != family:
        yield Problem(f"{path}.family", f"{route.family} contradicts the route's addresses (IPv{family})", needs)


def links(survey: Survey) -> Iterator[Problem]:
    """A route's link is one of its place, and up."""
    for spot, path, route in _ways(survey):
        found = survey.links[spot.name].get(route.link or "")
        if route.link not in (None, "lo") and found is None:
            yield _unknown_link(survey, spot, path, str(route.link))
        elif found and found.link.state == "down":
            yield Problem(
                f"{path}.link",
                f"{route.link!r} is down ({found.path}.state); the kernel refuses the route",
                needs=(f"{found.path}.state",),
            )


def _unknown_link(survey: Survey, spot: Spot, path: str, name: str) -> Problem:
    known = [*survey.links[spot.name], "lo"]
    needs = survey.names_at(spot.name, name)
    if known == ["lo"]:
        message = f"{spot.name!r} declares no link {name!r}; a plugin's link gets its routes there"
        return Problem(f"{path}.link", message, needs)
    return Problem(f"{path}.link", f"unknown link {name!r} in {spot.name!r}{did_you_mean(name, known)}", needs)


def gateways(survey: Survey) -> Iterator[Problem]:
    """A gateway is on a link's own subnet, or has a route to itself."""
    for spot, path, route in _ways(survey):
        via = ip(gateway_of(route.via) or "")
        if via and survey.links[spot.name]:
            yield from _gateway(survey, spot, f"{path}.via", route, via)


def _gateway(survey: Survey, spot: Spot, path: str, route: Route | NextHop, via: Prefix) -> Iterator[Problem]:
    mine = next((own for own in survey.owned_by_place[spot.name] if own.prefix[:2] == via[:2]), None)
    if mine:
        yield Problem(path, f"{route.via!r} is the place's own address: {mine.path}", needs=(mine.path,))
    elif via.is_link_local:
        if not route.link:
            needs = (f"{path.removesuffix('via')}link",)
            yield Problem(path, f"{route.via!r} is link-local; say which 'link' it is on", needs)
    elif not route.onlink and not any(near.covers(via) for near in _near(survey, spot, route)):
        yield _out_of_reach(survey, spot, path, route, via)


def _out_of_reach(survey: Survey, spot: Spot, path: str, route: Route | NextHop, via: Prefix) -> Problem:
    where = f"link {route.link!r}" if route.link else f"any link of {spot.name!r}"
    message = f"{route.via!r} is in no subnet of {where}{_offer(survey, spot, route, via)}"
    return Problem(path, message, _address_paths(survey, spot, via))


def _near(survey: Survey, spot: Spot, route: Route | NextHop) -> Iterator[Prefix]:
    """The prefixes reached without a gateway, over the route's link or, without one, over any."""
    for own in survey.owned_by_place[spot.name]:
        if own.item.link.state == "up" and route.link in (None, own.item.name):
            yield own.prefix
    for other in spot.body.routes if spot.body else ():
        target = _target(other)
        if target and not other.via and route.link in (None, other.link) and _is_up(survey, spot, other.link):
            yield target


def _is_up(survey: Survey, spot: Spot, link: str | None) -> bool:
    found = survey.links[spot.name].get(link or "")
    return link == "lo" or (found is not None and found.link.state == "up")


def _offer(survey: Survey, spot: Spot, route: Route | NextHop, via: Prefix) -> str:
    reached = [each for each in _near(survey, spot, route) if each.family == via.family and not each.is_single]
    near = ", ".join(sorted({str(each.network) for each in reached}))
    start = f"There is {near};" if near else f"Give a link an IPv{via.family} address there,"
    return f". {start} or add a route to '{via}' with 'link' only"


def _address_paths(survey: Survey, spot: Spot, via: Prefix) -> tuple[str, ...]:
    """The paths that decide what a place reaches without a gateway, as far as ``via`` is concerned."""
    lists = [(f"{item.path}.addresses", len(item.link.addresses)) for item in survey.links[spot.name].values()]
    single = (f"{path}[{at}]" for path, count in lists for at in range(count))
    return (
        *survey.names_at(spot.name, ""),
        *(path for path, _ in lists),
        *single,
        *_lost_ends(survey, via),
        *_direct_routes(spot, via),
    )


def _lost_ends(survey: Survey, via: Prefix) -> Iterator[str]:
    """The veth ends at no known place whose subnet would hold ``via``."""
    for owned in survey.owned:
        if owned.item.place not in survey.spots and owned.prefix.covers(via):
            yield f"{owned.item.path}.at"


def _direct_routes(spot: Spot, via: Prefix) -> Iterator[str]:
    """What decides whether a route without a gateway leads to ``via``."""
    for number, route in enumerate(spot.body.routes if spot.body else ()):
        if not route.via:
            target = _target(route)
            leaves = ("to", "via", "link") if target is None or target.covers(via) else ("to", "via")
            yield from (f"{spot.path}.routes[{number}].{leaf}" for leaf in leaves)


def sources(survey: Survey) -> Iterator[Problem]:
    """A route's source is an address of its place."""
    for spot, path, route in _routes(survey):
        source = ip(route.source) if route.source else None
        owned = survey.owned_by_place[spot.name]
        if source and survey.links[spot.name] and not any(own.prefix[:2] == source[:2] for own in owned):
            hint = did_you_mean(source.address, [own.prefix.address for own in owned])
            yield Problem(
                f"{path}.source",
                f"{route.source!r} is no address of {spot.name!r}{hint}",
                _address_paths(survey, spot, source),
            )


def unique(survey: Survey) -> Iterator[Problem]:
    """A place has a route once by target, table and metric; an IPv6 one may have several next hops."""
    first: dict[object, str] = {}
    for spot, path, route in _routes(survey):
        target = _target(route)
        nexthop = (route.via, route.link) if target and target.family == 6 else ()
        key = (
            spot.name,
            target,
            route.table or _MAIN,
            route.metric or 0,
            route.tos or 0,
            route.kind == "local",
            nexthop,
        )
        if target and (before := first.setdefault(key, path)) != path:
            message = f"the same target, table and metric as {before}; give one of them a 'metric'"
            needs = (f"{each}.{leaf}" for each in (before, path) for leaf in ("to", "table", "metric", "family"))
            yield Problem(path, message, tuple(needs))


def _target(route: Route) -> Prefix | None:
    family = family_of(route)
    found = prefix(route.to)
    return (_ANY[family] if family else None) if route.to == "default" else found.network if found else None


def _routes(survey: Survey) -> Iterator[tuple[Spot, str, Route]]:
    for spot in survey.spots.values():
        for number, route in enumerate(spot.body.routes if spot.body else ()):
            yield spot, f"{spot.path}.routes[{number}]", route


def _ways(survey: Survey) -> Iterator[tuple[Spot, str, Route | NextHop]]:
    for spot, path, route in _routes(survey):
        yield from ((spot, inner, each) for inner, each in ways(path, route))


RULES = (values, shape, links, gateways, sources, unique)
