"""Sources that are not believed, and addresses that a place may not send from or has twice."""

from __future__ import annotations

import errno
import ipaddress

from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.causes.routing import strays
from cnitest.explain.causes.routing.commands import answers, delete_address, kernel_answer
from cnitest.explain.evidence.ip import declared, fib, sendings
from cnitest.explain.evidence.ip.sysctls import set_to, sysctl_name
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.rows import is_loopback
from cnitest.kernel.rows.records import Route
from cnitest.lab.reach import Sighting
from cnitest.lab.snapshot import words

# Of one that comes in, and of one that a rule has translated on its way out.
_LOCALNET = ("IP_INVALID_DEST", "NETFILTER_DROP", "IP_INNOROUTES")
_NONE = "0.0.0.0"
# Of an IPv6 packet from ::1.
_OF_LOOPBACK = ("IP_INHDR",)
_MARTIAN = ("IP_INVALID_SOURCE", "IP_LOCAL_SOURCE", "IP_LOCALNET", "IP_RPFILTER", "INVALID_SOURCE", "IPV6_BAD_SOURCE")


@cause("routing.source-not-ours", Stage.SOCKET_OUT)
def source_not_ours(loss: Loss) -> Found | None:
    """The packet was to be sent from an address that its sender does not have."""
    source = loss.probe.source
    if loss.returning or loss.link or not source or loss.owns(source) or not loss.attempt.error:
        return None
    return Found(
        "source address not ours",
        f"{loss.place.full_name} cannot send from {source}: it is none of its addresses",
        evidence=(f"the kernel says: {loss.attempt.violation}",),
        remedy=f"ip address add {source} dev …",
    )


@cause("routing.no-source", Stage.SOCKET_OUT)
def no_source(loss: Loss) -> Found | None:
    """The sender has a route, and no address of that family to send from."""
    refused = isinstance(loss.attempt.error, OSError) and loss.attempt.error.errno == errno.EADDRNOTAVAIL
    if loss.returning or loss.link or loss.probe.source or not refused or not isinstance(loss.routed, Route):
        return None
    if any(row.scope == "global" for row in loss.addresses(loss.place)):
        return None
    again = declared.given_again(loss.place, loss.state(), six=loss.six)
    return Found(
        "no source address",
        f"{loss.place.full_name} has no IPv{6 if loss.six else 4} address to send to {loss.destination} from",
        "routing",
        (f"the kernel says: {loss.attempt.violation}",),
        again or f"ip address add … dev {loss.routed.link}",
    )


@cause("routing.localnet", Stage.OUTPUT, Stage.ROUTING, reasons=(*_MARTIAN, *_LOCALNET), order=-2)
def localnet(loss: Loss) -> Found | None:
    """A loopback address comes in by another link, or is to leave by one (after DNAT), and route_localnet is off."""
    if not loss.link:
        return _leaving(loss)
    bridge = loss.port is not None and not loss.bridged  # by br_netfilter
    if not (loss.received or bridge) or loss.link == "lo" or _unmasqueraded(loss):
        return None
    found = next((one for one in (loss.destination, loss.packet.source) if is_loopback(one)), "")
    if loss.six:
        return _of_six(loss, found) if found else None
    name = f"ipv4/conf/{loss.incoming}/route_localnet"
    if not found or "1" in (loss.sysctl(name), loss.sysctl("ipv4/conf/all/route_localnet")):
        return None
    return Found(
        "route_localnet off",
        f"{loss.place.full_name} takes {found} by no link but lo: {sysctl_name(name)}=0",
        hook="routing",
        evidence=(f"it came in by {loss.incoming}",),
        remedy=set_to(1, name),
    )


def _of_six(loss: Loss, found: str) -> Found:
    """The same in IPv6, which has no such setting: no address of a link's neighbour can answer for ``::1``."""
    return Found(
        "no route_localnet in IPv6",
        f"{loss.place.full_name} takes {found} by no link but lo, and IPv6 has no setting that changes that",
        hook="routing",
        evidence=(f"it came in by {loss.incoming}",),
        remedy=f"ask for another address of {loss.place.full_name} than {found}",
    )


