"""Rules about policy rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from cnitest.topology.model import Rule
from cnitest.topology.problem import Problem
from cnitest.topology.rules.names import link_name_fault
from cnitest.topology.rules.routes import network_fault, ranges
from cnitest.topology.survey import Survey
from cnitest.topology.words.address import prefix
from cnitest.topology.words.symbols import IP_PROTOCOLS, PROTOCOLS, SERVICES, TABLES, mark_of, range_of

_TABLES = range(1, 1 << 32)
_U32 = range(1 << 32)
_BYTE = range(256)
_LENGTHS = range(129)
_RANGES = {"sport": 65535, "dport": 65535, "uidrange": (1 << 32) - 1}


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
    yield from _action(path, rule)
    yield from ranges(
        path,
        {
            "table": (rule.table, _TABLES, TABLES),
            "priority": (rule.priority, _U32, None),
            "tos": (rule.tos, _BYTE, SERVICES),
            "ipproto": (rule.ipproto, _BYTE, IP_PROTOCOLS),
            "protocol": (rule.protocol, _BYTE, PROTOCOLS),
            "suppress_prefixlength": (rule.suppress_prefixlength, _LENGTHS, None),
            "suppress_ifgroup": (rule.suppress_ifgroup, _U32, None),
        },
    )
    yield from _selectors(path, rule)
    yield from _policy_family(path, rule)


def _action(path: str, rule: Rule) -> Iterator[Problem]:
    """A rule looks up one table, goes to another rule, or is of a kind."""
    needs = tuple(f"{path}.{name}" for name in ("table", "goto", "kind", "l3mdev"))
    said = [rule.table is not None, rule.goto is not None, rule.kind != "unicast", rule.l3mdev]
    if not any(said):
        yield Problem(path, "does nothing; say which 'table' it looks up, a 'goto' or a 'kind' (blackhole, …)", needs)
    if sum(said) > 1:
        yield Problem(path, "does one thing only: look up a 'table', 'goto', or be of a 'kind'", needs)
    if rule.goto is not None and rule.goto <= (rule.priority or 0):
        yield Problem(f"{path}.goto", "goes on at a rule behind this one; its 'priority' has to be smaller", needs)


def _selectors(path: str, rule: Rule) -> Iterator[Problem]:
    if isinstance(rule.mark, int) and rule.mark not in _U32:
        yield Problem(f"{path}.mark", f"{rule.mark} is out of range (0-{_U32.stop - 1})")
    elif rule.mark is not None and mark_of(rule.mark) is None:
        yield Problem(f"{path}.mark", f"{rule.mark!r} is not a mark (0x80, or with its mask 0x80/0x80)")
    for name, most in _RANGES.items():
        value = getattr(rule, name)
        if value is not None and range_of(value, most) is None:
            yield Problem(f"{path}.{name}", f"{value!r} is not a number up to {most}, or a range such as '80-90'")
    for name in ("source", "to"):
        text = getattr(rule, name)
        if text is not None and (fault := network_fault(text)):
            yield Problem(f"{path}.{name}", fault)
    for name in ("iif", "oif"):
        text = getattr(rule, name)
        if text is not None and text != "lo" and (fault := link_name_fault(text)):
            yield Problem(f"{path}.{name}", fault)


def _policy_family(path: str, rule: Rule) -> Iterator[Problem]:
    families_of = {name: found.family for name in ("source", "to") if (found := prefix(getattr(rule, name) or ""))}
    families = {*families_of.values(), *([rule.family] if rule.family else [])}
    if len(families) > 1:
        yield Problem(
            path,
            "mixes IPv4 and IPv6; write one rule for each",
            needs=tuple(f"{path}.{name}" for name in ("source", "to", "family")),
        )


RULES = (policies,)
