"""Maps of nftables by which rules translate destinations, and the element that one of them lacks for a packet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnitest.explain.causes import matching
from cnitest.explain.causes.sets import elements
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.translation import NatRule
from cnitest.lab.place import Place

_DNAT = re.compile(r"\bdnat (?:ip6? )?to (?P<lookup>.+?) map @(?P<name>\S+)")


class End(NamedTuple):
    """Where a packet is to go; ``same_port`` where that is the port which was asked for."""

    address: str
    port: int
    same_port: bool


class Lacking(NamedTuple):
    """What a map lacks: the key that the packet has, and the value that sends it to its end."""

    table: str
    name: str
    key: str
    value: str

    @property
    def remedy(self) -> str:
        """The command that adds the element."""
        return elements.change("add", self.table, self.name, f"{self.key} : {self.value}")

    def __str__(self) -> str:
        return f"{self.table} map {self.name} has no element for {self.key}"


def lacking(loss: Loss, place: Place, hook: str, end: End) -> Lacking | None:
    """What the first map lacks that a place's rules of NAT look the packet up in, and that may lead to its end; None
    where none does."""
    lines = loss.full_state(place).firewall.get("nft", ())
    rules = [rule for rule in translation.rules(loss, place) if rule.program == "nft"]
    for rule in _led_to(rules, hook):
        looked_up = _looked_up(rule) if matching.may_match(rule.text, loss.packet) else None
        key = elements.key(looked_up[0], loss.packet) if looked_up else ""
        if looked_up and key:
            entries = list(_entries(lines, rule.table, looked_up[1]))
            value = _value(entries, [one for one in rules if one.table == rule.table], end)
            if value:
                return Lacking(rule.table, looked_up[1], key, value)
    return None


def _led_to(rules: Sequence[NatRule], hook: str) -> list[NatRule]:
    """The rules of the chains at a hook, and of those that these lead to."""
    chains = {(rule.table, rule.chain) for rule in rules if rule.hook == hook}
    while True:
        found = [rule for rule in rules if (rule.table, rule.chain) in chains]
        further = {(rule.table, name) for rule in found for name in matching.LEADS_TO.findall(rule.text)} - chains
        if not further:
            return found
        chains |= further


def _looked_up(rule: NatRule) -> tuple[str, str] | None:
    """What a rule looks up of a packet, and the map it looks that up in."""
    match = _DNAT.search(rule.text)
    return (match["lookup"], match["name"]) if match else elements.verdict_lookup(rule.text)


def _entries(lines: Sequence[str], table: str, name: str) -> Iterator[str]:
    """The type of a map, ``type inet_service : ipv4_addr``, and its elements, ``element 80 : 10.0.0.2``."""
    head = f"table {table} map {name}: "
    yield from (line.removeprefix(head) for line in lines if line.startswith(head))


def _value(entries: Sequence[str], rules: Sequence[NatRule], end: End) -> str:
    """The value of the element that leads to an end; empty where the map's type has none."""
    kind = next((entry.partition(" : ")[2] for entry in entries if entry.startswith("type ")), "")
    address = "ipv6_addr" if ":" in end.address else "ipv4_addr"
    if kind == "verdict":
        return _verdict(entries, rules, end)
    if kind == f"{address} . inet_service":
        return f"{end.address} . {end.port}"
    return end.address if kind == address and end.same_port else ""


def _verdict(entries: Sequence[str], rules: Sequence[NatRule], end: End) -> str:
    """The verdict that leads to a chain which translates to an end, in the words of the other elements.

    Of a service's chain and those of its endpoints it is the first: the one that none of the others leads to.
    """
    how = next((word for entry in entries for word in ("goto", "jump") if f" : {word} " in entry), "goto")
    chains = dict.fromkeys(rule.chain for rule in rules if not rule.hook)
    leading = [chain for chain in chains if _leads(chain, rules, end, frozenset())]
    inner = {name for rule in rules if rule.chain in leading for name in matching.LEADS_TO.findall(rule.text)}
    return next((f"{how} {chain}" for chain in leading if chain not in inner), "")


def _leads(chain: str, rules: Sequence[NatRule], end: End, passed: frozenset[str]) -> bool:
    """Whether a chain, or one that it jumps to, translates to an end."""
    own = [rule for rule in rules if rule.chain == chain and chain not in passed]
    targets = [translation.rule_target(rule.text) for rule in own]
    if (end.address, end.port) in targets or (end.same_port and (end.address, 0) in targets):
        return True
    further = {name for rule in own for name in matching.LEADS_TO.findall(rule.text)}
    return any(_leads(each, rules, end, passed | {chain}) for each in further)
