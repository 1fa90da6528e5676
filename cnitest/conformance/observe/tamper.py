"""Ways to break an attachment behind a plugin's back, read off what its ADD did; CHECK is to notice each.

Every difference that ADD made has its way back: that is a tampering, and the kind of difference says which requirement
it is about.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnitest.conformance.bench.allowances import SAVED
from cnitest.conformance.bench.bench import AddResult, Bench, Picture
from cnitest.conformance.model import form, reading
from cnitest.conformance.model.requirement import Kind
from cnitest.kernel.files import File
from cnitest.kernel.rows.records import Address, Link, Qdisc, Route, Rule
from cnitest.lab.snapshot.difference import Difference, difference
from cnitest.lab.snapshot.firewall_line import FirewallLine
from cnitest.topology.link_kinds import KINDS

_HOST, _INSIDE = "host", "container"
_CHILDREN = frozenset(kind for kind, row in KINDS.items() if row.needs_parent)
_QUEUES = ("tbf", "htb", "ingress", "clsact")
_MAIN, _LOCAL = 254, 255
_OTHER_MAC = "02:00:5e:00:53:99"
_OTHER_MTU = 1298
_OF_ONE_ATTACHMENT = re.compile(r"\b\w*\d[\w.:/-]*")
# What an allocator remembers besides its leases.
_NO_LEASE = re.compile(r"/(lock|last_reserved_ip\.\w+)$")
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
_SETTABLE = {"mtu": "mtu", "txqlen": "txqueuelen", "alias": "alias"}


class Tampering(NamedTuple):
    """One way to break an attachment: the requirement that CHECK is held to by it, what it is, and the command with
    where it runs: on the host or in the container. ``undo`` lets the host serve the next attachment again."""

    requirement: str
    words: str
    where: str
    command: tuple[str, ...]
    undo: tuple[str, ...] = ()

    def apply(self, bench: Bench, made: AddResult) -> None:
        """Do it. Raises Undecided when the kernel will not have it."""
        bench.run(*self.command, at=made.target.sandbox if self.where == _INSIDE else None)

    def revert(self, bench: Bench) -> None:
        """Undo it on the host, where its link may be gone with the attachment."""
        if self.undo:
            bench.run(*self.undo, check=False)


def tamperings(bench: Bench, made: AddResult, before: Picture, after: Picture) -> list[Tampering]:
    """Every tampering that an attachment lets us make; ``before`` and ``after`` are pictures around its ADD."""
    sandbox, node = made.target.sandbox.full_name, bench.node.full_name
    inside = difference(before[sandbox], after[sandbox])
    outside = difference(before[node], after[node])
    found = [
        *_inside(made, inside),
        *_firewall(outside, after[node].firewall.get("nft", ())),
        *_queues(outside, _HOST),
        *_queues(inside, _INSIDE),
        *_reservations(bench, made, outside),
        *_ports(outside),
        *_unreachable(bench, made, outside),
    ]
    return list(dict.fromkeys(found))


def by_kind(ways: Sequence[Tampering]) -> dict[tuple[str, int], Tampering]:
    """Tamperings by what two attachments have in common: their words without addresses, generated names and numbers,
    and how many of the same words came before."""
    count: Counter[str] = Counter()
    found = {}
    for way in ways:
        words = _OF_ONE_ATTACHMENT.sub("#", way.words)
        found[words, count[words]] = way
        count[words] += 1
    return found


def _one(requirement: str, words: str, where: str, *argv: str) -> Tampering:
    return Tampering(requirement, words, where, argv)


def _down(words: str, link: str) -> Tampering:
    """A link of the host set down."""
    argv = ("ip", "link", "set", link)
    return Tampering("CHK-13", words, _HOST, (*argv, "down"), (*argv, "up"))


def _inside(made: AddResult, items: tuple[Difference, ...]) -> Iterator[Tampering]:
    """Links, addresses, routes and rules of the container."""
    for item in items:
        if item.table == "links" and item.changed:
            yield from _attributes(item)
        match item.after if item.appeared else None:
            case Link() as link if link.name != "lo":
                yield from _link(link)
            case Address() as address if address.scope != "link" and address.link != "lo" and not address.is_advertised:
                words, argv = f"the address {address.address} removed", (address.address, "dev", address.link)
                yield _one("CHK-07", words, _INSIDE, "ip", "address", "del", *argv)
            case Route() as route:
                yield from _route(made, route)
            case Rule() as rule:
                yield from _rule(rule, item)


def _link(link: Link) -> Iterator[Tampering]:
    name = link.name
    yield _one("CHK-05", f"the interface {name} removed", _INSIDE, "ip", "link", "del", name)
    words = f"the MAC of {name} changed"
    yield _one("CHK-06", words, _INSIDE, "ip", "link", "set", name, "address", _OTHER_MAC)
    if link.mtu:
        mtu = str(_OTHER_MTU)
        yield _one("CHK-20", f"the MTU of {name} changed", _INSIDE, "ip", "link", "set", name, "mtu", mtu)


def _attributes(item: Difference) -> Iterator[Tampering]:
    """What ADD changed of a link that was there: each attribute back to what it was."""
    for key, old, _ in item.changes:
        value = "" if old is None else str(old)
        words = f"{key} of {item.key} back to {value or 'nothing'}"
        change = ("ip", "link", "set", item.key)
        if key in _SETTABLE:
            yield _one("CHK-20", words, _INSIDE, *change, _SETTABLE[key], value)
        elif key == "promiscuity":
            yield _one("CHK-20", words, _INSIDE, *change, "promisc", "off")
        elif key == "mac":
            yield _one("CHK-06", words, _INSIDE, *change, "address", value)
        elif key == "up" and not old:
            yield _one("CHK-13" if item.key != "lo" else "CHK-20", words, _INSIDE, *change, "down")


def _route(made: AddResult, route: Route) -> Iterator[Tampering]:
    if route.table == _LOCAL or route.kind != "unicast":
        return
    if route.protocol == "kernel" and route.table == _MAIN:
        return  # it goes with its address
    to, table, family = route.to, str(route.table), f"-{route.family}"
    reported = _reported_routes(made)
    if route.table != _MAIN:
        words = f"the route to {to} in table {table} removed"
        yield _one("CHK-16", words, _INSIDE, "ip", family, "route", "del", to, "table", table)
    elif to in reported or (to == "default" and _EVERYWHERE[route.family] in reported):
        yield _one("CHK-08", f"the route to {to} ({family}) removed", _INSIDE, "ip", family, "route", "del", to)


def _reported_routes(made: AddResult) -> set[str]:
    return {reading.text(route, "dst") for route in reading.rows(made.result, "routes")}


def _rule(rule: Rule, item: Difference) -> Iterator[Tampering]:
    words = f"the rule {item.key}: {item.after_words} removed"
    yield _one("CHK-16", words, _INSIDE, "ip", f"-{rule.family}", "rule", "del", "priority", str(rule.priority))


def _firewall(items: tuple[Difference, ...], rules: Sequence[str]) -> Iterator[Tampering]:
    """Each rule that ADD made, and each chain of nftables that has any; ``rules`` are all that nftables has."""
    chains: dict[str, list[FirewallLine]] = {}
    for item in items:
        line = item.after
        if not item.appeared or not isinstance(line, FirewallLine):
            continue
        if item.table in SAVED and line.words:
            argv = (item.table, "-w", "-t", line.parent, "-D", *line.words[1:])
            yield _one("CHK-11", f"the {item.table} rule {line} removed", _HOST, *argv)
        elif item.table == "nft" and line.nft_chain and line.statement and not line.statement.startswith("type "):
            chains.setdefault(line.parent, []).append(line)
    for words, lines in sorted(chains.items()):
        chain = lines[0].nft_chain or ()
        yield _one("CHK-11", f"the rules of {words} removed", _HOST, "nft", "flush", "chain", *chain)
        for line in lines if len(lines) > 1 else ():
            yield _one("CHK-11", f"the rule {line} removed", _HOST, *_one_rule_less(line, rules))


def _one_rule_less(removed: FirewallLine, rules: Sequence[str]) -> tuple[str, ...]:
    """The command that leaves a chain of nftables without one rule: it is made anew with the others, for a rule has no
    name but a number that changes from run to run."""
    chain, kept = " ".join(removed.nft_chain or ()), list(_statements(removed.parent, rules))
    kept.remove(removed.statement)
    return "nft", "; ".join([f"flush chain {chain}", *(f"add rule {chain} {statement}" for statement in kept)])


def _statements(parent: str, rules: Sequence[str]) -> Iterator[str]:
    """The rules of a chain, in their order."""
    for rule in map(FirewallLine, rules):
        if rule.parent == parent and rule.statement and not rule.statement.startswith(("type ", "policy ", "comment ")):
            yield rule.statement


def _queues(items: tuple[Difference, ...], where: str) -> Iterator[Tampering]:
    """Queueing disciplines and the links that traffic is redirected to."""
    for item in items:
        match item.after if item.appeared else None:
            case Qdisc(link=link, kind=kind) if kind in _QUEUES:
                at = "ingress" if kind in ("ingress", "clsact") else "root"
                yield _one("CHK-12", f"{kind} of {link} removed", where, "tc", "qdisc", "del", "dev", link, at)
            case Link(name=name, kind="ifb"):
                yield _one("CHK-12", f"{name} removed", where, "ip", "link", "del", name)


def _reservations(bench: Bench, made: AddResult, items: tuple[Difference, ...]) -> Iterator[Tampering]:
    """The reservations of addresses: new files with an address of the result in their name or in themselves."""
    if bench.subject.kind is Kind.META:
        return
    addresses = "|".join(re.escape(ip.address.partition("/")[0]) for ip in form.ips(made.result, bench.version))
    mentioned = re.compile(rf"(?<![\w.:])({addresses or '(?!)'})(?![\w.:])")
    for item in items:
        match item.after if item.appeared else None:
            case File(path=path, kind="file", preview=preview):
                if not _NO_LEASE.search(path) and mentioned.search(f"{path} {preview}"):
                    yield _one("CHK-10", f"the reservation {path} removed", _HOST, "rm", "-f", path)


def _ports(items: tuple[Difference, ...]) -> Iterator[Tampering]:
    """The flags of a bridge's port."""
    for port in (item.after for item in items if item.table == "ports" and item.appeared):
        for flag in ("hairpin", "isolated"):
            if getattr(port, flag):
                argv = ("ip", "link", "set", port.name, "type", "bridge_slave", flag, "off")
                yield _one("CHK-20", f"{flag} of {port.name} switched off", _HOST, *argv)


