"""tap's link: MAC, MTU and bridge, what DEL takes back, what CHECK has to notice, what failures leave."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import distrusted, leases, rejected
from cnitest.suites.plugins.taps import ADDRESS, FAR, MAC, network, opened

from cnitest import difference

pytestmark = [pytest.mark.requires(kernel="tap", plugin=["tap", "static"]), pytest.mark.topology("node-with-uplink")]


class TestLink:
    """MAC, MTU and bridge."""

    @pytest.mark.covers("tap.mtu", "kernel")
    @pytest.mark.parametrize(
        ("keys", "mtu"), [({}, 1500), ({"mtu": 0}, 1500), ({"mtu": 1400}, 1400), ({"mtu": 9000}, 9000)]
    )
    def test_the_mtu(self, cni, sandbox, keys, mtu):
        """`mtu` is the link's; without it, or with 0, the kernel's."""
        cni.add(sandbox, network(**keys))

        assert sandbox.link("eth0").mtu == mtu

    @pytest.mark.covers("tap.mtu", "packet")
    @pytest.mark.parametrize(("size", "delivered"), [(1272, True), (1273, False)])
    def test_the_mtu_limits_packets(self, cni, sandbox, size, delivered):
        """A packet of the MTU leaves whole, one byte more does not."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mtu=1300))

        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0")
            assert bool(sandbox.ping(FAR, size=size, df=True)) is delivered

    @pytest.mark.covers("tap.mtu", "refused")
    @pytest.mark.parametrize("mtu", [70000, -5, 67])
    def test_an_mtu_that_it_cannot_have_is_refused(self, cni, sandbox, mtu):
        """What the kernel does not take is an error, and no link is left."""
        rejected(cni, sandbox, network(mtu=mtu))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.mac", "kernel", "packet")
    def test_the_mac_of_the_configuration(self, cni, sandbox):
        """`mac` is the link's, and what its frames come from."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))

        with opened(sandbox), sandbox.capture("eth0") as wire:
            assert sandbox.arp(FAR, on="eth0")
            assert wire.matching("Ether", src=MAC)

    @pytest.mark.covers("tap.CNI_ARGS.MAC", "kernel")
    def test_the_mac_of_cni_args(self, cni, sandbox):
        """MAC of CNI_ARGS goes before the configuration."""
        cni.add(sandbox, network(mac="02:00:5e:00:53:99"), args={"IgnoreUnknown": "1", "MAC": MAC})

        assert sandbox.link("eth0").mac == MAC

    @pytest.mark.covers("tap.runtimeConfig.mac", "kernel", "packet")
    def test_the_mac_of_the_runtime(self, cni, sandbox):
        """The runtime's `mac` capability goes before CNI_ARGS and the configuration."""
        conf = {**network(f"{ADDRESS}/24", mac="02:00:5e:00:53:98"), "capabilities": {"mac": True}}

        cni.add(sandbox, conf, args={"IgnoreUnknown": "1", "MAC": "02:00:5e:00:53:97"}, capabilities={"mac": MAC})

        with opened(sandbox), sandbox.capture("eth0") as wire:
            assert sandbox.arp(FAR, on="eth0")
            assert wire.matching("Ether", src=MAC)

    @pytest.mark.covers("tap.mac", "refused")
    @pytest.mark.parametrize("mac", ["zz", "01:00:5e:00:53:21"])
    def test_a_mac_that_is_none_is_refused(self, cni, sandbox, mac):
        """A word and a group's address are errors, and no link is left."""
        rejected(cni, sandbox, network(mac=mac))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.bridge", "kernel", "packet")
    @pytest.mark.requires(plugin="tap>=1.4.0")
    def test_a_port_of_the_containers_bridge(self, cni, sandbox):
        """`bridge` is one in the container: the tap is its port, and frames pass by it."""
        sandbox.run(["ip", "link", "add", "br0", "type", "bridge"])
        sandbox.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "br0"])
        sandbox.run(["ip", "link", "set", "br0", "up"])

        cni.add(sandbox, network(bridge="br0"))

        assert sandbox.link("eth0").master == "br0"
        with opened(sandbox):
            assert sandbox.arp(FAR, on="br0", wait=1)

    @pytest.mark.covers("tap.bridge", "refused")
    @pytest.mark.requires(plugin="tap>=1.4.0")
    def test_a_bridge_that_is_not_there_is_refused(self, cni, node, sandbox):
        """A bridge that only the host has, or nobody, is an error, and no link is left."""
        node.run(["ip", "link", "add", "br0", "type", "bridge"])

        rejected(cni, sandbox, network(bridge="br0"))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.dns", "kernel")
    @pytest.mark.parametrize("addresses", [(), (f"{ADDRESS}/24",)], ids=["without IPAM", "with IPAM"])
    def test_dns_is_the_results(self, cni, sandbox, addresses):
        """DNS settings of the network are those of the result, whatever IPAM says."""
        dns = {"nameservers": ["192.0.2.53", "2001:db8::53"], "domain": "example.com", "search": ["example.com"]}
        conf = network(*addresses, dns={**dns, "options": ["ndots:2"]})
        if addresses:
            conf["ipam"]["dns"] = {"nameservers": ["192.0.2.54"]}

        assert cni.add(sandbox, conf).result.dns == {**dns, "options": ["ndots:2"]}

    @pytest.mark.covers("tap.selinuxContext", "refused")
    def test_an_selinux_context_without_selinux(self, cni, sandbox):
        """Where there is no SELinux a context cannot be had: an error, and no link is left."""
        if sandbox.run(["test", "-d", "/sys/fs/selinux"], check=False).exit_code == 0:
            pytest.skip("this machine has SELinux")

        rejected(cni, sandbox, network(selinuxContext="system_u:system_r:svirt_t:s0"))

        assert [link.name for link in sandbox.links] == ["lo"]


