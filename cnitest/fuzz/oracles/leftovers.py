"""What of the leftovers of generated attachments counts, and the violations that they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.allowances import mentions
from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover, leftovers
from cnitest.conformance.model.finding import Detail
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles.attached import Attached, owned
from cnitest.lab.snapshot.difference import Difference
from cnitest.lab.snapshot.firewall_line import FirewallLine

_LINKS = ("links", "addresses", "routes")


def differing(
    bench: Bench, networks: Iterable[Example], host_links: Collection[str], before: Picture, after: Picture
) -> list[Leftover]:
    """What differs and may not by our rules, a profile's or a configuration's: bridges that plugins made (all but the
    ``host_links`` ones) change with their ports, and keep the gateway's address; the chain for an administrator's rules
    is theirs."""
    bridges = {link.name for link in bench.node.links if link.kind == "bridge"} - {*host_links}
    named = {str(conf.get("iptablesAdminChainName") or "") for example in networks for conf in example.plugins} - {""}
    found = leftovers(before, after, bench.setting.leftover)
    return [
        left
        for left in found
        if not _is_of_bridge(left.difference, bridges) and not _is_of_chain(left.difference, named)
    ]


def brought(before: Picture, after: Picture) -> frozenset[Leftover]:
    """All that an ADD made or changed, shared or not."""
    return frozenset(leftovers(before, after, strict=True))


def in_the_end(
    found: Iterable[Leftover], start: Picture, host_links: Collection[str], setup_links: Collection[str]
) -> list[Leftover]:
    """Less the bridges of former scenarios, which may have gone since the ``start``, and what a profile's commands for
    containers made (``setup_links``)."""
    old = {link.name for state in start.values() for link in state.links if link.kind == "bridge"} - {*host_links}
    return [
        left
        for left in found
        if not (left.difference.vanished and _is_about(left.difference, _LINKS, old))
        and not (left.difference.appeared and _is_about(left.difference, (*_LINKS, "ports"), setup_links))
    ]


def left_over(
    plugin: str, when: str, found: Iterable[Leftover], target: AttachmentTarget | None = None
) -> list[Violation]:
    """Leftovers as violations; with ``target`` their words say whether they are in its container or on the host."""
    words = ((left, f"{when}: {_where(left, target) if target else ''}{left.difference}") for left in found)
    return [Violation("left", plugin, said, Detail(left, about=left)) for left, said in words]


def harm(what: str, call: Call, found: Sequence[Leftover]) -> list[Violation]:
    """What a call changed and must not, as violations."""
    words = ((left, f"{what}: {left.difference}") for left in found)
    return [Violation("harm", call.plugin, said, Detail(left, about=left)) for left, said in words]


def taken(one: Attached, now: Picture) -> list[Leftover]:
    """Files and rules that came with an attachment, and are not there any more in a picture of now."""
    there = {_known_by(left) for left in leftovers(one.before, now, strict=True)}
    return [left for left in owned(one) if _known_by(left) not in there]


def kept(one: Attached, now: Picture) -> list[Leftover]:
    """Files and rules that came with an attachment, and are still there in a picture of now."""
    there = {_known_by(left) for left in leftovers(one.before, now)}
    return [left for left in owned(one) if _known_by(left) in there]


def _known_by(left: Leftover) -> object:
    """A file by its path, whatever is in it; a rule by itself."""
    item = left.difference
    return (left.place, item.key, item.appeared) if item.table == "files" else left


def _is_about(item: Difference, tables: Collection[str], links: Collection[str]) -> bool:
    """Whether a row of some tables names one of some links."""
    return item.table in tables and any(mentions(item, name) for name in links)


def _is_of_bridge(item: Difference, bridges: Collection[str]) -> bool:
    """Whether a bridge changed, or got an address or route."""
    if item.table == "links":
        return item.changed and item.key in bridges
    return item.appeared and _is_about(item, ("addresses", "routes"), bridges)


def _is_of_chain(item: Difference, names: Collection[str]) -> bool:
    """Whether a line of iptables makes one of some chains, or leads there."""
    line = item.row
    return isinstance(line, FirewallLine) and bool({line.chain_made, line.follows("-j")} & {*names})


def _where(left: Leftover, target: AttachmentTarget) -> str:
    """The place of a leftover without its name."""
    return "the container: " if left.place == target.sandbox.full_name else "the host: "
