"""Causes that are elements: of a set or map of nftables, or of a set of ipset's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from cnitest.explain.causes import drops, matching
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.probe import wire

_IPSET = re.compile(r"(! )?--match-set (\S+) (\S+)")
_LOOKUP = re.compile(r"((?:\S+ )?\S+(?: \. (?:\S+ )?\S+)*) (!= )?(vmap )?@(\S+)")
_NAMELESS = re.compile(r"((?:\S+ )?\S+(?: \. (?:\S+ )?\S+)*) vmap \{ (.*) \}")
_ADDS = re.compile(r"\b(add|update) @")
_ENDS = re.compile(r" : (drop|queue|reject)")
# What is said of an element besides its key.
_BESIDES = re.compile(r" (:|timeout|expires|counter|packets|bytes|comment|nomatch) .*")


@cause("sets.ipset", Stage.TRACED)
def ipset(loss: Loss) -> Found | None:
    """A rule of iptables drops what is in a set of ipset's, and the packet is (or what is not, and it is not)."""
    step = drops.dropped(loss)
    match = _IPSET.search(step.rule) if step else None
    if step is None or match is None:
        return None
    name, directions = match[2], match[3].split(",")
    lines = drops.firewall_of(loss, step).get("ipset", ())
    if match[1]:
        key = _ipset_lacks(lines, name, directions, step)
        return drops.found(loss, step, note=f"not in set {name}", remedy=f"ipset add {name} {key}" if key else "")
    entries = (line.split()[2] for line in lines if line.startswith(f"add {name} ") and "nomatch" not in line.split())
    element = next((each for each in entries if _ipset_has(each.split(","), directions, step)), "")
    return _found(loss, step, f"set {name}", element, f"ipset del {name} {element}", _feeding(loss, step, name))


def _ipset_has(parts: Sequence[str], directions: Sequence[str], step: MetRule) -> bool:
    """Whether an entry, ``10.0.0.0/24,tcp:80``, is for a packet, by what each ``direction`` of the rule looks at."""
    pairs = zip(parts, directions, strict=False)
    return all(_part_covers(part, step, source=direction == "src") for part, direction in pairs)


def _part_covers(part: str, step: MetRule, *, source: bool) -> bool:
    packet = step.packet
    protocol, colon, rest = part.partition(":")
    if colon and protocol in matching.PROTOCOLS:
        named = packet.kind in matching.TYPES.get(rest, ())
        return matching.PROTOCOLS[protocol] == packet.protocol and (named or matching.covers(rest, _port(step, source)))
    if part.replace("-", "").isdigit():  # of a bitmap:port
        return matching.covers(part, _port(step, source))
    fields = (packet.source, step.iif) if source else (packet.destination, step.oif)
    return any(matching.covers(part, field) for field in fields)


def _port(step: MetRule, source: bool) -> str:
    return str(step.packet.source_port if source else step.packet.destination_port)


def _ipset_lacks(lines: Iterable[str], name: str, directions: Sequence[str], step: MetRule) -> str:
    """The entry for a packet, by the type that a set was created with (``hash:ip,port``); empty where that is not
    known, or looks at what is not."""
    kind = next((line.split()[2] for line in lines if line.startswith(f"create {name} ")), "hash:ip")
    ways = [direction == "src" for direction in directions]
    parts = [
        _part_of(what, step, source) for what, source in zip(kind.partition(":")[2].split(","), ways, strict=False)
    ]
    return ",".join(parts) if all(parts) else ""


def _part_of(what: str, step: MetRule, source: bool) -> str:
    packet = step.packet
    protocol = next((name for name, number in matching.PROTOCOLS.items() if number == packet.protocol), "")
    match what:
        case "ip" | "net":
            return packet.source if source else packet.destination
        case "port" if packet.source_port and protocol:
            return f"{protocol}:{_port(step, source)}"
        case "iface":
            return step.iif if source else step.oif
    return ""


@cause("sets.map", Stage.TRACED)
def verdict_map(loss: Loss) -> Found | None:
    """A verdict map of nftables, named or in the rule itself, drops the packet by one of its elements."""
    step = drops.dropped(loss)
    if step is None or "vmap " not in step.rule:
        return None
    if nameless := _NAMELESS.search(step.rule):
        element = _element(filter(_ENDS.search, nameless[2].split(", ")), nameless[1], step)
        return _found(loss, step, "the rule's map", element, drops.without(step))
    match = _LOOKUP.search(step.rule)
    if match is None:
        return None
    element = _element(filter(_ENDS.search, _entries(loss, step, "map", match[4])), match[1], step)
    remedy = change("delete", step.table, match[4], element)
    return _found(loss, step, f"map {match[4]}", element, remedy, _feeding(loss, step, match[4]))


@cause("sets.nftables", Stage.TRACED)
def nftables(loss: Loss) -> Found | None:
    """A rule of nftables drops what is in a named set, and the packet is (or what is not, and it is not)."""
    step = drops.dropped(loss)
    match = _LOOKUP.search(step.rule) if step else None
    if step is None or match is None or drops.is_iptables(step):
        return None
    if match[2]:
        key = _lacking(match[1], step)
        remedy = change("add", step.table, match[4], key) if key else ""
        return drops.found(loss, step, note=f"not in set {match[4]}", remedy=remedy)
    element = _element(_entries(loss, step, "set", match[4]), match[1], step)
    remedy = change("delete", step.table, match[4], element)
    return _found(loss, step, f"set {match[4]}", element, remedy, _feeding(loss, step, match[4]))


