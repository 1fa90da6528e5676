"""host-device's `useInterfaceNetwork`: addresses, routes and rules of a device go into the container with it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.cards import ADDRESS, ADDRESS6, PEER, PEER6, WIRE, names, network
from cnitest.suites.plugins.lan_networks import distrusted, rejected
from cnitest.suites.plugins.seen import source

pytestmark = [pytest.mark.requires(plugin=["host-device>=1.10.0", "static"]), pytest.mark.topology(WIRE)]

FAMILY = pytest.mark.parametrize("family", [4, 6])
OWN, PEERS, BEYOND = {4: ADDRESS, 6: ADDRESS6}, {4: PEER, 6: PEER6}, {4: "203.0.113.1", 6: "2001:db8:113::1"}
WHOLE = {4: 32, 6: 128}
CONF = network(device="nic1", useInterfaceNetwork=True)


@pytest.fixture
def node(lab):
    """The host with the two cards, the first of which has addresses of both families."""
    host = lab.host("node")
    _ip(host, "link set nic1 up", f"address add {ADDRESS}/24 dev nic1", f"address add {ADDRESS6}/64 dev nic1 nodad")
    return host


@pytest.fixture
def peer(lab):
    """The far end of the first card's cable, which has addresses beyond its LAN."""
    host = lab.host("peer")
    _ip(host, *(f"address add {address}/{WHOLE[family]} dev lo" for family, address in BEYOND.items()))
    return host


def _ip(place, *lines):
    for line in lines:
        place.run(["ip", *line.split()])


def routes(attachment):
    """The routes of a result: where to, by which gateway."""
    return sorted((route["dst"], route.get("gw", "")) for route in attachment.result.document.get("routes", ()))


class TestAddresses:
    """The device's addresses are the container's."""

    @FAMILY
    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel", "packet")
    def test_they_work_there(self, cni, peer, sandbox, family):
        """The container has the device's addresses, as the result says, talks with them and is reached at them."""
        attachment = cni.add(sandbox, CONF)

        assert [str(own.address) for own in attachment.result.ips] == [f"{ADDRESS}/24", f"{ADDRESS6}/64"]
        assert {*attachment.addresses} <= {*sandbox.addresses_on("eth0")}
        assert source(sandbox.tcp(PEERS[family], 80)) == OWN[family]
        assert peer.udp(OWN[family], 53)

    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel")
    def test_without_it_they_are_lost(self, cni, sandbox):
        """Unless it is asked for, the container has no address of the device."""
        attachment = cni.add(sandbox, {**CONF, "useInterfaceNetwork": False})

        assert attachment.addresses == ()
        assert [own.ip for own in sandbox.addresses if (own.link, own.scope) == ("eth0", "global")] == []

    @pytest.mark.covers("host-device.useInterfaceNetwork", "packet")
    def test_together_with_those_of_ipam(self, cni, peer, sandbox):
        """Addresses of IPAM come beside those of the device, and all of them answer."""
        attachment = cni.add(sandbox, {**network("192.168.90.77/24", device="nic1"), "useInterfaceNetwork": True})

        assert {*attachment.addresses} == {"192.168.90.77", ADDRESS, ADDRESS6}
        assert all(peer.ping(address) for address in attachment.addresses)

    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel")
    def test_what_a_router_gave_stays_behind(self, cni, node, sandbox):
        """An IPv6 address with a lifetime is not copied: nobody in the container would renew it."""
        _ip(node, "address add 2001:db8:90::77/64 dev nic1 valid_lft 600 preferred_lft 600 nodad")

        attachment = cni.add(sandbox, CONF)

        assert attachment.addresses == (ADDRESS, ADDRESS6)
        assert "2001:db8:90::77" not in sandbox.addresses_on("eth0")


