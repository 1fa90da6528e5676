"""host-local's configuration: ranges and sets, what it rejects, what the result says."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.pools import MACHINE, addresses, between, leases, pool, taken

pytestmark = [pytest.mark.requires(plugin="host-local"), pytest.mark.topology(MACHINE)]


class TestRanges:
    """Which addresses belong to a pool."""

    @pytest.mark.covers("host-local.subnet", "kernel")
    @pytest.mark.parametrize(
        ("subnet", "address", "gateway"),
        [
            ("10.1.2.0/24", "10.1.2.2/24", "10.1.2.1"),
            ("10.1.2.0/30", "10.1.2.2/30", "10.1.2.1"),
            ("10.1.2.128/25", "10.1.2.130/25", "10.1.2.129"),
            ("2001:db8:1::/64", "2001:db8:1::2/64", "2001:db8:1::1"),
            ("2001:db8:1::/126", "2001:db8:1::2/126", "2001:db8:1::1"),
        ],
    )
    def test_the_first_address_is_the_gateways(self, cni, node, subnet, address, gateway):
        """A subnet's first address is its gateway, unless it is reported, and the next one the first to give."""
        (first,) = taken(cni, node, pool(subnet=subnet), ["a"])

        assert [(ip.address, ip.gateway) for ip in first.result.ips] == [(address, gateway)]

    @pytest.mark.covers("host-local.rangeStart", "kernel")
    @pytest.mark.covers("host-local.rangeEnd", "kernel")
    def test_a_range_begins_and_ends_where_it_says(self, cni, node):
        """From start to end, both included, and nothing else."""
        network = pool(subnet="10.1.2.0/24", rangeStart="10.1.2.10", rangeEnd="10.1.2.12")

        assert addresses(taken(cni, node, network, "abc")) == ["10.1.2.10", "10.1.2.11", "10.1.2.12"]
        assert "no IP addresses available" in rejected(cni, node.sandbox("any"), network, container_id="d")

    @pytest.mark.covers("host-local.rangeStart", "kernel")
    def test_a_range_without_an_end(self, cni, node):
        """Without an end a range goes to the last address before the broadcast address."""
        network = pool(subnet="10.1.2.0/24", rangeStart="10.1.2.253")

        assert addresses(taken(cni, node, network, "ab")) == ["10.1.2.253", "10.1.2.254"]
        assert "no IP addresses available" in rejected(cni, node.sandbox("any"), network, container_id="c")

    @pytest.mark.covers("host-local.rangeEnd", "kernel")
    def test_a_range_without_a_start(self, cni, node):
        """Without a start a range begins with the subnet's first address."""
        network = pool(subnet="10.1.2.0/24", rangeEnd="10.1.2.3")

        assert addresses(taken(cni, node, network, "ab")) == ["10.1.2.2", "10.1.2.3"]

    @pytest.mark.covers("host-local.subnet", "kernel")
    def test_the_whole_of_a_small_ipv6_subnet(self, cni, node):
        """IPv6 has no broadcast address: the last one of a subnet is given, too."""
        network = pool(subnet="2001:db8:1::/126")

        assert addresses(taken(cni, node, network, "ab")) == ["2001:db8:1::2", "2001:db8:1::3"]

    @pytest.mark.covers("host-local.subnet", "kernel")
    @pytest.mark.covers("host-local.rangeStart", "kernel")
    @pytest.mark.parametrize("keys", [{}, {"rangeStart": "::a00:2"}], ids=["whole", "start"])
    def test_an_ipv6_subnet_of_small_numbers(self, cni, node, keys):
        """An address of IPv6 is one also where it is a number that IPv4 has, too."""
        found = taken(cni, node, pool(subnet="::a00:0/112", gateway="::a00:1", **keys), "ab")

        assert [ip_address(address) for address in addresses(found)] == [ip_address("::a00:2"), ip_address("::a00:3")]

    @pytest.mark.covers("host-local.gateway", "kernel")
    @pytest.mark.parametrize("gateway", ["10.1.2.11", "10.1.2.254"])
    def test_a_gateway_of_ones_own(self, cni, node, gateway):
        """The gateway is what the result says, and never given to anybody."""
        network = pool(ranges=[between(10, 12, gateway=gateway)])

        found = taken(cni, node, network, "ab" if gateway == "10.1.2.11" else "abc")

        assert {attachment.gateway for attachment in found} == {gateway}
        assert gateway not in addresses(found)
        assert "no IP addresses available" in rejected(cni, node.sandbox("any"), network, container_id="z")

    @pytest.mark.covers("host-local.gateway", "refused")
    def test_a_gateway_of_another_subnet_is_refused(self, cni, node):
        """A gateway that no address of the subnet can reach is an error."""
        rejected(cni, node.sandbox("any"), pool(subnet="10.1.2.0/24", gateway="10.9.9.9"))

    @pytest.mark.covers("host-local.rangeStart", "refused")
    @pytest.mark.parametrize("keys", [{"rangeStart": "10.1.2.0"}, {"rangeStart": "10.1.2.255"}], ids=["network", "all"])
    def test_addresses_of_nobody_are_not_given(self, cni, node, keys):
        """The subnet's own address and its broadcast address are no container's, even if a range begins with them."""
        network = pool(subnet="10.1.2.0/24", **keys)

        found = taken(cni, node, network, "a")

        assert addresses(found) not in (["10.1.2.0"], ["10.1.2.255"])


