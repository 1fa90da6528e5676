"""What CHECK has to notice: SPEC section 2."""

from __future__ import annotations

from cnitest.conformance.bench.bench import AddResult, Bench
from cnitest.conformance.checks.common import attached, require_check
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol
from cnitest.conformance.observe import mutation, substitute, tamper

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


def _tampered(bench: Bench, requirement: str) -> None:
    """Break an attachment in every way of one requirement, a fresh attachment each, and see CHECK fail."""
    first = fresh = _FreshAttachment(bench, "c1", requirement)
    if not first.ways:
        bench.not_applicable(f"its ADD makes nothing that could be taken away as {TAMPERED[requirement]}")
    for number, key in enumerate(first.ways, 1):
        if fresh.tampered:
            fresh = _FreshAttachment(bench, f"c{number}", requirement, first)
        way = fresh.ways.get(key)
        if way:
            fresh.tamper(way)


class _FreshAttachment:
    """An attachment that CHECK succeeds for, and the ways to break it.

    What all attachments share is made by the first one's ADD alone; while it is there, it is broken as it was then.
    """

    def __init__(self, bench: Bench, container: str, requirement: str, first: _FreshAttachment | None = None) -> None:
        self._bench = bench
        self._made, before, after = attached(bench, container)
        require_check(bench, self._made)
        self._host_before = before[bench.node.full_name]
        self.tampered = False
        ways = [way for way in tamper.tamperings(bench, self._made, before, after) if way.requirement == requirement]
        self.ways = tamper.by_kind(ways)
        if first:
            since_first = {**before, bench.node.full_name: first._host_before}
            there = tamper.tamperings(bench, self._made, since_first, after)
            self.ways = {key: way for key, way in first.ways.items() if way in there} | self.ways

    def tamper(self, way: tamper.Tampering) -> None:
        """Break it, see CHECK fail, and let the host serve the next one again."""
        way.apply(self._bench, self._made)
        faults = protocol.rejection(self._bench.check(self._made))
        self._bench.complain(*faults, prefix=f"{way.words}: ")
        self._bench.detach(self._made)
        way.revert(self._bench)
        self.tampered = True


@check("CHK-05")
def a_missing_interface_is_noticed(bench: Bench) -> None:
    """CHECK fails when the interface was removed."""
    _tampered(bench, "CHK-05")


@check("CHK-05")
def a_link_of_another_kind_is_noticed(bench: Bench) -> None:
    """CHECK fails when the interface's name, MAC, addresses and routes are those of a link of another kind."""
    made, before, after = attached(bench, "c1")
    place, name = made.target.sandbox.full_name, made.target.ifname
    link = next((link for link in after[place].links if link.name == name), None)
    if link is None or name == "lo" or name in {link.name for link in before[place].links}:
        bench.not_applicable(f"its ADD makes no link {name} in the container")
    if link.mac in {link.mac for link in before[bench.node.full_name].links}:
        bench.not_applicable("its interface is a device of the host that was moved, of whatever kind that is")
    require_check(bench, made)
    kind = substitute.take_place(bench, made.target.sandbox, link, after[place])

    call = bench.check(made)

    words = f"{name} is a {kind} and no {link.kind or 'device'}, MAC, addresses and routes are the same: "
    bench.complain(*protocol.rejection(call), prefix=words)


@check("CHK-06")
def another_mac_is_noticed(bench: Bench) -> None:
    """CHECK fails when the interface has another MAC than the result."""
    _tampered(bench, "CHK-06")


@check("CHK-07")
def a_missing_address_is_noticed(bench: Bench) -> None:
    """CHECK fails when an address was removed."""
    _tampered(bench, "CHK-07")


@check("CHK-08")
def a_missing_route_is_noticed(bench: Bench) -> None:
    """CHECK fails when a route of the result was removed."""
    _tampered(bench, "CHK-08")


@check("CHK-08")
def a_route_that_leads_elsewhere_is_noticed(bench: Bench) -> None:
    """CHECK fails when the default route of a family leads to another gateway."""
    made = bench.attach()
    families = {{"0.0.0.0/0": 4, "::/0": 6}.get(dst) for dst in form.destinations(made.result, bench.version)}
    routes = [r for r in made.target.sandbox.routes if r.to == "default" and r.via and r.table == 254]
    routes = [route for route in routes if route.family in families]
    if not routes:
        bench.not_applicable("the result has no default route")
    require_check(bench, made)
    for route in routes:
        other = mutation.near(route.via)
        change = ("ip", f"-{route.family}", "route", "replace", "default", "dev", route.link, "onlink")
        metric = ("metric", str(route.metric))
        if route.family == 6:  # another gateway would be one more there
            bench.run("ip", "-6", "route", "del", "default", "dev", route.link, *metric, at=made.target.sandbox)
        bench.run(*change, "via", other, *metric, at=made.target.sandbox)
        faults = protocol.rejection(bench.check(made))
        bench.run(*change, "via", route.via, *metric, at=made.target.sandbox)
        bench.complain(*faults, prefix=f"the default route leads to {other}: ")


