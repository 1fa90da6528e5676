"""ADD and DEL beside what somebody else runs on the host: SPEC section 2."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.bench.steps import CommandRun, SourceHidden
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import space
from cnitest.conformance.model.finding import Detail
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.connections import demand_answers
from cnitest.lab.hosts import Sandbox
from cnitest.lab.place import Place

_NAMES = ("cnitest-by1", "cnitest-by2")
#: The networks of `space` that they have; others of its numbers are other tests'.
_FIRST = 8
#: What the host tracks of somebody else: the words of conntrack(8) for a protocol, beside addresses and ports.
_TRACKED = {"tcp": ("--state", "ESTABLISHED"), "udp": ()}
_PORTS = ("--sport", "65000", "--dport", "65001")
_FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


@check("DEL-14", family=["IPv4", "IPv6"])
def packets_of_others_pass(bench: Bench, family: str) -> None:
    """What passed between two containers that somebody else has on the host, and from them to the host, passes after
    ADD and after DEL."""
    flows = list(_flows(bench, 6 if family == "IPv6" else 4))
    flows = [flow for flow in flows if not traffic.lost(flow, traffic.READY)]
    target = bench.target()
    bench.chain(target)
    flows = [flow for flow in flows if not traffic.lost(flow, traffic.AGAIN)]  # what those before it do is theirs
    if not flows:
        bench.not_exercised(f"this host forwards no {family} between other containers")

    made = bench.attach(target)
    harmed = [flow for flow in flows if traffic.lost(flow, traffic.AGAIN)]
    demand_answers(bench, harmed, traffic.AGAIN, "after ADD, of others: ")
    if harmed:  # DEL may take the harm back, which would then not show in the script
        return
    bench.delete(made)

    demand_answers(bench, flows, traffic.AGAIN, "after DEL, of others: ")


@check("DEL-14", family=["IPv4", "IPv6"])
def sources_of_others_are_seen(bench: Bench, family: str) -> None:
    """Packets of somebody else's containers come to each other and to the internet with their own source after ADD and
    after DEL: who masquerades more than is the plugin's hides them."""
    target = bench.target()
    bench.chain(target)
    views = [view for view in _views(bench, 6 if family == "IPv6" else 4) if _sees_another(bench, view) == ""]
    if not views:
        bench.not_exercised(f"nobody here sees the sources of other containers' packets of {family}")
        return

    made = bench.attach(target)
    told = [_told_hidden(bench, view, "ADD") for view in views]
    if any(told):
        return
    bench.delete(made)

    for view in views:
        _told_hidden(bench, view, "DEL")


@check("DEL-14", family=["IPv4", "IPv6"])
def ports_of_others_are_reached(bench: Bench, family: str) -> None:
    """A port of the host that leads to a container is that of the host's addresses alone: what the host and somebody
    else's container send to it at other addresses arrives there (GHSA-jv3w-x3r3-g6rm)."""
    target = bench.target()
    mappings = [(str(row.get("protocol")), row.get("hostPort")) for row in _rows(target.capabilities)]
    ports = [(protocol, port) for protocol, port in mappings if protocol in ("tcp", "udp") and port]
    if not ports:
        bench.not_applicable("no port of the host leads to its containers")
    bench.chain(target)
    flows = list(_to_ports(bench, 6 if family == "IPv6" else 4, ports))
    flows = [(flow, receiver) for flow, receiver in flows if not traffic.not_arriving(flow, receiver)]
    if not flows:
        bench.not_exercised(f"nobody here gets {family} packets of others")
        return

    bench.attach(target)

    for flow, receiver in flows:
        why = traffic.not_arriving(flow, receiver)
        bench.complain(*([why] if why else []), prefix="after ADD, of others: ")


def _rows(capabilities: Document) -> list[Document]:
    """The port mappings that a runtime provides, as far as they are any."""
    rows = capabilities.get("portMappings")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _to_ports(
    bench: Bench, family: int, ports: Sequence[tuple[str, int]]
) -> Iterator[tuple[traffic.TrafficProbe, Place]]:
    """Packets to the host's ports of others' addresses, and who gets them."""
    views = list(_views(bench, family))
    for view in (*views, *(view._replace(sender=bench.node) for view in views[1:])):
        for protocol, port in ports:
            yield traffic.through_port(view.sender, view.target, protocol, port, view.receiver, port), view.receiver


class _View(NamedTuple):
    """A packet of somebody else's, and who sees its source."""

    sender: Place
    source: str
    target: str
    receiver: Place