class TestSets:
    """Several sets of ranges: one address of each."""

    TWO = [between(10, 19), [{"subnet": "2001:db8:1::/64", "rangeStart": "2001:db8:1::10"}]]  # noqa: RUF012

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_one_address_of_each(self, cni, node):
        """A set of each family gives a container one address of each, and both are kept."""
        (first,) = taken(cni, node, pool(ranges=self.TWO), "a")

        assert first.addresses == ("10.1.2.10", "2001:db8:1::10")
        assert set(leases(node)) == {*first.addresses}

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_two_of_one_family(self, cni, node):
        """Two sets of one family give two addresses of it."""
        network = pool(ranges=[between(10, 19), between(10, 19, "10.1.3.0/24")])

        assert taken(cni, node, network, "a")[0].addresses == ("10.1.2.10", "10.1.3.10")

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_the_ranges_of_one_set_are_used_one_after_the_other(self, cni, node):
        """One set of two ranges gives one address, of the second range when the first is used up."""
        network = pool(ranges=[[*between(10, 11), *between(10, 11, "10.1.3.0/24")]])

        found = taken(cni, node, network, "abcd")

        assert addresses(found) == ["10.1.2.10", "10.1.2.11", "10.1.3.10", "10.1.3.11"]
        assert [attachment.gateway for attachment in found][1:3] == ["10.1.2.1", "10.1.3.1"]

    @pytest.mark.covers("host-local.ranges", "kernel")
    @pytest.mark.covers("host-local.subnet", "kernel")
    def test_a_subnet_beside_ranges_is_a_set_of_its_own(self, cni, node):
        """The older form counts as the first set."""
        network = pool(subnet="10.1.4.0/24", ranges=[between(10, 19)])

        assert taken(cni, node, network, "a")[0].addresses == ("10.1.4.2", "10.1.2.10")

    @pytest.mark.covers("host-local.ranges", "refused")
    def test_a_set_that_is_used_up_gives_nothing_of_the_others(self, cni, node):
        """When one set has nothing left, ADD is an error and no address of the other sets is kept for it."""
        network = pool(ranges=[between(10, 19), between(10, 10, "10.1.3.0/24")])
        taken(cni, node, network, "a")

        rejected(cni, node.sandbox("any"), network, container_id="b")

        assert set(leases(node)) == {"10.1.2.10", "10.1.3.10"}

    @pytest.mark.covers("host-local.ranges", "kernel", "DEL")
    def test_del_frees_the_address_of_each(self, cni, node):
        """DEL frees all addresses of a container, and those of another one stay."""
        first, second = taken(cni, node, pool(ranges=self.TWO), "ab")

        cni.delete(first)

        assert set(leases(node)) == {*second.addresses}


