"""Ports that are published on a host's own address: how far what was translated there came, and why it ended.

As in podman-container-tools/podman issues 16831 and 26044.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from cnitest.suites.selftest.test_published_servers import listener

from cnitest import Lab
from cnitest.topology import loads

NETWORKS = """
name: published
hosts:
  node:
    role: router
    sysctls: {net.bridge.bridge-nf-call-iptables: 0, net.bridge.bridge-nf-call-ip6tables: 0}
    bridges:
      net1: {addresses: [10.89.1.1/24, "2001:db8:1::1/64"]}
      net2: {addresses: [10.89.2.1/24, "2001:db8:2::1/64"]}
    iptables: [-t nat -A PREROUTING -d 192.168.0.1 -p tcp --dport 8080 -j DNAT --to-destination 10.89.2.5:80]
    ip6tables: ["-t nat -A PREROUTING -d 2001:db8::1 -p tcp --dport 8080 -j DNAT --to-destination [2001:db8:2::5]:80"]
    sandboxes: {web: {routes: [default via 10.89.1.1, "default via 2001:db8:1::1"]}}
  client: {}
veths:
  - ends:
      - {at: node/web, name: eth1, addresses: [10.89.1.5/24, "2001:db8:1::5/64"]}
      - {at: node, name: v1, bridge: net1}
  - ends:
      - {at: node/web, name: eth2, addresses: [10.89.2.5/24, "2001:db8:2::5/64"]}
      - {at: node, name: v2, bridge: net2}
  - ends:
      - {at: node, name: eth0, addresses: [192.168.0.1/24, "2001:db8::1/64"]}
      - {at: client, name: eth0, addresses: [192.168.0.2/24, "2001:db8::2/64"]}
"""


@pytest.fixture
def networks() -> Iterator[Lab]:
    """The networks, with a server in the container that says nothing."""
    with Lab(loads(NETWORKS)) as lab, closing(lab.sandbox("web").namespace.run(listener)):
        yield lab


def test_the_container_itself_refuses_what_comes_by_its_second_network(networks):
    """Where the default route leads into the first network, a strict filter of the container ends the packet there."""
    networks.sandbox("web").sysctl("net.ipv4.conf.eth2.rp_filter", 1)

    reach = networks.host("client").tcp("192.168.0.1", 8080)

    assert (reach.cause.id, reach.cause.place) == ("routing.rp-filter", "node/web"), str(reach.explanation)
    networks.sandbox("web").run(reach.cause.remedy.split())
    assert networks.host("client").tcp("192.168.0.1", 8080)


@pytest.mark.parametrize(
    ("to", "gateway", "remedy"),
    [
        ("192.168.0.1", "10.89.2.1", "iptables -t nat -I POSTROUTING -s 10.89.2.0/24 -d 10.89.2.5 -j MASQUERADE"),
        (
            "2001:db8::1",
            "2001:db8:2::1",
            "ip6tables -t nat -I POSTROUTING -s 2001:db8:2::/64 -d 2001:db8:2::5 -j MASQUERADE",
        ),
    ],
)
def test_a_container_that_asks_for_its_own_published_port_is_told_so(networks, to, gateway, remedy):
    """Its packet comes back with its own source, although the host that it asks has the address."""
    web = networks.sandbox("web")
    web.run(["ip", "route", "add", to, "via", gateway])

    reach = web.tcp(to, 8080)

    assert (reach.cause.id, reach.cause.remedy) == ("nat.hairpin-self", remedy), str(reach.explanation)
    networks.host("node").run(reach.cause.remedy.split())
    assert web.tcp(to, 8080)


@pytest.mark.requires(kernel="conntrack", binary=["ip6tables"])
@pytest.mark.parametrize("bridged", [0, 1])
def test_ipv6_has_no_loopback_beyond_its_own_link(bridged):
    """A port that is published on ``::1`` gets its answer by another link, which no setting of IPv6 allows.

    As in containers/netavark issue 790.
    """
    with Lab(loads(NETWORKS)) as lab:
        node, web = lab.host("node"), lab.sandbox("web")
        node.sysctl("net.bridge.bridge-nf-call-ip6tables", bridged)
        for rule in (
            "-A OUTPUT -p tcp --dport 8080 -j DNAT --to-destination [2001:db8:1::5]:80",
            "-A POSTROUTING -s ::1 -o net1 -j MASQUERADE",
        ):
            node.load_rules("ip6tables", f"-t nat {rule}")

        reach = node.tcp("::1", 8080, listener=web, listener_port=80)

        assert not reach
        assert (reach.cause.id, reach.cause.place) == ("routing.localnet", "node"), reach.explanation
        assert "not to" not in reach.reason
        assert node.tcp("2001:db8:1::1", 8080, listener=web, listener_port=80)
