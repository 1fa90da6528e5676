"""FORWARD policies and br_netfilter: who cuts containers off, and who brings them back."""

from __future__ import annotations

import pytest
from cnitest.suites.regressions.symptoms import must_be_dropped, must_fail_check, must_pass, network, rules

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack"], plugin=["bridge", "host-local"], binary=["iptables", "ip6tables"]
    ),
]

FIREWALL = pytest.mark.requires(plugin="firewall")
INTERNET, INTERNET6 = "8.8.8.8", "2001:4860:4860::8888"
DUAL = "10.40.80.0/24 fd40:80::/64"
CHAINS = pytest.mark.parametrize("chain", [[], pytest.param(["firewall"], marks=FIREWALL)], ids=["alone", "firewall"])
#: Both families: what sets the policy, the address of a container, and somebody outside.
FAMILIES = pytest.mark.parametrize(
    ("program", "at", "outside"), [("iptables", 0, INTERNET), ("ip6tables", 1, INTERNET6)], ids=["ipv4", "ipv6"]
)


@pytest.fixture
def node(lab):
    """A host whose bridged packets pass iptables."""
    host = lab.host("node")
    host.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    host.sysctl("net.bridge.bridge-nf-call-ip6tables", 1)
    return host


@pytest.fixture
def attach(node, cni):
    """Attaches a container to a network."""
    return lambda name, conf, **more: cni.add(node.sandbox(name), conf, **more)


@pytest.mark.regression("REG-01")
@CHAINS
@FAMILIES
def test_containers_on_one_bridge_reach_each_other_under_forward_drop(node, attach, chain, program, at, outside):
    """containernetworking/plugins#430: bridge: communication between pods on same node doesn't work."""
    node.load_rules(program, "-P FORWARD DROP")
    first, second = (attach(name, network(*chain, subnet=DUAL)) for name in ("c1", "c2"))

    must_pass(first.sandbox.ping(second.addresses[at]))


@pytest.mark.regression("REG-02")
@CHAINS
@FAMILIES
def test_containers_reach_the_outside_under_forward_drop(node, attach, chain, program, at, outside):
    """flannel-io/flannel#872 (#834 #823 #609 #799): since Docker 1.13 sets FORWARD to DROP nothing leaves a host."""
    node.load_rules(program, "-P FORWARD DROP")
    container = attach("c1", network(*chain, subnet=DUAL, ipMasq=True))

    must_pass(container.sandbox.ping(outside))


@pytest.mark.regression("REG-03")
@CHAINS
def test_new_connections_from_outside_reach_a_container_under_forward_drop(lab, node, attach, chain):
    """flannel-io/flannel#603, #609, #731: containers cannot be reached from another host."""
    node.load_rules("iptables", "-P FORWARD DROP")
    container = attach("c1", network(*chain))
    lab.host("router").run(["ip", "route", "add", "10.40.80.0/24", "via", "192.168.80.100"])

    must_pass(lab.host("router").tcp(container.address, 8080))


@pytest.mark.regression("REG-04")
@FIREWALL
@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_accept_rules_stand_before_a_reject_that_was_there(node, attach, program):
    """flannel-io/flannel#1033: forwarding rules were appended behind CentOS' default REJECT rule."""
    node.load_rules(program, "-A FORWARD -j REJECT")
    container = attach("c1", network("firewall", subnet=DUAL, ipMasq=True))

    must_pass(container.sandbox.ping(INTERNET if program == "iptables" else INTERNET6))


@pytest.mark.regression("REG-05")
@FIREWALL
def test_a_policy_chain_that_was_there_still_sees_packets(node, attach):
    """flannel-io/flannel#978: a blanket ACCEPT before all other rules defeats network policies."""
    node.load_rules("iptables", "-N POLICY", "-A FORWARD -j POLICY", "-A POLICY -p tcp --dport 443 -j DROP")
    container = attach("c1", network("firewall", ipMasq=True))

    assert container.sandbox.tcp(INTERNET, 80)
    must_be_dropped(container.sandbox.tcp(INTERNET, 443))


