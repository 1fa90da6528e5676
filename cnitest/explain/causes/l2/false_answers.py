"""Wrong MACs that somebody answers with: bridges that answer for others, rules that answer or change answers."""

from __future__ import annotations

import re

from cnitest.explain.causes import drops
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.leg import Leg, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.resolution import asked_anew
from cnitest.explain.evidence.rows import MetRule
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Neighbour
from cnitest.lab.place import Place
from cnitest.lab.probe import wire
from cnitest.lab.reach import Sighting

_ENTERED = ("permanent", "noarp")
_ANSWERS = re.compile(r"-j (arpreply|mangle)\b|\barp [sd]addr ether set\b")


@cause("l2.false-answer", Stage.WIRE, Stage.INGRESS, Stage.BRIDGE, order=-1)
def false_answer(loss: Loss) -> Found | None:
    """Who asks for the next hop's MAC is answered with one that nobody has: by a bridge that answers for others
    (``neigh_suppress``), or a rule (arpreply of ebtables, mangle of arptables)."""
    leg = loss.once(travelled)
    if leg is None or leg.intended is None or not _is_learned(loss, leg):
        return None
    other = asked_anew(loss, leg)
    first = next((one for one in other.seen.sightings if _says(one, loss.mac)), None) if other else None
    if other is None or first is None:
        return None
    place = loss.wiring.places[first.place]
    rule = next((step for step in other.steps if step.place == first.place and _ANSWERS.search(step.rule)), None)
    entry = _entry(loss, place, leg.next_hop)
    if rule is None and entry is None and first.place != leg.intended.place:
        return None
    return _found(loss, leg, place, rule, entry)


def _found(loss: Loss, leg: Leg, place: Place, rule: MetRule | None, entry: Neighbour | None) -> Found:
    said, remedy = ("its answers are changed", f"arptables -D OUTPUT … (what changes the answers of {place.full_name})")
    if rule:
        said, remedy = f"{drops.where(rule)}: {rule.rule}", drops.without(rule)
    elif entry:
        remedy = f"ip neigh del {entry.ip} dev {entry.link}"
        said = f"its bridge answers by its neighbour entry {entry.ip} dev {entry.link} lladdr {entry.mac}"
    answers = f"{place.full_name} answers {leg.sender.full_name} that {leg.next_hop} is at {loss.mac}"
    return Found(
        "false answer",
        f"{answers}, which nobody has: {said}",
        hook="neighbour",
        evidence=(f"{leg.intended} has {loss.wiring.links[leg.intended].mac}",) if leg.intended else (),
        remedy=remedy,
        place=place.full_name,
    )


def _is_learned(loss: Loss, leg: Leg) -> bool:
    """Whether the sender has a MAC for the next hop that nobody has, and that nobody has entered there."""
    if loss.is_question or any(link.mac == loss.mac for link in loss.wiring.links.values()):
        return False
    rows = (row for row in leg.sender.neighbours if LinkAt(leg.sender.full_name, row.link) == leg.start)
    return any(row.ip == leg.next_hop and row.mac == loss.mac and row.state not in _ENTERED for row in rows)


def _says(one: Sighting, mac: str) -> bool:
    """Whether what was seen is an answer that says a MAC."""
    return one.returning and (
        wire.read(one.frame.data).mac == mac or bytes.fromhex(mac.replace(":", "")) in one.frame.data
    )


def _entry(loss: Loss, place: Place, address: str) -> Neighbour | None:
    """The entry that a place has for an address on one of its bridges, with the wrong MAC."""
    rows = (row for row in loss.state(place).neighbours if row.ip == address and row.mac == loss.mac)
    return next((row for row in rows if loss.links(place)[row.link].kind == "bridge"), None)
