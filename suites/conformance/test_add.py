"""ADD: SPEC section 2, and its result, section 5."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import aftermath, delegate, first, request
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench
from cnitest.conformance.bench.shared_attachment import Standing
from cnitest.conformance.model import form, judge, reading, space
from cnitest.conformance.model.finding import Doubt
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import mutation, traffic
from cnitest.conformance.observe.connections import addresses, answering, demand_answers, gateways, is_here
from cnitest.conformance.observe.truth import untruths

_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
FORWARDING = (".forwarding", "ip_forward", ".mc_forwarding")
#: What the kernel changes with those (inet_forward_change in net/ipv4/devinet.c), and so is reported last.
FOLLOWING = ("net.ipv4.conf.all.accept_redirects",)


@pytest.mark.requirement("ADD-01")
def test_the_interface_is_there(standing: Standing) -> None:
    """CNI_IFNAME is a link of the container."""
    bench, slot = standing.bench, standing.made.slot

    links = [link.name for link in slot.sandbox.links]

    lacking = f"! ip -n {slot.sandbox.name} link show {slot.ifname}"
    bench.demand(slot.ifname in links, f"no {slot.ifname}, the container has {', '.join(links)}", witness=lacking)


@pytest.mark.requirement("ADD-01")
def test_any_name_is_taken(bench: Bench) -> None:
    """The interface gets the name that was asked for, whichever it is."""
    _require_own_link(bench)
    slot = bench.slot("c1", ifname="net7-x.y")

    made = bench.attach(slot)

    links = [link.name for link in made.slot.sandbox.links]
    bench.demand("net7-x.y" in links, f"asked for net7-x.y, the container has {', '.join(links)}")


@pytest.mark.requirement("ADD-02")
def test_add_prints_a_result(bench: Bench) -> None:
    """ADD succeeds, and a runtime of this version can read what it prints."""
    call = bench.add(bench.slot())

    faults = judge.success(call)
    bench.complain(*faults)
    document = judge.result_document(call)
    if not faults:
        bench.demand(document is not None, f"there is no result: {judge.words(call)}")
    if document is not None:
        bench.complain(*form.misshapen(document, bench.version))


@pytest.mark.requirement("ADD-03")
def test_a_taken_name_is_refused(bench: Bench) -> None:
    """ADD fails when the container has an interface of that name already."""
    _require_own_link(bench)
    slot = bench.slot()
    bench.run("ip", "link", "add", slot.ifname, "type", "veth", "peer", "name", "cnitest-peer", at=slot.sandbox)

    call = bench.add(slot)

    bench.complain(*judge.refusal(call))


@pytest.mark.requirement("ADD-04")
def test_a_refused_configuration_leaves_nothing(bench: Bench) -> None:
    """Whatever is wrong with the configuration, a failed ADD changes neither host nor container."""
    slot = bench.slot()
    previous = bench.chain(slot)
    before = bench.look(slot)
    for change in mutation.wrong_values(bench.request(slot, previous)):
        call = bench.raw("ADD", slot, stdin=change.document)
        if call.exit_code == 0:
            bench.raw("DEL", slot, stdin=change.document)
            before = bench.look(slot)  # what DEL leaves is told elsewhere
            continue
        found = bench.changed(before, slot)
        bench.complain(*(f"{change.words}: {line}" for line in found))
        if found:
            bench.raw("DEL", slot, stdin=change.document)
            before = bench.look(slot)  # what stays was told; what the next leaves besides is seen


@pytest.mark.requirement("ADD-05")
def test_a_second_add_does_not_disturb(bench: Bench) -> None:
    """Asked again for the same interface, it fails where it would make one, and the first attachment works on."""
    made = bench.attach()
    before = bench.look(made.slot)
    flows = answering(bench, made)

    again = bench.raw("ADD", made.slot, previous=made.previous)

    bench.complain(*judge.crash(again))
    if bench.subject.kind is Kind.INTERFACE and bench.setting.ifname != "lo":
        bench.demand(again.exit_code != 0, "the second ADD of the same interface succeeds")
    bench.complain(*aftermath.removals(before, bench.look(made.slot), bench.setting.leftover))
    demand_answers(bench, flows, traffic.AGAIN)


@pytest.mark.requirement("ADD-06")
def test_a_container_can_be_attached_twice(bench: Bench) -> None:
    """Under another interface name the same network works too, and the first attachment works on."""
    _require_own_link(bench, meta=True)
    bench.require_room(2)
    first = bench.attach()
    before = bench.look(first.slot)
    slot = bench.slot("c1", ifname=_other_name(bench))
    bench.chain(slot)
    chained, flows = bench.look(first.slot), answering(bench, first)

    call = bench.add(slot)

    bench.complain(*judge.success(call))
    if call.exit_code == 0:
        bench.complain(*_missing_link(slot))
        bench.complain(*aftermath.disturbed(before, chained, bench.look(first.slot), bench.setting.leftover))
        demand_answers(bench, flows, traffic.AGAIN)
        bench.complain(*_no_neighbour(bench, AddResult(slot, call, judge.result_document(call) or {}, None)))


@pytest.mark.requirement("ADD-07")
def test_a_container_can_join_two_networks(bench: Bench) -> None:
    """A second network's attachment works, and the first works on."""
    _require_own_link(bench, meta=True)
    first = bench.attach()
    before = bench.look(first.slot)
    slot = other_network(bench, "c1", _other_name(bench))
    bench.chain(slot)
    chained, flows = bench.look(first.slot), answering(bench, first)

    call = bench.add(slot)

    require_second_network(bench, call)
    bench.complain(*judge.success(call))
    bench.complain(*_missing_link(slot))
    bench.complain(*aftermath.disturbed(before, chained, bench.look(first.slot), bench.setting.leftover))
    demand_answers(bench, flows, traffic.AGAIN)