class TestRefusals:
    """Pools that there cannot be."""

    @pytest.mark.covers("host-local.ranges", "refused")
    @pytest.mark.covers("host-local.subnet", "refused")
    @pytest.mark.parametrize(
        "keys",
        {
            "nothing": {},
            "no sets": {"ranges": []},
            "an empty set": {"ranges": [[]]},
            "a range without a subnet": {"ranges": [[{"rangeStart": "10.1.2.3"}]]},
            "no network": {"subnet": "ten"},
            "host bits": {"subnet": "10.1.2.5/24"},
            "a /31": {"subnet": "10.1.2.0/31"},
            "a /32": {"subnet": "10.1.2.0/32"},
            "a /127": {"subnet": "2001:db8:1::/127"},
            "the end before the start": {"subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9", "rangeEnd": "10.1.2.8"},
            "a start outside": {"subnet": "10.1.2.0/24", "rangeStart": "10.1.3.10"},
            "an end outside": {"subnet": "10.1.2.0/24", "rangeEnd": "10.1.3.10"},
            "a start of the other family": {"subnet": "10.1.2.0/24", "rangeStart": "2001:db8::1"},
            "two families in one set": {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "2001:db8:1::/64"}]]},
            "overlapping ranges": {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.2.0/25"}]]},
            "overlapping sets": {"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.2.128/25"}]]},
        }.items(),
        ids=lambda pair: pair[0],
    )
    def test_no_pool(self, cni, node, keys):
        """What is no range, or not one that can be given from, is an error, and nothing is kept."""
        rejected(cni, node.sandbox("any"), pool(**keys[1]))

        assert leases(node) == {}

    @pytest.mark.covers("host-local.ranges", "refused")
    def test_two_addresses_of_a_family_in_an_old_version(self, cni, node):
        """A result of 0.2.0 has room for one address a family: two sets of one family are rejected."""
        network = pool(version="0.2.0", ranges=[between(10, 19), between(10, 19, "10.1.3.0/24")])

        rejected(cni, node.sandbox("any"), network)

        assert leases(node) == {}


class TestResult:
    """What ADD answers besides addresses."""

    @pytest.mark.covers("host-local.routes", "kernel")
    @pytest.mark.covers("host-local.dst", "kernel")
    @pytest.mark.covers("host-local.gw", "kernel")
    def test_routes(self, cni, node):
        """Routes are passed on as they are given."""
        routes = [
            {"dst": "0.0.0.0/0"},
            {"dst": "10.2.0.0/16", "gw": "10.1.2.9"},
            {"dst": "::/0"},
            {"dst": "2001:db8:2::/48", "gw": "2001:db8:1::9"},
        ]

        (first,) = taken(cni, node, pool(subnet="10.1.2.0/24", routes=routes), "a")

        assert first.result.document["routes"] == routes

    @pytest.mark.covers("host-local.mtu", "kernel")
    @pytest.mark.covers("host-local.advmss", "kernel")
    @pytest.mark.covers("host-local.priority", "kernel")
    @pytest.mark.covers("host-local.table", "kernel")
    @pytest.mark.covers("host-local.scope", "kernel")
    @pytest.mark.requires(plugin="host-local>=1.6.0")
    def test_routes_with_all_that_1_1_0_has(self, cni, node):
        """From 1.1.0 on a route may have an MTU, an MSS, a priority, a table and a scope."""
        routes = [{"dst": "0.0.0.0/0", "mtu": 1400, "advmss": 1360, "priority": 50, "table": 100, "scope": 253}]

        (first,) = taken(cni, node, pool(version="1.1.0", subnet="10.1.2.0/24", routes=routes), "a")

        assert first.result.document["routes"] == routes

    @pytest.mark.covers("host-local.resolvConf", "kernel")
    def test_dns_of_a_file(self, cni, node):
        """`resolvConf` names a file of resolv.conf(5), whose words are the result's; comments are none."""
        said = "# ours\n; and theirs\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
        node.run(
            ["tee", "/etc/pool.conf"], stdin=said + "domain example.org\nsearch a.example b.example\noptions ndots:2\n"
        )

        (first,) = taken(cni, node, pool(subnet="10.1.2.0/24", resolvConf="/etc/pool.conf"), "a")

        assert first.result.dns == {
            "nameservers": ["192.0.2.53", "2001:db8::53"],
            "domain": "example.org",
            "search": ["a.example", "b.example"],
            "options": ["ndots:2"],
        }

    @pytest.mark.covers("host-local.resolvConf", "refused")
    def test_a_file_that_is_not_there(self, cni, node):
        """A file that cannot be read is an error, and no address is kept."""
        rejected(cni, node.sandbox("any"), pool(subnet="10.1.2.0/24", resolvConf="/etc/none.conf"))

        assert leases(node) == {}

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"])
    def test_of_every_version(self, cni, node, version):
        """Each version is answered in its own form, with both families."""
        network = pool(version=version, ranges=TestSets.TWO)

        (first,) = taken(cni, node, network, "a")

        assert first.result.cni_version == version
        assert first.addresses == ("10.1.2.10", "2001:db8:1::10")
