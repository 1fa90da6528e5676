"""Routes, rules and what else ip(8) makes, in its own words: for pictures, plans and scripts."""

from __future__ import annotations

from cnitest.topology.model import FdbEntry, Neighbour, NextHop, Route, Rule
from cnitest.topology.words.phrase import flags, pairs
from cnitest.topology.words.symbols import TABLES

_ROUTE_WORDS = {"src": "source", "table": "table", "metric": "metric", "proto": "protocol", "scope": "scope"}


def route_words(route: Route) -> str:
    """A route as ``ip route add`` takes it, without the family."""
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    tos = f" tos 0x{route.tos:x}" if isinstance(route.tos, int) and route.tos else ""
    words = {word: getattr(route, name) for word, name in _ROUTE_WORDS.items()} | {"table": _table(route.table)}
    metrics = {name: getattr(route, name) for name in (*Route.METRICS, "congctl")}
    way = "" if route.nexthops else _way(route)
    several = "".join(f" nexthop{_way(each)} weight {each.weight}" for each in route.nexthops)
    return kind + route.to + tos + way + pairs(words) + pairs(metrics) + several


def is_ipv6(route: Route) -> bool:
    """Whether a route is one of IPv6."""
    gateways = (route.via, *(each.via for each in route.nexthops))
    texts = [route.to, route.source or "", *(each for each in gateways if each and not each.startswith("inet"))]
    return route.family == 6 or any(":" in each for each in texts)


def _way(way: Route | NextHop) -> str:
    return pairs({"via": way.via, "dev": way.link}) + (" onlink" if way.onlink else "")


def rule_words(rule: Rule) -> str:
    """A policy rule as ``ip rule add`` takes it, without the family."""
    tos = f"0x{rule.tos:x}" if isinstance(rule.tos, int) and rule.tos else None
    words = {
        "from": rule.source or "all",
        "to": rule.to,
        "tos": tos,
        "fwmark": rule.mark,
        "iif": rule.iif,
        "oif": rule.oif,
        "uidrange": _range(rule.uidrange),
        "ipproto": rule.ipproto,
        "sport": rule.sport,
        "dport": rule.dport,
        "tun_id": rule.tun_id,
        "table": _table(rule.table),
        "goto": rule.goto,
        "suppress_prefixlength": rule.suppress_prefixlength,
        "suppress_ifgroup": rule.suppress_ifgroup,
        "protocol": rule.protocol,
        "priority": rule.priority,
    }
    kind = "" if rule.kind == "unicast" else f" {rule.kind}"
    return ("not" if rule.inverted else "") + pairs(words) + (" l3mdev" if rule.l3mdev else "") + kind


def is_ipv6_rule(rule: Rule) -> bool:
    """Whether a policy rule is one of IPv6."""
    return rule.family == 6 or ":" in f"{rule.source or ''}{rule.to or ''}"


def _table(table: int | str | None) -> int | str | None:
    """A table by the name that it always has, or its number."""
    return next((name for name, value in TABLES.items() if value == table), table)


def _range(value: int | str | None) -> str | None:
    """A range of users, which ip(8) wants with both ends."""
    return f"{value}-{value}" if value is not None and "-" not in str(value) else value if value is None else str(value)


def neighbour_words(entry: Neighbour) -> str:
    """A static neighbour as ``ip neigh add`` takes it."""
    words = [entry.to, *flags(proxy=entry.proxy), *([f"lladdr {entry.mac}"] if entry.mac else [])]
    words += [f"dev {entry.link}", *([] if entry.proxy else [f"nud {entry.nud}"]), *flags(router=entry.router)]
    return " ".join(words)


def fdb_words(entry: FdbEntry) -> str:
    """A forwarding entry as ``bridge fdb append`` takes it."""
    where = {"dst": entry.dst, "vlan": entry.vlan, "vni": entry.vni, "port": entry.port}
    own = entry.own or not entry.bridged
    words = [*flags(self=own, master=entry.bridged, sticky=entry.sticky), entry.state]
    return f"{entry.mac} dev {entry.link}{pairs(where)} {' '.join(words)}"