@pytest.mark.requirement("ADD-08")
def test_the_result_is_true(standing: Standing) -> None:
    """The kernel has what the result says, and the result says what the kernel has."""
    bench, made = standing.bench, standing.made
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("an IPAM plugin configures nothing")
    slot = made.slot

    found = untruths(made.result, bench.version, bench.node, slot.sandbox, slot.netns, slot.ifname)

    bench.complain(*found)


@pytest.mark.requirement("ADD-08")
def test_the_result_has_what_the_delegate_gave(bench: Bench, tmp_path: Path) -> None:
    """Address, gateway and routes of the IPAM plugin's result are in the plugin's own."""
    if not bench.subject.ipam:
        bench.not_applicable("it delegates to no IPAM plugin")
    beyond = str(space.network(bench.subject, delegate.family(bench)))
    given = delegate.address(bench, routes=[{"dst": beyond}], gateway=delegate.another_gateway(bench))
    delegate.install(bench, tmp_path, {"ADD": {"result": given}})

    made = bench.attach(delegate.slot(bench))

    (wanted,) = form.ips(given, bench.version)
    told = {(ip.address, ip.gateway) for ip in form.ips(made.result, bench.version)}
    lacking = (wanted.address, wanted.gateway) not in told
    bench.demand(
        not lacking, f"the delegate gave {wanted.address} with gateway {wanted.gateway}, the result has {told}"
    )
    bench.demand(beyond in form.destinations(made.result, bench.version), "the delegate's route is lost")
    bench.complain(*_other_default_gateways(bench, made, wanted.gateway))


@pytest.mark.requirement("ADD-08")
def test_default_routes_lead_to_the_delegates_gateway(bench: Bench, tmp_path: Path) -> None:
    """A default route of the IPAM plugin's leads to the gateway that it gave, in the result and in the kernel."""
    if not bench.subject.ipam:
        bench.not_applicable("it delegates to no IPAM plugin")
    gateway = delegate.another_gateway(bench)
    default = _DEFAULT[delegate.family(bench)]
    given = delegate.address(bench, routes=[{"dst": default}], gateway=gateway)
    delegate.install(bench, tmp_path, {"ADD": {"result": given}})
    slot = delegate.slot(bench)

    call = bench.add(slot)

    if call.exit_code != 0:
        bench.not_applicable(f"it takes no default route from its delegate: {judge.words(call)}")
    made = AddResult(slot, call, judge.result_document(call) or {}, None)
    bench.demand(default in form.destinations(made.result, bench.version), "the delegate's default route is lost")
    bench.complain(*_other_default_gateways(bench, made, gateway))


def _other_default_gateways(bench: Bench, made: AddResult, gateway: str) -> list[str]:
    """Default routes of the gateway's family, in result and container, that lead elsewhere than to it."""
    family = 6 if ":" in gateway else 4
    told = reading.default_gateways(made.result, bench.version).get(family, set()) - {"", gateway}
    kernel = {route.via for route in made.slot.sandbox.routes if route.to == "default" and route.family == family}
    return [
        f"the delegate gave the gateway {gateway}, {where} leads to {other}"
        for where, others in (
            ("the result's default route", told),
            ("the container's default route", kernel - {"", gateway}),
        )
        for other in sorted(others)
    ]