def _views(bench: Bench, family: int) -> Iterator[_View]:
    """From one container to the other, and to who plays the internet."""
    flow = next(iter(_flows(bench, family)))
    source = str(space.network(bench.subject, family, _FIRST)[2])
    yield _View(flow.sender, source, flow.target, bench.node.sandbox(_NAMES[1]))
    place, targets = traffic.internet(bench.lab)
    for each in targets:
        if place and (":" in each) == (family == 6):
            yield _View(flow.sender, source, each, place)


def _sees_another(bench: Bench, view: _View) -> str | None:
    """The source that a packet has instead of its own; empty when it has that, None when it does not arrive."""
    port = traffic.free_port(bench.subject, view.receiver)
    seen = traffic.source_seen(view.sender, view.target, view.receiver, port)
    return None if seen is None else "" if ipaddress.ip_address(seen) == ipaddress.ip_address(view.source) else seen


def _told_hidden(bench: Bench, view: _View, command: str) -> bool:
    seen = _sees_another(bench, view)
    if seen:
        about = SourceHidden(view.sender.full_name, view.target, view.source)
        words = f"{view.sender.full_name} -> {view.target} udp: arrives from {seen}, not {view.source}"
        bench.complain(Detail(words, about=about), prefix=f"after {command}, of others: ")
    return bool(seen)


@check("DEL-14", family=["IPv4", "IPv6"])
def connections_of_others_stay(bench: Bench, family: str) -> None:
    """The host tracks the connections of somebody else after ADD and DEL as before: who forgets them all ends each that
    is translated or that only its first packet may begin."""
    target = bench.target()
    bench.chain(target)
    connections = [one for one in _connections(bench, 6 if family == "IPv6" else 4) if _is_tracked(bench, one)]
    if not connections:
        bench.not_exercised(f"this host tracks no {family} connections, or has no conntrack program")

    made = bench.attach(target)
    forgotten = [one for one in connections if not _is_tracked(bench, one)]
    _complain(bench, forgotten, "ADD")
    bench.delete(made)

    _complain(bench, (one for one in connections if one not in forgotten and not _is_tracked(bench, one)), "DEL")


def _connections(bench: Bench, family: int) -> Iterator[tuple[str, ...]]:
    """Connections that the host is made to track for an hour, between two networks that nobody has."""
    one, other = (str(space.network(bench.subject, family, _FIRST + number)[2]) for number in range(2))
    for protocol, state in _TRACKED.items():
        words = ("-p", protocol, "-s", one, "-d", other, *_PORTS)
        bench.run("conntrack", "-I", *words, "--timeout", "3600", *state, check=False)
        yield words


def _is_tracked(bench: Bench, connection: tuple[str, ...]) -> bool:
    return bool(bench.run("conntrack", "-L", *connection, check=False).strip())


def _complain(bench: Bench, forgotten: Iterable[tuple[str, ...]], command: str) -> None:
    for told in map(" ".join, forgotten):
        witness = f"! conntrack -L {told} 2>/dev/null | grep -q ."
        bench.complain(f"after {command} the host no longer tracks a connection of others: {told}", witness=witness)


def _flows(bench: Bench, family: int) -> Iterator[traffic.TrafficProbe]:
    """Echoes between both containers and from one to the host; each container has a network of its own."""
    for setting in _FORWARDING:
        bench.run("sysctl", "-qw", setting, check=False)
    one, other = (_bystander(bench, name, family, _FIRST + number) for number, name in enumerate(_NAMES))
    networks = [space.network(bench.subject, family, _FIRST + number) for number in range(2)]
    for sender, target in ((one, networks[1][2]), (other, networks[0][2]), (one, networks[0][1])):
        flow = traffic.echo(sender, str(target))
        bench.probed(flow.sender, flow.target)
        yield flow


def _bystander(bench: Bench, name: str, family: int, nth: int) -> Sandbox:
    """A container that is routed by the host, which nobody's plugins made."""
    sandbox = bench.node.sandbox(name)
    named = os.path.basename(sandbox.path)
    bench.record.steps.append(CommandRun("node", ("ip", "netns", "add", named)))
    network, link = space.network(bench.subject, family, nth), space.name(bench.subject, name[-3:])
    nodad = ("nodad",) if family == 6 else ()
    bench.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", named)
    bench.run("ip", "address", "add", f"{network[1]}/{network.prefixlen}", "dev", link, *nodad)
    bench.run("ip", "link", "set", link, "up")
    bench.run("ip", "address", "add", f"{network[2]}/{network.prefixlen}", "dev", "eth0", *nodad, at=sandbox)
    bench.run("ip", "link", "set", "eth0", "up", at=sandbox)
    bench.run("ip", f"-{family}", "route", "add", "default", "via", str(network[1]), at=sandbox)
    return sandbox