class TestUpkeep:
    """DEL, CHECK and failures."""

    @pytest.mark.covers("tap", "DEL")
    def test_del_leaves_nothing(self, cni, node, sandbox):
        """After DEL container and host are as before; a second DEL succeeds."""
        inside, outside = sandbox.state(), node.state()
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))

        cni.delete(attachment)
        cni.delete(attachment)

        assert difference(inside, sandbox.state()) == ()
        assert [item for item in difference(outside, node.state()) if item.table != "files"] == []

    @pytest.mark.covers("tap", "DEL")
    @pytest.mark.parametrize("lost", ["link", "namespace"])
    def test_del_of_what_is_lost(self, cni, node, sandbox, lost):
        """DEL succeeds without the link, and without the namespace."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))
        if lost == "link":
            sandbox.run(["ip", "link", "delete", "eth0"])
        else:
            node.lose("c1")

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)

    @pytest.mark.covers("tap", "DEL", "packet")
    def test_del_while_a_program_has_it_open(self, cni, sandbox):
        """DEL takes the tap away from a program that has it open."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))
        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0")
            cni.delete(attachment)

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap", "CHECK")
    @pytest.mark.parametrize(
        "tampering",
        [
            "ip link delete eth0",
            "ip link set eth0 address 02:00:5e:00:53:77",
            f"ip address delete {ADDRESS}/24 dev eth0",
            "ip link delete eth0; ip link add eth0 type veth peer name eth9; ip link set eth0 up; "
            f"ip link set eth0 address {MAC}; ip address add {ADDRESS}/24 dev eth0",
        ],
        ids=["link deleted", "MAC changed", "address removed", "other kind"],
    )
    def test_check_notices(self, cni, sandbox, tampering):
        """CHECK agrees with what ADD made and with nothing else."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))
        cni.check(attachment)

        sandbox.run(["sh", "-c", tampering])

        distrusted(cni, attachment)

    @pytest.mark.covers("tap", "refused")
    def test_a_failed_ipam_leaves_no_link(self, cni, sandbox):
        """When IPAM fails no link is left."""
        conf = {**network(), "ipam": {"type": "static", "addresses": [{"address": "ten"}]}}

        rejected(cni, sandbox, conf)

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap", "refused")
    @pytest.mark.requires(plugin="host-local")
    def test_an_address_that_cannot_be_used_is_given_back(self, cni, node, sandbox):
        """An ADD that fails with what IPAM gave, a route by nobody's gateway, gives the address back."""
        routes = [{"dst": "203.0.113.0/24", "gw": "198.51.100.9"}]
        leased = {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]], "routes": routes}

        rejected(cni, sandbox, {**network(), "ipam": leased})

        assert leases(node, "taps") == []

    @pytest.mark.covers("tap", "refused")
    def test_a_name_that_is_taken_is_refused(self, cni, sandbox):
        """A second ADD under the same name is rejected, and the first stays."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))

        rejected(cni, sandbox, {**network(), "name": "second"})

        assert sandbox.link("eth0").mac == MAC
