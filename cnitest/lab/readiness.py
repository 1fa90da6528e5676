"""What a fresh lab waits for: links that carry, and addresses at which something is received."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded, KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rtnetlink import rtnl
from cnitest.lab.place import Place
from cnitest.topology.building.plan import Plan
from cnitest.topology.building.steps import AddAddress, AddLink, SetLink
from cnitest.topology.model import Topology

_LINK_READY = 10.0
_RECEIVED = 2.0
_JOINED = 1.0


def settle(places: Iterable[Place]) -> None:
    """Let the kernel catch up with the carriers and bridge ports of all links."""
    for place in places:
        with contextlib.suppress(KernelError):  # a link may go while we ask for it
            place.namespace.netlink.batch([rtnl.flush_link(link.ifindex, link.name) for link in place.links])


def await_groups(place: Place) -> None:
    """Wait until a place gets the questions for its IPv6 addresses: a worker of the kernel has it join their groups
    (RFC 4291, section 2.7.1) after they are there, also without duplicate detection. No longer than a second."""
    deadline = Deadline.after(_JOINED, f"{place.full_name} in the groups of its IPv6 addresses")
    read = place.lab.own_file_reader(place.namespace)
    with contextlib.suppress(KernelError, DeadlineExceeded):  # a link may go while we ask for it
        deadline.poll(lambda: _asked_by(place) <= {tuple(line.split()[1:3]) for line in read("igmp6").splitlines()})


def _asked_by(place: Place) -> set[tuple[str, ...]]:
    """The links of a place that ask for neighbours, each with the groups by which its addresses are asked for."""
    up = (link for link in place.links if link.up and link.carrier and link.name != "lo")
    asking = {link.name for link in up if "NOARP" not in link.flags}
    own = (row for row in place.addresses if ":" in row.ip and row.link in asking and not row.tentative)
    return {(row.link, f"ff0200000000000000000001ff{ip_address(row.ip).packed.hex()[-6:]}") for row in own}


def has_stp(topology: Topology) -> bool:
    """Whether a bridge of the topology takes its time before it forwards."""
    bridges = (bridge for _, place in topology.places() for bridge in place.bridges.values())
    return any(bridge.stp for bridge in bridges) or any(switch.stp for switch in topology.switches.values())


def await_ports(plan: Plan, namespaces: Mapping[str, NetworkNamespace]) -> None:
    """Wait by events until every veth end whose both ends are up carries, and every port of them forwards.

    Raises DeadlineExceeded.
    """
    from cnitest.kernel.monitor import await_links

    for place, names in _carrying(plan).items():
        deadline = Deadline.after(_LINK_READY, f"the links {', '.join(names)} of {place} to be ready")
        await_links(namespaces[place], names, deadline)


def await_addresses(plan: Plan, namespaces: Mapping[str, NetworkNamespace]) -> None:
    """Wait until the IPv6 addresses that are not checked for duplicates can be found and receive.

    One that never does, because of a sysctl of the topology, is not waited for any longer.
    """
    from cnitest.kernel.monitor import await_received

    for place, addresses in _usable_at_once(plan).items():
        await_received(namespaces[place], addresses, Deadline.after(_RECEIVED, f"the addresses of {place} to receive"))


def _carrying(plan: Plan) -> dict[str, list[str]]:
    """The veth ends that carry once everything is built, by place."""
    down = _down(plan)
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        if isinstance(step, AddLink) and step.peer and not down & {step.link, step.peer}:
            for end in (step.link, step.peer):
                found.setdefault(end.place, []).append(end.name)
    return found


def _usable_at_once(plan: Plan) -> dict[str, list[tuple[int, str]]]:
    """The IPv6 addresses without a check for duplicates on links that are up, with their links' indexes, by place."""
    down = _down(plan)
    found: dict[str, list[tuple[int, str]]] = {}
    for step in plan.steps:
        if isinstance(step, AddAddress) and ":" in step.address and not step.dad and step.link not in down:
            found.setdefault(step.place, []).append((step.link.ifindex, step.address.partition("/")[0]))
    return found


def _down(plan: Plan) -> set[object]:
    return {step.link for step in plan.steps if isinstance(step, SetLink) and not step.up}