def _unreachable(bench: Bench, made: AddResult, items: tuple[Difference, ...]) -> Iterator[Tampering]:
    """What keeps packets from the container though all of it is still there."""
    yield _one("CHK-13", f"{made.target.ifname} down", _INSIDE, "ip", "link", "set", made.target.ifname, "down")
    links = {link.name: link for link in bench.node.links}
    for item in items:
        if item.table == "links" and item.appeared and item.key in links:
            kind = links[item.key].kind
            if kind in ("veth", "bridge"):
                name = "the bridge" if kind == "bridge" else "the host's end"
                yield _down(f"{name} {item.key} down", item.key)
            if kind == "veth" and links[item.key].master:
                words = f"the host's end {item.key} out of its bridge"
                yield _one("CHK-13", words, _HOST, "ip", "link", "set", item.key, "nomaster")
            if kind == "veth":
                words = f"the MTU of {item.key} on the host changed"
                yield _one("CHK-20", words, _HOST, "ip", "link", "set", item.key, "mtu", str(_OTHER_MTU))
    yield from _parent_down(bench, made)
    for ip in form.ips(made.result, bench.version):
        owner = _owner(bench, ip.gateway or "")
        if owner is not None:
            argv = ("ip", "address", "del", owner.address, "dev", owner.link)
            yield _one("CHK-13", f"the gateway's address {owner.address} removed", _HOST, *argv)
    yield from _forwarding_off(bench, made)


def _owner(bench: Bench, gateway: str) -> Address | None:
    """The host's address that is a gateway, however that is spelt."""
    if not gateway:
        return None
    wanted = ipaddress.ip_address(gateway)
    return next((each for each in bench.node.addresses if ipaddress.ip_address(each.ip) == wanted), None)


def _forwarding_off(bench: Bench, made: AddResult) -> Iterator[Tampering]:
    """Forwarding of each family in which the host is the container's way to everywhere."""
    for family, gateways in sorted(reading.default_gateways(made.result, bench.version).items()):
        name = _FORWARDING[family]
        if bench.node.sysctl(name) == "1" and any(_owner(bench, gateway) for gateway in gateways):
            argv = ("sysctl", "-qw")
            yield Tampering("CHK-13", f"{name} set to 0", _HOST, (*argv, f"{name}=0"), (*argv, f"{name}=1"))


def _parent_down(bench: Bench, made: AddResult) -> Iterator[Tampering]:
    link = next((link for link in made.target.sandbox.links if link.name == made.target.ifname), None)
    master = bench.subject.conf.get("master")
    if link is not None and link.kind in _CHILDREN and isinstance(master, str):
        yield _down(f"the parent {master} down", master)