@pytest.mark.requirement("ADD-09")
def test_the_result_has_the_requested_version(standing: Standing) -> None:
    """cniVersion of the result is that of the request."""
    found = standing.made.result.get("cniVersion")

    standing.bench.demand(
        found == standing.bench.version or (found is None and form.is_early(standing.bench.version)),
        f"cniVersion of the result is {found!r}, the request's {standing.bench.version!r}",
    )


@pytest.mark.requirement("ADD-10")
def test_early_results_have_no_later_keys(standing: Standing) -> None:
    """There are no interfaces, ips or routes at the top of a result of 0.1.0 or 0.2.0."""
    standing.bench.complain(*form.of_early_versions(standing.made.result))


@pytest.mark.requirement("ADD-10")
def test_early_results_have_addresses(standing: Standing) -> None:
    """A result of 0.1.0 or 0.2.0 has the addresses that a later one would have, as ip4 and ip6."""
    bench = standing.bench
    later = first.ips(bench)
    if not later or not spec.has_chaining(bench.subject.highest):
        bench.not_applicable("it gives no addresses")
    families = {"ip6" if ":" in ip.address else "ip4" for ip in later}
    lacking = [key for key in sorted(families) if key not in standing.made.result]
    bench.demand(not lacking, f"the result has no {', '.join(lacking)}")


@pytest.mark.requirement("ADD-11")
def test_addresses_say_their_family(standing: Standing) -> None:
    """Each address has 'version' 4 or 6, the right one."""
    standing.bench.complain(*form.families_told(standing.made.result))


@pytest.mark.requirement("ADD-12")
def test_addresses_do_not_say_their_family(standing: Standing) -> None:
    """No address has 'version'."""
    standing.bench.complain(*form.families_untold(standing.made.result))


@pytest.mark.requirement("ADD-13")
def test_no_field_of_a_later_version(standing: Standing) -> None:
    """What came with 1.1.0 is not there."""
    standing.bench.complain(*form.fields_of_later(standing.made.result))


@pytest.mark.requirement("ADD-14")
def test_sandboxes_tell_the_sides_apart(standing: Standing) -> None:
    """Interfaces of the container have CNI_NETNS as sandbox, those of the host none."""
    bench, slot = standing.bench, standing.made.slot
    host = {link.name for link in bench.node.links}
    inside = {link.name for link in slot.sandbox.links}

    found = form.sandboxes(standing.made.result, slot.netns, host.__contains__, inside.__contains__)

    bench.complain(*found)


@pytest.mark.requirement("ADD-15")
def test_addresses_name_their_interface(standing: Standing) -> None:
    """Each address has the index of an interface of the container."""
    standing.bench.complain(*form.indices(standing.made.result, standing.made.slot.netns))


@pytest.mark.requirement("ADD-16")
def test_addresses_and_routes_are_well_formed(standing: Standing) -> None:
    """Addresses are hosts with a prefix, destinations networks with a prefix, gateways addresses."""
    standing.bench.complain(*form.addresses(standing.made.result, standing.bench.version))


@pytest.mark.requirement("ADD-16")
def test_addresses_are_of_the_configured_ranges(standing: Standing) -> None:
    """Each address lies in a network that the configuration of the IPAM plugin names, where it names any."""
    bench = standing.bench
    section = bench.subject.conf.get("ipam")
    networks = form.networks(section) if isinstance(section, dict) else []
    if not networks or bench.setting.capabilities or bench.setting.args:
        bench.not_applicable("its configuration names no networks, or addresses are asked for besides")
    for ip in form.ips(standing.made.result, bench.version):
        here = [network for network in networks if network.version == (6 if ":" in ip.address else 4)]
        inside = any(ipaddress.ip_interface(ip.address).ip in network for network in here)
        bench.demand(inside or not here, f"{ip.address} is in none of {', '.join(map(str, here))}")


@pytest.mark.requirement("ADD-17")
def test_attachments_without_addresses_work(bench: Bench) -> None:
    """Without IPAM the interface is made in this version, as it is in the newest."""
    if "ipam" not in bench.subject.conf:
        bench.not_applicable("it has no IPAM to be left out")
    conf = {key: value for key, value in bench.subject.conf.items() if key not in ("ipam", "isGateway")}
    conf = {key: value for key, value in conf.items() if key not in ("isDefaultGateway", "ipMasq")}
    slot = bench.slot("c1", conf=conf)
    newest = {**bench.request(slot), "cniVersion": bench.subject.highest}
    if bench.raw("ADD", slot, stdin=newest).exit_code != 0:
        bench.not_applicable("it wants addresses: without IPAM it makes nothing, in any version")
    bench.raw("DEL", slot, stdin=newest)

    call = bench.raw("ADD", slot)

    bench.complain(*judge.success(call))
    bench.complain(*_missing_link(slot))


