"""sbr's gateways of its own, and what the main table keeps for packets that have no source yet."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import ready_sandbox, rejected
from cnitest.suites.plugins.node_networks import settled
from cnitest.suites.plugins.seen import source
from cnitest.suites.plugins.uplinks import CLIENT, address, answers_by, attached, gateway, plain, routed

from cnitest import difference

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["sbr>=1.10.0", "macvlan", "static"]),
    pytest.mark.topology("three_uplinks.yaml"),
]
FAMILY = pytest.mark.parametrize("family", [4, 6])
BOTH = [gateway(2, 4), gateway(2, 6)]


def own_rules(sandbox):
    """The rules that are for a source."""
    return [rule.source for rule in sandbox.rules if rule.source]


def with_gateways(number, *gateways):
    """A network of an uplink with sbr, whose IPAM names other gateways than there are."""
    network = routed(number, sbr={"gateways": list(gateways)}, routes=())
    for entry, nobody in zip(network["plugins"][0]["ipam"]["addresses"], (250, "250"), strict=True):
        entry["gateway"] = entry["address"].partition("/")[0].removesuffix("10") + str(nobody)
    return network


class TestGateways:
    """`gateways`: where the link's own table leads by default, whatever IPAM says."""

    @pytest.mark.covers("sbr.gateways", "kernel", "packet")
    @FAMILY
    def test_of_a_network_without_one(self, cni, node, client, family):
        """Who is not a neighbour gets answers by a gateway that sbr alone knows of."""
        network = routed(2, sbr={"gateways": BOTH}, routes=())

        sandbox = attached(cni, node, plain(1), network)[0].sandbox

        assert answers_by(client.ping(address(2, family))) == "eth2"
        assert answers_by(client.ping(address(1, family))) == "eth1"
        assert [row.via for row in sandbox.routes if (row.family, row.to, row.link) == (family, "default", "eth2")] == [
            gateway(2, family)
        ]

    @pytest.mark.covers("sbr.gateways", "packet")
    @FAMILY
    def test_go_before_the_ones_of_ipam(self, cni, node, client, family):
        """A gateway of IPAM's, which nobody has, is not asked."""
        attached(cni, node, plain(1), with_gateways(2, *BOTH))

        assert answers_by(client.udp(address(2, family), 80)) == "eth2"

    @pytest.mark.covers("sbr.gateways", "packet")
    @FAMILY
    def test_of_one_family_leave_the_other_alone(self, cni, node, client, family):
        """A gateway of one family is for it alone: the other has that of IPAM."""
        attached(cni, node, plain(1), routed(2, sbr={"gateways": [gateway(2, family)]}))

        assert [answers_by(client.ping(address(2, each))) for each in (4, 6)] == ["eth2", "eth2"]

    @pytest.mark.covers("sbr.gateways", "packet")
    def test_are_for_each_address(self, cni, node, client):
        """Two addresses of a family have the same gateway."""
        network = with_gateways(2, gateway(2, 4))
        network["plugins"][0]["ipam"]["addresses"].append({"address": "10.20.2.11/24", "gateway": "10.20.2.251"})

        attached(cni, node, plain(1), network)

        assert [answers_by(client.ping(f"10.20.2.{last}")) for last in (10, 11)] == ["eth2", "eth2"]

    @pytest.mark.covers("sbr.gateways", "refused")
    @pytest.mark.parametrize(
        "gateways",
        [["ten"], ["10.20.1.1/24"], ["10.20.1.1", "10.20.1.2"], [gateway(1, 6)] * 2, [*BOTH, "10.20.1.3"], "10.20.1.1"],
        ids=["no address", "a prefix", "two of IPv4", "two of IPv6", "three", "no list"],
    )
    def test_what_is_no_gateway_is_refused(self, cni, node, gateways):
        """One address a family, each an address: all else is an error, and no rule is left."""
        rejected(cni, ready_sandbox(node, "c1"), routed(1, sbr={"gateways": gateways}), "eth1")

        assert own_rules(node.sandbox("c1")) == []

    @pytest.mark.covers("sbr.gateways", "refused")
    def test_one_that_is_not_on_the_link_is_refused(self, cni, node):
        """A gateway outside of the link's subnets is an error, and no rule is left."""
        rejected(cni, ready_sandbox(node, "c1"), routed(1, sbr={"gateways": ["10.20.9.1"]}), "eth1")

        assert own_rules(node.sandbox("c1")) == []


class TestSourceHints:
    """`addSourceHints`: the main table leads to the link's neighbours, too, with the link's address as source."""

    @pytest.mark.covers("sbr.addSourceHints", "kernel", "packet")
    @FAMILY
    @pytest.mark.parametrize("hints", [True, False])
    def test_to_a_neighbour_without_a_source(self, cni, node, hints, family):
        """What has no source yet goes to a neighbour of the second link by that link, and else by the default route."""
        sandbox = attached(cni, node, plain(1), routed(2, sbr={"addSourceHints": hints}, routes=()))[0].sandbox

        with sandbox.capture("eth2") as second:
            reach = sandbox.tcp(gateway(2, family), 80)
            sent = second.matching("TCP", flags="S")

        assert bool(sent) is hints
        if hints:
            assert source(reach) == address(2, family)

    @pytest.mark.covers("sbr.addSourceHints", "packet")
    @FAMILY
    def test_answers_leave_by_their_link_as_before(self, cni, node, client, family):
        """With hints, too, each of three links answers what came in on it."""
        hinted = [routed(number, sbr={"addSourceHints": True}) for number in (1, 2, 3)]
        attached(cni, node, *hinted)

        found = [answers_by(client.udp(address(number, family), 80)) for number in (1, 2, 3)]

        assert found == ["eth1", "eth2", "eth3"]

    @pytest.mark.covers("sbr.addSourceHints", "kernel", "packet")
    @FAMILY
    def test_the_way_out_is_the_first_networks(self, cni, node, family):
        """Only what leads to neighbours stays in the main table: what goes further takes the other's default route."""
        sandbox = attached(cni, node, plain(1), routed(2, sbr={"addSourceHints": True}))[0].sandbox

        reaches = [sandbox.udp(CLIENT[family], 53, source_port=port) for port in range(40001, 40017)]

        assert {source(reach) for reach in reaches} == {address(1, family)}

    @pytest.mark.covers("sbr.addSourceHints", "packet")
    def test_with_gateways(self, cni, node, client):
        """Both keys go together: neighbours by the main table, answers by the gateway."""
        keys = {"addSourceHints": True, "gateways": BOTH}
        sandbox = attached(cni, node, plain(1), routed(2, sbr=keys, routes=()))[0].sandbox

        assert source(sandbox.ping(gateway(2, 4))) == address(2, 4)
        assert answers_by(client.ping(address(2, 4))) == "eth2"


@pytest.mark.covers("sbr.gateways", "DEL")
@pytest.mark.covers("sbr.addSourceHints", "DEL")
@pytest.mark.parametrize(
    "keys",
    [{"gateways": BOTH}, {"addSourceHints": True}, {"addSourceHints": True, "gateways": BOTH}],
    ids=["gateways", "hints", "both"],
)
def test_delete_takes_all_of_it(cni, node, keys):
    """After DEL there is no rule, no table and no hint of the link, and the others have lost nothing."""
    sandbox = attached(cni, node, routed(1))[0].sandbox
    before = settled(sandbox).state(firewall=False)

    cni.delete(cni.add(sandbox, routed(2, sbr=keys), "eth2"))

    assert difference(before, sandbox.state(firewall=False)) == ()