def _lacking(lookup: str, step: MetRule) -> str:
    """The keys that a set lacks: the packet's, and of what is forwarded the reply's where addresses are looked up.

    Empty where what is looked up is not known of the packet.
    """
    lacks = _key(_looked_up(lookup, step))
    field = lookup.split()[-1]
    if not lacks or step.hook != "FORWARD" or field not in ("saddr", "daddr") or " . " in lookup:
        return lacks
    return f"{lacks}, {step.packet.destination if field == 'saddr' else step.packet.source}"


def key(lookup: str, packet: wire.Headers) -> str:
    """The key of an element for a packet, by what a rule looks up; empty where that is not known of the packet."""
    return _key(_fields(lookup, packet))


def _key(values: Sequence[tuple[str, ...]]) -> str:
    return " . ".join(each[0] for each in values) if all(each and each[0] for each in values) else ""


def verdict_lookup(rule: str) -> tuple[str, str] | None:
    """What a rule looks up in a verdict map, and the name of that; None of any other rule."""
    match = _LOOKUP.search(rule)
    return (match[1], match[4]) if match and match[3] else None


def lookups(rule: str) -> list[tuple[str, str]]:
    """What a rule of nftables looks up in named sets that are to have it, each with the set's name; none where it looks
    up in a verdict map, too, or wants a set not to have something."""
    found = list(_LOOKUP.finditer(rule))
    return [] if any(one[2] or one[3] for one in found) else [(one[1], one[4]) for one in found]


def without_lookups(rule: str) -> str:
    """A rule but for what it looks up in named sets."""
    return " ".join(_LOOKUP.sub("", rule).split())


def lacking(loss: Loss, step: MetRule, lookup: str, name: str) -> str | None:
    """The key that a named set lacks for the packet of a step: empty where it has one, None where that is not known."""
    values = _looked_up(lookup, step)
    key = _key(values)
    if not key:
        return None
    return "" if _element(_entries(loss, step, "set", name), lookup, step) else key


def _found(loss: Loss, step: MetRule, what: str, element: str, remedy: str, feeding: str = "") -> Found:
    """The cause; where no element is recognised without it, and with the remedy of any rule, as where a rule would only
    add the element again."""
    note = f"{what} has {element}" if element else f"by {what}"
    also = (f"{feeding} adds to {what}",) if feeding and element else ()
    return drops.found(loss, step, note=note, also=also, remedy=remedy if element and not feeding else "")


def _feeding(loss: Loss, step: MetRule, name: str) -> str:
    """The rule that adds to a set or map what packets have; empty where only commands do."""
    words = f"--add-set {name} " if drops.is_iptables(step) else f" @{name} {{"
    table = "" if drops.is_iptables(step) else f"table {step.table} chain "
    lines = (line for rules in drops.firewall_of(loss, step).values() for line in rules if line.startswith(table))
    adding = (line.removeprefix("table ") for line in lines if words in line)
    return next((line for line in adding if drops.is_iptables(step) or _ADDS.search(line)), "")


def change(command: str, table: str, name: str, element: str) -> str:
    """The command that adds an element to a set or map, or deletes it."""
    return f"nft '{command} element {table} {name} {{ {element} }}'"


def _entries(loss: Loss, step: MetRule, kind: str, name: str) -> list[str]:
    """The elements of a set or map of the step's table."""
    head = f"table {step.table} {kind} {name}: element "
    lines = drops.firewall_of(loss, step).get("nft", ())
    return [line.removeprefix(head) for line in lines if line.startswith(head)]


def _element(entries: Iterable[str], lookup: str, step: MetRule) -> str:
    """The key of the element that covers a packet, by what the rule looks up; empty where none is recognised."""
    values = _looked_up(lookup, step)
    for entry in entries:
        key = _BESIDES.sub("", entry).strip()
        parts = key.split(" . ")
        if len(parts) == len(values) and all(map(_covered, parts, values)):
            return key
    return ""


def _covered(part: str, values: tuple[str, ...]) -> bool:
    return any(matching.covers(part.strip('"'), value) for value in values)


def _looked_up(lookup: str, step: MetRule) -> list[tuple[str, ...]]:
    """What the packet has of each field that is looked up, in all its spellings; none of a field that is not known."""
    return _fields(lookup, step.packet, {"state": (step.state,), "iifname": (step.iif,), "oifname": (step.oif,)})


def _fields(
    lookup: str, packet: wire.Headers, of_step: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> list[tuple[str, ...]]:
    names = tuple(name for name, number in matching.PROTOCOLS.items() if number == packet.protocol)
    known = {
        "saddr": (packet.source,),
        "daddr": (packet.destination,),
        "sport": (str(packet.source_port),),
        "dport": (str(packet.destination_port),),
        "protocol": names,
        "l4proto": names,
        "nexthdr": names,
        "type": tuple(name for name, kinds in matching.TYPES.items() if packet.kind in kinds),
        **of_step,
    }
    return [() if each.startswith("ether ") else known.get(each.split()[-1], ()) for each in lookup.split(" . ")]
