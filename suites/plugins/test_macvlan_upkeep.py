"""macvlan's duties besides traffic: what it announces, what DEL takes back, what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import distrusted, leases, macvlan, ready_sandbox, rejected

from cnitest import PluginError, difference

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static", "host-local"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, ADDRESS6 = "192.168.80.120", "2001:db8:80::120"
PEER = "192.168.80.102"
NET = macvlan(f"{ADDRESS}/24")
DUAL = macvlan(f"{ADDRESS}/24", f"{ADDRESS6}/64")
RANGE = {"subnet": "192.168.80.0/24", "rangeStart": ADDRESS, "rangeEnd": ADDRESS, "gateway": "192.168.80.2"}
LEASED = {**macvlan(), "ipam": {"type": "host-local", "ranges": [[RANGE]], "routes": [{"dst": "203.0.113.0/24"}]}}


class TestAnnouncing:
    """Neighbours learn of a new MAC at once, and need not wait for an old entry to age."""

    @pytest.mark.covers("macvlan", "packet")
    def test_a_gratuitous_arp_is_seen_on_the_lan(self, lab, cni, node):
        """ADD has the child announce its IPv4 address by ARP."""
        with lab.host("peer").capture("ens33") as wire:
            cni.add(node.sandbox("c1"), NET)

            announced = wire.wait_for("ARP", psrc=ADDRESS, pdst=ADDRESS)

        assert announced["ARP"].hwsrc == node.sandbox("c1").link("eth0").mac

    @pytest.mark.covers("macvlan", "packet")
    def test_an_unsolicited_advertisement_is_seen_on_the_lan(self, lab, cni, node):
        """ADD has the child announce its IPv6 address by neighbour discovery."""
        with lab.host("peer").capture("ens33") as wire:
            cni.add(ready_sandbox(node, "c1"), DUAL)

            assert wire.wait_for("ICMPv6ND_NA", tgt=ADDRESS6)

    @pytest.mark.covers("macvlan", "packet", "DEL")
    def test_a_successor_with_the_address_is_reached_at_once(self, lab, cni, node):
        """A peer that remembers the predecessor's MAC reaches the successor, which has announced its own."""
        peer = lab.host("peer")
        first = cni.add(node.sandbox("c1"), NET)
        assert peer.ping(ADDRESS)
        cni.delete(first)

        second = cni.add(node.sandbox("c2"), NET)

        assert peer.ping(ADDRESS)
        known = [entry.mac for entry in peer.neighbours if entry.ip == ADDRESS]
        assert known == [second.sandbox.link("eth0").mac]


class TestDel:
    """What DEL takes back, whatever state it finds."""

    @pytest.mark.covers("macvlan", "DEL", "packet")
    def test_the_child_and_its_address_are_gone(self, lab, cni, node):
        """After DEL container and host are as before, and nobody answers for the address."""
        sandbox = node.sandbox("c1")
        inside, outside = sandbox.state(), node.state()

        cni.delete(cni.add(sandbox, NET))

        assert difference(inside, sandbox.state()) == ()
        assert [item for item in difference(outside, node.state()) if item.table != "files"] == []
        assert not lab.host("peer").arp(ADDRESS, on="ens33", wait=0.1)

    @pytest.mark.covers("macvlan", "DEL")
    def test_twice(self, cni, node):
        """A second DEL of the same attachment succeeds."""
        attachment = cni.add(node.sandbox("c1"), LEASED)
        cni.delete(attachment)

        cni.delete(attachment)

        assert leases(node, "lan") == []

    @pytest.mark.covers("macvlan", "DEL")
    def test_of_one_that_was_never_added(self, cni, node):
        """DEL of an attachment that the container does not have succeeds and leaves another one alone."""
        other = cni.add(node.sandbox("c1"), NET)
        unknown = other.__class__(
            other.network, node.sandbox("c2"), "never", "eth0", other.result, other.args, other.capabilities
        )

        cni.delete(unknown)

        assert other.sandbox.ping(PEER)

    @pytest.mark.covers("macvlan", "DEL")
    @pytest.mark.parametrize("lost", ["link", "namespace"])
    def test_the_address_is_free_whatever_was_lost(self, cni, node, lost):
        """Without its link, or its namespace, DEL succeeds and the address can be given again."""
        attachment = cni.add(node.sandbox("c1"), LEASED)
        assert leases(node, "lan") == [ADDRESS]
        if lost == "link":
            attachment.sandbox.run(["ip", "link", "delete", "eth0"])
        else:
            node.lose("c1")

        cni.delete(attachment)

        assert leases(node, "lan") == []
        assert cni.add(node.sandbox("c2"), LEASED).sandbox.ping(PEER)

    @pytest.mark.covers("macvlan", "DEL", "refused")
    def test_an_address_that_cannot_be_had_leaves_no_link(self, cni, node):
        """When IPAM has nothing to give ADD fails, no link is left, and the one who has the address keeps it."""
        first = cni.add(node.sandbox("c1"), LEASED)

        rejected(cni, node.sandbox("c2"), LEASED)

        assert [link.name for link in node.sandbox("c2").links] == ["lo"]
        assert first.sandbox.ping(PEER)
        assert leases(node, "lan") == [ADDRESS]

    @pytest.mark.covers("macvlan", "refused")
    def test_a_failed_add_frees_its_address(self, cni, node):
        """An ADD that fails after IPAM gave an address (a taken MAC) gives it back."""
        mac = "02:00:5e:00:53:21"
        cni.add(node.sandbox("c1"), {**macvlan(name="other"), "mac": mac})

        rejected(cni, node.sandbox("c2"), {**LEASED, "mac": mac})

        assert leases(node, "lan") == []


