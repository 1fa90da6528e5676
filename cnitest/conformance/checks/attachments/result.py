"""The result of ADD: SPEC section 5."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from cnitest.cni import spec
from cnitest.cni.result import Ip
from cnitest.conformance.bench import delegate, first
from cnitest.conformance.bench.bench import AddResult, Bench
from cnitest.conformance.bench.shared_attachment import SharedAttachment
from cnitest.conformance.checks.common import SMALL, require_delegate, small
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol, reading, space
from cnitest.conformance.model.capacity import capacity
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe.truth import option_faults, same_destination, untruths

_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
_NO_ADDRESS = "its result has no addresses"


@check("ADD-08")
def the_result_is_true(shared_attachment: SharedAttachment) -> None:
    """The kernel has what the result says, and the result says what the kernel has."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("an IPAM plugin configures nothing")
    target = made.target

    found = untruths(made.result, bench.version, bench.node, target.sandbox, target.netns, target.ifname)

    bench.complain(*found)


@check("ADD-08")
def the_result_has_what_the_delegate_gave(bench: Bench, tmp_path: Path) -> None:
    """Address, gateway and routes of the IPAM plugin's result are in the plugin's own."""
    require_delegate(bench)
    beyond = str(space.network(bench.subject, delegate.family(bench)))
    given = delegate.address(bench, routes=[{"dst": beyond}], gateway=delegate.another_gateway(bench))
    given = {**given, "dns": {"nameservers": [space.address(bench.subject, host=53)], "domain": "cnitest.example"}}
    delegate.install(bench, tmp_path, {"ADD": {"result": given}})

    made = bench.attach(delegate.target(bench))

    (wanted,) = form.ips(given, bench.version)
    stated = [_with_gateway(ip) for ip in form.ips(made.result, bench.version)]
    has = ", ".join(stated) or "no address"
    bench.demand(_with_gateway(wanted) in stated, f"the delegate gave {_with_gateway(wanted)}, the result has {has}")
    bench.demand(beyond in form.destinations(made.result, bench.version), "the delegate's route is lost")
    bench.complain(*_other_default_gateways(bench, made, wanted.gateway or ""))
    if "dns" not in bench.subject.conf:  # which a plugin may put in its place
        dns = {key: value for key, value in reading.section(made.result, "dns").items() if value}  # none, or empty
        words = f"the delegate gave dns {json.dumps(given['dns'])}, the result has {dns or None}"
        bench.demand(dns == given["dns"], words)


def _with_gateway(ip: Ip) -> str:
    return f"{ip.address} with gateway {ip.gateway}" if ip.gateway else f"{ip.address} without gateway"


@check("ADD-08")
def routes_of_the_delegate_are_made(bench: Bench, tmp_path: Path) -> None:
    """Routes that the IPAM plugin gives in each family, with their options since 1.1.0, are in result and kernel."""
    require_delegate(bench)
    options = {"mtu": 1290, "advmss": 1200, "priority": 77} if spec.at_least(bench.version, "1.1.0") else {}
    delegate.install(bench, tmp_path, {"ADD": {"result": delegate.addresses(bench, options)}})
    target = delegate.target(bench)

    made = bench.attach(target)

    given = delegate.addresses(bench, options)
    stated = form.destinations(made.result, bench.version)
    kernel = target.sandbox.routes
    for route in reading.routes(given, bench.version):
        bench.demand(route.dst in stated, f"the delegate gave a route to {route.dst}, the result has none")
        there = any(same_destination(found, route.dst) for found in kernel)
        bench.demand(there, f"the delegate gave a route to {route.dst}, the container has none")
    bench.complain(*option_faults(given, target.sandbox, "the delegate gave"))


@check("ADD-08")
def default_routes_lead_to_the_delegates_gateway(bench: Bench, tmp_path: Path) -> None:
    """A default route of the IPAM plugin's leads to the gateway that it gave, in the result and in the kernel."""
    require_delegate(bench)
    gateway = delegate.another_gateway(bench)
    default = _DEFAULT[delegate.family(bench)]
    given = delegate.address(bench, routes=[{"dst": default}], gateway=gateway)
    delegate.install(bench, tmp_path, {"ADD": {"result": given}})
    target = delegate.target(bench)

    call = bench.add(target)

    if call.exit_code != 0:
        bench.not_applicable(f"it takes no default route from its delegate: {protocol.words(call)}")
    document = protocol.result_document(call)
    if document is None:
        raise Undecided(f"{call.subject}: succeeds without one result document, which ADD-02 reports")
    made = AddResult(target, call, document, None)
    bench.demand(default in form.destinations(made.result, bench.version), "the delegate's default route is lost")
    bench.complain(*_other_default_gateways(bench, made, gateway))


def _other_default_gateways(bench: Bench, made: AddResult, gateway: str) -> list[str]:
    """Default routes of the gateway's family, in result and container, that lead elsewhere than to it."""
    family = 6 if ":" in gateway else 4
    stated = reading.default_gateways(made.result, bench.version).get(family, set()) - {"", gateway}
    routes = (row for row in made.target.sandbox.routes if row.to == "default" and row.family == family)
    kernel = {via for row in routes if row.protocol != "ra" for via in row.gateways}  # not what a router advertises
    return [
        f"the delegate gave the gateway {gateway}, {where} leads to {other}"
        for where, others in (
            ("the result's default route", stated),
            ("the container's default route", kernel - {"", gateway}),
        )
        for other in sorted(others)
    ]


