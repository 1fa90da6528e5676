"""The chains that people run: several plugins on one container, each with its own effect on the packets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cnitest.suites.plugins.node_networks import (
    INTERNET,
    UPLINK,
    gateway,
    network,
    other,
    pool,
    ptp,
    rules,
    without_dad,
)
from cnitest.suites.plugins.seen import source

from cnitest import PluginError, difference
from cnitest.cni import plugins

pytestmark = pytest.mark.topology("node-with-uplink")

ALL = ("bridge", "host-local", "portmap", "firewall", "tuning", "bandwidth")
LIMIT = 4_000_000
MAPPINGS = [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
]
MAC = "02:42:ac:11:00:02"
WHOLE = pytest.mark.requires(kernel=["conntrack", "ifb"], plugin=ALL, binary="iptables")


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


def chained(first, *rest):
    """A list of plugins from a network of one and what follows it."""
    identity = {key: first[key] for key in ("cniVersion", "name")}
    own = {key: value for key, value in first.items() if key not in identity}
    return {**identity, "plugins": [own, *rest]}


def long_chain(*families):
    """bridge, portmap, firewall, tuning and bandwidth, as engines and clusters combine them."""
    return chained(
        network(*families, isDefaultGateway=True, ipMasq=True, hairpinMode=True),
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        {"type": "firewall", "backend": "iptables"},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.all.arp_ignore": "1"}, "capabilities": {"mac": True}},
        {"type": "bandwidth", "ingressRate": LIMIT, "ingressBurst": LIMIT, "egressRate": LIMIT, "egressBurst": LIMIT},
    )


def _added(node, cni, name="c1", families=(4,), **capabilities):
    return cni.add(node.sandbox(name), long_chain(*families), capabilities=capabilities)


@WHOLE
@pytest.mark.covers("bridge.ipMasq", "packet")
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
@pytest.mark.covers("firewall", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_every_part_of_the_long_chain_works(lab, node, cni, family):
    """With FORWARD's policy DROP the container gets out masqueraded, and reaches itself by its host port."""
    node.load_rules("iptables" if family == 4 else "ip6tables", "-P FORWARD DROP")
    attachment = _added(node, cni, families=(family,), portMappings=MAPPINGS)
    sandbox = attachment.sandbox

    assert source(sandbox.ping(INTERNET[family])) == UPLINK[family]
    assert source(sandbox.tcp(INTERNET[family], 443)) == UPLINK[family]
    assert sandbox.ping(gateway(attachment, family))
    assert sandbox.tcp(UPLINK[family], 8080, listener=sandbox, listener_port=80)


@WHOLE
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_host_ports_of_the_long_chain(lab, node, cni, family):
    """Where FORWARD lets them pass host ports lead to the container, and it sees who called."""
    sandbox = _added(node, cni, families=(family,), portMappings=MAPPINGS).sandbox
    router = lab.host("router")
    caller = {4: "192.168.80.2", 6: "2001:db8:80::2"}[family]

    assert source(router.tcp(UPLINK[family], 8080, listener=sandbox, listener_port=80)) == caller
    assert source(router.udp(UPLINK[family], 5353, listener=sandbox, listener_port=53)) == caller


@WHOLE
@pytest.mark.covers("firewall", "packet")
def test_what_comes_first_from_outside_is_for_the_policy(lab, node, cni):
    """The firewall plugin opens what the container begins, and no more: policy DROP still cuts its host ports off."""
    node.load_rules("iptables", "-P FORWARD DROP")
    sandbox = _added(node, cni, portMappings=MAPPINGS).sandbox
    cut = lab.host("router").tcp(UPLINK[4], 8080, listener=sandbox, listener_port=80)

    assert not cut
    assert cut.dropped_by == "ip filter FORWARD policy"
    assert sandbox.tcp(INTERNET[4], 443)


@WHOLE
@pytest.mark.covers("bandwidth.ingressRate", "packet")
@pytest.mark.covers("bandwidth.egressRate", "packet")
def test_the_limit_of_the_long_chain(node, cni):
    """The container's traffic is limited both ways behind all the other plugins."""
    sandbox = _added(node, cni).sandbox
    found = sandbox.throughput(UPLINK[4], rate="20mbit")

    assert found.there < LIMIT * 1.2
    assert found.back < LIMIT * 1.2


@WHOLE
@pytest.mark.covers("tuning.sysctl", "kernel")
@pytest.mark.covers("tuning.runtimeConfig.mac", "kernel", "packet")
def test_the_mac_and_settings_of_the_long_chain(node, cni):
    """tuning sets the container's sysctl and MAC after the bridge plugin: the result tells it, neighbours see it."""
    peer = cni.add(node.sandbox("c2"), network(4))
    attachment = _added(node, cni, mac=MAC)

    assert attachment.sandbox.sysctl("net.ipv4.conf.all.arp_ignore") == "1"
    assert [link.mac for link in attachment.result.interfaces if link.sandbox] == [MAC]
    assert peer.sandbox.arp(attachment.address, on="eth0").answered_by == MAC


