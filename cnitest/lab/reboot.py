"""A host reboots: what only memory held is gone, the disk stays, and what its topology declares is there again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_interface
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from cnitest.errors import KernelError, TopologyError
from cnitest.kernel.namespace_thread import Pending
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.processes import process
from cnitest.kernel.rows.records import Link
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.netlink import Message
from cnitest.lab.build import Namespaces, build
from cnitest.lab.snapshot import state as states
from cnitest.topology.building.steps import AddAddress, AddLink, AddNames, Handle, Late, Step

if TYPE_CHECKING:
    from cnitest.lab.hosts import Host
    from cnitest.lab.lab import Lab


class _Cable(NamedTuple):
    """A wire that leads out of the host: the end at the host, and how the plan makes the wire."""

    end: Handle
    step: AddLink


def reboot(host: Host) -> None:
    """Do to a host what a reboot does (see `Host.reboot`)."""
    lab, name = host.lab, host.full_name
    declared = [f"{name}/{inner}" for inner in lab.topology.hosts[name].sandboxes]
    old = [host.namespace, *(sandbox.namespace for sandbox in host.sandboxes.values())]
    _end_processes(lab, host, old)
    fresh = lab.fresh_namespace()
    cables = [*_cables(lab, {name, *declared})]
    found = {cable: link for cable in cables if cable.end.place == name and (link := _plug(cable, old, fresh))}
    for namespace in old:
        _empty(namespace)
    for sandbox in host.sandboxes.values():
        host.forget(sandbox)
    lab.change_namespace(host, fresh)
    host.empty_run()
    for full_name in declared:
        host.sandbox(full_name.partition("/")[2])  # a fresh one
    _build(lab, {name, *declared}, found)


def _end_processes(lab: Lab, host: Host, namespaces: list[NetworkNamespace]) -> None:
    """Kill what runs in the host's namespaces, but for what keeps the lab."""
    inodes = {os.fstat(namespace.fd).st_ino for namespace in namespaces} | host.mount_inodes
    process.end_all_in(inodes, spare={os.getpid(), *lab.keeper_pids})


def _cables(lab: Lab, places: set[str]) -> Iterator[_Cable]:
    """The veth pairs with one end in ``places`` and one outside."""
    for step in lab.plan.steps:
        if isinstance(step, AddLink) and step.peer:
            inside = [end for end in (step.link, step.peer) if end.place in places]
            if len(inside) == 1:
                yield _Cable(inside[0], step)


def _plug(cable: _Cable, old: list[NetworkNamespace], fresh: NetworkNamespace) -> Link | None:
    """Move the end of a cable to the fresh namespace, wherever a plugin has put it; None when it is lost."""
    mac = cable.step.mac if cable.end == cable.step.link else cable.step.peer_mac
    for namespace in old:
        for link in states.links(namespace).links:
            if link.kind == "veth" and (link.mac == mac or (namespace is old[0] and link.ifindex == cable.end.ifindex)):
                move = rtnl.move_link(link.ifindex, fresh.fd, cable.end.name, cable.end.ifindex, str(cable.step))
                namespace.netlink.batch([move])
                return link
    return None


def _empty(namespace: NetworkNamespace) -> None:
    """Remove all links; a link may go with another one, and some cannot be removed."""
    for link in states.links(namespace).links:
        if link.ifindex != rtnl.LOOPBACK:
            with contextlib.suppress(KernelError):
                namespace.netlink.batch([rtnl.delete_link(link.ifindex, link.name)])


def _build(lab: Lab, places: set[str], plugged: Mapping[_Cable, Link]) -> None:
    """Take the steps of the plan for some places again; wires that were only plugged out and in are not made anew."""
    kept = {cable.step for cable in plugged}
    ends = {cable.end for cable in plugged}
    lost = {end for cable in _cables(lab, places) if cable.step not in kept for end in _ends(cable.step)}
    steps = [step for step in lab.plan.steps if step not in kept and _is_wanted(step, places, ends, lost)]
    first = [step for step in steps if _is_link_local(step) and step.link in ends]
    namespaces = Namespaces({place.full_name: _there(place.namespace) for place in lab.places})
    build(replace(lab.plan, steps=tuple(first)), namespaces)  # a cable that is up gets them of the kernel, checked
    try:
        for cable in plugged:
            namespace = lab.place(cable.end.place).namespace
            namespace.netlink.batch([_as_declared(cable)])
    except KernelError as error:
        raise TopologyError(f"topology {lab.topology.name}: the kernel refused: {error}") from error
    build(replace(lab.plan, steps=tuple(step for step in steps if step not in first)), namespaces)
    lab.take_late(step for step in steps if isinstance(step, Late))
    lab.settle()


def _is_link_local(step: Step) -> TypeGuard[AddAddress]:
    return isinstance(step, AddAddress) and ip_interface(step.address).is_link_local


def _is_wanted(step: Step, places: set[str], plugged: set[Handle], lost: set[Handle]) -> bool:
    """Whether a step is taken again: those of the host's places, and those of the far ends of wires that are new."""
    if isinstance(step, AddNames) and step.link in plugged:
        return False  # a link keeps them
    if isinstance(step, AddLink):
        return bool({*_ends(step)} & lost) or step.link.place in places
    return step.place in places or getattr(step, "link", None) in lost


def _ends(step: AddLink) -> tuple[Handle, ...]:
    return (step.link, step.peer) if step.peer else (step.link,)


def _as_declared(cable: _Cable) -> Message:
    """What the plan says of an end when it makes the wire."""
    step, end = cable.step, cable.end
    if end == step.link:
        return rtnl.set_link(
            end.ifindex, up=step.up, master=step.master or None, mac=step.mac, mtu=step.model.mtu, what=str(step)
        )
    return rtnl.set_link(end.ifindex, up=False, mac=step.peer_mac, mtu=step.peer_mtu, what=str(step))


def _there(namespace: NetworkNamespace) -> Pending[NetworkNamespace]:
    call = Pending(lambda: namespace)
    call.run()
    return call
