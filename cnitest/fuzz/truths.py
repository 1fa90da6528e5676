"""What has to be true of an attachment: its result, its form, and the packets that its configuration promises."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnitest.conformance import form, traffic, truth
from cnitest.conformance.bench import Bench, Slot
from cnitest.conformance.traffic import Flow
from cnitest.fuzz.attached import Attached
from cnitest.fuzz.trouble import Trouble

_QUICK = 0.6
_UNTOLD = re.compile(r"the container('s| has a) default route")


def of_result(bench: Bench, one: Attached, plugin: str) -> list[Trouble]:
    """What a result says and the kernel does not, or the other way round; and what is wrong with its form."""
    if one.result is None:
        return []
    slot = one.slot
    shape = form.misshapen(one.result, one.version)
    found: list[str] = []
    if not one.is_ipam:
        found = truth.untruths(one.result, one.version, bench.node, slot.sandbox, slot.netns, slot.ifname)
        found = [words for words in found if not _is_anothers(str(words), slot)]
    return [
        Trouble("untrue", plugin, bare(str(detail), one), kernel=getattr(detail, "kernel", ""))
        for detail in [*found, *shape]
    ]


def _is_anothers(words: str, slot: Slot) -> bool:
    """Whether it is about a default route that leads by another interface of the container."""
    links = {route.link for route in slot.sandbox.routes if route.to == "default"}
    return _UNTOLD.match(words) is not None and bool(links - {slot.ifname})


def silences(bench: Bench, one: Attached) -> list[str]:
    """Which packets do not get through that have to: to a gateway that the host has, to the internet behind ipMasq."""
    return [why for flow in _promised(bench, one) if (why := traffic.lost(flow, 3.0))]


def reached(bench: Bench, one: Attached) -> tuple[str, ...]:
    """The gateways that an attachment does reach."""
    return tuple(flow.target for flow in _gateways(bench, one) if not traffic.lost(flow, _QUICK))


def lost(one: Attached) -> list[str]:
    """What an attachment reached before and does not reach any more."""
    flows = (traffic.echo(one.slot.sandbox, target) for target in one.reached)
    return [why for flow in flows if (why := traffic.lost(flow, 1.0))]


def bare(words: str, one: Attached) -> str:
    """Words without the name of the container."""
    return words.replace(one.slot.sandbox.full_name, "container")


def _promised(bench: Bench, one: Attached) -> Iterator[Flow]:
    if one.result is None or one.is_ipam:
        return
    yield from _gateways(bench, one)
    hidden = any(conf.get("ipMasq") is True for conf in one.example.plugins)
    if hidden and form.has_default_route(one.result, one.version):
        _, targets = traffic.internet(bench.lab)
        families = {6 if ":" in ip.address else 4 for ip in form.ips(one.result, one.version)}
        defaults = {6 if ":" in dst else 4 for dst in form.destinations(one.result, one.version) if dst.endswith("/0")}
        for target in targets:
            if (6 if ":" in target else 4) in families & defaults:
                yield traffic.echo(one.slot.sandbox, target)


def _gateways(bench: Bench, one: Attached) -> Iterator[Flow]:
    """An echo to each gateway of the result that is an address of some place of the lab."""
    if one.is_ipam:
        return
    for gateway in dict.fromkeys(ip.gateway for ip in form.ips(one.result or {}, one.version) if ip.gateway):
        if gateway and bench.lab.owner(gateway, one.slot.sandbox) is not None:
            yield traffic.echo(one.slot.sandbox, gateway)
