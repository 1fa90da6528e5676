"""host-local: addresses that somebody asks for, in each form, and what was given as traffic sees it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import macvlan, ready_sandbox, rejected
from cnitest.suites.plugins.pools import MACHINE, between, leases, pool, taken
from cnitest.suites.plugins.seen import source

from cnitest import PluginError

pytestmark = [pytest.mark.requires(plugin="host-local"), pytest.mark.topology(MACHINE)]

TWO = [between(10, 19), [{"subnet": "2001:db8:1::/64", "rangeStart": "2001:db8:1::10"}]]


class TestAskedFor:
    """Addresses that somebody wants."""

    POOL = pool(ranges=[between(10, 99)], capabilities={"ips": True, "ipRanges": True})

    @pytest.fixture(params=["CNI_ARGS", "args", "runtimeConfig"])
    def ask(self, request, cni, node):
        """ADD with a wanted address, in each form."""

        def add(container, address):
            network = {**self.POOL, "capabilities": {"ips": True}}
            if request.param == "CNI_ARGS":
                return cni.add(node.sandbox("any"), network, container_id=container, args={"IP": address})
            if request.param == "args":
                network["args"] = {"cni": {"ips": [address]}}
                return cni.add(node.sandbox("any"), network, container_id=container)
            return cni.add(node.sandbox("any"), network, container_id=container, capabilities={"ips": [address]})

        return add

    @pytest.mark.covers("host-local.CNI_ARGS.IP", "kernel")
    @pytest.mark.covers("host-local.args.cni.ips", "kernel")
    @pytest.mark.covers("host-local.runtimeConfig.ips", "kernel")
    def test_a_free_one_is_given(self, node, ask):
        """A free address of the pool is given to who asks for it, and kept."""
        assert ask("a", "10.1.2.77").addresses == ("10.1.2.77",)
        assert set(leases(node)) == {"10.1.2.77"}

    @pytest.mark.covers("host-local.CNI_ARGS.IP", "refused")
    @pytest.mark.covers("host-local.args.cni.ips", "refused")
    @pytest.mark.covers("host-local.runtimeConfig.ips", "refused")
    @pytest.mark.parametrize("address", ["10.1.2.100", "10.9.9.9", "10.1.2.1", "2001:db8::1", "ten"])
    def test_one_that_the_pool_has_not_is_refused(self, node, ask, address):
        """An address outside of the pool, its gateway, the other family and a word are errors; nothing is kept."""
        with pytest.raises(PluginError):
            ask("a", address)

        assert leases(node) == {}

    @pytest.mark.covers("host-local.gateway", "refused")
    @pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
    @pytest.mark.parametrize("own", [False, True], ids=["subnet's first", "configured"])
    def test_the_gateway_is_refused(self, cni, node, family, own):
        """The gateway is no container's, though the range has it: who asks for it is rejected, and nothing is kept."""
        begin, subnet = {4: ("10.1.2.", "10.1.2.0/24"), 6: ("2001:db8:1::", "2001:db8:1::/64")}[family]
        gateway = {"gateway": f"{begin}50"} if own else {}
        network = {**pool(ranges=[[{"subnet": subnet, **gateway}]]), "capabilities": {"ips": True}}

        rejected(cni, node.sandbox("any"), network, capabilities={"ips": [gateway.get("gateway", f"{begin}1")]})

        assert leases(node) == {}

    @pytest.mark.covers("host-local.CNI_ARGS.IP", "refused")
    @pytest.mark.covers("host-local.args.cni.ips", "refused")
    @pytest.mark.covers("host-local.runtimeConfig.ips", "refused")
    def test_one_that_is_taken_is_refused(self, node, ask):
        """An address that somebody has is rejected, and he keeps it."""
        ask("a", "10.1.2.77")

        with pytest.raises(PluginError):
            ask("b", "10.1.2.77")

        assert leases(node) == {"10.1.2.77": "a|eth0"}

    @pytest.mark.covers("host-local.runtimeConfig.ips", "kernel")
    @pytest.mark.parametrize("wanted", [["2001:db8:1::77", "10.1.2.17"], ["10.1.2.17/24", "2001:db8:1::77/64"]])
    def test_one_of_each_family(self, cni, node, wanted):
        """Each wanted address is taken from the set that it belongs to, in any order, with a prefix or without."""
        network = {**pool(ranges=TWO), "capabilities": {"ips": True}}

        (first,) = taken(cni, node, network, "a", capabilities={"ips": wanted})

        assert first.addresses == ("10.1.2.17", "2001:db8:1::77")

    @pytest.mark.covers("host-local.runtimeConfig.ips", "refused")
    def test_one_more_than_there_are_sets_is_refused(self, cni, node):
        """A second address of the same set is one too many, and nothing is kept."""
        network = {**self.POOL, "capabilities": {"ips": True}}

        rejected(cni, node.sandbox("any"), network, capabilities={"ips": ["10.1.2.17", "10.1.2.18"]})

        assert leases(node) == {}

    @pytest.mark.covers("host-local.runtimeConfig.ipRanges", "kernel")
    def test_ranges_of_the_runtime(self, cni, node):
        """The runtime's ranges come before those of the configuration, or stand alone."""
        network = {**pool(ranges=[between(10, 19)]), "capabilities": {"ipRanges": True}}
        alone = {**pool("alone"), "capabilities": {"ipRanges": True}}
        given = {"ipRanges": [between(50, 59, "10.1.3.0/24")]}

        assert taken(cni, node, network, "a", capabilities=given)[0].addresses == ("10.1.3.50", "10.1.2.10")
        assert taken(cni, node, alone, "a", capabilities=given)[0].addresses == ("10.1.3.50",)