@pytest.mark.regression("REG-05")
@FIREWALL
def test_the_admin_chain_sees_packets_before_the_blanket_accept(node, attach):
    """The way that the plugin has for policies: rules in CNI-ADMIN, which stands before its own."""
    container = attach("c1", network("firewall", ipMasq=True))
    node.load_rules("iptables", "-A CNI-ADMIN -p tcp --dport 443 -j DROP")

    assert container.sandbox.tcp(INTERNET, 80)
    reach = must_be_dropped(container.sandbox.tcp(INTERNET, 443))
    assert "CNI-ADMIN" in reach.dropped_by


@pytest.mark.regression("REG-06")
@pytest.mark.topology("docker-host")
@CHAINS
@pytest.mark.parametrize("target", ["peer", "outside"])
def test_containers_get_through_beside_dockers_chains(lab, node, attach, chain, target):
    """kubernetes/kubernetes#108718, #72370, #130234: ping of a pod is rejected, chain FORWARD (policy DROP)."""
    first, second = (attach(name, network(*chain, ipMasq=True)) for name in ("c1", "c2"))

    assert node.sandbox("web").ping(INTERNET), "Docker's own container gets out"
    must_pass(first.sandbox.ping(second.address if target == "peer" else INTERNET))


@pytest.mark.regression("REG-07")
@CHAINS
@FAMILIES
def test_containers_get_through_after_another_engine_set_forward_to_drop(node, attach, chain, program, at, outside):
    """moby/moby#39439, #48365, #52612, canonical/lxd#3387: the policy changes once containers are attached."""
    container = attach("c1", network(*chain, subnet=DUAL, ipMasq=True))
    assert container.sandbox.ping(outside)
    node.load_rules(program, "-P FORWARD DROP")

    must_pass(container.sandbox.ping(outside))


@pytest.mark.regression("REG-07")
@FAMILIES
def test_check_fails_once_another_engine_set_forward_to_drop(node, attach, cni, program, at, outside):
    """The same: CHECK is to complain of a container that has lost its way out."""
    container = attach("c1", network(subnet=DUAL, ipMasq=True))
    node.load_rules(program, "-P FORWARD DROP")
    assert not container.sandbox.ping(outside)

    must_fail_check(cni, container)


@pytest.mark.regression("REG-08")
@FIREWALL
@pytest.mark.parametrize("at", [0, 1], ids=["ipv4", "ipv6"])
def test_bridges_are_isolated_from_each_other(node, attach, at):
    """containernetworking/plugins#573, #584: bridges cannot be isolated as Docker's are."""
    conf = {"ingressPolicy": "same-bridge"}
    red = network(subnet="10.41.0.0/24 fd41::/64", name="red", bridge="red0")
    blue = network(subnet="10.42.0.0/24 fd42::/64", name="blue", bridge="blue0")
    for each in (red, blue):
        each["plugins"].append({"type": "firewall", **conf})
    first, second, other = attach("c1", red), attach("c2", red), attach("c3", blue)

    assert first.sandbox.ping(second.addresses[at])
    reach = must_be_dropped(first.sandbox.ping(other.addresses[at]))
    assert "CNI-ISOLATION-STAGE-2" in reach.dropped_by


@pytest.mark.regression("REG-09")
@pytest.mark.requires(plugin="bridge>=1.7")
def test_ports_of_a_bridge_can_be_isolated(node, attach):
    """containernetworking/plugins#1107: does bridge plugin support disabling inter container connectivity?"""
    conf = network(portIsolation=True, ipMasq=True)
    first, second = attach("c1", conf), attach("c2", conf)

    assert first.sandbox.ping(first.gateway)
    assert first.sandbox.ping(INTERNET)
    must_be_dropped(first.sandbox.ping(second.address))


