"""Macvlans that do not hand a frame on: each mode has somebody to whom it gives nothing."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.leg import Leg, arrived, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link

_STAGES = (Stage.WIRE, Stage.INGRESS, Stage.BRIDGE)
_KINDS = ("macvlan", "macvtap")


@cause("l2.macvlan-parent", *_STAGES)
def parent_and_child(loss: Loss) -> Found | None:
    """A macvlan and its parent never talk to each other, whatever the mode."""
    leg = loss.once(travelled)
    if leg is None or leg.target is None or arrived(loss):
        return None
    for child, parent in ((leg.start, leg.target), (leg.target, leg.start)):
        if _is_child(loss, child) and loss.wiring.parent(child) == parent:
            return Found(
                "macvlan to its parent",
                f"{child} is a {_kind(loss, child)} on {parent}: the two never talk to each other",
                hook="macvlan",
                remedy=f"ip link add … link {parent.link} type macvlan mode bridge",
                place=parent.place,
            )
    return None


@cause("l2.macvlan-mode", *_STAGES)
def mode(loss: Loss) -> Found | None:
    """Two macvlans on one parent talk in mode bridge alone; in mode vepa if the switch sends back what it got."""
    leg = loss.once(travelled)
    parent = loss.wiring.parent(leg.start) if leg else None
    if arrived(loss) or leg is None or leg.target is None or parent is None or loss.wiring.parent(leg.target) != parent:
        return None
    modes = {at: _mode(loss, at) for at in (leg.start, leg.target) if _is_child(loss, at)}
    barred = next((at for wanted in ("private", "vepa") for at, one in modes.items() if one == wanted), None)
    if barred is None or (modes[barred] == "vepa" and _reflects(loss, parent)):
        return None
    return Found(
        f"macvlan mode {modes[barred]}",
        f"{barred} is a {_kind(loss, barred)} in mode {modes[barred]}: the others on {parent} do not hear it, nor it "
        "them",
        hook="macvlan",
        evidence=(
            *(f"{at} is in mode {one}" for at, one in modes.items()),
            *((f"{loss.wiring.peer(parent)} sends nothing back (hairpin off)",) if modes[barred] == "vepa" else ()),
        ),
        remedy=f"ip link set {barred.link} type {_kind(loss, barred)} mode bridge",
        place=barred.place,
    )


@cause("l2.macvlan-passthru", *_STAGES)
def passthru(loss: Loss) -> Found | None:
    """A macvlan in mode passthru gets all that comes in by its parent, which gets nothing any more."""
    leg = loss.once(travelled)
    child = next((at for at in _children(loss, leg) if _mode(loss, at) == "passthru"), None)
    if leg is None or child is None:
        return None
    return Found(
        "macvlan mode passthru",
        f"{child} is a {_kind(loss, child)} in mode passthru: it gets all that comes in by {leg.target}",
        hook="macvlan",
        remedy=f"ip link delete {child.link}",
        place=child.place,
    )


@cause("l2.macvlan-source", *_STAGES)
def source(loss: Loss) -> Found | None:
    """A macvlan in mode source gets frames of the MACs that are allowed to it alone."""
    leg = loss.once(travelled)
    target = leg.target if leg else None
    if target is None or not _is_child(loss, target) or _mode(loss, target) != "source":
        return None
    allowed = dict(_link(loss, target).detail).get("macaddr", "")
    if loss.source_mac in str(allowed).split(","):
        return None
    return Found(
        "macvlan mode source",
        f"{target} is a {_kind(loss, target)} in mode source, and {loss.source_mac} is none of the MACs that it "
        "listens to",
        hook="macvlan",
        evidence=(f"allowed: {allowed or 'none'}",),
        remedy=f"ip link set {target.link} type {_kind(loss, target)} macaddr add {loss.source_mac}",
        place=target.place,
    )


def _link(loss: Loss, at: LinkAt) -> Link:
    return loss.wiring.links[at]


def _kind(loss: Loss, at: LinkAt) -> str:
    """Its kind, as ip-link(8) takes it: it changes no macvtap that it is told is a macvlan."""
    return _link(loss, at).kind


def _is_child(loss: Loss, at: LinkAt) -> bool:
    return _kind(loss, at) in _KINDS


def _mode(loss: Loss, at: LinkAt) -> str:
    return str(dict(_link(loss, at).detail).get("mode", ""))


def _children(loss: Loss, leg: Leg | None) -> list[LinkAt]:
    """The macvlans on the link where the packet was to arrive."""
    if leg is None or leg.target is None:
        return []
    return [at for at in loss.wiring.links if _is_child(loss, at) and loss.wiring.parent(at) == leg.target]


def _reflects(loss: Loss, parent: LinkAt) -> bool:
    """Whether the switch at the other end of the parent sends frames back by the port that they came in by."""
    peer = loss.wiring.peer(parent)
    ports = loss.state(loss.wiring.places[peer.place]).ports if peer else ()
    return any(port.hairpin for port in ports if peer and port.name == peer.link)
