"""The address that a sender chooses for its packets, where the answer to another one would come back."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import fib
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Address, Route
from cnitest.lab.snapshot import words


@cause("routing.source-choice", Stage.SOCKET_OUT, Stage.ROUTING, Stage.NEIGHBOUR, order=-3)
def source_choice(loss: Loss) -> Found | None:
    """The sender chooses an address of another link as source (``src`` of its route, or the link's own is deprecated),
    to which no answer comes back."""
    sender, sent = loss.probe.sender, translation.first(loss)
    if not loss.returning or sent is None or loss.probe.source or loss.packet.destination != sent.source:
        return None
    link = next((s.frame.link for s in loss.seen.sightings if s.place == sender.full_name and s.frame.out), "")
    own = [row for row in loss.state(sender).addresses if row.link == link and _may_be_used(row, six=loss.six)]
    better = next((row for row in own if _comes_back(loss, row.ip) and not _comes_back(loss, sent.source)), None)
    if better is None or loss.owns(sent.source) or not loss.owns(sent.source, sender):
        return None
    whose = "another of its addresses" if any(row.ip == sent.source for row in own) else "an address of another link"
    remedy, why = _remedy(loss, better, sent.source)
    return Found(
        "source address choice",
        f"{sender.full_name} sends by {link} from {sent.source}, {whose}: {why}",
        "routing",
        (f"{loss.place.full_name} has no way back to {sent.source}, but one to {better.ip}",),
        remedy,
        sender.full_name,
    )


def _remedy(loss: Loss, better: Address, source: str) -> tuple[str, str]:
    """The command that has the link's own address chosen, and why it is not."""
    sender, family = loss.probe.sender, "-6 " if loss.six else ""
    headers = translation.first(loss)
    found = fib.decide(loss.state(sender), fib.RouteLookup(headers)) if headers else None
    route = found.route if found else None
    if route and route.source == source:
        key = words.route_in_command(route._replace(source=""))
        return f"ip {family}route replace {key} src {better.ip}", f"its route says src {source}"
    if better.scope != "global":
        return f"ip {family}route change {_key(route)} src {better.ip}", f"{better.ip} has scope {better.scope}"
    if better.deprecated and not any(
        row.ip == source and row.link == better.link for row in loss.state(sender).addresses
    ):
        command = f"ip address change {better.address} dev {better.link} preferred_lft forever"
        return command, f"{better.ip} is deprecated"
    why = f"{better.ip} is deprecated" if better.deprecated else f"it prefers that to {better.ip}"
    return f"ip {family}route change {_key(route)} src {better.ip}", why


def _key(route: Route | None) -> str:
    return words.route_in_command(route) if route else "default"


def _comes_back(loss: Loss, address: str) -> bool:
    """Whether the place where the answer ended would send to an address of the sender's."""
    found = loss.route(address)
    return isinstance(found, Route) and loss.owner(found.via or address) is not None


def _may_be_used(row: Address, *, six: bool) -> bool:
    """Whether an address is one that a packet may have as its source where it is asked for: of IPv4 any is."""
    return (row.scope == "global" or not six) and (":" in row.ip) == six
