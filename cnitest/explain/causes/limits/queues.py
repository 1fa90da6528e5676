"""What tc(8) drops: queueing disciplines that are full, policers and filters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.leg import arrived, travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Filter, Route
from cnitest.kernel.rows.traffic_control import Dropper
from cnitest.lab.place import Place
from cnitest.lab.snapshot import words
from cnitest.topology.link_kinds import KINDS

_HOOKS = ("ingress", "clsact")
_REDIRECT = re.compile(r"mirred egress redirect dev (\S+)")
_REASONS = ("QDISC_DROP", "TC_EGRESS", "TC_INGRESS", "QDISC_OVERLIMIT", "QDISC_CONGESTED")


@cause("limits.redirect", Stage.INGRESS, Stage.BRIDGE, Stage.EGRESS, order=-1)
def redirect(loss: Loss) -> Found | None:
    """A filter of tc sends the packet out of another link (mirred redirect) than the one on its way."""
    for hook, link in (("ingress", loss.link), *(("egress", name) for name in _out(loss))):
        for row in loss.state().filters:
            target = _REDIRECT.search(str(dict(row.options).get("action", "")))
            if link and (row.link, row.parent) == (link, hook) and target and _went_out(loss, target[1]):
                return Found(
                    "tc redirect",
                    f"{loss.place.full_name}:{link} has at {hook} {words.filter_key(row)} with action {target[0]}, "
                    f"which sends it out of {target[1]} instead",
                    hook,
                    (f"it was seen to leave by {target[1]}",),
                    f"tc filter del dev {link} {hook} pref {row.pref}",
                )
    return None


def _went_out(loss: Loss, link: str) -> bool:
    """Whether the packet was seen to leave its place by a link that is not on its way."""
    target = loss.links().get(link)
    if target and target.kind in KINDS and KINDS[target.kind].gives_back:
        return False
    seen = [one for one in loss.seen.sightings if one.place == loss.place.full_name and one.frame.out]
    leg = loss.once(travelled)
    on_it = leg is not None and (loss.place.full_name, link) in leg.way
    return not on_it and any(one.frame.link == link and one.returning == loss.returning for one in seen)


@cause("limits.filter", Stage.INGRESS, Stage.EGRESS, reasons=_REASONS)
def tc_filter(loss: Loss) -> Found | None:
    """A filter of tc drops the packet, or its policer found too many, where it comes in or goes out."""
    for hook, link in (("ingress", loss.link), *(("egress", name) for name in _out(loss))):
        filters = [row for row in loss.state().filters if row.link == link and row.parent == hook]
        dropped = {who: n for who, n in loss.dropped(link).items() if who.kind in _HOOKS or who.parent == hook}
        if link and filters and dropped:
            return _filter(loss, link, hook, filters, dropped)
    return None


def _filter(loss: Loss, link: str, hook: str, filters: list[Filter], dropped: dict[Dropper, int]) -> Found:
    orders = {who.pref for who in dropped if who.pref}
    found = next((row for row in filters if row.pref in orders), filters[0])
    sole = len({row.pref for row in filters}) == 1 or bool(orders)
    said = words.filter_key(found) if sole else f"one of {len(filters)} filters"
    actions = "; ".join(str(value) for name, value in found.options if name in ("action", "police"))
    return Found(
        "tc filter",
        f"{loss.place.full_name}:{link} has at {hook} {said}{actions and f' with action {actions}'}, which drops it",
        hook,
        (f"{sum(dropped.values())} packets dropped meanwhile",),
        f"tc filter del dev {link} {hook}{f' pref {found.pref}' if sole else ''}",
    )


@cause("limits.qdisc", Stage.EGRESS, reasons=_REASONS)
def qdisc(loss: Loss) -> Found | None:
    """A queueing discipline drops the packet: its queue is full, it is too large, or dropping is what it is for."""
    for place, link in (*((loss.place, link) for link in _out(loss)), *_flooded(loss)):
        found = loss.dropped(link, place=place).items()
        dropped = {who: n for who, n in found if not who.pref and who.kind not in _HOOKS}
        if dropped:
            who = _outermost(dropped)
            row = next((one for one in loss.state(place).qdiscs if (one.link, one.handle) == (link, who.handle)), None)
            options = row.options if row else ()
            settings = " ".join(f"{name} {value}" for name, value in options if "reserved" not in name)
            return Found(
                f"{who.kind} qdisc",
                f"{place.full_name}:{link} has a queue of kind {who.kind} ({settings}), which drops it",
                "egress",
                (f"{who.kind} {who.handle} has dropped {dropped[who]} meanwhile",),
                f"tc qdisc del dev {link} {_at(who)}",
                place.full_name,
            )
    return None


def _flooded(loss: Loss) -> Iterator[tuple[Place, str]]:
    """The other links on the way of a question for a MAC to who is asked: bridges flood it."""
    leg = loss.once(travelled) if loss.is_question and not arrived(loss) else None
    for at in leg.way if leg else ():
        if at != (loss.place.full_name, loss.link):
            yield loss.wiring.places[at.place], at.link


def _out(loss: Loss) -> Iterable[str]:
    """The links by which it can have been about to leave; of a question for a MAC at who is asked, the answer to it."""
    if loss.is_question and arrived(loss):
        return dict.fromkeys((loss.link, loss.incoming))
    if loss.bridged and loss.port:
        ports = [port.name for port in loss.state().ports if port.bridge == loss.port.bridge and port.name != loss.link]
        known = {row.link for row in loss.state().fdb if row.mac == loss.mac}
        return sorted(ports, key=lambda name: name not in known)
    return (loss.routed.link,) if isinstance(loss.routed, Route) and loss.routed.link else ()


def _outermost(dropped: dict[Dropper, int]) -> Dropper:
    """The one nearest to the link: what drops further in counts further out, too."""
    return next((who for who in dropped if who.parent == "root"), next(iter(dropped)))


def _at(who: Dropper) -> str:
    return "root" if who.parent == "root" else f"parent {who.parent}"
