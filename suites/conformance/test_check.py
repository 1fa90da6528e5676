"""CHECK: SPEC section 2, defined since 0.4.0."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import AddResult, Bench, Picture
from cnitest.conformance.model import form, judge, space
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.observe import mutation, tamper

_NODAD: dict[int, tuple[str, ...]] = {4: (), 6: ("nodad",)}
#: The requirements that are decided by tampering, and what is tampered with.
TAMPERED = {
    "CHK-05": "the interface",
    "CHK-06": "its MAC",
    "CHK-07": "its addresses",
    "CHK-08": "its routes",
    "CHK-10": "the reservation",
    "CHK-11": "firewall rules",
    "CHK-12": "shaping",
    "CHK-13": "the path",
    "CHK-16": "rules and other tables",
    "CHK-20": "attributes of links",
}


@pytest.mark.requirement("CHK-01")
def test_check_after_add_succeeds(bench: Bench) -> None:
    """Right after ADD CHECK succeeds and prints nothing."""
    made = bench.attach()

    call = bench.check(made)

    bench.complain(*judge.success(call, silent=True))


@pytest.mark.requirement("CHK-02")
def test_check_without_addresses_succeeds(bench: Bench) -> None:
    """CHECK of an attachment made without IPAM succeeds."""
    if "ipam" not in bench.subject.conf:
        bench.not_applicable("it has no IPAM to be left out")
    gone = ("ipam", "isGateway", "isDefaultGateway", "ipMasq")
    conf = {key: value for key, value in bench.subject.conf.items() if key not in gone}
    slot = bench.slot("c1", conf=conf)
    added = bench.raw("ADD", slot)
    result = judge.result_document(added)
    if result is None:
        bench.not_applicable("it wants addresses: without IPAM it makes nothing")

    call = bench.raw("CHECK", slot, previous=result)

    bench.complain(*judge.success(call, silent=True))


@pytest.mark.requirement("CHK-03")
def test_check_needs_a_result(bench: Bench) -> None:
    """CHECK without a previous result is refused."""
    made = bench.attach()

    call = bench.check(made, previous=None)

    bench.complain(*judge.refusal(call))


@pytest.mark.requirement("CHK-04")
def test_check_of_an_early_version_is_refused(idle: Bench) -> None:
    """Before 0.4.0 CHECK is refused with code 1."""
    call = idle.raw("CHECK", idle.slot("c9"))

    idle.complain(*judge.refusal(call, {1}))


def _tampered(bench: Bench, requirement: str) -> None:
    """Break an attachment in every way of one requirement, a fresh attachment each, and see CHECK fail."""
    made, before, after = _attached(bench, "c1")
    if judge.failed(bench.check(made)):
        raise Undecided("CHECK fails right after ADD, which CHK-01 reports")
    ways = [way for way in tamper.tamperings(bench, made, before, after) if way.requirement == requirement]
    if not ways:
        bench.not_applicable(f"its ADD makes nothing that could be taken away as {TAMPERED[requirement]}")
    for number in range(len(ways)):
        if number:
            made, before, after = _attached(bench, f"c{number + 1}")
            ways = [way for way in tamper.tamperings(bench, made, before, after) if way.requirement == requirement]
        if number < len(ways):
            ways[number].apply(bench, made)
            faults = judge.refusal(bench.check(made))
            bench.complain(*(f"{ways[number].words}: {fault}" for fault in faults))
            _mend(bench, made, before, ways[number])


def _attached(bench: Bench, container: str) -> tuple[AddResult, Picture, Picture]:
    slot = bench.slot(container)
    bench.chain(slot)
    before = bench.look(slot)
    made = bench.attach(slot)
    return made, before, bench.look(slot)


def _mend(bench: Bench, made: AddResult, before: Picture, way: tamper.Tampering) -> None:
    """Undo what would keep the next attachment from working."""
    bench.detach(made)
    for _, argv in way.commands:
        if argv[:2] == ("ip", "link") and argv[-1] == "down":
            bench.run("ip", "link", "set", argv[3], "up", check=False)
        if argv[-1] == "net.ipv4.ip_forward=0":
            bench.run("sysctl", "-qw", "net.ipv4.ip_forward=1")


@pytest.mark.requirement("CHK-05")
def test_a_missing_interface_is_noticed(bench: Bench) -> None:
    """CHECK fails when the interface was removed."""
    _tampered(bench, "CHK-05")


@pytest.mark.requirement("CHK-06")
def test_another_mac_is_noticed(bench: Bench) -> None:
    """CHECK fails when the interface has another MAC than the result."""
    _tampered(bench, "CHK-06")


@pytest.mark.requirement("CHK-07")
def test_a_missing_address_is_noticed(bench: Bench) -> None:
    """CHECK fails when an address was removed."""
    _tampered(bench, "CHK-07")


@pytest.mark.requirement("CHK-08")
def test_a_missing_route_is_noticed(bench: Bench) -> None:
    """CHECK fails when a route of the result was removed."""
    _tampered(bench, "CHK-08")


@pytest.mark.requirement("CHK-08")
def test_a_route_that_leads_elsewhere_is_noticed(bench: Bench) -> None:
    """CHECK fails when the default route of a family leads to another gateway."""
    made = bench.attach()
    told = {{"0.0.0.0/0": 4, "::/0": 6}.get(dst) for dst in form.destinations(made.result, bench.version)}
    routes = [r for r in made.slot.sandbox.routes if r.to == "default" and r.via and r.table == 254]
    routes = [route for route in routes if route.family in told]
    if not routes:
        bench.not_applicable("the result has no default route")
    _need_check(bench, made)
    for route in routes:
        other = _other_gateway(route.via)
        change = ("ip", f"-{route.family}", "route", "replace", "default", "dev", route.link, "onlink")
        metric = ("metric", str(route.metric))
        if route.family == 6:  # another gateway would be one more there
            bench.run("ip", "-6", "route", "del", "default", "dev", route.link, *metric, at=made.slot.sandbox)
        bench.run(*change, "via", other, *metric, at=made.slot.sandbox)
        faults = judge.refusal(bench.check(made))
        bench.run(*change, "via", route.via, *metric, at=made.slot.sandbox)
        bench.complain(*(f"the default route leads to {other}: {fault}" for fault in faults))


def _other_gateway(gateway: str) -> str:
    """Another address near one; of IPv4 a host of its /24."""
    if ":" in gateway:
        return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(gateway)) ^ 0x4C))
    head, _, last = gateway.rpartition(".")
    return f"{head}.{(int(last) + 76) % 250 + 1}"


def _need_check(bench: Bench, made: AddResult) -> None:
    if judge.failed(bench.check(made)):
        raise Undecided("CHECK fails right after ADD, which CHK-01 reports")


@pytest.mark.requirement("CHK-09")
def test_what_was_added_later_is_tolerated(bench: Bench) -> None:
    """CHECK succeeds with an address and a route more than the result has."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("nobody adds anything to a loopback")
    made = bench.attach()
    _need_check(bench, made)
    link, sandbox = made.slot.ifname, made.slot.sandbox

    for family in space.families(bench.subject):
        near, beyond = (space.network(bench.subject, family, nth) for nth in (0, 1))
        own = f"{near[9]}/{near.prefixlen}"
        bench.run("ip", f"-{family}", "address", "add", own, "dev", link, *_NODAD[family], at=sandbox)
        way = ("via", str(near[1]), "dev", link, "onlink")
        bench.run("ip", f"-{family}", "route", "add", str(beyond), *way, at=sandbox)
    call = bench.check(made)

    bench.complain(*judge.success(call))


