"""Packets of tunnels that a rule of NAT sends to where no tunnel receives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.explain.causes import drops
from cnitest.explain.causes.matching import may_match
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import carriers
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import LastSeen, answer_to
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.kernel.rows.records import Link
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.snapshot import state as states


class _Sent(NamedTuple):
    """A tunnel's packet: the link that sent it, and where to."""

    link: Link
    remote: str
    port: int


@cause("nat.tunnel-destination", Stage.TUNNEL, order=-5)
def tunnel_destination(loss: Loss) -> Found | None:
    """A rule translates the destination of a tunnel's packets (DNAT, REDIRECT) to a port or an address where no tunnel
    receives them."""
    sent = _sent(loss)
    for place, flow in _translated(loss, sent) if sent else ():
        assert sent is not None, "there are no flows of what was not sent"
        address, _, port = flow.reply_source.rpartition(":")
        if _receives(loss, address, int(port), sent.link.kind):
            continue
        rule, remedy = _undone(loss, place, sent)
        family = "-f ipv6 " if ":" in sent.remote else ""
        return Found(
            "tunnel translated",
            f"{place.full_name} translates the packets of {sent.link.name} to {sent.remote} port {sent.port} into "
            f"{address} port {port}, where no {sent.link.kind} receives",
            hook="PREROUTING",
            evidence=(f"it tracks {flow.source} → {flow.destination}, answered by {flow.reply_source}", *rule),
            remedy=" && ".join((*remedy, f"conntrack -D {family}-p udp --dport {sent.port}")),
            place=place.full_name,
        )
    return None


def _sent(loss: Loss) -> _Sent | None:
    within = loss.once(carriers.inside)
    link = within.links().get(within.link) if within else None
    if within is None or link is None or carriers.protocol(link.kind) != wire.UDP:
        return None
    remote, detail = carriers.remote_of(within, link), dict(link.detail)
    port = int(detail.get("dstport") or detail.get("port") or 0)
    return _Sent(link, remote, port) if remote and port else None


def _translated(loss: Loss, sent: _Sent | None) -> Iterator[tuple[Place, Flow]]:
    """The places that translate the destination of the tunnel's packets, in order, each with the connection."""
    names = dict.fromkeys(one.place for one in loss.seen.sightings if one.returning == loss.returning)
    for place in map(loss.place.lab.place, names):
        try:
            found = states.flows(place.namespace)
        except (KernelError, OSError):
            continue
        for flow in found:
            there = sent is not None and flow.destination == f"{sent.remote}:{sent.port}"
            if there and flow.protocol in ("udp", str(wire.UDP)) and flow.reply_source != flow.destination:
                yield place, flow


def _receives(loss: Loss, address: str, port: int, kind: str) -> bool:
    """Whether the place that has an address has a tunnel of a kind that receives on a port."""
    owner = loss.owner(address)
    links = loss.links(owner).values() if owner else ()
    return any(one.kind == kind and one.up and dict(one.detail).get("dstport") == port for one in links)


def _undone(loss: Loss, place: Place, sent: _Sent) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The rule that translates, and the command that removes it, or, of one of nft, passes by it; both empty where none
    is found: the connection is of one that is gone."""
    kind = wire.ETH_IPV6 if ":" in sent.remote else wire.ETH_IPV4
    packet = wire.Headers(kind, "", sent.remote, wire.UDP, destination_port=sent.port)
    there = replace(loss, spot=LastSeen(place), asked=answer_to(packet))
    for rule in translation.rules(there, place):
        if rule.translates_destination and may_match(rule.text, packet):
            if rule.program == "nft":
                command = f"nft insert rule {rule.table} {rule.chain} udp dport {sent.port} accept"
            else:
                command = f"{rule.program} -t nat -D {drops.for_a_shell(rule.text.removeprefix('-A '))}"
            return (str(rule),), (command,)
    return (), ()