class TestRoutes:
    """The device's routes lead where they led."""

    @FAMILY
    @pytest.mark.parametrize("to", ["network", "default"])
    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel", "packet")
    @pytest.mark.usefixtures("peer")
    def test_by_a_gateway(self, cni, node, sandbox, to, family):
        """A route by a gateway of the link, and a default route, are in the result and are followed."""
        network_of = {"network": {4: "203.0.113.0/24", 6: "2001:db8:113::/48"}, "default": {4: "0.0.0.0/0", 6: "::/0"}}
        prefix = network_of[to][family]
        _ip(node, f"-{family} route add {prefix} via {PEERS[family]} dev nic1")

        attachment = cni.add(sandbox, CONF)

        assert routes(attachment) == [(prefix, PEERS[family])]
        assert source(sandbox.ping(BEYOND[family])) == OWN[family]

    @FAMILY
    @pytest.mark.covers("host-device.useInterfaceNetwork", "packet")
    def test_by_a_gateway_beyond_the_subnet(self, cni, node, peer, sandbox, family):
        """A gateway outside of the device's subnets, which a route of its own leads to, is found there, too."""
        gateway = {4: "198.51.100.1", 6: "2001:db8:51::1"}[family]
        _ip(peer, f"address add {gateway}/{WHOLE[family]} dev eth0" + " nodad" * (family == 6))
        _ip(node, f"-{family} route add {gateway} dev nic1", f"-{family} route add default via {gateway} dev nic1")

        cni.add(sandbox, CONF)

        assert sandbox.ping(BEYOND[family])

    @pytest.mark.covers("host-device.useInterfaceNetwork", "packet")
    def test_by_a_link_local_gateway(self, cni, node, peer, sandbox):
        """A gateway of IPv6 that is known by its link-local address alone."""
        near = next(own.ip for own in peer.addresses if (own.link, own.scope) == ("eth0", "link") and ":" in own.ip)
        _ip(node, f"-6 route add default via {near} dev nic1")

        cni.add(sandbox, CONF)

        assert sandbox.ping(BEYOND[6])

    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel", "packet")
    @pytest.mark.usefixtures("peer")
    def test_the_preferred_one_stays_preferred(self, cni, node, sandbox):
        """Of two routes the one of the lower metric is taken, as on the host."""
        for gateway, metric in ((PEER, 50), ("192.168.90.99", 70)):
            _ip(node, f"route add 203.0.113.0/24 via {gateway} metric {metric}")

        cni.add(sandbox, CONF)

        assert sorted(row.metric for row in sandbox.routes if row.to == "203.0.113.0/24") == [50, 70]
        assert sandbox.ping(BEYOND[4])

    @FAMILY
    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel", "packet")
    @pytest.mark.usefixtures("peer")
    def test_of_a_table_that_a_rule_looks_up(self, cni, node, sandbox, family):
        """A table's routes come along with the rule that leads packets of the device's address there."""
        _ip(node, f"-{family} route add default via {PEERS[family]} dev nic1 table 4242")
        _ip(node, f"-{family} rule add from {OWN[family]} lookup 4242 priority 1000")

        cni.add(sandbox, CONF)

        assert [(rule.priority, rule.table) for rule in sandbox.rules if rule.source] == [(1000, 4242)]
        assert [row.table for row in sandbox.routes if (row.family, row.to) == (family, "default")] == [4242]
        assert sandbox.ping(BEYOND[family], source=OWN[family])

    @pytest.mark.covers("host-device.useInterfaceNetwork", "kernel")
    def test_rules_and_routes_of_others_stay_behind(self, cni, node, sandbox):
        """What is another device's, and a rule for another source, are none of the container's."""
        _ip(node, "link set nic2 up", "address add 192.168.91.2/24 dev nic2")
        _ip(node, "route add 203.0.113.0/24 via 192.168.91.1", "rule add from 192.168.91.2 lookup 4242")

        attachment = cni.add(sandbox, CONF)

        assert routes(attachment) == []
        assert [rule.source for rule in sandbox.rules if rule.source] == []
        assert "203.0.113.0/24" in [row.to for row in node.routes]


class TestUpkeep:
    """What CHECK notices, and what DEL gives back."""

    @pytest.mark.covers("host-device.useInterfaceNetwork", "CHECK")
    @pytest.mark.parametrize(
        "tampering",
        [
            f"address delete {ADDRESS}/24 dev eth0",
            f"address delete {ADDRESS6}/64 dev eth0",
            f"route delete {BEYOND[4]}",
        ],
        ids=["IPv4", "IPv6", "route"],
    )
    def test_check_notices(self, cni, node, sandbox, tampering):
        """CHECK agrees with what was copied, and with nothing else."""
        _ip(node, f"route add {BEYOND[4]} via {PEER} dev nic1")
        attachment = cni.add(sandbox, CONF)
        cni.check(attachment)

        _ip(sandbox, tampering)

        assert distrusted(cni, attachment)

    @pytest.mark.covers("host-device.useInterfaceNetwork", "DEL")
    def test_delete_gives_the_device_back(self, cni, node, sandbox):
        """After DEL the device is the host's, and the container has no rule and no route of it."""
        _ip(node, f"route add default via {PEER} dev nic1 table 4242", f"rule add from {ADDRESS} lookup 4242")
        before = sandbox.state(firewall=False)

        cni.delete(cni.add(sandbox, CONF))

        assert sorted(names(node)) == ["nic1", "nic2"]
        left = sandbox.state(firewall=False)
        assert left.routes == before.routes
        assert left.rules == before.rules, f"left: {[rule.source for rule in sandbox.rules if rule.source]}"

    @pytest.mark.covers("host-device.useInterfaceNetwork", "refused")
    def test_a_device_without_a_link_is_refused(self, cni, node, sandbox):
        """A device that a DPDK driver has shows no link whose addresses could be copied."""
        device, driver = "/sys/bus/pci/devices/0000:00:1f.6", "/sys/bus/pci/drivers/vfio-pci"
        node.run(["mount", "-t", "tmpfs", "tmpfs", "/sys/bus"])
        node.run(["mkdir", "-p", device, driver])
        node.run(["ln", "-s", "../../drivers/vfio-pci", f"{device}/driver"])

        rejected(cni, sandbox, network(pciBusID="0000:00:1f.6", useInterfaceNetwork=True))

        assert names(node) == ["nic1", "nic2"]
