"""sbr: each answer leaves by the link that the question came in on, whatever the main table says."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.seen import source
from cnitest.suites.plugins.uplinks import CLIENT, address, answers_by, attached, gateway, plain, routed

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["sbr", "macvlan", "static"]),
    pytest.mark.topology("three_uplinks.yaml"),
]
MAIN = 254
FIRST_TABLE = 100


def asked(client, to, protocol):
    """One probe of that protocol."""
    return client.ping(to) if protocol == "icmp" else getattr(client, protocol)(to, 80)


def table_of(sandbox, source):
    """The table that the rule for a source address looks up; None without a rule."""
    return next((rule.table for rule in sandbox.rules if rule.source.partition("/")[0] == source), None)


def routes_in(sandbox, table, link=None):
    """The prefixes of a table, those of one link where it is named, without what the kernel adds for itself."""
    return sorted(
        route.to
        for route in sandbox.routes
        if route.table == table and link in (None, route.link) and not route.to.startswith(("fe80", "ff00"))
    )


def leads_by(route):
    """The links of a route, which may have several next hops."""
    return {route.link, *(word for hop in route.hops for word in hop.split())}


class TestReplies:
    """Questions from outside, answered by the link they came in on."""

    @pytest.mark.covers("sbr", "kernel", "packet")
    @pytest.mark.parametrize("protocol", ["icmp", "tcp", "udp"])
    @pytest.mark.parametrize("family", [4, 6])
    def test_of_each_of_three_links(self, cni, node, client, family, protocol):
        """With three overlapping default routes each of the addresses is answered by its own link."""
        attached(cni, node, routed(1), routed(2), routed(3))

        found = [answers_by(asked(client, address(number, family), protocol)) for number in (1, 2, 3)]

        assert found == ["eth1", "eth2", "eth3"]

    @pytest.mark.covers("sbr", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_go_astray_without_it(self, cni, node, client, family):
        """Without sbr one default route takes all answers: what the other tests see is sbr's doing."""
        attached(cni, node, plain(1), plain(2))

        found = [
            answers_by(client.udp(address(number, family), 80, source_port=port))
            for number in (1, 2)
            for port in range(40001, 40009)
        ]

        assert found != ["eth1"] * 8 + ["eth2"] * 8

    @pytest.mark.covers("sbr", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_when_the_second_network_alone_has_it(self, cni, node, client, family):
        """A first network without sbr keeps the default route of the main table, whatever the port of a flow is."""
        attached(cni, node, plain(1), routed(2))

        found = [
            answers_by(client.udp(address(number, family), 80, source_port=port))
            for number in (1, 2)
            for port in range(40001, 40009)
        ]

        assert found == ["eth1"] * 8 + ["eth2"] * 8

    @pytest.mark.covers("sbr", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_to_a_neighbour_of_the_link(self, lab, cni, node, family):
        """A router of each LAN gets its answer on that LAN: the subnet itself is in the table, too."""
        attached(cni, node, routed(1), routed(2))

        for number in (1, 2):
            reach = lab.host(f"router{number}").ping(address(number, family))
            assert answers_by(reach) == f"eth{number}"

    @pytest.mark.covers("sbr", "packet")
    def test_to_a_link_local_neighbour(self, lab, cni, node):
        """A neighbour's link-local address is reached on each link as before: it is no matter of the source."""
        sandbox = attached(cni, node, routed(1), routed(2))[0].sandbox

        for number in (1, 2):
            router = lab.host(f"router{number}")
            near = next(a.ip for a in router.addresses if (a.link, a.scope) == ("lan0", "link"))
            assert sandbox.ping(f"{near}%eth{number}"), f"eth{number} reaches no link-local address"

    @pytest.mark.covers("sbr", "packet")
    def test_over_an_open_connection(self, cni, node, client):
        """A connection to the second link's address survives the arrival and the end of a third link."""
        sandbox = attached(cni, node, routed(1), routed(2))[0].sandbox
        with client.connection(address(2, 4), 5432) as connection:
            third = cni.add(sandbox, routed(3), "eth3")
            assert connection.alive()
            cni.delete(third)
            assert connection.alive()

    @pytest.mark.covers("sbr", "packet", "DEL")
    @pytest.mark.parametrize("family", [4, 6])
    def test_after_another_links_end(self, cni, node, client, family):
        """DEL of one link leaves the rules, the tables and the answers of the others as they were."""
        attachments = attached(cni, node, routed(1), routed(2), routed(3))

        cni.delete(attachments[1])

        assert [answers_by(client.ping(address(n, family))) for n in (1, 3)] == ["eth1", "eth3"]
        assert not client.ping(address(2, family), wait=0.1)


class TestOwnTraffic:
    """What the container sends of itself."""

    @pytest.mark.covers("sbr", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_with_a_source_address(self, cni, node, family):
        """A packet with a link's address as its source leaves by that link."""
        sandbox = attached(cni, node, routed(1), routed(2))[0].sandbox

        for number in (1, 2):
            reach = sandbox.udp(CLIENT[family], 53, source=address(number, family))
            assert reach
            assert reach.path[0] == f"node/c1:eth{number} out"
            assert source(reach) == address(number, family)

    @pytest.mark.covers("sbr", "packet")
    def test_without_one(self, cni, node):
        """A packet without a source takes the main table: the default route of the network without sbr."""
        sandbox = attached(cni, node, plain(1), routed(2))[0].sandbox

        reach = sandbox.tcp(CLIENT[4], 80)

        assert reach
        assert source(reach) == address(1, 4)

    @pytest.mark.covers("sbr", "packet")
    def test_by_a_route_of_the_network(self, lab, cni, node):
        """A route that IPAM brought is followed by packets of that link's address, by its gateway."""
        lab.host("router2").run(["ip", "address", "add", "198.18.0.1/32", "dev", "lo"])
        sandbox = attached(cni, node, plain(1), routed(2, routes=("198.18.0.0/16",)))[0].sandbox

        reach = sandbox.ping("198.18.0.1", source=address(2, 4))

        assert reach
        assert reach.path[0] == "node/c1:eth2 out"


class TestTables:
    """The rules and the tables that they look up."""

    @pytest.mark.covers("sbr", "kernel")
    @pytest.mark.parametrize("family", [4, 6])
    def test_each_address_has_its_own(self, cni, node, family):
        """Three links have a rule for each address and three tables from 100 on, each with the link's routes alone.

        The main table has no default route any more.
        """
        sandbox = attached(cni, node, *(routed(n, families=(family,)) for n in (1, 2, 3)))[0].sandbox
        tables = [table_of(sandbox, address(number, family)) for number in (1, 2, 3)]

        assert tables == [FIRST_TABLE, FIRST_TABLE + 1, FIRST_TABLE + 2]
        for number, table in enumerate(tables, 1):
            found = [route for route in sandbox.routes if route.table == table and route.family == family]
            assert {route.link for route in found} == {f"eth{number}"}
            assert [route.via for route in found if route.to == "default"] == [gateway(number, family)]
        assert [row.link for row in sandbox.routes if (row.table, row.to) == (MAIN, "default")] == []

    @pytest.mark.covers("sbr", "kernel")
    def test_rules_are_for_single_addresses(self, cni, node):
        """A rule's source is the address alone, not its subnet."""
        sandbox = attached(cni, node, routed(1))[0].sandbox
        own = {rule.source for rule in sandbox.rules if rule.source}

        assert own == {f"{address(1, 4)}/32", f"{address(1, 6)}/128"}

    @pytest.mark.covers("sbr", "kernel")
    @pytest.mark.parametrize("family", [4, 6])
    def test_the_main_table_loses_the_links_routes(self, cni, node, family):
        """Routes of the link are moved: the main table has none of them any more, those of others stay."""
        sandbox = attached(cni, node, plain(1), routed(2))[0].sandbox
        moved = [row for row in sandbox.routes if (row.table, row.family) == (MAIN, family) and "eth2" in leads_by(row)]
        defaults = [row for row in sandbox.routes if (row.table, row.family, row.to) == (MAIN, family, "default")]

        assert [row.to for row in moved if not row.to.startswith("fe80")] == []
        assert [row.via for row in defaults] == [gateway(1, family)]

    @pytest.mark.covers("sbr", "kernel")
    def test_no_default_without_a_gateway(self, cni, node):
        """A network without a gateway has no default route in its table, only the subnet."""
        sandbox = attached(cni, node, plain(1), routed(2, families=(4,), routes=()))[0].sandbox

        assert routes_in(sandbox, FIRST_TABLE) == ["10.20.2.0/24"]

    @pytest.mark.covers("sbr", "kernel", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_a_gateway_is_enough_for_a_default(self, cni, node, client, family):
        """An address with a gateway has a default route in its table, also when the network brings none."""
        network = routed(2, families=(family,))
        network["plugins"][0]["ipam"]["routes"] = []

        sandbox = attached(cni, node, plain(1), network)[0].sandbox

        assert "default" in routes_in(sandbox, table_of(sandbox, address(2, family)))
        assert answers_by(client.ping(address(2, family))) == "eth2"

    @pytest.mark.covers("sbr", "kernel", "packet")
    def test_two_addresses_of_one_family(self, cni, node, client):
        """Each of a link's addresses has a rule, and both are answered by the link."""
        network = routed(2, families=(4,))
        network["plugins"][0]["ipam"]["addresses"].append({"address": "10.20.2.11/24", "gateway": "10.20.2.1"})

        sandbox = attached(cni, node, plain(1), network)[0].sandbox

        assert None not in (table_of(sandbox, "10.20.2.10"), table_of(sandbox, "10.20.2.11"))
        assert [answers_by(client.ping(f"10.20.2.{last}")) for last in (10, 11)] == ["eth2", "eth2"]

    @pytest.mark.covers("sbr", "kernel", "packet", "DEL")
    def test_a_freed_table_is_used_again(self, cni, node, client):
        """After DEL the table's number is the next link's, and five rounds leave no more than one."""
        first, second = attached(cni, node, routed(1, families=(4,)), routed(2, families=(4,)))
        sandbox = first.sandbox
        for _ in range(5):
            cni.delete(second)
            second = cni.add(sandbox, routed(2, families=(4,)), "eth2")

        assert table_of(sandbox, address(2, 4)) == FIRST_TABLE + 1
        assert len([rule for rule in sandbox.rules if rule.source]) == 2
        assert answers_by(client.ping(address(2, 4))) == "eth2"

    @pytest.mark.covers("sbr", "kernel", "packet")
    def test_a_table_that_somebody_uses_is_left_alone(self, cni, node, client):
        """A table that has routes already is none to take: the next free one is."""
        sandbox = attached(cni, node, plain(1, families=(4,)))[0].sandbox
        sandbox.run(["ip", "route", "add", "blackhole", "198.51.100.0/24", "table", str(FIRST_TABLE)])
        sandbox.run(["ip", "rule", "add", "from", "198.51.100.7", "lookup", str(FIRST_TABLE)])

        cni.add(sandbox, routed(2, families=(4,)), "eth2")

        assert table_of(sandbox, address(2, 4)) == FIRST_TABLE + 1
        assert routes_in(sandbox, FIRST_TABLE) == ["198.51.100.0/24"]
        assert answers_by(client.ping(address(2, 4))) == "eth2"


@pytest.mark.requires(plugin="sbr>=1.6.0")
class TestGivenTable:
    """`table`: the rules look up a table whose routes are somebody else's affair."""

    @pytest.mark.covers("sbr.table", "kernel", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_its_routes_are_followed(self, cni, node, client, family):
        """Answers take the routes of the table that was prepared; sbr adds none and moves none."""
        first, second = attached(cni, node, routed(1), routed(2, sbr={"table": 4242}))
        sandbox = first.sandbox
        assert table_of(sandbox, address(2, family)) == 4242
        assert routes_in(sandbox, 4242) == []
        sandbox.run(["ip", "route", "add", "default", "via", gateway(2, family), "dev", "eth2", "table", "4242"])

        assert answers_by(client.ping(address(2, family))) == "eth2"
        assert second.result.ips[0].gateway == gateway(2, 4)

    @pytest.mark.covers("sbr.table", "DEL")
    def test_del_takes_the_rules_alone(self, cni, node):
        """DEL removes the rules that look the table up, and leaves the table of another link."""
        sandbox = attached(cni, node, routed(1), routed(2, sbr={"table": 4242}))[0].sandbox
        sandbox.run(["ip", "route", "add", "blackhole", "198.51.100.0/24", "table", "4242"])

        cni.delete(cni.attachments[1])

        assert table_of(sandbox, address(2, 4)) is None
        assert table_of(sandbox, address(1, 4)) is not None
        assert routes_in(sandbox, 4242) == ["198.51.100.0/24"]
