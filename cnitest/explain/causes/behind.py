"""What else stands in the way of a packet that a rule ended: rules and policies at the same hook that would end it
next, as far as their words say so for certain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from cnitest.errors import CnitestError
from cnitest.explain.causes import matching
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import MetRule
from cnitest.kernel.netfilter import rule_words, tables
from cnitest.kernel.netfilter.ruleset import Ruleset

_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_COUNTED = re.compile(r"counter packets \d+ bytes \d+")
_VERDICT = re.compile(
    r'(?:^|\s)(accept|drop|return|continue|reject|jump|goto)(?: (\S+))?(?: [^"]*)?(?: comment ".*")?$'
)
_TARGET = re.compile(r" -([jg]) (\S+)")
# What ends a packet otherwise, or sends it where its words alone do not say.
_UNSURE = re.compile(r"\b(vmap|queue|dnat|snat|masquerade|redirect|tproxy|synproxy|fwd|dup)\b|-j [A-Z]*QUEUE\b")
_TARGETS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return"}
_DEPTH = 16


class _Chain(NamedTuple):
    """A chain: ``rules`` are the steps that its rules would be, in order; ``hook`` is empty but for base chains."""

    hook: str
    policy: str
    rules: tuple[MetRule, ...]
    end: MetRule


_Chains = Mapping[tuple[str, str, str], _Chain]


class _Way(Enum):
    """How a packet leaves a chain."""

    ENDED = "ended"
    ON = "to its end"
    UNSURE = "not known"


def steps(loss: Loss, last: MetRule, *, own: bool) -> list[MetRule]:
    """The rules, and policies, that would end the packet of a step were that not there: of the ``own`` base chain those
    behind it, of other base chains at its hook all. None of bridges' and links' hooks."""
    if last.hook not in _HOOKS or last.table.startswith(("bridge ", "arp ", "netdev ")):
        return []
    known, found = _known(loss, last.place), list[MetRule]()
    if own:
        found += _behind(known, last)
    here = _kind(last.program), last.table, last.path[0]
    found += (one for key in _hooked(known, last) if key != here for one in _through(known, key, last))
    if own and last.hook == "FORWARD" and not last.returning and last.oif not in ("", last.iif):
        there = {(one.program, one.table, one.chain) for one in found if not one.rule}
        back = (one for key in _hooked(known, last) for one in _through(known, key, reply_of(last)))
        found += (one for one in back if one.rule or (one.program, one.table, one.chain) not in there)
    return found


def rules(loss: Loss, step: MetRule, chain: str) -> tuple[str, ...]:
    """The rules of another chain of a step's table, as its program writes them; none where it cannot be read."""
    found = _known(loss, step.place).get((_kind(step.program), step.table, chain))
    return tuple(one.rule for one in found.rules) if found else ()


def reply_of(step: MetRule) -> MetRule:
    """The step as the reply to its packet would come to it."""
    packet = step.packet._replace(
        source=step.packet.destination,
        destination=step.packet.source,
        source_port=step.packet.destination_port,
        destination_port=step.packet.source_port,
        kind=0,
    )
    return step._replace(packet=packet, iif=step.oif, oif=step.iif, returning=not step.returning, state="established")


def _hooked(chains: _Chains, last: MetRule) -> list[tuple[str, str, str]]:
    """The base chains at the hook of a step that its packet comes to."""
    families = ("ip6" if ":" in last.packet.source else "ip", "inet")
    return [key for key, chain in chains.items() if chain.hook == last.hook and key[1].split()[0] in families]


def _known(loss: Loss, place: str) -> _Chains:
    """The chains of a place, read once for all causes."""
    chains = loss.once(_read)
    if place not in chains:
        own = loss.place.lab.place(place)
        ruleset = loss.rulesets.get(place) or Ruleset(own.namespace.netfilter, own.execute)
        chains[place] = _chains(place, ruleset)
    return chains[place]


def _read(_: Loss) -> dict[str, _Chains]:
    """The chains of places that were read so far."""
    return {}


def _kind(program: str) -> str:
    return "legacy" if "legacy" in program else "nft"


def _chains(place: str, ruleset: Ruleset) -> _Chains:
    """All chains of a place, in both variants; none where they cannot be read."""
    try:
        return {**_of_nftables(place, ruleset), **_of_legacy(place, ruleset)}
    except CnitestError:
        return {}


def _of_nftables(place: str, ruleset: Ruleset) -> _Chains:
    saved = {family: ruleset.saved(rule_words.SAVING[family]) for family in ("ip", "ip6")}
    found: dict[tuple[str, str, str], list[MetRule]] = {}
    for row in ruleset.rules:
        text = _COUNTED.sub("counter", ruleset.words.get((row.family, row.table, row.chain, row.handle), ""))
        step = MetRule(place, "nft", f"{row.family} {row.table}", row.chain, (), "", text, "")
        found.setdefault((row.family, row.table, row.chain), []).append(
            step._replace(number=row.number, handle=row.handle)
        )
    chains: dict[tuple[str, str, str], _Chain] = {}
    for one in sorted(ruleset.chains.values(), key=lambda one: one.priority):
        rules = found.get((one.family, one.table, one.name), [])
        chain = saved.get(one.family, {}).get((one.table, one.name))
        program = rule_words.changing(rule_words.SAVING[one.family]) if chain else "nft"
        if chain and len(chain.rules) == len(rules):
            rules = [step._replace(rule=text) for step, text in zip(rules, chain.rules, strict=True)]
        if one.table != tables.OWN:
            key = "nft", f"{one.family} {one.table}", one.name
            chains[key] = _chain(place, program, key, rules, one.hook, one.policy)
    return chains