@pytest.mark.requirement("ADD-18")
def test_the_path_works_at_once(bench: Bench) -> None:
    """The first packet to each gateway after ADD is answered."""
    made = bench.attach()

    flows = gateways(bench, made)

    if not flows:
        bench.not_applicable("the result has no gateway")
    bench.complain(*(why for flow in flows if (why := traffic.answered_at_once(flow))))


@pytest.mark.requirement("ADD-19")
def test_neighbours_learn_a_returned_address(bench: Bench, tmp_path: Path) -> None:
    """A container that gets the address of one before it, with another MAC, is reached by its neighbour at once."""
    if not bench.subject.ipam or bench.setting.expect.neighbours is False:
        bench.not_applicable("its addresses cannot be chosen, or containers do not see each other")
    plugin = delegate.install(bench, tmp_path, {"ADD": {"result": delegate.address(bench, 80)}})
    neighbour = bench.attach(delegate.slot(bench, "c2"))
    plugin.program({"ADD": {"result": delegate.address(bench, 81)}})
    first = bench.attach(delegate.slot(bench, "c1"))
    ip = next(iter(addresses(bench, first)), "")
    if not ip:
        bench.not_applicable("the result has no address, which ADD-08 is about")
    flow = traffic.echo(neighbour.slot.sandbox, ip)
    if traffic.lost(flow, 1.0):
        bench.not_applicable("containers of this network do not reach each other, which NET-02 is about")
    bench.probed(flow.sender, ip)
    bench.detach(first)

    bench.attach(delegate.slot(bench, "c3"))

    why = traffic.answered_at_once(flow)
    words = f"the neighbour does not reach {ip} any more: "
    bench.complain(*([why.after(words) if isinstance(why, Doubt) else f"{words}{why}"] if why else []))


@pytest.mark.requirement("ADD-20")
def test_sysctls_of_the_host_stay(bench: Bench) -> None:
    """After ADD and DEL no sysctl of the host is another, but for forwarding."""
    slot = bench.slot()
    bench.chain(slot)
    before = bench.sysctls()

    made = bench.attach(slot)
    bench.delete(made)

    after = bench.sysctls()
    changed = [name for name, value in after.items() if name in before and before[name] != value]
    for name in sorted(changed, key=lambda name: (name in FOLLOWING, name)):
        if not name.endswith(FORWARDING):
            bench.complain(f"{name} was {before[name]}, is {after[name]}")


def other_network(bench: Bench, container: str, ifname: str = "") -> AttachmentTarget:
    """A slot in another network of the same plugins: the profile's second, or one that is derived."""
    name = f"{bench.subject.network}-b"
    conf = {**bench.subject.conf, **(bench.setting.second or request.sibling(bench.subject.conf))}
    before = tuple(request.sibling(plugin) for plugin in bench.subject.before)
    return bench.slot(container, ifname, network=name, conf=conf, before=before)


def require_second_network(bench: Bench, call: Call) -> None:
    """Go on only when the network that was derived can be beside the first, as ``call``, its ADD, shows; one that a
    profile gives has to be able to."""
    if call.exit_code != 0 and bench.setting.second is None:
        bench.not_applicable(f"no second network could be derived from its configuration: {judge.words(call)}")


def _other_name(bench: Bench) -> str:
    return "eth1" if bench.setting.ifname != "eth1" else "eth2"


def _require_own_link(bench: Bench, *, meta: bool = False) -> None:
    if bench.subject.kind is Kind.IPAM or (bench.subject.kind is Kind.META and not meta):
        bench.not_applicable("it makes no interface")
    if bench.setting.ifname == "lo":
        bench.not_applicable("the interface is there before it")


def _missing_link(slot: AttachmentTarget) -> list[str]:
    links = [link.name for link in slot.sandbox.links]
    return [] if slot.ifname in links else [f"the container has no {slot.ifname}; it has {', '.join(links)}"]


def _no_neighbour(bench: Bench, made: AddResult) -> list[str]:
    """Why the gateways are not seen on the link of an attachment."""
    found, slot = [], made.slot
    for ip in form.ips(made.result, bench.version):
        gateway = ip.gateway
        if gateway and is_here(bench, made, gateway):
            words = f"{slot.sandbox.full_name} {slot.ifname} asks for {gateway}"
            ask = lambda gateway=gateway: slot.sandbox.arp(gateway, on=slot.ifname)  # noqa: E731
            found.append(traffic.lost(traffic.Flow(words, ask, slot.sandbox, gateway)))
    return [why for why in found if why]