@pytest.mark.topology("macvlan-modes-lan")
@pytest.mark.requires(kernel="macvlan", plugin="macvlan")
class TestTraffic:
    """The addresses that were given, on links."""

    @staticmethod
    def network(*sets, **keys):
        """A macvlan network of the LAN with these ranges."""
        return {**macvlan(), "ipam": {"type": "host-local", "ranges": list(sets), **keys}}

    @pytest.mark.covers("host-local.ranges", "packet")
    @pytest.mark.covers("host-local.subnet", "packet")
    @pytest.mark.covers("host-local.rangeStart", "packet")
    @pytest.mark.covers("host-local.rangeEnd", "packet")
    def test_two_containers_of_one_pool(self, cni, node):
        """Two containers of one pool reach each other and the LAN by both families."""
        sets = (
            between(120, 121, "192.168.80.0/24"),
            [{"subnet": "2001:db8:80::/64", "rangeStart": "2001:db8:80::120", "rangeEnd": "2001:db8:80::121"}],
        )
        first, second = (cni.add(ready_sandbox(node, name), self.network(*sets)) for name in ("c1", "c2"))

        for here, there in zip(first.addresses, second.addresses, strict=True):
            assert source(first.sandbox.tcp(there, 80)) == here
        assert first.sandbox.ping("192.168.80.102")

    @pytest.mark.covers("host-local.routes", "packet")
    @pytest.mark.covers("host-local.dst", "packet")
    @pytest.mark.covers("host-local.gw", "packet")
    @pytest.mark.covers("host-local.gateway", "packet")
    @pytest.mark.parametrize("route", [{"dst": "203.0.113.0/24"}, {"dst": "203.0.113.0/24", "gw": "192.168.80.102"}])
    def test_a_route_leads_by_the_gateway(self, lab, cni, node, route):
        """A route leads by its own gateway, or by the pool's."""
        lab.host("peer").run(["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])
        gateway = "192.168.80.99" if "gw" in route else "192.168.80.102"
        addresses = between(120, 121, "192.168.80.0/24", gateway=gateway)

        child = cni.add(node.sandbox("c1"), self.network(addresses, routes=[route])).sandbox

        assert child.ping("203.0.113.1")

    @pytest.mark.covers("host-local.runtimeConfig.ips", "packet")
    @pytest.mark.covers("host-local.runtimeConfig.ipRanges", "packet")
    @pytest.mark.parametrize(
        "given", [{"ips": ["192.168.80.127"]}, {"ipRanges": [between(127, 127, "192.168.80.0/24")]}], ids=list
    )
    def test_what_was_wanted_answers(self, lab, cni, node, given):
        """The address that was asked for, or is of the runtime's range, is one that the LAN finds."""
        own = [between(120, 129, "192.168.80.0/24")] if "ips" in given else []
        network = {**self.network(*own), "capabilities": dict.fromkeys(given, True)}

        cni.add(node.sandbox("c1"), network, capabilities=given)

        assert lab.host("peer").ping("192.168.80.127")

    @pytest.mark.covers("host-local", "packet", "DEL")
    def test_a_freed_address_is_its_successors(self, lab, cni, node):
        """In a pool of one address the next container has that of the one before, and answers for it."""
        network = self.network(between(120, 120, "192.168.80.0/24"))
        cni.delete(cni.add(node.sandbox("c1"), network))

        second = cni.add(node.sandbox("c2"), network)

        peer = lab.host("peer")
        assert peer.arp("192.168.80.120", on="ens33").answered_by == second.sandbox.link("eth0").mac