def _of_legacy(place: str, ruleset: Ruleset) -> _Chains:
    chains: dict[tuple[str, str, str], _Chain] = {}
    for family, program in rule_words.LEGACY.items():
        for (table, name), saved in ruleset.saved(program).items():
            key = "legacy", f"{family} {table}", name
            step = MetRule(place, "", key[1], name, (), "", "", "")
            rules = [step._replace(rule=text, number=number) for number, text in enumerate(saved.rules, 1)]
            hook = name if saved.policy != "-" else ""
            chains[key] = _chain(place, program.removesuffix("-save"), key, rules, hook, saved.policy.lower())
    return chains


def _chain(
    place: str, program: str, key: tuple[str, str, str], rules: Iterable[MetRule], hook: str, policy: str
) -> _Chain:
    """A chain whose steps know the words of all its rules."""
    ruled = [step._replace(program=program, policy=policy) for step in rules]
    texts = tuple(step.rule for step in ruled)
    end = MetRule(place, program, key[1], key[2], (), hook, "", "", rules=texts, policy=policy)
    return _Chain(hook, policy, tuple(step._replace(rules=texts) for step in ruled), end)


def _behind(chains: _Chains, last: MetRule) -> list[MetRule]:
    """What would end the packet in the base chain of a step, behind that and behind the jumps to its chain; a chain
    that it left for good (goto) has nothing behind."""
    found: list[MetRule] = []
    start, left = last.number, False
    for length in range(len(last.path), 0, -1):
        chain = chains.get((_kind(last.program), last.table, last.path[length - 1]))
        if chain is None or not last.rule:
            return found
        if not left and _walk(chains, chain, start, last.path[:length], last, found) != _Way.ON:
            return found
        caller = chains.get((_kind(last.program), last.table, last.path[length - 2])) if length > 1 else None
        start, left = _called(chains, caller, chain.end.chain) if caller else (0, False)
        if caller and not start:
            return found
        if not caller and chain.policy == "drop":
            found.append(_like(chain.end, last, last.path[:1]))
    return found


def _called(chains: _Chains, caller: _Chain, chain: str) -> tuple[int, bool]:
    """The number of the first rule that leads from a chain to another one, 0 without one, and whether for good."""
    said = ((one.number, *_verdict(chains, one)) for one in caller.rules)
    leading = ((number, verdict == "goto") for number, verdict, to in said if to == chain)
    return next(leading, (0, False))


def _through(chains: _Chains, key: tuple[str, str, str], last: MetRule) -> list[MetRule]:
    """What would end the packet in a base chain."""
    chain, path, found = chains[key], key[2:], list[MetRule]()
    if _walk(chains, chain, 0, path, last, found) == _Way.ON and chain.policy == "drop":
        found.append(_like(chain.end, last, path))
    return found


def _walk(
    chains: _Chains, chain: _Chain, start: int, path: tuple[str, ...], last: MetRule, found: list[MetRule]
) -> _Way:
    """How the packet of a step goes through a chain from a rule on, if nothing in it ends it; what would goes to
    ``found``."""
    for step in chain.rules[start:]:
        (verdict, target), holds = _verdict(chains, step), _holds(step, last)
        if holds is False or verdict == "continue":
            continue
        if verdict in ("drop", "reject"):
            found += [_like(step, last, path)] if holds else []
            continue
        if holds is None or verdict == "unsure" or len(path) > _DEPTH:
            return _Way.UNSURE
        if verdict in ("accept", "return"):
            return _Way.ENDED if verdict == "accept" else _Way.ON
        inner = chains.get((_kind(step.program), step.table, target))
        way = _walk(chains, inner, 0, (*path, target), last, found) if inner else _Way.UNSURE
        if way != _Way.ON or verdict == "goto":
            return way
    return _Way.ON


def _like(step: MetRule, last: MetRule, path: tuple[str, ...]) -> MetRule:
    """A rule or policy as the step that it would be for a packet that another one ended."""
    return step._replace(
        path=path,
        hook=last.hook,
        verdict="drop",
        iif=last.iif,
        oif=last.oif,
        packet=last.packet,
        returning=last.returning,
        state=last.state,
    )


def _verdict(chains: _Chains, step: MetRule) -> tuple[str, str]:
    """What a rule says, ``continue`` where it says nothing of the kind, and the chain that it leads to."""
    if _UNSURE.search(step.rule):
        return "unsure", ""
    if step.program == "nft":
        match = _VERDICT.search(step.rule)
        return (match[1], match[2] or "") if match else ("continue", "")
    found = _TARGET.search(step.rule)
    if found and (_kind(step.program), step.table, found[2]) in chains:
        return ("goto" if found[1] == "g" else "jump"), found[2]
    return _TARGETS.get(found[2] if found else "", "continue"), ""


def _holds(step: MetRule, last: MetRule) -> bool | None:
    """Whether a rule is for the packet of a step; None where that is not known. Connections whose state is not known
    are new ones, and those of their replies."""
    like = last._replace(state=last.state or ("established" if last.returning else "new"))
    if step.program != "nft":
        return matching.iptables_may_hold(matching.split(_TARGET.split(step.rule)[0]), like)
    found = _VERDICT.search(step.rule)
    return matching.nft_may_hold(step.rule[: found.start()] if found else step.rule, like)
