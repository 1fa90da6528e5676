"""Which packets an attachment is meant to carry, read off its result, its configuration and the topology."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cnitest.cni import releases
from cnitest.conformance.bench import first
from cnitest.conformance.bench.bench import AddResult, Bench
from cnitest.conformance.model import form, reading
from cnitest.conformance.model.deviation import nickname
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.lab.place import Place
from cnitest.topology.link_kinds import KINDS

#: What the kernel calls the kind of a link whose other end is a program's.
_OF_PROGRAMS = "tun"
#: The kinds of links whose containers are on the LAN of a host.
_LAN = frozenset({*(kind for kind, row in KINDS.items() if row.needs_parent), "tap", "macvtap", "ipvtap"})


def addresses(bench: Bench, made: AddResult) -> list[str]:
    """The addresses of an attachment, without prefix."""
    return [ip.address.partition("/")[0] for ip in form.ips(made.result, bench.version)]


def closed(made: AddResult) -> str:
    """Why a link carries nothing until somebody else does their part; empty for every other link."""
    links = (link for link in made.target.sandbox.links if link.name == made.target.ifname)
    waits = any(link.kind == _OF_PROGRAMS and not link.carrier for link in links)
    return "its link is a tap, which carries nothing before a program has opened it" if waits else ""


def gateways(bench: Bench, made: AddResult) -> list[TrafficProbe]:
    """An echo to each gateway of the result that has to answer; none where the profile says that gateways do not."""
    if bench.setting.expect.gateway is False or bench.subject.kind is Kind.IPAM or closed(made):
        return []
    sandbox = made.target.sandbox
    found = dict.fromkeys(ip.gateway for ip in form.ips(made.result, bench.version) if ip.gateway)
    return [traffic.echo(sandbox, gateway) for gateway in found if gateway and is_here(bench, made, gateway)]


def is_here(bench: Bench, made: AddResult, gateway: str) -> bool:
    """Whether a gateway is the plugin's to bring, or is there; that of a LAN which the topology lacks is elsewhere."""
    if bench.setting.expect.gateway is False:
        return False
    if bench.setting.expect.gateway or bench.lab.owner(gateway, made.target.sandbox) is not None:
        return True
    if gateway not in {ip.gateway for ip in form.ips(made.result, bench.version)}:
        return False
    confs = {str(conf.get("type")): conf for conf in bench.subject.before}
    confs[nickname(bench.subject)] = bench.subject.conf
    known = {name: bench.subject.known(name) for name in confs}
    asked = {conf.get(key) is True for name, conf in confs.items() for key in known[name].gateway}
    if asked or _LAN & confs.keys() or any(plugin.on_lan for plugin in known.values()):
        return True in asked
    link = next((link for link in made.target.sandbox.links if link.name == made.target.ifname), None)
    return link is None or link.kind not in _LAN


def outside(bench: Bench, made: AddResult) -> list[TrafficProbe]:
    """An echo to each address of the internet that the result's default routes lead to and that can answer: where it
    has a way back, or the plugins hide the container's address."""
    place, targets = traffic.internet(bench.lab)
    if place is None or bench.setting.expect.internet is False or bench.subject.kind is Kind.IPAM or closed(made):
        return []
    own = addresses(bench, made)
    families = {6 if ":" in address else 4 for address in own if masquerades(bench) or _comes_back(place, address)}
    families &= _ways_out(bench, made)
    return [traffic.echo(made.target.sandbox, target) for target in targets if (6 if ":" in target else 4) in families]


def apart(bench: Bench) -> str:
    """Why containers of the network do not reach each other; empty where they are meant to."""
    conf, peer = releases.read_of(bench.subject.path, bench.subject.conf), bench.setting.expect.peer
    key = bench.subject.known(nickname(bench.subject)).keeps_apart(conf)
    if peer is not None:
        return "" if peer else "the profile says that containers do not reach each other"
    if bench.setting.ifname == "lo":
        return "a loopback leads nowhere else"
    return f"its configuration keeps containers apart: {key} is {json.dumps(conf[key])}" if key else ""


def _ways_out(bench: Bench, made: AddResult) -> set[int]:
    """The families in which the result has a default route whose gateway is here."""
    gateways = reading.default_gateways(made.result, bench.version)
    return {family for family, ips in gateways.items() if any(not ip or is_here(bench, made, ip) for ip in ips)}


def _comes_back(place: Place, address: str) -> bool:
    return traffic.has_way_back(place, address)


def masquerades(bench: Bench) -> bool:
    """Whether a configuration asks for the containers' addresses to be hidden."""
    confs: tuple[Mapping[str, Any], ...] = (*bench.subject.before, bench.subject.conf)
    return any(conf.get("ipMasq") is True for conf in confs)


def reaches(bench: Bench, made: AddResult) -> list[TrafficProbe]:
    """Everything that an attachment by itself should reach."""
    return [*gateways(bench, made), *outside(bench, made)]


def answering(bench: Bench, made: AddResult) -> list[TrafficProbe]:
    """What an attachment does reach now, in each family: to be tried again after something that must not change it."""
    answered = [flow for flow in reaches(bench, made) if not traffic.lost(flow, traffic.READY)]
    for flow in answered:
        bench.probed(flow.sender, flow.target)
    return answered


def demand_answers(
    bench: Bench, flows: Iterable[TrafficProbe], timeout: float = traffic.TIMEOUT, prefix: str = ""
) -> None:
    """Complain, with ``prefix`` before the words, of each flow that gets no answer. What needs time had it while the
    first timed out."""
    for flow in flows:
        why = traffic.lost(flow, timeout, explain=True)
        if why:
            timeout = min(timeout, traffic.AGAIN)
            bench.complain(why, prefix=prefix)


def free_addresses(bench: Bench) -> list[str]:
    """For each address that the subject's first ADD gave another of its network that nobody has yet and that can be
    asked for, with its prefix; less those whose networks have none."""
    found = []
    for ip in first.ips(bench):
        given = ipaddress.ip_interface(ip.address)
        others = (given.ip + step for step in (60, -60))
        free = [other for other in others if other in given.network and str(other) != ip.gateway]
        found += [f"{free[0]}/{given.network.prefixlen}"] if free else []
    return found