@check("ADD-09")
def the_result_has_the_requested_version(shared_attachment: SharedAttachment) -> None:
    """cniVersion of the result is that of the request."""
    bench, made = shared_attachment.bench, shared_attachment.made
    found = made.result.get("cniVersion")

    bench.demand(
        found == bench.version or (found is None and form.is_early(bench.version)),
        f"cniVersion of the result is {found!r}, the request's {bench.version!r}",
    )


@check("ADD-10")
def early_results_have_no_later_keys(shared_attachment: SharedAttachment) -> None:
    """There are no interfaces, ips or routes at the top of a result of 0.1.0 or 0.2.0."""
    shared_attachment.bench.complain(*form.of_early_versions(shared_attachment.made.result))


@check("ADD-10")
def early_results_have_addresses(shared_attachment: SharedAttachment) -> None:
    """A result of 0.1.0 or 0.2.0 has the addresses that a later one would have, as ip4 and ip6."""
    bench, made = shared_attachment.bench, shared_attachment.made
    later = first.ips(bench)
    if not later or not spec.has_chaining(bench.subject.highest):
        bench.not_applicable("it gives no addresses")
    families = {"ip6" if ":" in ip.address else "ip4" for ip in later}
    lacking = [key for key in sorted(families) if key not in made.result]
    bench.demand(not lacking, f"the result has no {', '.join(lacking)}")


@check("ADD-11")
def addresses_say_their_family(shared_attachment: SharedAttachment) -> None:
    """Each address has 'version' 4 or 6, the right one."""
    shared_attachment.bench.complain(*form.missing_families(shared_attachment.made.result))


@check("ADD-12")
def addresses_do_not_say_their_family(shared_attachment: SharedAttachment) -> None:
    """No address has 'version'."""
    shared_attachment.bench.complain(*form.surplus_families(shared_attachment.made.result))


@check("ADD-13")
def no_field_of_a_later_version(shared_attachment: SharedAttachment) -> None:
    """What came with 1.1.0 is not there."""
    shared_attachment.bench.complain(*form.fields_of_later(shared_attachment.made.result))


@check("ADD-14")
def sandboxes_tell_the_sides_apart(shared_attachment: SharedAttachment) -> None:
    """Interfaces of the container have CNI_NETNS as sandbox, those of the host none."""
    bench, target = shared_attachment.bench, shared_attachment.made.target
    host = {link.name for link in bench.node.links}
    inside = {link.name for link in target.sandbox.links}

    found = form.sandboxes(shared_attachment.made.result, target.netns, host.__contains__, inside.__contains__)

    bench.complain(*found)


@check("ADD-15")
def addresses_name_their_interface(shared_attachment: SharedAttachment) -> None:
    """Each address has the index of an interface of the container."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if not form.ips(made.result, bench.version):
        bench.not_exercised(_NO_ADDRESS)
    bench.complain(*form.indices(made.result, made.target.netns))


@check("ADD-16")
def addresses_and_routes_are_well_formed(shared_attachment: SharedAttachment) -> None:
    """Addresses are hosts with a prefix, destinations networks with a prefix, gateways addresses."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if not form.ips(made.result, bench.version) and not form.destinations(made.result, bench.version):
        bench.not_exercised(_NO_ADDRESS)
    bench.complain(*form.addresses(made.result, bench.version))
    if capacity(bench.subject) > 1:
        bench.complain(*form.addresses(shared_attachment.second().result, bench.version), prefix="of a second: ")


@check("ADD-16", family=[4, 6])
def a_small_network_is_given_out_to_hosts(bench: Bench, family: int) -> None:
    """Of a network of eight addresses each that is given is a host's, given once, and no gateway's."""
    if bench.subject.kind is not Kind.IPAM:
        bench.not_applicable("it is its IPAM plugin that gives addresses")
    conf = small(bench, family)
    given: list[tuple[str, str]] = []
    for number in range(1, SMALL + 1):
        document = protocol.result_document(bench.add(bench.target(f"c{number}", conf=conf)))
        if document is None:
            break
        bench.complain(*form.addresses(document, bench.version), prefix=f"of {SMALL} addresses: ")
        given += [(ip.address.partition("/")[0], ip.gateway or "") for ip in form.ips(document, bench.version)]
    if not given:
        bench.not_exercised("it gives no address of a network of eight")
    addresses = [address for address, _ in given]
    for address in dict.fromkeys(addresses):
        times = addresses.count(address)
        bench.demand(times == 1, f"of {SMALL} addresses: {address} is given to {times} containers")
        gateways = {gateway for _, gateway in given}
        bench.demand(address not in gateways, f"of {SMALL} addresses: {address} is given, and the gateway's")


@check("ADD-16")
def addresses_are_of_the_configured_ranges(shared_attachment: SharedAttachment) -> None:
    """Each address lies in a network that the configuration of the IPAM plugin names, where it names any."""
    bench = shared_attachment.bench
    section = bench.subject.conf.get("ipam")
    networks = form.networks(section) if isinstance(section, dict) else []
    if not networks or bench.setting.capabilities or bench.setting.args:
        bench.not_applicable("its configuration names no networks, or addresses are asked for besides")
    made = [shared_attachment.made, *([shared_attachment.second()] if capacity(bench.subject) > 1 else [])]
    given = [ip for each in made for ip in form.ips(each.result, bench.version)]
    if not given:
        bench.not_exercised(_NO_ADDRESS)
    for ip in given:
        here = [network for network in networks if network.version == (6 if ":" in ip.address else 4)]
        inside = any(ipaddress.ip_interface(ip.address).ip in network for network in here)
        bench.demand(inside or not here, f"{ip.address} is in none of {', '.join(map(str, here))}")
