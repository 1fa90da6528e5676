"""flannel's plugin by traffic: what a subnet.env says is what the containers have, whatever form it is in."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.flannels import (
    CLUSTER,
    FAR,
    GATEWAY,
    MTU,
    OUTSIDE,
    UPLINK,
    announce,
    delegated,
    env,
    leases,
    network,
)
from cnitest.suites.plugins.lan_networks import ready_sandbox, rejected
from cnitest.suites.plugins.seen import source

pytestmark = [pytest.mark.topology(CLUSTER), pytest.mark.requires(plugin=["flannel", "bridge", "host-local"])]

FAMILY = pytest.mark.parametrize("family", [4, 6])
STACK = pytest.mark.parametrize("families", [(4,), (6,), (4, 6)], ids=["ipv4", "ipv6", "dual"])
OUT = {"delegate": {"isDefaultGateway": True}}


def main_routes(sandbox, family):
    """The routes of one family that IPAM gave, as (destination, gateway)."""
    found = [route for route in sandbox.routes if route.table == 254 and route.family == family]
    return sorted((route.to, route.via) for route in found if route.protocol != "kernel" and route.via)


@STACK
@pytest.mark.covers("flannel", "kernel", "packet")
def test_containers_are_in_the_nodes_subnet(node, cni, families):
    """Containers have an address of each subnet that is announced, on the bridge cni0, and reach each other by it."""
    announce(node, env(*families))
    first, second = (cni.add(ready_sandbox(node, name), network()) for name in ("c1", "c2"))

    assert [ip.gateway for ip in first.result.ips] == [GATEWAY[family] for family in families]
    assert set(node.addresses_on("cni0")) == {GATEWAY[family] for family in families}
    for own, far, family in zip(first.addresses, second.addresses, families, strict=True):
        assert source(first.sandbox.ping(far)) == own
        assert source(first.sandbox.tcp(GATEWAY[family], 80)) == own


@FAMILY
@pytest.mark.covers("flannel", "kernel", "packet")
def test_the_cluster_is_reached_by_the_gateway(node, cni, family):
    """A route to the whole network of flannel leads by the gateway: containers reach other nodes' under their own
    address, and nothing beyond the cluster."""
    announce(node, env(family))
    attachment = cni.add(ready_sandbox(node, "c1"), network())

    assert main_routes(attachment.sandbox, family) == [
        ({4: "10.244.0.0/16", 6: "fd10:244::/48"}[family], GATEWAY[family])
    ]
    assert source(attachment.sandbox.ping(FAR[family])) == attachment.address
    assert attachment.sandbox.ping(OUTSIDE[family]).dropped_by == "no route"


@pytest.mark.covers("flannel", "kernel", "packet")
def test_each_of_several_networks_has_a_route(node, cni):
    """FLANNEL_NETWORK may list networks: each has its route, and packets to both reach the other node."""
    announce(node, env(FLANNEL_NETWORK="10.244.0.0/16,10.245.0.0/16"))
    attachment = cni.add(node.sandbox("c1"), network())

    routes = [("10.244.0.0/16", GATEWAY[4]), ("10.245.0.0/16", GATEWAY[4])]
    assert main_routes(attachment.sandbox, 4) == routes
    assert source(attachment.sandbox.ping("10.245.2.9")) == attachment.address


@pytest.mark.covers("flannel", "kernel", "packet")
def test_each_of_several_networks_of_ipv6_has_a_route(node, cni):
    """The same of FLANNEL_IPV6_NETWORK."""
    announce(node, env(6, FLANNEL_IPV6_NETWORK="fd10:244::/48,fd10:245::/48"))
    attachment = cni.add(ready_sandbox(node, "c1"), network())

    assert main_routes(attachment.sandbox, 6) == [("fd10:244::/48", GATEWAY[6]), ("fd10:245::/48", GATEWAY[6])]
    assert source(attachment.sandbox.ping("fd10:245:0:2::9")) == attachment.address


@pytest.mark.covers("flannel", "kernel")
def test_a_network_that_is_listed_twice_counts_once(node, cni):
    """The same network twice, written in two ways, is one route, and no error."""
    announce(node, env(FLANNEL_NETWORK="10.244.0.0/16,10.244.7.0/16"))
    attachment = cni.add(node.sandbox("c1"), network())

    assert main_routes(attachment.sandbox, 4) == [("10.244.0.0/16", GATEWAY[4])]


@FAMILY
@pytest.mark.covers("flannel", "kernel", "packet")
def test_the_mtu_is_flannels(node, cni, family):
    """Both ends have FLANNEL_MTU: a packet of that size passes whole, and one of a byte more does not."""
    announce(node, env(family))
    attachment = cni.add(ready_sandbox(node, "c1"), network())
    payload = MTU - {4: 28, 6: 48}[family]

    host_end = next(link for link in node.links if link.name.startswith("veth"))
    assert (attachment.sandbox.link("eth0").mtu, host_end.mtu) == (MTU, MTU)
    assert attachment.sandbox.ping(GATEWAY[family], size=payload, df=True)
    assert not attachment.sandbox.ping(GATEWAY[family], size=payload + 1, df=True)


@FAMILY
@pytest.mark.parametrize(("masq", "own"), [("true", True), ("false", False)])
@pytest.mark.covers("flannel", "packet")
def test_the_plugin_masquerades_where_flannel_does_not(lab, node, cni, family, masq, own):
    """FLANNEL_IPMASQ=true says that flannel masquerades, so the plugin does not: packets leave with the container's
    own source. With false the plugin does, and they leave with the node's, and are answered."""
    announce(node, env(family, masq=masq))
    attachment = cni.add(ready_sandbox(node, "c1"), network(**OUT))
    with node.capture("ens33") as uplink:
        reach = attachment.sandbox.ping(OUTSIDE[family])

    requests = {packet["IP" if family == 4 else "IPv6"].src for packet in uplink.packets if _is_request(packet, family)}
    assert requests == {attachment.address if own else UPLINK[family]}
    assert bool(reach) is not own