@check("CHK-10")
def a_missing_reservation_is_noticed(bench: Bench) -> None:
    """CHECK fails when the file that reserves the address was removed."""
    _tampered(bench, "CHK-10")


@check("CHK-11")
def missing_firewall_rules_are_noticed(bench: Bench) -> None:
    """CHECK fails when any firewall rule of ADD was removed."""
    _tampered(bench, "CHK-11")


@check("CHK-12")
def missing_shaping_is_noticed(bench: Bench) -> None:
    """CHECK fails when a queueing discipline or a link of the shaping was removed."""
    _tampered(bench, "CHK-12")


@check("CHK-13")
def an_unreachable_container_is_noticed(bench: Bench) -> None:
    """CHECK fails when a link on the path is down, the gateway's address is gone or forwarding is off."""
    _tampered(bench, "CHK-13")


@check("CHK-16")
def missing_rules_and_routes_are_noticed(bench: Bench) -> None:
    """CHECK fails when a policy rule or a route of another table was removed."""
    _tampered(bench, "CHK-16")


@check("CHK-16")
def another_sysctl_is_noticed(bench: Bench) -> None:
    """CHECK fails when a sysctl that the configuration sets in the container has its old value again."""
    wanted = bench.subject.conf.get("sysctl")
    if not isinstance(wanted, dict) or not wanted:
        bench.not_applicable("its configuration sets no sysctl")
    target = bench.target()
    bench.chain(target)
    before = bench.sysctls(target.sandbox)
    made = bench.attach(target)
    require_check(bench, made)
    after = bench.sysctls(target.sandbox)
    names = {name.replace("/", ".").replace("IFNAME", target.ifname) for name in wanted}
    changed = sorted(name for name in names if name in before and before[name] != after.get(name))
    if not changed:
        bench.not_applicable("no sysctl of the container is another after ADD")
    for name in changed[:4]:
        bench.run("sysctl", "-qw", f"{name}={before[name]}", at=target.sandbox)
        bench.complain(*protocol.rejection(bench.check(made)), prefix=f"{name} back to {before[name]}: ")
        bench.run("sysctl", "-qw", f"{name}={after[name]}", at=target.sandbox)


@check("CHK-17")
def an_address_of_somebody_else_is_noticed(bench: Bench) -> None:
    """CHECK of an IPAM plugin fails when the previous result names another address than it gave, for each of them."""
    made = _addresses_given(bench)
    for given in form.ips(made.result, bench.version):
        ip, _, length = given.address.partition("/")
        other = mutation.near(ip)
        stranger = mutation.replaced(made.result, given.address, f"{other}/{length}")

        call = bench.check(made, previous=stranger)

        bench.complain(*protocol.rejection(call), prefix=f"prevResult says {other}: ")


@check("CHK-17")
def another_gateway_is_noticed(bench: Bench) -> None:
    """CHECK of an IPAM plugin fails when the previous result names another gateway than it gave, for each of them."""
    made = _addresses_given(bench)
    given = [ip.gateway or "" for ip in form.ips(made.result, bench.version)]
    gateways = [gateway for gateway in given if form.is_address(gateway)]
    if not gateways:
        bench.not_applicable("it gave no gateway")
    for gateway in dict.fromkeys(gateways):
        other = mutation.near(gateway)

        call = bench.check(made, previous=mutation.replaced(made.result, gateway, other))

        bench.complain(*protocol.rejection(call), prefix=f"prevResult has the gateway {other}: ")


def _addresses_given(bench: Bench) -> AddResult:
    """An attachment with addresses whose CHECK succeeds. Raises NotApplicable without any."""
    made = bench.attach()
    require_check(bench, made)
    if not form.ips(made.result, bench.version):
        bench.not_applicable("it gave no address")
    return made


@check("CHK-20")
def other_attributes_are_noticed(bench: Bench) -> None:
    """CHECK fails when MTU, queue, promiscuity or a port's flags are others than ADD made them."""
    _tampered(bench, "CHK-20")
