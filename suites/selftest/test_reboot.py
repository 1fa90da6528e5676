"""A host reboots: memory is gone, the disk stays, and the topology's own is there again."""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology import find, load, loads

_NET = {
    "cniVersion": "1.0.0",
    "name": "tiny",
    "type": "bridge",
    "bridge": "tiny0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.88.0.0/28"},
}


@pytest.mark.topology("bridge-walkthrough")
def test_what_memory_held_is_gone_and_the_disk_stays(lab):
    """Links, rules, sysctls, neighbours, /run and processes are as at boot; /etc and /var/lib are as they were left."""
    node = lab.host("node")
    before = node.state()
    node.run(["sh", "-c", "echo disk | tee /var/lib/kept /etc/kept /run/gone && mkdir -p /run/some/where"])
    node.run(["ip", "link", "add", "extra", "type", "bridge"])
    node.run(["ip", "address", "add", "10.1.1.1/24", "dev", node.links[-1].name])
    node.run(["iptables", "-A", "INPUT", "-j", "DROP"])
    node.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &"])
    node.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    node.sandbox("fresh")
    node.run(["sh", "-c", "mkdir '/run/a mé' && mount -t tmpfs none '/run/a mé'"])

    node.reboot()

    assert node.run(["cat", "/var/lib/kept", "/etc/kept"]).stdout == "disk\ndisk\n"
    assert node.run(["ls", "/run"]).stdout.split() == ["cni", "lock", "netns", "working-directory"]
    assert "sleep" not in node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout
    assert node.run(["ls", "/sys/class/net"]).stdout.split() == sorted(link.name for link in node.links)
    assert "fresh" not in node.sandboxes
    after = node.state()
    assert _lasting(after) == _lasting(before)
    for table in ("links", "rules", "firewall", "sysctls", "ports"):
        assert getattr(after, table) == getattr(before, table)


@pytest.mark.parametrize("name", ["bridge-walkthrough", "three-nodes-one-lan", "macvlan-modes-lan", "two-nodes-routed"])
def test_a_host_works_as_before(name):
    """Each host of a topology reboots, twice, and every state is as it was and every neighbour answers."""
    with Lab(load(find(name))) as lab:
        before = {place.full_name: place.state(firewall=False) for place in lab.places}
        for host in [*lab.hosts.values()] * 2:
            host.reboot()

        for place in lab.places:
            after, then = place.state(firewall=False), before[place.full_name]
            assert (after.links, after.ports) == (then.links, then.ports)
            assert _lasting(after) == _lasting(then)


def _lasting(state):
    """Addresses and routes but for what the kernel adds in its own time."""
    rows = [*((a.link, a.address) for a in state.addresses), *map(str, (r for r in state.routes if r.table != 255))]
    return {row for row in rows if "fe80:" not in str(row) and "ff00:" not in str(row)}


def test_a_cable_stays_in_and_is_named_again():
    """The far end keeps its address; a link that was renamed or moved comes back, a deleted one is made again."""
    topology = loads("""
name: t
hosts:
  a: {}
  b: {setup: ["sh -c 'echo boot >> /var/lib/boots'"], iptables: [-P FORWARD DROP]}
veths:
  - ends:
      - {at: a, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: b, name: eth0, altnames: [lan], addresses: [10.0.0.2/24, "2001:db8::2/64"]}
""")
    for harm in (
        ["ip", "link", "set", "eth0", "name", "other"],
        ["sh", "-c", "ip link set eth0 down; ip link set eth0 netns /run/netns/pod"],
        ["ip", "link", "del", "eth0"],
    ):
        with Lab(topology) as lab:
            a, b = lab.host("a"), lab.host("b")
            assert b.sandbox("pod").path
            b.run(harm)

            b.reboot()

            assert a.ping("10.0.0.2")
            assert b.ping("2001:db8::1")
            assert b.run(["cat", "/var/lib/boots"]).stdout == "boot\nboot\n"
            assert "filter: :FORWARD DROP" in b.state().firewall["iptables"]
            assert "lan" in b.run(["ip", "link", "show", "dev", "lan"]).stdout


@pytest.mark.topology("node-with-uplink")
@pytest.mark.requires(plugin=["bridge", "host-local"], kernel=["conntrack"])
def test_what_plugins_left_on_disk_is_seen_again(lab, cni):
    """Leases and the runtime's cache outlive a reboot; DEL after it frees them, though the namespace is no more."""
    node = lab.host("node")
    for number in range(13):
        cni.add(node.sandbox(f"a{number}"), _NET)

    node.reboot()

    assert "tiny0" not in [link.name for link in node.links]
    assert len(cni.attachments) == 13
    with pytest.raises(Exception, match="no IP addresses available"):
        cni.add(node.sandbox("fresh"), _NET)
    # The failed ADD leaves a bridge without ports, to which no later one can give a MAC.
    node.run(["ip", "link", "del", "tiny0"])
    for attachment in cni.attachments[:]:
        cni.delete(attachment)
    assert cni.add(node.sandbox("fresh2"), _NET).addresses