@pytest.mark.parametrize("word", ["TRUE", "1", "yes", ""])
@pytest.mark.covers("flannel", "packet")
def test_only_true_is_true(node, cni, word):
    """FLANNEL_IPMASQ is true by that word alone: by any other the plugin masquerades itself."""
    announce(node, env(masq=word))
    attachment = cni.add(node.sandbox("c1"), network(**OUT))

    assert source(attachment.sandbox.ping(OUTSIDE[4])) == UPLINK[4]


@pytest.mark.covers("flannel.subnetFile", "kernel", "packet")
def test_a_subnet_file_of_ones_own(node, cni):
    """subnetFile names another file, whose subnet counts, and not that of the usual one."""
    announce(node, env())
    announce(node, env(FLANNEL_SUBNET="10.244.7.1/24"), "/run/second/subnet.env")
    attachment = cni.add(node.sandbox("c1"), network(subnetFile="/run/second/subnet.env"))

    assert attachment.gateway == "10.244.7.1"
    assert source(attachment.sandbox.ping("10.244.7.1")) == attachment.address


@pytest.mark.covers("flannel.subnetFile", "refused")
def test_a_subnet_file_that_is_not_there(node, cni):
    """Before flannel's daemon has written its file ADD is rejected, names the file, and leaves nothing."""
    said = rejected(cni, node.sandbox("c1"), network())

    assert "/run/flannel/subnet.env" in said
    assert [link.name for link in node.sandbox("c1").links] == ["lo"]


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("FLANNEL_NETWORK", "FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK"),
        ("FLANNEL_SUBNET", "FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET"),
        ("FLANNEL_MTU", "FLANNEL_MTU"),
        ("FLANNEL_IPMASQ", "FLANNEL_IPMASQ"),
    ],
)
@pytest.mark.covers("flannel.subnetFile", "refused")
def test_what_a_subnet_file_lacks_is_named(node, cni, left_out, named):
    """A file without one of its words is rejected by that word."""
    announce(node, {key: value for key, value in env().items() if key != left_out})

    assert f"subnet.env is missing {named}" in rejected(cni, node.sandbox("c1"), network())


