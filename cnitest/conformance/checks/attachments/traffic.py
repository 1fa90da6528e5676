"""Packets: what an attachment is for."""

from __future__ import annotations

from collections.abc import Callable

from cnitest.conformance.bench.shared_attachment import SharedAttachment
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.observe import connections, pathmtu, traffic
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.lab.hosts import Sandbox
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach


@check("NET-01")
def the_gateway_answers(shared_attachment: SharedAttachment) -> None:
    """Each gateway of the result answers the container's echo, and takes UDP and TCP where it is of this lab."""
    bench, made = shared_attachment.bench, shared_attachment.made
    flows = connections.gateways(bench, made)

    if not flows:
        bench.not_applicable("the result has no gateway here, or the profile says that it does not answer")
    for flow in tuple(flows):
        owner = bench.lab.owner(flow.target, flow.sender)
        if owner:
            flows += traffic.streams(flow.sender, flow.target, owner, traffic.free_port(bench.subject, owner))
    connections.demand_answers(bench, flows)


@check("NET-02")
def containers_reach_each_other(shared_attachment: SharedAttachment) -> None:
    """ICMP, UDP and TCP pass between two containers of the network, both ways, in each family."""
    bench = shared_attachment.bench
    pairs = _pairs(shared_attachment)
    port = traffic.free_port(bench.subject, *(place for pair in pairs for place in pair[:2]))
    flows = [flow for one, other, *ips in pairs for flow in traffic.both_ways(one, ips[0], other, ips[1], port=port)]

    if not flows:
        why = connections.apart(bench) or connections.closed(shared_attachment.made)
        bench.not_applicable(why or "it gives no addresses")
    connections.demand_answers(bench, flows)
    for one, other, ip, ip_other in pairs:
        for sender, receiver, source, target in ((one, other, ip, ip_other), (other, one, ip_other, ip)):
            seen = traffic.source_seen(sender, target, receiver, port)
            words = f"{receiver.full_name} sees {seen}, not {source}, as the source of {sender.full_name}"
            bench.demand(seen in (None, source), words)


@check("NET-03")
def the_outside_answers(shared_attachment: SharedAttachment) -> None:
    """Where there is a default route and a way back, the internet answers."""
    bench, made = shared_attachment.bench, shared_attachment.made
    flows = connections.outside(bench, made)

    if not flows:
        bench.not_applicable("there is no default route, or no way back from the internet of this topology")
    connections.demand_answers(bench, flows)


@check("NET-03")
def tcp_and_udp_reach_the_outside(shared_attachment: SharedAttachment) -> None:
    """TCP and UDP reach the internet as echoes do, and a masquerading plugin hides the container's address."""
    bench, made = shared_attachment.bench, shared_attachment.made
    place, targets = traffic.internet(bench.lab)
    reached = {flow.target for flow in connections.outside(bench, made)}
    if place is None or not reached:
        bench.not_applicable("there is no default route, or no way back from the internet of this topology")
    sandbox, own, port = (
        made.target.sandbox,
        connections.addresses(bench, made),
        traffic.free_port(bench.subject, place),
    )
    for target in (target for target in targets if target in reached):
        for name, probe in (("udp", sandbox.udp), ("tcp", sandbox.tcp)):
            seen: list[str | None] = []
            send = _remembering(probe, target, port, seen)
            flow = TrafficProbe(f"{sandbox.full_name} -> {target} {name}", send, sandbox, target)
            why = traffic.lost(flow, explain=True)
            bench.complain(*([why] if why else []))
            if connections.masquerades(bench) and not why:
                bench.demand(seen[-1] not in own, f"{flow.words}: the internet sees the container's own {seen[-1]}")


def _remembering(
    probe: Callable[[str, int], Reach], target: str, port: int, seen: list[str | None]
) -> Callable[[], Reach]:
    """The probe, which also notes the source that the far end saw."""

    def send() -> Reach:
        reach = probe(target, port)
        seen.append(reach.source_seen)
        return reach

    return send