@WHOLE
@pytest.mark.covers("bridge", "CHECK")
def test_check_of_the_long_chain(node, cni):
    """CHECK passes of every plugin, with traffic before it."""
    attachment = _added(node, cni, families=(4, 6), portMappings=MAPPINGS)
    assert attachment.sandbox.ping(INTERNET[4])

    cni.check(attachment)


@WHOLE
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "CHECK", "refused")
def test_check_finds_a_lost_host_port_in_the_long_chain(node, cni):
    """CHECK fails once the rules of the host ports are gone, whichever plugin comes first."""
    attachment = _added(node, cni, families=(4, 6), portMappings=MAPPINGS)
    cni.check(attachment)
    chains = {match[0] for rule in rules(node, "CNI-DN-") for match in [re.search(r"CNI-DN-\w+", rule)] if match}
    for chain in chains:
        node.run(["iptables", "-t", "nat", "-F", chain])

    with pytest.raises(PluginError, match="portmap"):
        cni.check(attachment)


@WHOLE
@pytest.mark.covers("bridge", "DEL", "kernel")
def test_delete_of_the_long_chain_leaves_nothing_of_the_container(node, cni):
    """After DEL no link, rule, shaper, lease or tracked address of the container is left; its neighbour's are."""
    stays = _added(node, cni, "c0")
    before = node.state(connections=False)
    attachment = _added(node, cni, portMappings=MAPPINGS)
    made = [item for item in difference(before, node.state(connections=False)) if item.appeared]
    cni.delete(attachment)
    left = [item for item in difference(before, node.state(connections=False)) if item.appeared]

    assert {"links", "iptables", "qdiscs", "files"} <= {item.table for item in made}
    assert [str(item) for item in left if item.table in ("links", "ports", "qdiscs", "filters", "classes")] == []
    assert [str(item) for item in left if attachment.address in f"{item.key} {item.after}"] == []
    assert source(stays.sandbox.ping(INTERNET[4])) == UPLINK[4]


@WHOLE
@pytest.mark.covers("bridge", "DEL", "packet")
def test_one_host_port_after_the_other(lab, node, cni):
    """The host port of a container that was deleted leads to the next one that is given it."""
    router = lab.host("router")
    first = _added(node, cni, "c1", portMappings=MAPPINGS)
    assert router.tcp(UPLINK[4], 8080, listener=first.sandbox, listener_port=80)
    cni.delete(first)
    second = _added(node, cni, "c2", portMappings=MAPPINGS)

    assert router.tcp(UPLINK[4], 8080, listener=second.sandbox, listener_port=80)
    assert router.udp(UPLINK[4], 5353, listener=second.sandbox, listener_port=53)


LEASED = {"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "ens33", "ipam": {"type": "dhcp"}}
OF_DHCP = pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "dhcp"], binary="dnsmasq")


@pytest.fixture
def leases(lab, node, cni):
    """A DHCP server on the LAN's router, which is the gateway that it names, and the plugin's daemon on the node."""
    router = lab.host("router")
    daemon = [plugins.find("dhcp", cni.path), "daemon"]
    addresses = ("192.168.80.150", "192.168.80.160")
    with (
        router.dhcp_server("lan0", *addresses, options=["3,192.168.80.2"]) as server,
        node.start(daemon, ready=Path("/run/cni/dhcp.sock")),
    ):
        yield server
        for attachment in cni.attachments[::-1]:
            cni.delete(attachment)


@OF_DHCP
@pytest.mark.covers("macvlan", "kernel", "packet")
@pytest.mark.covers("dhcp", "kernel", "packet")
def test_macvlan_and_dhcp(lab, node, cni, leases):
    """The container is on the LAN with an address of its server, and reaches gateway and internet by it."""
    attachment = cni.add(node.sandbox("c1"), LEASED)

    assert (attachment.address, attachment.sandbox.link("eth0").mac) in [
        (one.address, one.mac) for one in leases.leases
    ]
    assert source(attachment.sandbox.ping("192.168.80.2")) == attachment.address
    assert source(attachment.sandbox.ping(INTERNET[4])) == attachment.address
    assert lab.host("router").tcp(attachment.address, 80)


@OF_DHCP
@pytest.mark.covers("dhcp", "DEL", "packet")
def test_two_containers_by_macvlan_and_dhcp(node, cni, leases):
    """Two containers have leases of their own and reach each other; DEL of one leaves the other its address."""
    first, second = (cni.add(node.sandbox(name), LEASED) for name in ("c1", "c2"))
    assert first.address != second.address
    assert source(first.sandbox.ping(second.address)) == first.address
    cni.delete(first)

    assert source(second.sandbox.ping("192.168.80.2")) == second.address


