"""DEL of one of two attachments: SPEC section 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover, appeared, disturbed, removals
from cnitest.conformance.checks.common import RANGES, of_lost, other_ifname, other_network
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol, space
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.connections import answering, demand_answers


@check("DEL-14", which=["first", "second"], other=["other interface", "other container", "other network"])
def del_leaves_others_alone(bench: Bench, other: str, which: str) -> None:
    """Whichever of two attachments is deleted, the other has all its state and reaches what it reached."""
    pair = _pair(bench, other)
    gone, kept = (pair[0], pair[1]) if which == "first" else (pair[1], pair[0])
    flows = _own_flows(bench, kept)  # the interface of the other stays, and what goes that way
    if not kept.own:
        bench.not_exercised("ADD made nothing that DEL of another attachment could take away")
    before = bench.look(kept.made.target)

    call = bench.delete(gone.made)

    words = "" if other == "other interface" else f"{other}: "  # which others it is matters to what is known of plugins
    bench.complain(*protocol.success(call), prefix=words)
    after = bench.look(kept.made.target)
    bench.complain(*kept.missing(before, after, gone), prefix=f"{words}gone with it: ")
    demand_answers(bench, flows, traffic.AGAIN, words)


@check("DEL-14", what=["repeated", "never added", "namespace gone"])
def del_with_less_to_find_leaves_others_alone(bench: Bench, what: str) -> None:
    """A second DEL, one of a container that was never added, and one whose namespace is gone, leave another container
    all its state, and what it reached."""
    bench.require_room(2)
    kept = _Attached(bench, bench.target("c1"))
    bench.need(kept.made.call)
    if not kept.own:
        bench.not_exercised("ADD made nothing that DEL of another attachment could take away")
    options = _with_less_to_find(bench, what)
    flows = _own_flows(bench, kept)
    before = bench.look(kept.made.target)

    bench.raw("DEL", **options)

    words = f"DEL of another, {what}: "
    bench.complain(*kept.missing(before, bench.look(kept.made.target)), prefix=f"{words}gone with it: ")
    demand_answers(bench, flows, traffic.AGAIN, words)


@check("DEL-14")
def an_address_in_use_is_not_given_again(bench: Bench) -> None:
    """After DEL of one container the next one gets no address of a container that is still there."""
    section = bench.subject.conf.get("ipam")
    if bench.subject.kind is not Kind.IPAM and isinstance(section, dict) and section.get("type"):
        bench.not_applicable("it is its IPAM plugin that gives addresses")
    bench.require_room(3)
    first, kept = (bench.attach(bench.target(name)) for name in ("c1", "c2"))
    used = {*_addresses(bench, kept)}
    if not used or used & {*_addresses(bench, first)}:
        bench.not_exercised("it gives no addresses, or the same one to everybody")
        return
    bench.delete(first)

    again = used & {*_addresses(bench, bench.attach(bench.target("c3")))}

    for address in sorted(again):
        bench.complain(f"{address} of a container that is there is given again once another one is deleted")


def _with_less_to_find(bench: Bench, what: str) -> dict[str, Any]:
    """The options of DEL of another container, which was not there, was deleted, or has lost its namespace."""
    target = bench.target("c2")
    if what == "never added":
        return {"target": target}
    made = bench.attach(target)
    if what == "repeated":
        bench.delete(made)
        return {"target": target, "previous": bench.final(made)}
    netns = target.netns
    bench.lose("c2")
    return {"target": None, **of_lost(bench, made, netns, {})}


def _own_flows(bench: Bench, kept: _Attached) -> list[traffic.TrafficProbe]:
    """What an attachment reaches; of a chained plugin by the attachment's own interface, whatever else there is."""
    flows = answering(bench, kept.made)
    if bench.subject.kind is not Kind.META:
        return flows
    return [flow for flow in flows if traffic.leaves_by(flow.sender, flow.target) == kept.made.target.ifname]


class _Attached:
    """An attachment, made when this is, and what its ADD put where; ADD may have failed."""

    def __init__(self, bench: Bench, target: AttachmentTarget) -> None:
        bench.chain(target)
        before = bench.look(target)
        call = bench.add(target)
        self.made = AddResult(target, call, protocol.result_document(call) or {}, bench.chain(target))
        self._leftover: Sequence[str] = bench.setting.leftover
        #: What its ADD brought.
        self.own = set(appeared(before, bench.look(target)))

    def missing(self, before: Picture, after: Picture, other: _Attached | None = None) -> list[Leftover]:
        """What this one had put there and is gone, but for what both had put there and routes of several hops."""
        own = {_known_by(left) for left in self.own - (other.own if other else set())}
        gone = (left for left in removals(before, after, self._leftover) if left.difference.vanished)
        return [left for left in gone if _known_by(left.undone) in own and not getattr(left.difference.row, "hops", ())]


def _known_by(left: Leftover) -> object:
    """A link by its name, as its values may change while it stays; anything else by all its fields."""
    return (left.place, left.difference.key) if left.difference.table == "links" else left


def _pair(bench: Bench, other: str) -> tuple[_Attached, _Attached]:
    """Two attachments that differ in interface, container or network."""
    if other != "other container" and bench.setting.ifname == "lo":
        bench.not_applicable("its interface is there once only")
    bench.require_room(2)
    name = other_ifname(bench)
    first = _Attached(bench, bench.target("c1"))
    bench.need(first.made.call)
    if other == "other interface":
        second = bench.target("c1", ifname=name)
    elif other == "other container":
        second = bench.target("c2")
    else:
        second = other_network(bench, "c1", name)
    two = _Attached(bench, second)
    if two.made.call.exit_code != 0:
        words = protocol.words(two.made.call)
        bench.not_applicable(f"there is no second attachment, which ADD-06 and ADD-07 are about: {words}")
    return first, two