@pytest.mark.regression("REG-09")
@pytest.mark.requires(plugin="firewall>=1.7")
def test_containers_of_a_bridge_can_be_isolated_by_firewall(node, attach):
    """The same by ``ingressPolicy: isolated``, which needs bridged packets to pass iptables."""
    conf = network(ipMasq=True)
    conf["plugins"].append({"type": "firewall", "ingressPolicy": "isolated"})
    first, second = attach("c1", conf), attach("c2", conf)

    assert first.sandbox.ping(INTERNET)
    must_be_dropped(first.sandbox.ping(second.address))


@pytest.mark.regression("REG-10")
@pytest.mark.parametrize("bridged", [0, 1], ids=["bridge-nf=0", "bridge-nf=1"])
def test_an_answer_of_a_peer_behind_dnat_is_translated_back(node, attach, bridged):
    """kubernetes/kubernetes#38802, containernetworking/plugins#508: container to container bypasses the gateway."""
    node.sysctl("net.bridge.bridge-nf-call-iptables", bridged)
    first, second = attach("c1", network()), attach("c2", network())
    node.load_rules(
        "iptables",
        f"-t nat -A PREROUTING -d 10.96.0.1 -p tcp --dport 80 -j DNAT --to-destination {second.address}:8080",
    )

    must_pass(first.sandbox.tcp("10.96.0.1", 80, listener=second.sandbox, listener_port=8080))


@pytest.mark.regression("REG-11")
@pytest.mark.parametrize(
    "bridged",
    [
        pytest.param(bridged, marks=pytest.mark.topology(f"kube-proxy-{backend}"), id=f"{backend} bridge-nf={bridged}")
        for backend in ("iptables", "nftables")
        for bridged in (0, 1)
    ],
)
def test_a_service_is_reached_whose_endpoint_is_on_the_same_node(node, attach, bridged):
    """flannel-io/flannel#1702, #1734, #902, #2068, #2166: pods cannot use a service with an endpoint beside them."""
    node.sysctl("net.bridge.bridge-nf-call-iptables", bridged)
    conf = network(subnet="10.244.1.0/24", ipMasq=True)
    first, second = attach("c1", conf), attach("c2", conf)
    assert second.address == "10.244.1.3", "the endpoint of the topology's service"

    must_pass(first.sandbox.tcp("10.96.0.10", 80, listener=second.sandbox, listener_port=8080))


@pytest.mark.regression("REG-12")
@FIREWALL
def test_the_next_add_restores_rules_that_were_flushed(node, attach):
    """containernetworking/plugins#573, kube-router#120: a restart of Docker loses the jumps and their order."""
    node.load_rules("iptables", "-P FORWARD DROP")
    first = attach("c1", network("firewall", ipMasq=True))
    assert first.sandbox.ping(INTERNET)
    node.load_rules("iptables", "-F FORWARD")
    assert not first.sandbox.ping(INTERNET)
    second = attach("c2", network("firewall", ipMasq=True))

    must_pass(second.sandbox.ping(INTERNET))
    must_pass(first.sandbox.ping(INTERNET))


@pytest.mark.regression("REG-12")
@FIREWALL
def test_isolation_still_stands_before_the_accepts_after_a_flush(node, attach):
    """The same for ``ingressPolicy: same-bridge``: restored in the wrong order the bridges would see each other."""
    red, blue = network(name="red", bridge="red0", subnet="10.41.0.0/24"), network(name="blue", bridge="blue0")
    for each in (red, blue):
        each["plugins"].append({"type": "firewall", "ingressPolicy": "same-bridge"})
    first, other = attach("c1", red), attach("c2", blue)
    node.load_rules("iptables", "-F FORWARD")
    again = attach("c3", red)

    assert rules(node, "-j CNI-ISOLATION-STAGE-1")
    must_be_dropped(again.sandbox.ping(other.address))
    must_be_dropped(first.sandbox.ping(other.address))
