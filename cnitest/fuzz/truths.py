"""What has to be true of an attachment: its result, its form, and the packets that its configuration promises."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.conformance import form, traffic, truth
from cnitest.conformance.bench import Bench
from cnitest.conformance.traffic import Flow
from cnitest.fuzz.attached import Attached
from cnitest.fuzz.trouble import Trouble

_QUICK = 0.6
# How what a container has besides its result begins.
_BESIDES = ("the container has", "the container's default route")
# Plugins after which only packets with a source address of their own find their way.
_OWN_TABLES = ("sbr",)


def of_result(bench: Bench, one: Attached, plugin: str, *, others: bool) -> list[Trouble]:
    """What a result says and the kernel does not, or the other way round; and what is wrong with its form.

    Where the container has ``others``, what it has besides may be theirs.
    """
    if one.result is None:
        return []
    slot = one.slot
    shape = form.misshapen(one.result, one.version)
    found: list[str] = []
    if not one.is_ipam:
        found = truth.untruths(one.result, one.version, bench.node, slot.sandbox, slot.netns, slot.ifname)
    return [
        Trouble("untrue", plugin, bare(str(detail), one), kernel=getattr(detail, "kernel", ""))
        for detail in [*found, *shape]
        if not (others and str(detail).startswith(_BESIDES))
    ]


def silences(bench: Bench, one: Attached) -> list[str]:
    """Which packets do not get through that have to: to a gateway that the host has, to the internet behind ipMasq."""
    return [why for flow in _promised(bench, one) if (why := traffic.lost(flow, 3.0))]


def reached(bench: Bench, one: Attached) -> tuple[str, ...]:
    """The gateways that an attachment does reach."""
    return tuple(flow.target for flow in _gateways(bench, one) if not traffic.lost(flow, _QUICK))


def gateways(bench: Bench, one: Attached) -> tuple[str, ...]:
    """The gateways that there are."""
    return tuple(flow.target for flow in _gateways(bench, one))


def lost(one: Attached) -> list[str]:
    """What an attachment reached before and does not reach any more."""
    flows = (traffic.echo(one.slot.sandbox, target) for target in one.reached)
    return [why for flow in flows if (why := traffic.lost(flow, 1.0))]


def bare(words: str, one: Attached) -> str:
    """Words without the name of the container."""
    return words.replace(one.slot.sandbox.full_name, "container")


def _promised(bench: Bench, one: Attached) -> Iterator[Flow]:
    own_tables = any(conf.get("type") in _OWN_TABLES for conf in one.example.plugins)
    if one.result is None or one.is_ipam or own_tables:
        return
    gateways = list(_gateways(bench, one))
    yield from gateways
    hidden = any(conf.get("ipMasq") is True for conf in one.example.plugins)
    if hidden and form.has_default_route(one.result, one.version):
        _, targets = traffic.internet(bench.lab)
        families = {6 if ":" in flow.target else 4 for flow in gateways}  # without one no packet finds its way out
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