@pytest.mark.requirement("CHK-10")
def test_a_missing_reservation_is_noticed(bench: Bench) -> None:
    """CHECK fails when the file that reserves the address was removed."""
    _tampered(bench, "CHK-10")


@pytest.mark.requirement("CHK-11")
def test_missing_firewall_rules_are_noticed(bench: Bench) -> None:
    """CHECK fails when any firewall rule of ADD was removed."""
    _tampered(bench, "CHK-11")


@pytest.mark.requirement("CHK-12")
def test_missing_shaping_is_noticed(bench: Bench) -> None:
    """CHECK fails when a queueing discipline or a link of the shaping was removed."""
    _tampered(bench, "CHK-12")


@pytest.mark.requirement("CHK-13")
def test_an_unreachable_container_is_noticed(bench: Bench) -> None:
    """CHECK fails when a link on the path is down, the gateway's address is gone or forwarding is off."""
    _tampered(bench, "CHK-13")


@pytest.mark.requirement("CHK-14")
def test_the_delegate_is_asked(bench: Bench, tmp_path: Path) -> None:
    """CHECK calls the IPAM plugin's CHECK, and fails when that does."""
    if not bench.subject.ipam:
        bench.not_applicable("it delegates to no IPAM plugin")
    script = {"ADD": {"result": delegate.address(bench)}}
    plugin = delegate.install(bench, tmp_path, script)
    made = bench.attach(delegate.slot(bench))
    _need_check(bench, made)
    asked = [record.verb for record in plugin.records()]
    plugin.program({**script, "CHECK": {"error": {"code": 101, "msg": "the reservation is gone"}}})

    call = bench.check(made)

    bench.demand("CHECK" in asked, f"the delegate was called for {', '.join(asked)}, not for CHECK")
    bench.complain(*(f"the delegate's CHECK fails: {fault}" for fault in judge.refusal(call)))


@pytest.mark.requirement("CHK-15")
def test_check_changes_nothing(bench: Bench) -> None:
    """Host and container are the same before and after CHECK, also after one that fails."""
    slot = bench.slot()
    made = bench.attach(slot)
    before = bench.look(slot)

    bench.check(made)
    bench.complain(*bench.changed(before, slot, strict=True))
    bench.delete(made)
    gone = bench.look(slot)
    bench.check(made)

    bench.complain(*(f"after DEL: {line}" for line in bench.changed(gone, slot, strict=True)))


