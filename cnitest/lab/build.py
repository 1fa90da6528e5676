"""Turns the steps of a plan into kernel requests: one batch for each run of steps in the same place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from cnitest.errors import KernelError, TopologyError
from cnitest.kernel import sysctl, tuntap
from cnitest.kernel.namespace_thread import Pending
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rtnetlink import link_data, routing, rtnl, tables
from cnitest.kernel.rtnetlink.netlink import Message
from cnitest.kernel.rtnetlink.routing import Way
from cnitest.topology.building.plan import Plan
from cnitest.topology.building.steps import (
    AddAddress,
    AddForwarding,
    AddLink,
    AddNames,
    AddNeighbour,
    AddRoute,
    AddRule,
    AddVlans,
    Late,
    Ready,
    SetLink,
    SetPort,
    Step,
    Sysctl,
)
from cnitest.topology.model import Bridge, Macvlan, NextHop, Route
from cnitest.topology.words.ip_words import is_ipv6, is_ipv6_rule
from cnitest.topology.words.symbols import gateway_of, mark_of, metric_of, range_of

_MOST_PENDING = 64


class Namespaces:
    """The namespaces of a lab by place, made one after the other while those that are there are wired already."""

    def __init__(self, coming: Mapping[str, Pending[NetworkNamespace]]) -> None:
        self._coming = coming

    def __getitem__(self, place: str) -> NetworkNamespace:
        return self._coming[place].result()

    def ready(self, place: str) -> bool:
        """Whether a namespace is there, so that asking for it does not wait."""
        return self._coming[place].ready

    def made(self) -> Iterator[tuple[str, NetworkNamespace]]:
        """All that could be made."""
        for place, call in self._coming.items():
            with contextlib.suppress(OSError):
                yield place, call.result()


def build(plan: Plan, namespaces: Namespaces) -> None:
    """Take all steps but those of programs. Raises TopologyError that names the step the kernel refused."""
    wanted = (step for step in plan.steps if not isinstance(step, Late))
    for (place, way), steps in groupby(wanted, key=lambda step: (step.place, _way(step))):
        namespace = namespaces[place]
        try:
            way(namespace, list(steps), namespaces)
        except (KernelError, OSError) as error:
            raise TopologyError(f"topology {plan.topology.name}: the kernel refused: {error}") from error


def _way(step: Step) -> Callable[[NetworkNamespace, list[Any], Namespaces], None]:
    """How a step is taken: most are netlink requests."""
    if isinstance(step, Sysctl):
        return _write_sysctls
    if isinstance(step, AddLink) and step.kind == "tap":
        return _make_taps
    return _send_requests


def _send_requests(namespace: NetworkNamespace, steps: list[Any], namespaces: Namespaces) -> None:
    """One batch, or several: what is pending is sent rather than kept waiting for a namespace that is being made."""
    pending: list[Message] = []
    for step in steps:
        if pending and (len(pending) == _MOST_PENDING or not namespaces.ready(_needed(step))):
            namespace.netlink.batch(pending)
            pending = []
        pending.append(_MESSAGES[type(step)](step, namespaces))
    namespace.netlink.batch(pending)


def _needed(step: Step) -> str:
    """The place whose namespace a request names."""
    if isinstance(step, AddLink):
        return step.peer.place if step.peer else step.link.place
    return step.place


def _write_sysctls(namespace: NetworkNamespace, steps: list[Any], _: Namespaces) -> None:
    def call() -> None:
        for step in steps:
            sysctl.write(step.name, step.value)

    namespace.run(call)


def _make_taps(namespace: NetworkNamespace, steps: list[Any], _: Namespaces) -> None:
    """The kernel makes taps through their device file only; MAC and MTU are set afterwards."""

    def call() -> None:
        for step in steps:
            tuntap.make_tap(step.link.name, step.link.ifindex)

    namespace.run(call)
    changed = [step for step in steps if step.mac or step.model.mtu]
    namespace.netlink.batch(
        [rtnl.set_link(step.link.ifindex, mac=step.mac, mtu=step.model.mtu, what=str(step)) for step in changed]
    )


def _add_link(step: AddLink, namespaces: Namespaces) -> Message:
    return _HOT_KINDS.get(step.kind, _add_other)(step, namespaces)


def _add_bridge(step: AddLink, _: Namespaces) -> Message:
    stp = isinstance(step.model, Bridge) and step.model.stp
    return rtnl.add_bridge(
        step.link.name,
        step.link.ifindex,
        mac=step.mac,
        mtu=step.model.mtu,
        stp=stp,
        up=step.up,
        what=str(step),
        vlan_filtering=isinstance(step.model, Bridge) and step.model.vlan_filtering,
        default_pvid=step.model.default_pvid if isinstance(step.model, Bridge) else None,
    )


def _add_veth(step: AddLink, namespaces: Namespaces) -> Message:
    peer = step.peer
    assert peer is not None, "a veth step has a peer"
    return rtnl.add_veth(
        step.link.name,
        step.link.ifindex,
        peer.name,
        peer.ifindex,
        namespaces[peer.place].fd,
        mac=step.mac,
        peer_mac=step.peer_mac,
        mtu=step.model.mtu,
        peer_mtu=step.peer_mtu,
        master=step.master,
        up=step.up,
        what=str(step),
    )


def _add_macvlan(step: AddLink, namespaces: Namespaces) -> Message:
    assert step.parent is not None, "a macvlan step has a parent"
    assert isinstance(step.model, Macvlan), "a macvlan step has a macvlan's model"
    return rtnl.add_macvlan(
        step.link.name,
        step.link.ifindex,
        step.parent.ifindex,
        step.model.mode,
        namespaces[step.link.place].fd,
        mac=step.mac,
        mtu=step.model.mtu,
        what=str(step),
    )


def _add_other(step: AddLink, namespaces: Namespaces) -> Message:
    return link_data.add_link(
        step.kind,
        step.link.name,
        step.link.ifindex,
        namespaces[step.link.place].fd,
        vars(step.model),
        parent=step.parent.ifindex if step.parent else None,
        mac=step.mac,
        mtu=step.model.mtu,
        what=str(step),
    )


def _set_link(step: SetLink, _: Namespaces) -> Message:
    return rtnl.set_link(step.link.ifindex, up=step.up, master=step.master, mtu=step.mtu, what=str(step))


def _set_port(step: SetPort, _: Namespaces) -> Message:
    return rtnl.set_port(step.link.ifindex, hairpin=step.hairpin, isolated=step.isolated, what=str(step))


def _add_names(step: AddNames, _: Namespaces) -> Message:
    return tables.add_names(step.link.ifindex, step.names, str(step))


def _add_vlans(step: AddVlans, _: Namespaces) -> Message:
    vlan = step.vlan
    first, last = range_of(vlan.vid, 4094) or (0, 0)
    return tables.add_vlans(
        step.link.ifindex, first, last, pvid=vlan.pvid, untagged=vlan.untagged, own=step.own, what=str(step)
    )


def _add_neighbour(step: AddNeighbour, _: Namespaces) -> Message:
    entry = step.entry
    return tables.add_neighbour(
        step.link, entry.to, entry.mac, nud=entry.nud, proxy=entry.proxy, router=entry.router, what=str(step)
    )


def _add_forwarding(step: AddForwarding, _: Namespaces) -> Message:
    entry = step.entry
    return tables.add_forwarding(
        step.link,
        entry.mac,
        state=entry.state,
        own=entry.own,
        bridged=entry.bridged,
        sticky=entry.sticky,
        dst=entry.dst,
        vlan=entry.vlan,
        vni=entry.vni,
        port=entry.port,
        what=str(step),
    )


def _add_address(step: AddAddress, _: Namespaces) -> Message:
    return rtnl.add_address(step.link.ifindex, step.address, dad=step.dad, replace=step.replace, what=str(step))


def _add_route(step: AddRoute, _: Namespaces) -> Message:
    route = step.route
    if not step.is_plain:
        return _add_full_route(step)
    assert not isinstance(route.table, str), "a topology that was checked has numbers for names"
    return rtnl.add_route(
        route.to,
        via=route.via,
        link=step.link,
        source=route.source,
        table=route.table,
        metric=route.metric,
        mtu=int(route.mtu or 0),
        kind=route.kind,
        family=route.family or 4,
        what=str(step),
    )


def _add_full_route(step: AddRoute) -> Message:
    route = step.route
    several: tuple[Route | NextHop, ...] = route.nexthops or (route,)
    ways = [
        Way(gateway_of(each.via), link, getattr(each, "weight", 1), each.onlink)
        for each, link in zip(several, step.links or (step.link,), strict=True)
        if each.via or link
    ]
    given = ((name, metric_of(value)) for name in route.METRICS if (value := getattr(route, name)) is not None)
    return routing.add_route(
        route.to,
        ways,
        family=6 if is_ipv6(route) else 4,
        source=route.source,
        table=_number(route.table),
        metric=route.metric,
        metrics={name: metric for name, metric in given if metric},
        congestion=route.congctl,
        kind=route.kind,
        protocol=_number(route.protocol),
        scope=_number(route.scope),
        tos=_number(route.tos),
        what=str(step),
    )


def _number(value: int | str | None) -> int | None:
    """A value that was checked: names have become numbers."""
    return None if value is None else int(value)


def _add_rule(step: AddRule, _: Namespaces) -> Message:
    rule = step.rule
    names = ("ipproto", "protocol", "tun_id", "goto", "suppress_prefixlength", "suppress_ifgroup")
    limits = {"sport": 65535, "dport": 65535, "uidrange": (1 << 32) - 1}
    return routing.add_rule(
        family=6 if is_ipv6_rule(rule) else 4,
        action="goto" if rule.goto is not None else "lookup" if rule.kind == "unicast" else rule.kind,
        table=_number(rule.table),
        priority=rule.priority,
        source=rule.source,
        to=rule.to,
        mark=mark_of(rule.mark) if rule.mark is not None else None,
        iif=rule.iif,
        oif=rule.oif,
        inverted=rule.inverted,
        tos=_number(rule.tos),
        numbers={name: _number(getattr(rule, name)) for name in names},
        ranges={
            name: range_of(value, most) for name, most in limits.items() if (value := getattr(rule, name)) is not None
        },
        l3mdev=rule.l3mdev,
        what=str(step),
    )


def _ready(step: Ready, _: Namespaces) -> Message:
    return rtnl.flush_link(step.link.ifindex, str(step))


_HOT_KINDS: Mapping[str, Callable[[AddLink, Namespaces], Message]] = {
    "bridge": _add_bridge,
    "veth": _add_veth,
    "macvlan": _add_macvlan,
}
_MESSAGES: Mapping[type[Step], Callable[[Any, Namespaces], Message]] = {
    AddLink: _add_link,
    SetLink: _set_link,
    SetPort: _set_port,
    AddNames: _add_names,
    AddVlans: _add_vlans,
    AddNeighbour: _add_neighbour,
    AddForwarding: _add_forwarding,
    AddAddress: _add_address,
    AddRoute: _add_route,
    AddRule: _add_rule,
    Ready: _ready,
}