FLANNEL = {
    "cniVersion": "0.4.0",  # the newest that flannel's plugin of the reference plugins supports
    "name": "cbr0",
    "plugins": [
        {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
SUBNET = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ={}\n"
OF_FLANNEL = pytest.mark.requires(
    kernel="conntrack", plugin=["flannel", "bridge", "host-local", "portmap"], binary="iptables"
)


@pytest.fixture
def flannel(node, cni):
    """The walkthrough's list of flannel and portmap, on a node whose daemon leaves masquerading to the plugin."""
    script = 'mkdir -p /run/flannel && printf %s "$0" > /run/flannel/subnet.env'
    node.run(["sh", "-c", script, SUBNET.format("false")])
    return cni.add(node.sandbox("c1"), FLANNEL, capabilities={"portMappings": MAPPINGS})


@OF_FLANNEL
@pytest.mark.covers("flannel", "kernel", "packet")
def test_flannel_and_portmap(lab, node, cni, flannel):
    """The container has an address of the node's subnet and flannel's MTU, a way out, and its host ports."""
    peer = cni.add(node.sandbox("c2"), FLANNEL)
    router = lab.host("router")

    assert flannel.address.startswith("10.244.1.")
    assert flannel.sandbox.link("eth0").mtu == 1450
    assert source(flannel.sandbox.ping(peer.address)) == flannel.address
    assert source(flannel.sandbox.ping(INTERNET[4])) == UPLINK[4]
    assert router.tcp(UPLINK[4], 8080, listener=flannel.sandbox, listener_port=80)
    assert flannel.sandbox.tcp(UPLINK[4], 8080, listener=flannel.sandbox, listener_port=80)


@OF_FLANNEL
@pytest.mark.covers("flannel", "DEL", "packet")
def test_delete_of_flannel_and_portmap(lab, node, cni, flannel):
    """After DEL the host port is the host's own again, and no lease, link, or rule of the container is left."""
    cni.delete(flannel)

    assert lab.host("router").tcp(UPLINK[4], 8080).receiver == "node"
    assert rules(node, flannel.address) == []
    assert [link.name for link in node.links if link.master == "cni0"] == []
    assert [file.path for file in node.files() if file.path.endswith(f"/{flannel.address}")] == []


PTP_SBR = chained(
    ptp(
        ipam=pool(4, ranges={4: [{"subnet": "10.33.0.0/24"}]}, routes=[{"dst": "0.0.0.0/0"}]),
        ipMasq=True,
        name="second",
    ),
    {"type": "sbr"},
)


@pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local", "ptp", "sbr"], binary="iptables")
@pytest.mark.covers("sbr", "kernel", "packet")
def test_ptp_and_source_based_routing(node, cni):
    """Beside a second network with a default route each source leaves by its own link, and main is the first's."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(4, isDefaultGateway=True, ipMasq=True))
    second = cni.add(sandbox, PTP_SBR, "net1")
    with sandbox.capture("net1") as by_second:
        assert sandbox.ping(INTERNET[4], source=second.address)
    with sandbox.capture("net1") as by_first:
        assert sandbox.ping(INTERNET[4], source=first.address)

    assert by_second.matching("ICMP", type="echo-request")
    assert not by_first.matching("ICMP", type="echo-request")
    assert [route.link for route in sandbox.routes if route.to == "default" and route.table == 254] == ["eth0"]


@pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local", "ptp", "sbr"], binary="iptables")
@pytest.mark.covers("sbr", "DEL", "packet")
def test_delete_of_ptp_and_source_based_routing(node, cni):
    """After DEL of the second network its rules are gone, and the first one works on."""
    sandbox = node.sandbox("c1")
    cni.add(sandbox, network(4, isDefaultGateway=True, ipMasq=True))
    before = sandbox.rules
    second = cni.add(sandbox, PTP_SBR, "net1")
    assert sandbox.rules != before
    cni.delete(second)

    assert sandbox.rules == before
    assert source(sandbox.ping(INTERNET[4])) == UPLINK[4]


@pytest.mark.requires(plugin=["bridge", "host-local"])
@pytest.mark.covers("bridge", "kernel", "packet")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_two_networks_on_one_container(node, cni, family):
    """A container on two bridges reaches the neighbours of both, each by its own link and address."""
    sandbox = node.sandbox("c1")
    first, second = cni.add(sandbox, network(family)), cni.add(sandbox, other(family), "net1")
    near, far = cni.add(node.sandbox("c2"), network(family)), cni.add(node.sandbox("c3"), other(family))

    assert source(sandbox.ping(near.address)) == first.address
    assert source(sandbox.ping(far.address)) == second.address
    assert near.sandbox.ping(far.address).dropped_by == "no route"


@pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local"], binary="iptables")
@pytest.mark.covers("bridge", "DEL", "packet")
def test_one_network_of_two_goes(node, cni):
    """DEL of one network leaves the other with its address, routes and masquerading."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(4, isDefaultGateway=True, ipMasq=True))
    second = cni.add(sandbox, other(4, isGateway=True, ipMasq=True), "net1")
    cni.delete(second)

    assert [link.name for link in sandbox.links] == ["lo", "eth0"]
    assert source(sandbox.ping(INTERNET[4])) == UPLINK[4]
    assert sandbox.ping(first.gateway)