@pytest.mark.requirement("CHK-15")
def test_check_does_not_repair(bench: Bench) -> None:
    """CHECK of an attachment whose firewall was flushed does not put anything back."""
    made, before, after = _attached(bench, "c1")
    if not [way for way in tamper.tamperings(bench, made, before, after) if way.requirement == "CHK-11"]:
        bench.not_applicable("its ADD makes no firewall rules")
    flush(bench)
    flushed = bench.look(made.slot)

    bench.check(made)

    bench.complain(*bench.changed(flushed, made.slot, strict=True))


def flush(bench: Bench) -> None:
    """Remove every firewall rule and chain of the host."""
    bench.run("nft", "flush", "ruleset")
    for program in ("iptables-legacy", "ip6tables-legacy"):
        if program in bench.node.state().firewall:
            for table in ("filter", "nat", "mangle"):
                for option in ("-F", "-X"):
                    bench.run(program, "-t", table, option)


@pytest.mark.requirement("CHK-16")
def test_missing_rules_and_routes_are_noticed(bench: Bench) -> None:
    """CHECK fails when a policy rule or a route of another table was removed."""
    _tampered(bench, "CHK-16")


@pytest.mark.requirement("CHK-16")
def test_another_sysctl_is_noticed(bench: Bench) -> None:
    """CHECK fails when a sysctl that the configuration sets in the container has its old value again."""
    wanted = bench.subject.conf.get("sysctl")
    if not isinstance(wanted, dict) or not wanted:
        bench.not_applicable("its configuration sets no sysctl")
    slot = bench.slot()
    bench.chain(slot)
    before = bench.sysctls(slot.sandbox)
    made = bench.attach(slot)
    _need_check(bench, made)
    after = bench.sysctls(slot.sandbox)
    names = {name.replace("/", ".").replace("IFNAME", slot.ifname) for name in wanted}
    changed = sorted(name for name in names if name in before and before[name] != after.get(name))
    if not changed:
        bench.not_applicable("no sysctl of the container is another after ADD")
    for name in changed[:4]:
        bench.run("sysctl", "-qw", f"{name}={before[name]}", at=slot.sandbox)
        bench.complain(*(f"{name} back to {before[name]}: {fault}" for fault in judge.refusal(bench.check(made))))
        bench.run("sysctl", "-qw", f"{name}={after[name]}", at=slot.sandbox)


@pytest.mark.requirement("CHK-17")
def test_an_address_of_somebody_else_is_noticed(bench: Bench) -> None:
    """CHECK of an IPAM plugin fails when the previous result names another address than it gave."""
    made = bench.attach()
    _need_check(bench, made)
    full = next((ip.address for ip in form.ips(made.result, bench.version)), None)
    if full is None:
        bench.not_applicable("it gave no address")
    ip = full.partition("/")[0]
    stranger = mutation.replaced(made.result, full, full.replace(ip, _neighbour(ip)))

    call = bench.check(made, previous=stranger)

    bench.complain(*(f"prevResult says {_neighbour(ip)}: {fault}" for fault in judge.refusal(call)))


def _neighbour(ip: str) -> str:
    return f"{ip}9" if ":" in ip else f"{ip.rpartition('.')[0]}.{(int(ip.rpartition('.')[2]) + 50) % 250 + 1}"


@pytest.mark.requirement("CHK-18")
def test_others_come_and_go(bench: Bench) -> None:
    """CHECK succeeds after three more containers were added and two of them deleted."""
    made = bench.attach()
    _need_check(bench, made)

    others = [bench.attach(bench.slot(f"c{number}")) for number in (2, 3, 4)]
    call = bench.check(made)
    bench.complain(*(f"after three more ADDs: {fault}" for fault in judge.success(call)))
    for other in others[:2]:
        bench.detach(other)
    call = bench.check(made)

    bench.complain(*(f"after two of them were deleted: {fault}" for fault in judge.success(call)))


@pytest.mark.requirement("CHK-19")
def test_check_after_del_fails(bench: Bench) -> None:
    """CHECK of what was deleted fails."""
    slot = bench.slot("c5")
    bench.chain(slot)
    before = bench.look(slot)
    made = bench.attach(slot)
    if not bench.changed(before, slot, strict=True):
        bench.not_applicable("its ADD does nothing that DEL could undo")
    bench.detach(made)

    call = bench.check(made)

    bench.complain(*judge.refusal(call))


@pytest.mark.requirement("CHK-20")
def test_other_attributes_are_noticed(bench: Bench) -> None:
    """CHECK fails when MTU, queue, promiscuity or a port's flags are others than ADD made them."""
    _tampered(bench, "CHK-20")