# Before Linux 6.2 no link is renamed that is up.
TAMPERINGS = {
    "link deleted": "ip link delete eth0",
    "link renamed": "ip link set eth0 down && ip link set eth0 name eth9 && ip link set eth9 up",
    "link down": "ip link set eth0 down",
    "MAC changed": "ip link set eth0 address 02:00:5e:00:53:77",
    "MTU changed": "ip link set eth0 mtu 1280",
    "mode changed": "ip link set eth0 type macvlan mode private",
    "address removed": f"ip address delete {ADDRESS}/24 dev eth0",
    "IPv6 address removed": f"ip address delete {ADDRESS6}/64 dev eth0",
    "subnet's route removed": "ip route delete 192.168.80.0/24",
    "IPv6 subnet's route removed": "ip -6 route delete 2001:db8:80::/64 dev eth0",
    "prefix changed": f"ip address add {ADDRESS}/25 dev eth0; ip address delete {ADDRESS}/24 dev eth0",
    "other kind": "ip link delete eth0; ip link add eth0 type veth peer name eth9; ip link set eth0 up; "
    f"ip address add {ADDRESS}/24 dev eth0; ip address add {ADDRESS6}/64 dev eth0 nodad",
}


class TestCheck:
    """CHECK agrees with what ADD made and with nothing else."""

    @pytest.mark.covers("macvlan", "CHECK")
    @pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
    def test_agrees_with_a_fresh_child(self, cni, node, mode):
        """CHECK succeeds after ADD in each mode, also once traffic has passed."""
        attachment = cni.add(ready_sandbox(node, "c1"), {**DUAL, "mode": mode})
        cni.check(attachment)
        assert attachment.sandbox.ping(PEER)

        cni.check(attachment)

    @pytest.mark.covers("macvlan", "CHECK")
    @pytest.mark.parametrize("tampering", TAMPERINGS)
    def test_notices(self, cni, node, tampering):
        """CHECK fails when what ADD made is no longer so."""
        attachment = cni.add(ready_sandbox(node, "c1"), {**DUAL, "mtu": 1400})

        attachment.sandbox.run(["sh", "-c", TAMPERINGS[tampering]])

        distrusted(cni, attachment)

    @pytest.mark.covers("macvlan", "CHECK")
    @pytest.mark.parametrize("tampering", ["route removed", "lease removed"])
    def test_notices_what_ipam_brought(self, cni, node, tampering):
        """CHECK fails when a route of IPAM is gone, or the address is kept for nobody any more."""
        attachment = cni.add(node.sandbox("c1"), LEASED)
        if tampering == "route removed":
            attachment.sandbox.run(["ip", "route", "delete", "203.0.113.0/24"])
        else:
            node.run(["rm", f"/var/lib/cni/networks/lan/{ADDRESS}"])

        distrusted(cni, attachment)

    @pytest.mark.covers("macvlan.master", "CHECK")
    def test_notices_another_parent(self, cni, node):
        """CHECK fails when the child was replaced by one that stands on another parent."""
        attachment = cni.add(node.sandbox("c1"), {**NET, "mac": "02:00:5e:00:53:21"})
        node.run(["ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1"])
        attachment.sandbox.run(["ip", "link", "delete", "eth0"])
        node.run(["ip", "link", "add", "tmp0", "link", "other0", "address", "02:00:5e:00:53:21", "type", "macvlan"])
        node.run(["ip", "link", "set", "tmp0", "netns", attachment.sandbox.path, "name", "eth0"])
        attachment.sandbox.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0"])

        distrusted(cni, attachment)

    @pytest.mark.covers("macvlan", "CHECK")
    def test_ignores_what_others_add(self, cni, node):
        """A further address of somebody else is none of the plugin's affairs: CHECK still agrees."""
        attachment = cni.add(node.sandbox("c1"), NET)
        attachment.sandbox.run(["ip", "address", "add", "198.51.100.7/32", "dev", "eth0"])

        try:
            cni.check(attachment)
        except PluginError as error:
            pytest.fail(f"CHECK complains of what is not its own: {error}")
