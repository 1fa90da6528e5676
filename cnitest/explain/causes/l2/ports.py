"""Bridges that keep a frame: ports that do not forward, are isolated or locked, and entries that lead elsewhere."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.crossing import Crossing, crossings, forwarding
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_group
from cnitest.kernel.rows.records import Port

_STAGES = (Stage.WIRE, Stage.BRIDGE)


@cause("l2.port-state", *_STAGES)
def port_state(loss: Loss) -> Found | None:
    """A port of a bridge on the way does not forward: spanning tree holds it back, or somebody disabled it."""
    for crossing in loss.once(crossings):
        for port in crossing.ports:
            if port.state != "forwarding":
                return _not_forwarding(loss, crossing, port)
    return None


def _not_forwarding(loss: Loss, crossing: Crossing, port: Port) -> Found:
    stp = dict(loss.wiring.links[crossing.bridge].detail).get("stp")
    forward = f"bridge link set dev {port.name} state 3"
    off = f"ip link set {port.bridge} type bridge stp_state 0 && {forward}"
    return Found(
        f"port state {port.state}",
        f"port {port.name} of {crossing.bridge} is {port.state}, not forwarding",
        hook="bridge",
        evidence=(f"spanning tree is {'on' if stp else 'off'} on {port.bridge}",),
        remedy=off if stp and port.state != "disabled" else forward,
        place=crossing.place,
    )


@cause("l2.vlan", *_STAGES)
def vlan_filtered(loss: Loss) -> Found | None:
    """A bridge filters by VLAN, and a port on the way is not in the VLAN of the frame."""
    for crossing in loss.once(crossings):
        if not dict(loss.wiring.links[crossing.bridge].detail).get("vlan_filtering"):
            continue
        rows = [row for row in loss.state(loss.wiring.places[crossing.place]).vlans if row.link]
        into = crossing.into.name if crossing.into else crossing.bridge.link
        out = crossing.out.name if crossing.out else crossing.bridge.link
        vid = next((row.vid for row in rows if row.link == into and "pvid" in row.flags), 0)
        if not vid:
            return _outside(crossing, into, into, vid)
        if (out, vid) not in {(row.link, row.vid) for row in rows}:
            return _outside(crossing, out, into, vid)
    return None


def _outside(crossing: Crossing, port: str, into: str, vid: int) -> Found:
    """A port, or the bridge itself, is not in a VLAN; without one (0) a frame without a tag is in none."""
    itself = " self" if port == crossing.bridge.link else ""
    return Found(
        "VLAN filtered",
        f"{port} is in {f'no VLAN {vid}' if vid else 'no VLAN for untagged frames'} of {crossing.bridge}",
        hook="bridge",
        evidence=(f"vlan_filtering is on, and the frame came in by {into}",),
        remedy=f"bridge vlan add dev {port} vid {vid or 1} pvid untagged{itself}",
        place=crossing.place,
    )


@cause("l2.isolated", *_STAGES)
def isolated(loss: Loss) -> Found | None:
    """Both ports of a bridge are isolated: such ports hear only the others, and the bridge itself."""
    for crossing in loss.once(crossings):
        into, out = crossing.into, crossing.out
        if into and out and into.isolated and out.isolated:
            return Found(
                "port isolation",
                f"ports {into.name} and {out.name} of {crossing.bridge} are both isolated",
                hook="bridge",
                remedy=f"bridge link set dev {out.name} isolated off",
                place=crossing.place,
            )
    return None


@cause("l2.locked", *_STAGES)
def locked(loss: Loss) -> Found | None:
    """A port of a bridge is locked, and the frame's source MAC is none that is allowed there."""
    for crossing in loss.once(crossings):
        port, source = crossing.into, loss.source_mac
        if port is None or not dict(port.detail).get("locked"):
            continue
        rows = [row for row in forwarding(loss, crossing, source) if row.link == port.name]
        if all("locked" in row.flags for row in rows):
            return Found(
                "port locked",
                f"port {port.name} of {crossing.bridge} is locked, and {source} is not in its forwarding table",
                hook="bridge",
                evidence=(f"the frame's source is {source}",),
                remedy=f"bridge fdb add {source} dev {port.name} master static",
                place=crossing.place,
            )
    return None


