"""What has to be true of an attachment: its result, its form, and the packets that its configuration promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface
from itertools import product

from cnitest.cni import releases
from cnitest.cni.calls import answers
from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.bench.steps import NoAnswer
from cnitest.conformance.model import form
from cnitest.conformance.model.finding import Detail, Doubt
from cnitest.conformance.observe import traffic, truth
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import ports
from cnitest.fuzz.oracles.attached import Attached

_QUICK, _USUAL = 0.6, 3.0


def of_result(bench: Bench, one: Attached, *, others: bool) -> list[Violation]:
    """What a result says and the kernel does not, or the other way round; and what is wrong with its form.

    Where the container has ``others``, what it has besides may be theirs.
    """
    if one.result is None:
        return []
    violations = [
        Violation("untrue", _whose(bench, one, detail), bare(str(detail), one), kernel=getattr(detail, "kernel", ""))
        for detail in _faults(bench, one, one.result)
        if not (others and isinstance(detail, truth.Unreported))
    ]
    one.untrue |= {violation.cause for violation in violations}
    return violations


def come_untrue(bench: Bench, one: Attached, *, others: bool) -> list[Violation]:
    """As `of_result`, of what has come to be so since it was last looked at."""
    known = one.untrue
    return [each for each in of_result(bench, one, others=others) if each.cause not in known]


def _faults(bench: Bench, one: Attached, result: Document) -> list[str]:
    """What of a result is not so, and what is wrong with its form."""
    target = one.target
    shape = form.misshapen(result, one.version) or form.unlike(result, one.version)
    if one.is_ipam:
        return [*shape, *(["the result of an IPAM plugin has interfaces"] if result.get("interfaces") else ())]
    return [*truth.untruths(result, one.version, bench.node, target.sandbox, target.netns, target.ifname), *shape]


def _whose(bench: Bench, one: Attached, detail: str) -> str:
    """The plugin that said it first; others hand it on. That of a list's beginning where nobody's answer has it."""
    for call in one.added:
        result = answers.result_document(call)
        if result is not None and detail in _faults(bench, one, result):
            return call.plugin
    return one.first


def silences(bench: Bench, one: Attached, others: Sequence[Attached], *, forwards: bool = True) -> list[str]:
    """Which packets do not get through that have to: to a gateway that the host has, to the internet behind ipMasq, to
    the container through a port of the host; those that do are what it reaches."""
    if any(plugin.moves_routes for plugin in one.plugins):  # only packets with a source address find their way
        reach(bench, one)
        return []
    one.reached = tuple(_gateways(bench, one))
    one.beyond = tuple(_beyond(bench, one))
    if not forwards:  # firewall lets pass what a container begins, and nothing that others do
        one.beyond = begun(one) if admits_begun(one) else ()
    if one.example.capabilities.get("portMappings") and others:  # which of two gets what comes to one port is open
        for each in (one, *others):
            each.beyond = begun(each)
    between = _between(bench, one, others) if forwards else []  # iptables sees what bridges forward, too
    found: list[str] = []
    for flow in (*one.reached, *one.beyond, *between):
        why = traffic.lost(flow, _QUICK if found else _USUAL, explain=True)  # what needs time had it by then
        found += [why] if why and not isinstance(why, Doubt) else []
    return found


def _between(bench: Bench, one: Attached, others: Sequence[Attached]) -> list[TrafficProbe]:
    """Packets between an attachment and another one of its network, both ways, also of full size, where that is what
    the network is for."""
    peers = (each for each in others if each.target.network == one.target.network and not (each.lost or each.broken))
    peer = next((each for each in peers if each.target.sandbox is not one.target.sandbox), None)
    if peer is None or not _meet(bench, one) or one.link is None or peer.link is None:
        return []
    if one.link.mac == peer.link.mac:  # both were given the one that was asked for
        return []
    mtu = min(one.link.mtu, peer.link.mtu)
    found: list[TrafficProbe] = []
    port = traffic.free_port(bench.subject, one.target.sandbox, peer.target.sandbox)
    for own, theirs in product(_ipv4(one), _ipv4(peer)):
        if own.network == theirs.network and own.ip != theirs.ip:  # static gives one address to all
            ends = (one.target.sandbox, str(own.ip), peer.target.sandbox, str(theirs.ip))
            found += traffic.both_ways(*ends, port=port, mtu=mtu)
    return found


def _meet(bench: Bench, one: Attached) -> bool:
    """Whether containers of a network reach each other: those of a bridge do, and of a plugin that we do not know when
    its profile says nothing else."""
    first = one.example.plugins[0]
    if len(one.example.plugins) > 1 or one.is_ipam or bench.setting.expect.peer is False:
        return False
    plugin = one.plugins[0]
    return (plugin.joins and not plugin.is_apart(releases.read_of(bench.subject.path, first))) or plugin.keys is None


def _ipv4(one: Attached) -> list[IPv4Interface]:
    return [IPv4Interface(ip.address) for ip in one.addresses if ":" not in ip.address][:1]


def admits_begun(one: Attached) -> bool:
    """Whether a plugin of its network lets packets pass that containers begin, and their answers."""
    return any(plugin.admits_begun for plugin in one.plugins)


def begun(one: Attached) -> tuple[TrafficProbe, ...]:
    """What an attachment reaches through its host, but for what others begin."""
    return tuple(flow for flow in one.beyond if flow.sender is one.target.sandbox)


def reach(bench: Bench, one: Attached) -> None:
    """See which gateways an attachment does reach."""
    one.reached = tuple(flow for flow in _gateways(bench, one) if not traffic.lost(flow, _QUICK))


def lost(one: Attached) -> list[str]:
    """What an attachment reached before and does not reach any more; that is reported once."""
    whys = {flow: traffic.lost(flow, 1.0, explain=True) for flow in (*one.reached, *one.beyond)}
    gone = {flow: why for flow, why in whys.items() if why and not isinstance(why, Doubt)}
    one.reached, one.beyond = (tuple(flow for flow in flows if flow not in gone) for flows in (one.reached, one.beyond))
    return list(gone.values())


def bare(words: str, one: Attached) -> str:
    """Words without the name of the container."""
    return words.replace(one.target.sandbox.full_name, "container")


def unanswered(rule: str, plugin: str, why: str, one: Attached, head: str = "") -> Violation:
    """The violation of a packet that got no answer; its cause is what the packet was lost to, where that was found."""
    lost_to = why.about.cause if isinstance(why, Detail) and isinstance(why.about, NoAnswer) else ""
    return Violation(rule, plugin, head + bare(why, one), why, about=f"{head}{lost_to}" if lost_to else "")


def _beyond(bench: Bench, one: Attached) -> Iterator[TrafficProbe]:
    """What goes through the host: to the internet where the source is hidden, and in by a port of the host."""
    if one.result is None or one.is_ipam:
        return
    families = {6 if ":" in flow.target else 4 for flow in one.reached}  # without one no packet finds its way out
    defaults = {6 if ":" in dst else 4 for dst in form.destinations(one.result, one.version) if dst.endswith("/0")}
    if any(conf.get("ipMasq") is True for conf in one.example.plugins):
        for target in traffic.internet(bench.lab)[1]:
            if (6 if ":" in target else 4) in families & defaults:
                yield traffic.echo(one.target.sandbox, target)
    for conf in one.example.plugins:
        if 4 in families & defaults:
            yield from ports.flows(bench, one, conf)


def _gateways(bench: Bench, one: Attached) -> Iterator[TrafficProbe]:
    """An echo to each gateway of the result that is an address of some place of the lab."""
    if one.is_ipam:
        return
    for gateway in dict.fromkeys(ip.gateway for ip in form.ips(one.result or {}, one.version) if ip.gateway):
        if gateway and bench.lab.owner(gateway, one.target.sandbox) is not None:
            yield traffic.echo(one.target.sandbox, gateway)
