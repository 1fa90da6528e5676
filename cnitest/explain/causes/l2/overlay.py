"""VXLANs whose ends do not find each other: no remote for a MAC, another identifier."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.leg import travelled
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Link
from cnitest.topology.link_kinds import KINDS

_EVERYBODY = "00:00:00:00:00:00"


@cause("l2.vxlan-remote", Stage.WIRE, order=-1)
def no_remote(loss: Loss) -> Found | None:
    """The forwarding table of a VXLAN names no remote for the MAC, and none for MACs that it does not know."""
    leg = loss.once(travelled)
    here = LinkAt(loss.place.full_name, loss.link)
    link = loss.wiring.links.get(here)
    if leg is None or leg.start != here or link is None or not _is_vxlan(link) or _has_remote(loss, link):
        return None
    where = _local(loss, leg.intended)
    return Found(
        "no VXLAN remote",
        f"{here} has no remote for {loss.mac} in its forwarding table, and none for MACs that it does not know",
        hook="bridge",
        evidence=(f"{leg.intended} is at {where}",) if where else (),
        remedy=f"bridge fdb append {loss.mac} dev {loss.link} dst {where or '…'}",
    )


@cause("l2.vxlan-id", Stage.INGRESS, Stage.PREROUTING, reasons=("VXLAN_VNI_NOT_FOUND",), order=-1)
def unknown_id(loss: Loss) -> Found | None:
    """A place gets packets of a VXLAN of which it has no link: the identifiers (VNI) of the ends differ."""
    if "VXLAN_VNI_NOT_FOUND" not in loss.reasons:
        return None
    has = [f"{link.name} has id {dict(link.detail).get('id')}" for link in loss.links().values() if _is_vxlan(link)]
    return Found(
        "VXLAN id",
        f"{loss.place.full_name} has no VXLAN of the identifier in the packet that came in by {loss.link}",
        hook="bridge",
        evidence=tuple(has),
        remedy="",
    )


def _is_vxlan(link: Link) -> bool:
    """Whether its forwarding entries lead to addresses."""
    return link.kind in KINDS and KINDS[link.kind].fdb_dst


def _has_remote(loss: Loss, link: Link) -> bool:
    """Whether a VXLAN knows where to send the frame: by its table, or by its own remote or group."""
    if {"remote", "remote6", "group", "group6"} & dict(link.detail).keys():
        return True
    macs = (loss.mac, _EVERYBODY)
    return any(row.link == link.name and row.mac in macs and (row.dst or row.nhid) for row in loss.state().fdb)


def _local(loss: Loss, at: LinkAt | None) -> str:
    """The address that the other end of a VXLAN sends from, empty where it has none of its own."""
    detail = dict(loss.wiring.links[at].detail) if at else {}
    return str(detail.get("local") or detail.get("local6") or "")