def _leaving(loss: Loss) -> Found | None:
    """The same of a packet from a loopback address that a rule for what the place sends has translated to another."""
    if loss.six or not is_loopback(loss.packet.source) or is_loopback(loss.destination):
        return None
    way = loss.route(loss.destination)
    name = f"ipv4/conf/{way.link}/route_localnet" if isinstance(way, Route) else ""
    if not name or "1" in (loss.sysctl(name), loss.sysctl("ipv4/conf/all/route_localnet")):
        return None
    link = name.split("/")[2]
    return Found(
        "route_localnet off",
        f"{loss.place.full_name} sends {loss.packet.source} by no link but lo, and {loss.packet.destination} was "
        f"translated to {loss.destination}, which is behind {link}: {sysctl_name(name)}=0",
        hook="OUTPUT",
        evidence=("the translated packet gets no route, and netfilter drops it",),
        remedy=f"{set_to(1, name)} && iptables -t nat -A POSTROUTING -s 127.0.0.0/8 -o {link} -j MASQUERADE",
    )


def _from_nowhere(loss: Loss) -> Found | None:
    """A packet without a source, since its sender's addresses are of a scope that does not reach so far."""
    sender = loss.probe.sender
    decision = fib.decide(loss.state(sender), fib.RouteLookup(loss.packet))
    route = decision.route if decision else None
    rows = [row for row in loss.state(sender).addresses if ":" not in row.address and row.scope in ("link", "host")]
    row = next((row for row in rows if route and fib.goes_by(route, row.link)), None)
    if route is None or row is None or loss.returning:
        return None
    return Found(
        "no source address",
        f"{sender.full_name} sends from {_NONE}: {row.address} on {row.link} has scope {row.scope}, and is chosen for "
        f"nothing that goes by {words.route_key(route)}",
        hook="routing",
        evidence=(f"it came in by {loss.incoming}",),
        remedy=f"ip route change {words.route_in_command(route)} src {row.ip}",
        place=sender.full_name,
    )


@cause("routing.martian-source", Stage.ROUTING, reasons=(*_MARTIAN, *_OF_LOOPBACK), order=-1)
def martian_source(loss: Loss) -> Found | None:
    """The source is one that no packet from a link may have: the receiver's own address, a group, loopback."""
    source = loss.packet.source
    if not loss.received or loss.link == "lo" or not source:
        return None
    if source == _NONE:
        return _from_nowhere(loss)
    if not (loss.six or answers(loss, "EINVAL", "EXDEV")):
        return None
    loose, place = _unmasqueraded(loss), ""
    own = not loss.six and loss.owns(source) and not sendings.came_round(loss)
    if loose:
        what, place = (
            f"{source} left {loose.place} by {loose.frame.link} as it was: nothing masquerades it",
            loose.place,
        )
        program = "ip6tables" if loss.six else "iptables"
        remedy = f"{program} -t nat -I POSTROUTING -s {source} -o {loose.frame.link} -j MASQUERADE"
    elif own and loss.sysctl(f"ipv4/conf/{loss.incoming}/accept_local") == "0":
        what, remedy = f"{source} is an address of {loss.place.full_name} itself", delete_address(loss, source)
    elif is_loopback(source) or ipaddress.ip_address(source).is_multicast:
        what, remedy = f"{source} is no source that comes in by a link", ""
        if not loss.returning:
            remedy = declared.given_again(loss.probe.sender, loss.state(loss.probe.sender), six=loss.six)
            place = loss.probe.sender.full_name if remedy else ""
    else:
        return None
    return Found(
        "martian source",
        f"{loss.place.full_name} does not believe the source: {what}",
        hook="routing",
        evidence=(f"it came in by {loss.incoming}",),
        remedy=remedy,
        place=place,
    )


def _unmasqueraded(loss: Loss) -> Sighting | None:
    """Where a packet from a loopback address left its sender, which asked a loopback address that a rule (DNAT) has
    translated to another place's; None of any other packet."""
    if loss.returning or not is_loopback(loss.packet.source) or not is_loopback(loss.reach.destination):
        return None
    sender = loss.probe.sender
    if loss.place is sender or is_loopback(loss.packet.destination):
        return None
    sent = (one for one in loss.seen.sightings if one.place == sender.full_name and not one.returning)
    return next((one for one in sent if one.frame.out and one.frame.link != "lo"), None)


@cause("routing.duplicate-address", Stage.SOCKET_OUT, Stage.WIRE, Stage.INPUT, order=-5)
def duplicate_address(loss: Loss) -> Found | None:
    """The packet or its answer is for an address that a place on its way, or its sender, has itself, so it stays
    there."""
    address, owner = loss.destination, loss.probe.sender if loss.returning else loss.probe.far
    elsewhere = loss.spot.out and loss.link != "lo"
    if owner is None or owner is loss.place or elsewhere or not address or is_loopback(address):
        return None
    if not (loss.owns(address) and loss.owns(address, owner)) or not (loss.returning or _stays_at_sender(loss)):
        return None
    both = (loss.place, owner)
    stray = next((place for place in both if not declared.is_own(place, address)), loss.place)
    return Found(
        "duplicate address",
        f"{loss.place.full_name} has {address}, too, so it keeps what is for {owner.full_name}",
        "routing",
        (f"{owner.full_name} and {loss.place.full_name} both have {address}",),
        delete_address(loss, address, stray),
        stray.full_name,
    )