@cause("l2.fdb", *_STAGES)
def wrong_entry(loss: Loss) -> Found | None:
    """The forwarding table of a bridge sends the MAC to another port than the one that it is at."""
    for crossing in loss.once(crossings):
        out = crossing.out.name if crossing.out else crossing.bridge.link
        rows = forwarding(loss, crossing, loss.mac)
        kept = [row for row in rows if crossing.out and row.link == out and row.state == "permanent"]
        if is_group(loss.mac) or not rows or (any(out == row.link for row in rows) and not kept):
            continue
        row, own = (kept or rows)[0], crossing.bridge.link
        keeps = kept or row.link == own
        does = "keeps what is for" if keeps else f"sends to {row.link} what is for"
        return Found(
            "fdb entry",
            f"{crossing.bridge} {does} {row.mac}, but it is at {out}{': the entry is permanent' if keeps else ''}",
            hook="bridge",
            evidence=(f"fdb: {row.mac} dev {row.link}, {row.state}",),
            remedy=f"bridge fdb del {row.mac} dev {row.link} {'self' if row.link == own else 'master'}",
            place=crossing.place,
        )
    return None


@cause("l2.own-mac", *_STAGES)
def own_mac(loss: Loss) -> Found | None:
    """The forwarding table of a bridge has lost the bridge's own MAC (it was flushed), so nothing gets there."""
    for crossing in loss.once(crossings):
        mac = loss.wiring.links[crossing.bridge].mac
        if crossing.out or is_group(loss.mac) or loss.mac != mac or forwarding(loss, crossing, mac):
            continue
        return Found(
            "own MAC not in fdb",
            f"{crossing.bridge} does not know that {mac} is its own: its forwarding table has no entry for it",
            hook="bridge",
            evidence=(f"the frame is addressed to {mac}, the MAC of {crossing.bridge}",),
            remedy=f"bridge fdb add {mac} dev {crossing.bridge.link} self permanent",
            place=crossing.place,
        )
    return None


@cause("l2.flood-off", *_STAGES)
def flood_off(loss: Loss) -> Found | None:
    """A port of a bridge is not flooded with such frames, and the forwarding table does not know their MAC."""
    for crossing in loss.once(crossings):
        port = crossing.out
        flag = _flood(loss.mac)
        if port and is_group(loss.mac) and dict(port.detail).get("proxy_arp"):
            return _proxied(loss, crossing, port)
        if port is None or dict(port.detail).get(flag, 1) or (flag == "flood" and forwarding(loss, crossing, loss.mac)):
            continue
        return Found(
            f"{flag} off",
            f"port {port.name} of {crossing.bridge} gets no frame to {loss.mac}: {flag} is off"
            + (", and the forwarding table does not know it" if flag == "flood" else ""),
            hook="bridge",
            remedy=f"bridge link set dev {port.name} {flag} on",
            place=crossing.place,
        )
    return None


def _proxied(loss: Loss, crossing: Crossing, port: Port) -> Found:
    """A port for which the bridge is to answer ARP itself, so that no question goes there."""
    return Found(
        "proxy_arp of the port",
        f"port {port.name} of {crossing.bridge} gets no frame to {loss.mac}: proxy_arp is on for the port",
        hook="bridge",
        remedy=f"ip link set {port.name} type bridge_slave proxy_arp off",
        place=crossing.place,
    )


def _flood(mac: str) -> str:
    """The flag of a port that says whether frames to a MAC that nobody is known to have go there."""
    if mac == "ff:ff:ff:ff:ff:ff":
        return "bcast_flood"
    return "mcast_flood" if is_group(mac) else "flood"
