"""What the kernel and the filesystem hold, as frozen data that compares."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cnitest.errors import KernelError
from cnitest.kernel import sysctl
from cnitest.kernel.files import File
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netfilter import conntrack, firewall
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.kernel.rows import bridge_rows, dumps, ipsec, mptcp, multicast, route_rows, rule_rows, traffic_control
from cnitest.kernel.rows.link_rows import LinkNames, LinkTable
from cnitest.kernel.rows.records import (
    Address,
    AddressLabel,
    Chain,
    Class,
    Fdb,
    Filter,
    Link,
    Mdb,
    MulticastAddress,
    Neighbour,
    Nexthop,
    Port,
    Qdisc,
    Route,
    Rule,
    Vlan,
)
from cnitest.kernel.rtnetlink import rtnl

_BRIDGE_FAMILY = 7
_EMPTY: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_NO_SYSCTLS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class State:
    """One place at one moment.

    ``sysctls`` are those that plugins are known to touch; ``firewall`` maps each backend in use (``nft``,
    ``iptables``, ``ip6tables``, ``iptables-legacy``, ``ip6tables-legacy``) to its rules, a line each; ``ports`` are
    those of bridges, ``flows`` the entries of conntrack; ``policies`` and ``associations`` are IPsec's, ``endpoints``
    those of multipath TCP; ``files`` what lies in a host's /run, /dev/shm, and private layers of /etc and /var.
    """

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    nexthops: tuple[Nexthop, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    ports: tuple[Port, ...] = ()
    fdb: tuple[Fdb, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    mdb: tuple[Mdb, ...] = ()
    maddresses: tuple[MulticastAddress, ...] = ()
    addrlabels: tuple[AddressLabel, ...] = ()
    policies: tuple[ipsec.Policy, ...] = ()
    associations: tuple[ipsec.Association, ...] = ()
    endpoints: tuple[mptcp.Endpoint, ...] = ()
    qdiscs: tuple[Qdisc, ...] = ()
    classes: tuple[Class, ...] = ()
    filters: tuple[Filter, ...] = ()
    chains: tuple[Chain, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=lambda: _NO_SYSCTLS)
    firewall: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    flows: tuple[Flow, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def bridge_ports(self) -> tuple[Port, ...]:
        """The ports of bridges: another name of ``ports``."""
        return self.ports

    @property
    def conntrack(self) -> tuple[Flow, ...]:
        """The entries of conntrack, ``conntrack -L``: another name of ``flows``."""
        return self.flows


def links(namespace: NetworkNamespace) -> LinkTable:
    """The links of a namespace."""
    return LinkTable(namespace.netlink.dump(rtnl.dump_links()))


def link_names(namespace: NetworkNamespace) -> LinkNames:
    """The names of the links of a namespace by index; many times faster than `links`."""
    return LinkNames(namespace.netlink.dump(rtnl.dump_links()))


def addresses(namespace: NetworkNamespace, table: LinkNames | None = None) -> tuple[Address, ...]:
    """The addresses of a namespace."""
    return dumps.addresses(namespace.netlink.dump(rtnl.dump_addresses()), table or link_names(namespace))


def has_address(namespace: NetworkNamespace, address: str) -> bool:
    """Whether a namespace has an address; the same as looking through `addresses`, many times faster."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # IFA_LOCAL of IPv4, IFA_ADDRESS of IPv6, as the attribute stands in the row.
    head = b"\x14\0\1\0" if family == socket.AF_INET6 else b"\x08\0\2\0"
    attribute = head + socket.inet_pton(family, address)
    return any(attribute in row for row in namespace.netlink.dump(rtnl.dump_addresses(family)))


def routes(namespace: NetworkNamespace, table: LinkNames | None = None) -> tuple[Route, ...]:
    """The routes of all tables, without what the kernel remembers of paths (``ip route show cache``)."""
    names = (table or link_names(namespace)).names
    rows = route_rows.of_tables(namespace.netlink.dump(rtnl.dump_routes()))
    return tuple([route_rows.route(row, names) for row in rows])


def rules(namespace: NetworkNamespace) -> tuple[Rule, ...]:
    """The policy rules, by family and priority."""
    found = rule_rows.rules(namespace.netlink.dump(rtnl.dump_rules()))
    return tuple(sorted(found, key=lambda rule: (rule.family, rule.priority)))


def neighbours(namespace: NetworkNamespace, table: LinkNames | None = None) -> tuple[Neighbour, ...]:
    """The ARP and ND tables."""
    table, dump = table or link_names(namespace), namespace.netlink.dump
    rows = (*dump(rtnl.dump_neighbours()), *dump(rtnl.dump_neighbours(proxies=True)))
    return dumps.neighbours(rows, table)