def _stays_at_sender(loss: Loss) -> bool:
    """Whether a packet has not left its sender, but for its loopback."""
    return loss.place is loss.probe.sender and loss.link in ("", "lo")


@cause("routing.rp-filter", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter(loss: Loss) -> Found | None:
    """Reverse path filtering is strict, as a loose one is on a link without an IPv4 address: the route back to the
    source does not lead to the link that it came in by."""
    name, mode = _rp_filter(loss)
    back, unnumbered = _way_back(loss) if mode else None, _is_unnumbered(loss)
    strict = mode == 1 or (mode == 2 and unnumbered and back is not None)
    if not strict or (back and (back.kind != "unicast" or fib.goes_by(back, loss.incoming))):
        return None
    way = f"leads to {fib.ways(back)}" if back else "is not there"
    how = "strict" if mode == 1 else f"loose, but {loss.incoming} has no IPv4 address, which makes it strict"
    return Found(
        "rp_filter",
        f"{loss.place.full_name} does not take {loss.packet.source} by {loss.incoming}: the route back {way}, "
        f"and {sysctl_name(name)}={mode} ({how})",
        "routing",
        (f"the kernel answers {kernel_answer(loss)} for a packet from {loss.packet.source} by {loss.incoming}",),
        strays.restored(loss, _back(loss), loss.incoming)
        or strays.of_strict_filter(loss, _back(loss), loss.incoming)
        or _loosened(loss, off=unnumbered or back is None),
    )


def _is_unnumbered(loss: Loss) -> bool:
    """Whether the link that it came in by has no IPv4 address: then its source has to be reached by that very link
    wherever reverse path filtering is on at all."""
    return not any(row.link == loss.incoming and ":" not in row.ip for row in loss.state().addresses)


def _loosened(loss: Loss, *, off: bool) -> str:
    """The command that has the link that it came in by filtered loosely, or not at all: the higher value of the link
    and of all counts."""
    own, general = (f"ipv4/conf/{name}/rp_filter" for name in (loss.incoming, "all"))
    if not off:
        return set_to(2, own)
    return set_to(0, *(name for name in (own, general) if loss.number(name) or name == own))


@cause("routing.rp-filter-loose", Stage.ROUTING, reasons=_MARTIAN)
def rp_filter_loose(loss: Loss) -> Found | None:
    """Reverse path filtering is loose, and there is no route back to the source at all."""
    name, mode = _rp_filter(loss)
    if mode != 2 or _way_back(loss):
        return None
    source = loss.packet.source
    return Found(
        "rp_filter loose",
        f"{loss.place.full_name} has no route back to {source}, and {sysctl_name(name)}=2 (loose)",
        "routing",
        (f"the kernel answers {kernel_answer(loss)} for a packet from {source} by {loss.incoming}",),
        f"ip route add {_declared_back(loss) or f'{source} dev {loss.incoming}'}",
    )


def _declared_back(loss: Loss) -> str:
    """The route back to the source that the topology declares, as ``ip route add`` takes it; empty without one."""
    back = loss.packet._replace(source=loss.destination, destination=loss.packet.source)
    return declared.route(loss.place, fib.RouteLookup(back))


def _way_back(loss: Loss) -> Route | None:
    """The route back to the source."""
    found = fib.decide(loss.state(), _back(loss))
    return found.route if found else None


def _back(loss: Loss) -> fib.RouteLookup:
    """How the kernel looks up the way back to the source for reverse path filtering: with the packet's mark where that
    counts (``src_valid_mark``)."""
    marked = any(loss.sysctl(f"ipv4/conf/{name}/src_valid_mark") == "1" for name in ("all", loss.incoming))
    headers = loss.question.headers
    back = headers._replace(source=headers.destination, destination=headers.source)
    return fib.RouteLookup(back, mark=loss.mark if marked else 0)


def _rp_filter(loss: Loss) -> tuple[str, int]:
    """The sysctl that decides, and its value: the higher of the link's and that of all."""
    if not loss.received or loss.six or not answers(loss, "EXDEV", "EINVAL"):
        return "", 0
    if loss.decision is None or loss.decision.kind not in ("unicast", "local"):
        return "", 0
    names = (f"ipv4/conf/{loss.incoming}/rp_filter", "ipv4/conf/all/rp_filter")
    name = max(names, key=loss.number)
    return name, loss.number(name)
