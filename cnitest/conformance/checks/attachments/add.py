"""ADD: SPEC section 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnitest.conformance.bench import delegate, leftovers
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench
from cnitest.conformance.bench.shared_attachment import SharedAttachment
from cnitest.conformance.bench.steps import SysctlChange
from cnitest.conformance.checks.attachments.hindrance import let_others_add
from cnitest.conformance.checks.common import other_ifname, other_network, require_second_network
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol, space
from cnitest.conformance.model.finding import Detail
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import mutation, traffic
from cnitest.conformance.observe.connections import addresses, answering, demand_answers, gateways, is_here

FORWARDING = (".forwarding", "ip_forward", ".mc_forwarding")


#: What the kernel changes with those (inet_forward_change in net/ipv4/devinet.c), and so is reported last.
FOLLOWING = ("net.ipv4.conf.all.accept_redirects",)


@check("ADD-01")
def the_interface_is_there(shared_attachment: SharedAttachment) -> None:
    """CNI_IFNAME is a link of the container."""
    bench, target = shared_attachment.bench, shared_attachment.made.target

    links = [link.name for link in target.sandbox.links]

    lacking = f"! ip -n {target.sandbox.name} link show {target.ifname}"
    bench.demand(target.ifname in links, f"no {target.ifname}, the container has {', '.join(links)}", witness=lacking)


@check("ADD-01")
def any_name_is_taken(bench: Bench) -> None:
    """The interface gets the name that was asked for, whichever it is."""
    _require_own_link(bench)
    target = bench.target("c1", ifname="net7-x.y")

    made = bench.attach(target)

    links = [link.name for link in made.target.sandbox.links]
    bench.demand("net7-x.y" in links, f"asked for net7-x.y, the container has {', '.join(links)}")


@check("ADD-02")
def add_prints_a_result(bench: Bench) -> None:
    """ADD succeeds, and a runtime of this version can read what it prints."""
    call = bench.add(bench.target())

    faults = protocol.success(call)
    bench.complain(*faults)
    document = protocol.result_document(call)
    if not faults:
        bench.demand(document is not None, f"there is no result: {protocol.words(call)}")
    if document is not None:
        bench.complain(*form.misshapen(document, bench.version))


@check("ADD-03")
def a_taken_name_is_rejected(bench: Bench) -> None:
    """ADD fails when the container has an interface of that name already."""
    _require_own_link(bench)
    target = bench.target()
    peer = space.name(bench.subject, "cnitest-peer")
    bench.run("ip", "link", "add", target.ifname, "type", "veth", "peer", "name", peer, at=target.sandbox)

    call = bench.add(target)

    bench.complain(*protocol.rejection(call), prefix=f"{target.ifname} is there already: ")


@check("ADD-04")
def a_rejected_configuration_leaves_nothing(bench: Bench) -> None:
    """Whatever is wrong with the configuration, a failed ADD changes neither host nor container."""
    target = bench.target()
    previous = bench.chain(target)
    before = bench.look(target)
    for change in mutation.wrong_values(bench.request(target, previous)):
        call = bench.raw("ADD", target, stdin=change.document)
        if call.exit_code == 0:
            bench.raw("DEL", target, stdin=change.document)
            before = bench.look(target)  # what DEL leaves is reported elsewhere
            continue
        found = bench.changed(before, target)
        bench.complain(*found, prefix=f"{change.words}: ")
        if found:
            bench.raw("DEL", target, stdin=change.document)
            before = bench.look(target)  # what stays was reported; what the next leaves besides is seen


@check("ADD-05")
def a_second_add_does_not_disturb(bench: Bench) -> None:
    """Asked again for the same interface, it fails where it would make one, and the first attachment works on."""
    made = bench.attach()
    before = bench.look(made.target)
    flows = answering(bench, made)

    again = bench.raw("ADD", made.target, previous=made.previous)

    bench.complain(*protocol.ending(again))
    if bench.subject.kind is Kind.INTERFACE and bench.setting.ifname != "lo":
        bench.demand(again.exit_code != 0, "the second ADD of the same interface succeeds")
    bench.complain(*leftovers.removals(before, bench.look(made.target), bench.setting.leftover))
    demand_answers(bench, flows, traffic.AGAIN)


@check("ADD-06")
def a_container_can_be_attached_twice(bench: Bench) -> None:
    """Under another interface name the same network works too, and the first attachment works on."""
    _require_own_link(bench, meta=True)
    bench.require_room(2)
    first = bench.attach()
    before = bench.look(first.target)
    target = bench.target("c1", ifname=other_ifname(bench))
    flows = _flows_of_the_first(bench, first, target)
    chained = bench.look(first.target)

    call = bench.add(target)

    bench.complain(*protocol.success(call))
    if call.exit_code == 0:
        bench.complain(*_missing_link(target))
        bench.complain(*leftovers.disturbed(before, chained, bench.look(first.target), bench.setting.leftover))
        demand_answers(bench, flows, traffic.AGAIN)
        bench.complain(*_no_neighbour(bench, AddResult(target, call, protocol.result_document(call) or {}, None)))


@check("ADD-07")
def a_container_can_join_two_networks(bench: Bench) -> None:
    """A second network's attachment works, and the first works on."""
    _require_own_link(bench, meta=True)
    first = bench.attach()
    before = bench.look(first.target)
    target = other_network(bench, "c1", other_ifname(bench))
    flows = _flows_of_the_first(bench, first, target)
    chained = bench.look(first.target)

    call = bench.add(target)

    require_second_network(bench, call)
    bench.complain(*protocol.success(call))
    bench.complain(*_missing_link(target))
    bench.complain(*leftovers.disturbed(before, chained, bench.look(first.target), bench.setting.leftover))
    demand_answers(bench, flows, traffic.AGAIN)