@check("NET-03")
def packets_arrive_outside(shared_attachment: SharedAttachment) -> None:
    """With a default route the container's packets arrive at the internet, whether or not they can be answered."""
    bench, made = shared_attachment.bench, shared_attachment.made
    place, targets = traffic.internet(bench.lab)
    routes = [route for route in made.target.sandbox.routes if route.to == "default" and route.kind == "unicast"]
    routes = [route for route in routes if not route.via or connections.is_here(bench, made, route.via)]
    silent = bench.setting.expect.internet is False or connections.closed(made)
    if place is None or not routes or not connections.addresses(bench, made) or silent:
        bench.not_applicable("there is no default route that leads anywhere, or no internet in this topology")
    families = {route.family for route in routes}
    for target in targets:
        if (6 if ":" in target else 4) in families:
            why = traffic.not_arriving(traffic.echo(made.target.sandbox, target), place)
            bench.complain(*([why] if why else []))


@check("NET-04")
def full_packets_pass(shared_attachment: SharedAttachment) -> None:
    """Packets of the interface's MTU pass unsplit to the gateway, and those that the links of the gateway and of others
    allow pass to the container, or their senders learn what does."""
    bench, made = shared_attachment.bench, shared_attachment.made
    mtu = next((link.mtu for link in made.target.sandbox.links if link.name == made.target.ifname), 0)
    if not mtu:
        raise Undecided(f"{made.target.sandbox.full_name} has no {made.target.ifname}")
    flows = [traffic.full_size(made.target.sandbox, flow.target, mtu) for flow in connections.gateways(bench, made)]
    paths: list[tuple[Place, Place, str, str]] = [
        (flow.sender, made.target.sandbox, flow.target, _gateway(shared_attachment, flow))
        for flow in _inbound(shared_attachment)
    ]
    for one, other, ip, ip_other in _pairs(shared_attachment):
        paths += [(one, other, ip_other, ip), (other, one, ip, ip_other)]
    flows += [_of_full_size(*path, mtu) for path in paths]
    if not flows:
        bench.not_applicable("there is nobody to send to")
    connections.demand_answers(bench, flows)


def _gateway(shared_attachment: SharedAttachment, flow: TrafficProbe) -> str:
    """The gateway whose owner a flow's sender is."""
    bench, made = shared_attachment.bench, shared_attachment.made
    return next(
        each.target
        for each in connections.gateways(bench, made)
        if bench.lab.owner(each.target, each.sender) is flow.sender and (":" in each.target) == (":" in flow.target)
    )


def _of_full_size(sender: Place, receiver: Place, target: str, source: str, mtu: int) -> TrafficProbe:
    """A packet of the sender's MTU; of the container's where a route between the two lacks."""
    near, far = pathmtu.end(sender, target), pathmtu.end(receiver, source)
    return pathmtu.largest(near, far, target) if near and far else traffic.full_size(sender, target, mtu)


@check("NET-05")
def the_gateway_reaches_the_container(shared_attachment: SharedAttachment) -> None:
    """Who has the gateway's address gets answers from the container; a gateway that nobody has is none."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if bench.setting.expect.inbound is False:
        bench.not_applicable("the profile says that containers are not reached from outside")
    gateways = [flow.target for flow in connections.gateways(bench, made)]
    nobodys = [gateway for gateway in gateways if bench.lab.owner(gateway, made.target.sandbox) is None]
    flows = _inbound(shared_attachment)
    if not flows and not nobodys:
        bench.not_applicable("the result has no gateway of this lab")
    bench.complain(*(f"the result's gateway {gateway} is an address that nobody has" for gateway in nobodys))
    connections.demand_answers(bench, flows)


def _inbound(shared_attachment: SharedAttachment) -> list[TrafficProbe]:
    """An echo from whoever has a gateway's address to each address of the container."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if bench.setting.expect.inbound is False:
        return []
    owners = ((flow.target, bench.lab.owner(flow.target, flow.sender)) for flow in connections.gateways(bench, made))
    return [
        traffic.echo(owner, address)
        for gateway, owner in owners
        for address in connections.addresses(bench, made)
        if owner is not None and (":" in address) == (":" in gateway)
    ]


def _pairs(shared_attachment: SharedAttachment) -> list[tuple[Sandbox, Sandbox, str, str]]:
    """Both containers and their addresses, a pair a family."""
    bench, made = shared_attachment.bench, shared_attachment.made
    mine = connections.addresses(bench, made)
    if not mine or connections.apart(bench) or connections.closed(made):
        return []
    second = shared_attachment.second()
    theirs = connections.addresses(bench, second)
    return [
        (made.target.sandbox, second.target.sandbox, ip, other)
        for ip in mine
        for other in theirs
        if (":" in ip) == (":" in other) and ip != other
    ]