def nexthops(namespace: NetworkNamespace, table: LinkNames | None = None) -> tuple[Nexthop, ...]:
    """The next hop objects; none where the kernel (before 5.3) has no such thing."""
    names = (table or link_names(namespace)).names
    try:
        return route_rows.nexthops(namespace.netlink.dump(rtnl.dump_nexthops()), names)
    except KernelError:
        return ()


def _fdb(namespace: NetworkNamespace, table: LinkTable) -> tuple[Fdb, ...]:
    if all(link.kind == "loopback" for link in table.links):
        return ()
    return dumps.forwarding(namespace.netlink.dump(rtnl.dump_neighbours(_BRIDGE_FAMILY)), table)


def _vlans(namespace: NetworkNamespace, table: LinkTable) -> tuple[Vlan, ...]:
    """The VLANs of ports; a kernel without them does not show whether a bridge filters by VLAN."""
    if not any(link.kind == "bridge" and "vlan_filtering" in dict(link.detail) for link in table.links):
        return ()
    return bridge_rows.vlans(namespace.netlink.dump(rtnl.dump_vlans()), table)


def _groups(namespace: NetworkNamespace, table: LinkTable) -> tuple[Mdb, ...]:
    """The multicast groups of bridges; none where the kernel has no snooping."""
    if not any(link.kind == "bridge" for link in table.links):
        return ()
    try:
        return bridge_rows.groups(namespace.netlink.dump(rtnl.dump_groups()), table)
    except KernelError:
        return ()


def _labels(namespace: NetworkNamespace, table: LinkTable) -> tuple[AddressLabel, ...]:
    """The labels of IPv6 addresses; none where the kernel has no IPv6."""
    try:
        return dumps.labels(namespace.netlink.dump(rtnl.dump_labels()), table)
    except KernelError:
        return ()


def _settings(namespace: NetworkNamespace, table: LinkTable) -> dict[str, Any]:
    """Fields of a state that say what senders may and what they choose."""
    policies, associations = ipsec.both(namespace)
    return {
        "addrlabels": _labels(namespace, table),
        "policies": policies,
        "associations": associations,
        "endpoints": mptcp.endpoints(namespace, table),
    }


def flows(namespace: NetworkNamespace) -> tuple[Flow, ...]:
    """The connections that the namespace tracks."""
    netfilter = namespace.netfilter
    if not conntrack.flow_count(netfilter.request(conntrack.count_flows())):
        return ()
    return tuple(sorted(conntrack.flows(netfilter.dump(conntrack.dump_flows()))))


def take(
    namespace: NetworkNamespace,
    *,
    run: firewall.Run | None = None,
    read_own: Callable[..., str] | None = None,
    files: Sequence[File] = (),
    connections: bool = True,
    counters: bool = False,
) -> State:
    """A whole picture of a namespace; firewall and connections only when there is a way to ``run`` their tools, the
    latter not without ``connections``; what rules have counted only with ``counters``."""
    table = links(namespace)
    dump = namespace.netlink.dump
    own_file = functools.partial(_own_file, proc=namespace.proc)
    sysctls, groups = namespace.run(lambda: (sysctl.of_interest(), multicast.addresses(own_file)))
    with_firewall = run is not None and read_own is not None
    return State(
        links=table.links,
        addresses=addresses(namespace, table),
        routes=routes(namespace, table),
        rules=rules(namespace),
        nexthops=nexthops(namespace, table),
        neighbours=neighbours(namespace, table),
        ports=table.ports,
        fdb=_fdb(namespace, table),
        vlans=_vlans(namespace, table),
        mdb=_groups(namespace, table),
        **traffic_control.read(dump, table)._asdict(),
        sysctls=MappingProxyType(sysctls | table.sysctls),
        maddresses=groups,
        **_settings(namespace, table),
        firewall=MappingProxyType(
            firewall.snapshot(namespace, read_own, run, counters=counters) if run and read_own else {}
        ),
        flows=flows(namespace) if with_firewall and connections else (),
        files=tuple(files),
    )


def own_file_reader(namespace: NetworkNamespace, proc: int) -> Callable[..., str]:
    """Reads files of /proc/net as ``namespace`` sees them, several one after the other; what is not there reads as
    empty. ``proc`` is an fd."""

    def read(*names: str) -> str:
        return namespace.run(lambda: "".join(_own_file(name, proc) for name in names))

    return read


def _own_file(name: str, proc: int) -> str:
    try:
        fd = os.open(f"thread-self/net/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except FileNotFoundError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b"")).decode("ascii", "replace")
    finally:
        os.close(fd)