@check("ADD-17")
def attachments_without_addresses_work(bench: Bench) -> None:
    """Without IPAM the interface is made in this version, as it is in the newest."""
    if "ipam" not in bench.subject.conf:
        bench.not_applicable("it has no IPAM to be left out")
    conf = {key: value for key, value in bench.subject.conf.items() if key not in ("ipam", "isGateway")}
    conf = {key: value for key, value in conf.items() if key not in ("isDefaultGateway", "ipMasq")}
    target = bench.target("c1", conf=conf)
    newest = {**bench.request(target), "cniVersion": bench.subject.highest}
    if bench.raw("ADD", target, stdin=newest).exit_code != 0:
        bench.not_applicable("it wants addresses: without IPAM it makes nothing, in any version")
    bench.raw("DEL", target, stdin=newest)

    call = bench.raw("ADD", target)

    bench.complain(*protocol.success(call))
    bench.complain(*_missing_link(target))


@check("ADD-18")
def the_path_works_at_once(bench: Bench) -> None:
    """The first packet to each gateway after ADD is answered."""
    made = bench.attach()

    flows = gateways(bench, made)

    if not flows:
        bench.not_applicable("the result has no gateway")
    bench.complain(*(why for flow in flows if (why := traffic.answered_at_once(flow))))


@check("ADD-19")
def neighbours_learn_a_returned_address(bench: Bench, tmp_path: Path) -> None:
    """A container that gets the address of one before it, with another MAC, is reached by its neighbour at once."""
    if not bench.subject.ipam or bench.setting.expect.neighbours is False:
        bench.not_applicable("its addresses cannot be chosen, or containers do not see each other")
    plugin = delegate.install(bench, tmp_path, {"ADD": {"result": delegate.address(bench, 80)}})
    neighbour = bench.attach(delegate.target(bench, "c2"))
    plugin.program({"ADD": {"result": delegate.address(bench, 81)}})
    first = bench.attach(delegate.target(bench, "c1"))
    ip = next(iter(addresses(bench, first)), "")
    if not ip:
        bench.not_applicable("the result has no address, which ADD-08 is about")
    flow = traffic.echo(neighbour.target.sandbox, ip)
    if traffic.lost(flow, 1.0):
        bench.not_applicable("containers of this network do not reach each other, which NET-02 is about")
    bench.probed(flow.sender, ip)
    bench.detach(first)

    bench.attach(delegate.target(bench, "c3"))

    why = traffic.answered_at_once(flow)
    bench.complain(*([why] if why else []), prefix=f"the neighbour does not reach {ip} any more: ")


@check("ADD-20")
def sysctls_of_the_host_stay(bench: Bench) -> None:
    """After ADD and DEL no sysctl of the host is another, but for forwarding."""
    target = bench.target()
    bench.chain(target)
    before = bench.sysctls()

    made = bench.attach(target)
    bench.delete(made)

    for change in _sysctl_changes(before, bench.sysctls()):
        if not change.name.endswith(FORWARDING):
            bench.complain(Detail(f"{change.name} was {change.before}, is {change.after}", about=change))


@check("ADD-21")
def sysctls_of_the_container_stay(bench: Bench) -> None:
    """After ADD no sysctl that the container had before is another: of lo, of all links, of those to come, of none."""
    target = bench.target()
    bench.chain(target)
    before = bench.sysctls(target.sandbox)

    bench.attach(target)

    place = target.sandbox.full_name
    for change in _sysctl_changes(before, bench.sysctls(target.sandbox)):
        words = f"{place}: {change.name} was {change.before}, is {change.after}"
        bench.complain(Detail(words, about=change._replace(place=place)))


def _sysctl_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[SysctlChange]:
    """What has another value now, those last that follow others."""
    changed = [name for name, value in after.items() if name in before and before[name] != value]
    ordered = sorted(changed, key=lambda name: (name in FOLLOWING, name))
    return [SysctlChange(name, before[name], after[name]) for name in ordered]


def _flows_of_the_first(bench: Bench, first: AddResult, second: AttachmentTarget) -> list[traffic.TrafficProbe]:
    """What an attachment reaches by itself, and still when the plugins before ours have run for a second one."""
    flows = answering(bench, first)
    let_others_add(bench, first.target, second)
    if bench.chain(second) is None:
        return flows
    return [flow for flow in flows if not traffic.lost(flow, traffic.AGAIN)]


def _require_own_link(bench: Bench, *, meta: bool = False) -> None:
    if bench.subject.kind is Kind.IPAM or (bench.subject.kind is Kind.META and not meta):
        bench.not_applicable("it makes no interface")
    if bench.setting.ifname == "lo":
        bench.not_applicable("the interface is there before it")


def _missing_link(target: AttachmentTarget) -> list[str]:
    links = [link.name for link in target.sandbox.links]
    return [] if target.ifname in links else [f"the container has no {target.ifname}; it has {', '.join(links)}"]


def _no_neighbour(bench: Bench, made: AddResult) -> list[str]:
    """Why the gateways are not seen on the link of an attachment."""
    found, target = [], made.target
    for ip in form.ips(made.result, bench.version):
        gateway = ip.gateway
        if gateway and is_here(bench, made, gateway):
            words = f"{target.sandbox.full_name} {target.ifname} asks for {gateway}"
            ask = lambda gateway=gateway: target.sandbox.arp(gateway, on=target.ifname)  # noqa: E731
            found.append(traffic.lost(traffic.TrafficProbe(words, ask, target.sandbox, gateway), explain=True))
    return [why for why in found if why]
