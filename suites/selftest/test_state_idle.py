"""What the kernel changes by itself is no difference: an idle host stays as it is."""

from __future__ import annotations

import struct

import pytest

from cnitest import State, difference
from cnitest.deadline import Deadline
from cnitest.kernel.monitor import await_addresses, await_links
from cnitest.kernel.rows.bridge_rows import vlans
from cnitest.kernel.rows.link_rows import LinkTable
from cnitest.kernel.rows.records import Link, Vlan
from cnitest.kernel.rtnetlink.netlink import attribute
from cnitest.topology import Host, Topology

NETWORK = (
    "ip link add br0 type bridge",
    "ip link add a0 type veth peer name a1",
    "ip link add b0 type veth peer name b1",
    "ip link set a0 master br0",
    "ip link set b0 master br0",
    *(f"ip link set {link} up" for link in ("br0", "a0", "a1", "b0", "b1")),
    "ip address add 10.0.0.1/24 dev br0 valid_lft 900 preferred_lft 800",
    "ip address add 2001:db8::1/64 dev br0",
    "ip address add 2001:db8:1::1/64 dev a1",
    "ip -6 route add 2001:db8:9::/48 via 2001:db8::2 dev br0 expires 900",
)


@pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))
def test_an_idle_host_stays_as_it_is(lab):
    """Duplicate detection ends, lifetimes run down, a bridge learns, neighbours are asked for: nothing differs."""
    node = lab.host("node")
    for line in NETWORK:
        node.run(line.split())
    await_links(node.namespace, ("br0", "a0", "b0"), Deadline.after(10, "the links to carry"))
    before = node.state(firewall=False)
    tentative = [address for address in before.addresses if address.tentative]
    settled = await_addresses(node.namespace, Deadline.after(10, "the end of duplicate detection"), ("global", "link"))
    node.arp("10.0.0.77", on="br0", wait=0.2)
    node.run(["bridge", "fdb", "add", "02:00:00:00:00:55", "dev", "a0", "master", "dynamic"])  # as a bridge learns it
    after = node.state(firewall=False)

    assert tentative, "duplicate detection was over before the first look"
    assert settled
    assert any(entry.mac == "02:00:00:00:00:55" and entry.state == "learned" for entry in after.fdb)
    assert any(address.valid_lft == "limited" for address in after.addresses)
    assert difference(before, after) == ()


def _vlan_row(link: int, *entries: tuple[int, int]) -> bytes:
    inner = b"".join(attribute(2, struct.pack("=HH", *entry)) for entry in entries)
    return bytes(16) + struct.pack("=BxHiII", 7, 0, link, 0, 0) + attribute(26, inner)


def test_vlans_of_ports_are_read():
    """Single VLANs and ranges, as the kernel packs them (IFLA_BRIDGE_VLAN_INFO), with their flags."""
    links = LinkTable(())
    links.names[3] = "a0"

    assert vlans([_vlan_row(3, (6, 1), (8, 7), (16, 9))], links) == (
        Vlan("a0", 1, ("pvid", "untagged")),
        Vlan("a0", 7, ()),
        Vlan("a0", 8, ()),
        Vlan("a0", 9, ()),
    )


def test_a_port_comes_with_its_first_vlan():
    """The VLAN that each new port gets goes without saying; one that is taken from a port is a difference."""
    link = Link("a0", 3, "veth", "02:00:00:00:00:01", 1500, True, True, "br0", "", 0, 0, "")
    first, other = Vlan("a0", 1, ("pvid", "untagged")), Vlan("a0", 7, ())
    came = difference(State(), State(links=(link,), vlans=(first, other)))
    went = difference(State(links=(link,), vlans=(first,)), State(links=(link,)))

    assert [str(item) for item in came if item.table == "vlans"] == ["+ vlans a0 vid 7: is new"]
    assert [str(item) for item in went] == ["- vlans a0 vid 1: flags=pvid,untagged"]
