"""Translations of the source that have no port left."""

from __future__ import annotations

import re

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.translation import NatRule
from cnitest.lab.probe import wire

_RANGE = re.compile(r"(?:--to-ports |--to-source \S+:|\bmasquerade to :|\bsnat (?:ip6? )?to \S+:)(\d+)(?:-(\d+))?\b")
_NAMES = {wire.TCP: "tcp", wire.UDP: "udp"}


@cause("nat.ports-used-up", Stage.OUTPUT, Stage.PREROUTING, reasons=("NETFILTER_DROP",))
def ports_used_up(loss: Loss) -> Found | None:
    """A rule translates sources (MASQUERADE, SNAT) to few ports, and others use them all to the same destination."""
    if not loss.counted("conntrack drop", "conntrack insert_failed"):
        return None
    for rule in translation.rules(loss, loss.place):
        span = _RANGE.search(rule.text) if rule.translates_source and rule.hook in ("POSTROUTING", "") else None
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (0, 0)
        taken = _taken(loss, first, last)
        if span and len(taken) > last - first:
            return Found(
                "no port left",
                f"{loss.place.full_name} has no port left of {first}-{last} for {loss.packet.source}: {rule}",
                "POSTROUTING",
                tuple(f"in use: {one}" for one in sorted(taken)[:3]),
                _widened(loss, rule),
            )
    return None


def _taken(loss: Loss, first: int, last: int) -> set[str]:
    """The ends of a range of ports from which a place sends others' packets to the destination."""
    there = f"{loss.destination}:{loss.packet.destination_port}"
    name = _NAMES.get(loss.packet.protocol, "")
    flows = (one for one in loss.flows if one.protocol == name and one.reply_source == there)
    return {one.reply_destination for one in flows if first <= _port(one.reply_destination) <= last}


def _port(end: str) -> int:
    port = end.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


def _widened(loss: Loss, rule: NatRule) -> str:
    """The command that has a rule before this one translate to any port."""
    way = loss.route(loss.destination, place=loss.place)
    link = getattr(way, "link", "") or "…"
    if rule.program == "nft":
        return f"nft insert rule {rule.table} {rule.chain} oifname {link} masquerade"
    return f"{rule.program} -t nat -I {rule.chain} -o {link} -j MASQUERADE"
