"""Rules about routes and policy rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from cnitest.topology.address import Prefix, expected_prefix, ip, prefix, suggest_prefix
from cnitest.topology.check_names import link_name_fault
from cnitest.topology.model import Route, Rule
from cnitest.topology.problem import Problem, did_you_mean
from cnitest.topology.survey import Spot, Survey

_TABLES = range(1, 1 << 32)
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
    """The family a route belongs to by its target, gateway, source or word; None while nothing tells it."""
    texts = (None if route.to == "default" else route.to, route.via, route.source)
    told = next((found.family for text in texts if text and (found := prefix(text) or ip(text))), None)
    return told or route.family


def values(survey: Survey) -> Iterator[Problem]:
    """Each value of a route is one by itself."""
    for _, path, route in _routes(survey):
        if route.to != "default" and (fault := network_fault(route.to, ["default"])):
            yield Problem(f"{path}.to", fault)
        yield from _bare(f"{path}.via", route.via)
        yield from _bare(f"{path}.source", route.source)
        yield from _ranges(
            path, {"table": (route.table, _TABLES), "metric": (route.metric, _U32), "mtu": (route.mtu, _MTU)}
        )


def _bare(path: str, text: str | None) -> Iterator[Problem]:
    if text is not None and not ip(text):
        found = prefix(text)
        hint = f". Did you mean '{found.address}'?" if found else ""
        yield Problem(path, f"{text!r} is not an address (without prefix){hint}")


def _ranges(path: str, values: dict[str, tuple[int | None, range]]) -> Iterator[Problem]:
    for name, (value, allowed) in values.items():
        if value is not None and value not in allowed:
            yield Problem(f"{path}.{name}", f"{value} is out of range ({allowed.start}-{allowed.stop - 1})")


def shape(survey: Survey) -> Iterator[Problem]:
    """A route leads somewhere, in one family that its words tell."""
    for _, path, route in _routes(survey):
        yield from _direction(path, route)
        yield from _family(path, route)


def _direction(path: str, route: Route) -> Iterator[Problem]:
    needs = tuple(f"{path}.{name}" for name in ("kind", "via", "link"))
    if route.kind == "unicast" and not (route.via or route.link):
        yield Problem(path, "leads nowhere; say 'via' (a gateway) or 'link'", needs)
    if route.kind != "unicast" and (route.via or route.link):
        yield Problem(f"{path}.kind", f"{route.kind!r} takes neither 'via' nor 'link'", needs)


def _family(path: str, route: Route) -> Iterator[Problem]:
    family, needs = family_of(route), tuple(f"{path}.{name}" for name in ("to", "via", "source", "family"))
    if family is None:
        yield Problem(path, "a default route without a gateway needs 'family: 4' or 'family: 6'", needs)
    for name in ("via", "source"):
        text = getattr(route, name)
        found = ip(text) if text else None
        if found and found.family != family:
            yield Problem(f"{path}.{name}", f"{text!r} is IPv{found.family} while {route.to!r} is IPv{family}", needs)
    if route.family and route.family != family:
        yield Problem(f"{path}.family", f"{route.family} contradicts the route's addresses (IPv{family})", needs)


def links(survey: Survey) -> Iterator[Problem]:
    """A route's link is one of its place, and up."""
    for spot, path, route in _routes(survey):
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
    for spot, path, route in _routes(survey):
        via = ip(route.via) if route.via else None
        if via and survey.links[spot.name]:
            yield from _gateway(survey, spot, f"{path}.via", route, via)


def _gateway(survey: Survey, spot: Spot, path: str, route: Route, via: Prefix) -> Iterator[Problem]:
    mine = next((own for own in survey.owned_by_place[spot.name] if own.prefix[:2] == via[:2]), None)
    if mine:
        yield Problem(path, f"{route.via!r} is the place's own address: {mine.path}", needs=(mine.path,))
    elif via.is_link_local:
        if not route.link:
            needs = (f"{path.removesuffix('via')}link",)
            yield Problem(path, f"{route.via!r} is link-local; say which 'link' it is on", needs)
    elif not any(near.covers(via) for near in _near(survey, spot, route)):
        yield _out_of_reach(survey, spot, path, route, via)


def _out_of_reach(survey: Survey, spot: Spot, path: str, route: Route, via: Prefix) -> Problem:
    where = f"link {route.link!r}" if route.link else f"any link of {spot.name!r}"
    message = f"{route.via!r} is in no subnet of {where}{_offer(survey, spot, route, via)}"
    return Problem(path, message, _address_paths(survey, spot, via))


def _near(survey: Survey, spot: Spot, route: Route) -> Iterator[Prefix]:
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


def _offer(survey: Survey, spot: Spot, route: Route, via: Prefix) -> str:
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
        key = (spot.name, target, route.table or _MAIN, route.metric or 0, nexthop)
        if target and (before := first.setdefault(key, path)) != path:
            message = f"the same target, table and metric as {before}; give one of them a 'metric'"
            needs = (f"{each}.{leaf}" for each in (before, path) for leaf in ("to", "table", "metric", "family"))
            yield Problem(path, message, tuple(needs))


def _target(route: Route) -> Prefix | None:
    family = family_of(route)
    found = prefix(route.to)
    return (_ANY[family] if family else None) if route.to == "default" else found.network if found else None


def policies(survey: Survey) -> Iterator[Problem]:
    """A policy rule has values the kernel takes, one family, and is there once."""
    for spot in survey.spots.values():
        first: dict[object, str] = {}
        for number, rule in enumerate(spot.body.rules if spot.body else ()):
            path = f"{spot.path}.rules[{number}]"
            yield from _policy(path, rule)
            if (before := first.setdefault(repr(rule), path)) != path:
                needs = (f"{each}.{item.name}" for each in (before, path) for item in fields(Rule))
                yield Problem(path, f"the same rule as {before}", tuple(needs))


def _policy(path: str, rule: Rule) -> Iterator[Problem]:
    yield from _ranges(
        path, {"table": (rule.table, _TABLES), "priority": (rule.priority, _U32), "mark": (rule.mark, _U32)}
    )
    for name in ("source", "to"):
        text = getattr(rule, name)
        if text is not None and (fault := network_fault(text)):
            yield Problem(f"{path}.{name}", fault)
    for name in ("iif", "oif"):
        text = getattr(rule, name)
        if text is not None and text != "lo" and (fault := link_name_fault(text)):
            yield Problem(f"{path}.{name}", fault)
    yield from _policy_family(path, rule)


def _policy_family(path: str, rule: Rule) -> Iterator[Problem]:
    told = {name: found.family for name in ("source", "to") if (found := prefix(getattr(rule, name) or ""))}
    families = {*told.values(), *([rule.family] if rule.family else [])}
    if len(families) > 1:
        yield Problem(
            path,
            "mixes IPv4 and IPv6; write one rule for each",
            needs=tuple(f"{path}.{name}" for name in ("source", "to", "family")),
        )


def _routes(survey: Survey) -> Iterator[tuple[Spot, str, Route]]:
    for spot in survey.spots.values():
        for number, route in enumerate(spot.body.routes if spot.body else ()):
            yield spot, f"{spot.path}.routes[{number}]", route


RULES = (values, shape, links, gateways, sources, unique, policies)