#: Chains of container engines and of other plugins, and those that the kernel has.
_CHAINS = ("nat CNI-HOSTPORT-MASQ", "nat CNI-HOSTPORT-DNAT", "nat KUBE-POSTROUTING", "filter DOCKER-USER")
_BUILT_IN = ("nat PREROUTING", "nat POSTROUTING", "nat OUTPUT", "filter FORWARD", "filter INPUT")
_PORT, _LATE_PORT = "65000", "65002"
_COMMENT = ("-m", "comment", "--comment", "somebody else's")


@check("DEL-14")
def what_others_have_on_the_host_stays(bench: Bench) -> None:
    """After ADD and DEL rules, chains, routes, links and leases that somebody else had on the host are there, and so
    are rules that came between both."""
    bench.target()
    _furnish(bench)
    before = bench.look()

    made = bench.attach()
    early = bench.look()
    for place in _BUILT_IN:
        _append(bench, place, _LATE_PORT)
    late = bench.look()
    call = bench.delete(made)
    bench.unchain(made.target, made.result)

    bench.complain(*protocol.success(call))
    after, allowed, added = bench.look(), bench.setting.leftover, set(appeared(early, late))
    gone = [left for left in removals(before, after, allowed) if left.difference.vanished]
    gone += [left for left in removals(late, after, allowed) if left.difference.vanished and left.undone in added]
    bench.complain(*gone, prefix="gone, though not the plugin's: ")


@check("DEL-14")
def what_others_have_stays_without_a_namespace(bench: Bench) -> None:
    """DEL with an empty CNI_NETNS takes and changes nothing of what somebody else had on the host."""
    bench.target()
    _furnish(bench)
    before = bench.look()
    made = bench.attach()
    middle = bench.look()

    bench.delete(made, changes={"CNI_NETNS": ""})

    found = disturbed(before, middle, bench.look(), bench.setting.leftover)
    harm = [left for left in found if left.difference.vanished or left.difference.table == "links"]
    bench.complain(*harm, prefix="with an empty CNI_NETNS, though not the plugin's: ")


def _furnish(bench: Bench) -> None:
    """Put on the host what other programs have there: a bridge with an address, a policy rule and a route, a lease of
    another network, rules in every chain, a table of nftables. What cannot be made is left out."""
    network, name = space.network(bench.subject, 4, 7), space.name(bench.subject, "others")
    for words in (
        f"ip link add {name} type bridge",
        f"ip address add {network[1]}/{network.prefixlen} dev {name}",
        f"ip rule add from {network} lookup 177",
        f"ip route add blackhole {network} table 177",
        f"mkdir -p /var/lib/cni/networks/{name}",
        f"cp /proc/version /var/lib/cni/networks/{name}/{network[2]}",
        f"nft add table inet {name}",
    ):
        bench.run(*words.split(), check=False)
    for place in (*_CHAINS, *_BUILT_IN):
        _append(bench, place, _PORT)


def _append(bench: Bench, place: str, port: str) -> None:
    """A rule of each family in a chain of a table, which is made when it is none of the kernel's."""
    table, chain = place.split()
    for program in ("iptables", "ip6tables"):
        base = (program, "-w", "-t", table)
        if place in _CHAINS:
            bench.run(*base, "-N", chain, check=False)
        bench.run(*base, "-A", chain, "-p", "tcp", "--dport", port, *_COMMENT, "-j", "RETURN", check=False)


#: Identifiers of two containers that are easily taken for one: the first begins the second, and both are about as long
#: as those of runtimes; or they differ in capitals alone.
ALIKE = {"longer": (f"cnitest-{'c' * 55}", f"cnitest-{'c' * 55}1"), "capitals": ("cnitest-c1", "CNITEST-C1")}


@check("DEL-14", how=list(ALIKE))
def similar_containers_are_told_apart(bench: Bench, how: str) -> None:
    """Containers whose identifiers are alike have addresses of their own, and DEL of one leaves the other's state."""
    bench.require_room(2)
    gone = _Attached(bench, bench.target("c1", container_id=ALIKE[how][0]))
    bench.need(gone.made.call)
    kept = _Attached(bench, bench.target("c2", container_id=ALIKE[how][1]))
    words = f"of CNI_CONTAINERID {ALIKE[how][0]} and {ALIKE[how][1]} "

    bench.complain(*protocol.success(kept.made.call), prefix=f"{words}the second is rejected: ")
    if protocol.failed(kept.made.call):
        return
    section = bench.subject.conf.get("ipam")
    ranges = isinstance(section, dict) and RANGES & section.keys()
    shared = {*_addresses(bench, gone.made)} & {*_addresses(bench, kept.made)}
    bench.demand(not (shared and ranges), f"{words}both have {', '.join(sorted(shared))}")
    before = bench.look(kept.made.target)
    bench.complain(*protocol.success(bench.delete(gone.made)), prefix=words)
    missing = kept.missing(before, bench.look(kept.made.target), gone)
    bench.complain(*missing, prefix=f"{words}the first was deleted, gone with it: ")


def _addresses(bench: Bench, made: AddResult) -> list[str]:
    """The addresses that the plugin gave: those of its result that the one before it does not have."""
    given = [ip.address for ip in form.ips(made.previous or {}, bench.version)]
    return [ip.address for ip in form.ips(made.result, bench.version) if ip.address not in given]