@pytest.mark.covers("flannel.subnetFile", "refused")
def test_all_that_a_subnet_file_lacks_is_named_at_once(node, cni):
    """An empty file is rejected by all its words."""
    announce(node, "")
    said = rejected(cni, node.sandbox("c1"), network())

    assert all(word in said for word in ("FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ"))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("FLANNEL_NETWORK", "10.244.0.0"),
        ("FLANNEL_NETWORK", "10.244.0.0/16,10.245.0.0/33"),
        ("FLANNEL_SUBNET", "10.244.1.1/24 "),
        ("FLANNEL_IPV6_NETWORK", "fd10:244::/129"),
        ("FLANNEL_IPV6_SUBNET", "fd10:244:0:1::1"),
        ("FLANNEL_MTU", "-1"),
        ("FLANNEL_MTU", "1450 "),
        ("FLANNEL_MTU", ""),
    ],
)
@pytest.mark.covers("flannel.subnetFile", "refused")
def test_values_that_are_none_are_refused(node, cni, word, value):
    """A prefix or number that is none is rejected with the value, and nothing is made."""
    announce(node, env(4, 6, **{word: value}))
    said = rejected(cni, node.sandbox("c1"), network())

    assert value.strip().rpartition(",")[2] in said
    assert "cni0" not in [link.name for link in node.links]


@pytest.mark.covers("flannel.subnetFile", "refused")
def test_a_line_without_a_value_is_refused_in_good_form(node, cni):
    """A word without '=' is an error as the specification has it, and not a crash."""
    announce(node, "FLANNEL_NETWORK\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n")
    said = rejected(cni, node.sandbox("c1"), network())

    assert "exit code 1" in said, said
    assert "panic" not in said, said


@pytest.mark.parametrize(
    "text",
    [
        "# written by flanneld\n\nFLANNEL_IPMASQ=true\nFLANNEL_MTU=1450\nFLANNEL_SUBNET=10.244.1.1/24\n"
        "FLANNEL_NETWORK=10.244.0.0/16\n",
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true",
        "FLANNEL_OTHER=x=y\nFLANNEL_NETWORK=10.9.0.0/16\nFLANNEL_NETWORK=10.244.0.0/16\n"
        "FLANNEL_SUBNET=10.244.1.0/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    ],
    ids=["comment, blank line, other order", "no line end", "unknown word, later one counts, network's address"],
)
@pytest.mark.covers("flannel.subnetFile", "kernel", "packet")
def test_forms_of_a_subnet_file(node, cni, text):
    """Comments, blank lines, order, a last line without end, unknown words, a subnet by its first address: all the
    same network."""
    announce(node, text)
    attachment = cni.add(node.sandbox("c1"), network())

    assert main_routes(attachment.sandbox, 4) == [("10.244.0.0/16", GATEWAY[4])]
    assert source(attachment.sandbox.ping(FAR[4])) == attachment.address


@pytest.mark.parametrize(
    "version", ["0.3.1", "0.4.0", pytest.param("1.0.0", marks=pytest.mark.requires(plugin="flannel>=1.0"))]
)
@pytest.mark.covers("flannel", "kernel", "packet")
def test_the_delegate_speaks_the_networks_version(node, cni, version):
    """The plugin that does the work is given the network's version, and its result is of that version."""
    announce(node, env())
    attachment = cni.add(node.sandbox("c1"), {**network(), "cniVersion": version})

    assert attachment.result.cni_version == version
    assert delegated(node, "c1")["cniVersion"] == version
    assert attachment.sandbox.ping(GATEWAY[4])


@pytest.mark.covers("flannel", "DEL", "packet")
def test_containers_whose_ids_begin_alike_are_kept_apart(node, cni):
    """Two containers whose IDs differ in the last letter alone: DEL of one takes nothing from the other, which its own
    DEL finds."""
    announce(node, env())
    first, second = (
        cni.add(ready_sandbox(node, name), network(), container_id=f"{'5e' * 31}c{number}")
        for number, name in enumerate(("c1", "c2"))
    )
    cni.delete(first)
    still, kept = second.sandbox.ping(GATEWAY[4]), leases(node)
    cni.delete(second)

    assert source(still) == second.address
    assert kept == [second.address]
    assert leases(node) == []
    assert [link.name for link in second.sandbox.links] == ["lo"]


def _is_request(packet, family):
    if family == 4:
        return packet.haslayer("ICMP") and packet["ICMP"].type == 8
    return packet.haslayer("ICMPv6EchoRequest")
