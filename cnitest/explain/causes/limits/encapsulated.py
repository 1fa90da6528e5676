"""Packets that become too large for a link by what a tunnel puts around them."""

from __future__ import annotations

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence.ip import carriers, sizes
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.kernel.rows.records import Link
from cnitest.lab.probe import wire

# UDP's header, and that of VXLAN or Geneve.
_UDP_AND_TUNNEL = 8 + 8
_IPV4, _IPV6, _ETHERNET = 20, 40, 14
_DF_SET, _DF_INHERIT, _DONT = 1, 2, 0x4000


@cause("limits.tunnel-mtu", Stage.TUNNEL, order=-1)
def tunnel_mtu(loss: Loss) -> Found | None:
    """A packet is too large for a link on the way with what a tunnel puts around it, and the tunnel's own packet must
    not be sent in parts (``df set``, IPv6)."""
    link = loss.links().get(loss.link)
    carrier = loss.once(carriers.around) if loss.spot.out and link else None
    if carrier is None or link is None or loss.spot.frame is None or carriers.protocol(link.kind) != wire.UDP:
        return None
    six = ":" in carrier.destination
    size = len(loss.spot.frame.data) + _UDP_AND_TUNNEL + (_IPV6 if six else _IPV4)
    if not six and not _is_whole(loss, link):
        return None
    for place, route in sizes.way(carrier, carrier.place):
        narrow = loss.links(place).get(route.link)
        if narrow and 0 < narrow.mtu < size:
            unset = f"ip link set dev {link.name} type {link.kind} df unset"
            raised = f"ip link set dev {narrow.name} mtu {size}"
            why = "of IPv6" if six else f"sent with df set by {link.name}"
            return Found(
                "MTU of the tunnel's way",
                f"{place.full_name}:{narrow.name} has MTU {narrow.mtu}, and the packet has {size} bytes in {link.name}"
                f", not to be sent in parts ({why})",
                "routing",
                (f"{loss.place.full_name} remembers the MTU until ip {'-6 ' if six else ''}route flush cache",),
                raised if six else unset,
                place.full_name if six else loss.place.full_name,
            )
    return None


def _is_whole(loss: Loss, link: Link) -> bool:
    """Whether a tunnel over IPv4 forbids to send its packet in parts: always, or as what is inside does."""
    df = dict(link.detail).get("df")
    data = loss.spot.frame.data[_ETHERNET:] if loss.spot.frame else b""
    inherits = not loss.six and len(data) > 8 and bool(int.from_bytes(data[6:8], "big") & _DONT)
    return df == _DF_SET or (df == _DF_INHERIT and inherits)
