"""The same questions with the bridge plugin doing the wiring."""

from __future__ import annotations

import re

import pytest

from cnitest import difference

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack"], plugin=["bridge", "host-local", "portmap"], binary=["iptables"]
    ),
]

INTERNET, UPLINK = "8.8.8.8", "192.168.80.100"
IPAM = {"type": "host-local", "subnet": "10.40.80.0/24"}
NETWORK = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipMasq": True,
    "hairpinMode": True,
    "ipam": IPAM,
}
ALLOCATOR = "/var/lib/cni/networks"


def left_by_design(item):
    """What the bridge plugin keeps: the bridge, forwarding, the allocator's bookkeeping, empty built-in chains."""
    if item.table == "files":
        own = ("", "/net", "/net/last_reserved_ip.0", "/net/lock")
        return item.key in {"/var/lib/cni/results", *(ALLOCATOR + name for name in own)}
    if item.key == "rule":
        return re.fullmatch(r"\w+: :[A-Z]+ ACCEPT", item.after) is not None
    of_the_bridge = item.key == "cni0" or item.key.endswith(" on cni0") or " dev cni0 " in item.key
    return of_the_bridge or item.key == "net.ipv4.ip_forward" or item.table == "flows"


@pytest.fixture
def node(lab):
    """The host, whose bridged packets pass iptables."""
    host = lab.host("node")
    host.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    return host


@pytest.fixture
def pair(node, cni):
    """Two containers of one network."""
    return [cni.add(node.sandbox(name), NETWORK) for name in ("c1", "c2")]


def test_containers_reach_each_other_and_their_gateway(pair):
    """Two containers of one bridge network exchange echo, TCP and UDP, and reach their gateway."""
    first, second = pair

    assert first.sandbox.ping(second.address)
    assert first.sandbox.ping(first.gateway)
    assert first.sandbox.tcp(second.address, 80).source_seen == first.address
    assert second.sandbox.udp(first.address, 53).source_seen == second.address


def test_forward_policy_drop_cuts_containers_off(node, pair):
    """Another engine sets FORWARD to DROP: containers lose each other; a rule for the bridge brings them back."""
    first, second = pair
    node.load_rules("iptables", "-P FORWARD DROP")
    cut = first.sandbox.ping(second.address)
    dropped_by = cut.dropped_by  # which is found out now, and not once the rules are others
    node.load_rules("iptables", "-A FORWARD -i cni0 -j ACCEPT")

    assert not cut
    assert dropped_by == "ip filter FORWARD policy"
    assert first.sandbox.ping(second.address)


def test_masquerade_hides_the_container_address(node, pair):
    """A container behind ipMasq reaches the internet with its host's address."""
    reach = pair[0].sandbox.ping(INTERNET)

    assert reach
    assert reach.source_seen == UPLINK


def test_without_masquerade_nothing_comes_back(lab, cni, node):
    """Without ipMasq the request reaches the internet host, which has no way back to a private address."""
    attachment = cni.add(node.sandbox("c1"), {**NETWORK, "ipMasq": False})
    reach = attachment.sandbox.ping(INTERNET)

    assert not reach
    assert reach.path[-1].startswith("internet:")


def test_masquerade_stays_out_of_the_network_itself(pair):
    """Inside the network containers see each other's own addresses."""
    first, second = pair

    assert first.sandbox.ping(second.address).source_seen == first.address


def test_hairpin_is_set_on_the_port(node, pair):
    """hairpinMode sets the flag on the container's bridge port."""
    assert [port.hairpin for port in node.state(firewall=False).ports if port.bridge == "cni0"] == [True, True]


def test_check_passes_and_delete_leaves_nothing(node, cni):
    """CHECK agrees with a fresh attachment; after DEL only what the plugin keeps by design is left."""
    sandbox = node.sandbox("c1")
    before, inside = node.state(), sandbox.state()
    attachment = cni.add(sandbox, NETWORK)
    cni.check(attachment)
    attached = [item for item in difference(before, node.state()) if not left_by_design(item)]
    cni.delete(attachment)

    tables = {item.table for item in attached}
    assert {"links", "ports", "files", "iptables"} <= tables, "what DEL has to take back was never there"
    assert [item for item in difference(before, node.state()) if not left_by_design(item)] == []
    assert difference(inside, sandbox.state()) == ()


def test_version_names_the_versions(cni):
    """VERSION lists versions of the specification, the one this suite uses among them."""
    versions = cni.version("bridge")

    assert "1.0.0" in versions.supported


class TestPortmap:
    """The shape of flannel's chain: bridge, then portmap with the runtime's port mappings."""

    CHAIN = {  # noqa: RUF012  (read only)
        "cniVersion": "1.0.0",
        "name": "chain",
        "plugins": [
            {key: value for key, value in NETWORK.items() if key not in ("cniVersion", "name")},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }
    MAPPINGS = {  # noqa: RUF012
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
        ]
    }

    @pytest.fixture
    def mapped(self, node, cni):
        """A container whose ports 80/tcp and 53/udp are the host's 8080 and 5353."""
        return cni.add(node.sandbox("c1"), self.CHAIN, capabilities=self.MAPPINGS)

    def test_a_host_port_leads_to_the_container(self, lab, mapped):
        """From outside the host's port is the container's, for TCP and UDP, with the caller's address kept."""
        router = lab.host("router")
        tcp = router.tcp(UPLINK, 8080, listener=mapped.sandbox, listener_port=80)
        udp = router.udp(UPLINK, 5353, listener=mapped.sandbox, listener_port=53)

        assert tcp
        assert tcp.source_seen == "192.168.80.2"
        assert udp
        assert udp.source_seen == "192.168.80.2"

    def test_a_container_reaches_itself_by_the_host_port(self, mapped):
        """Hairpin: the container dials its host's port and is answered by itself."""
        assert mapped.sandbox.tcp(UPLINK, 8080, listener=mapped.sandbox, listener_port=80)

    def test_delete_takes_the_mapping_back(self, lab, node, cni, mapped):
        """After DEL nothing listens behind the host's port, and no rule of the container is left."""
        cni.delete(mapped)
        reach = lab.host("router").tcp(UPLINK, 8080)

        assert reach
        assert reach.receiver == "node"
        assert not any("DNAT" in rule for rules in node.state().firewall.values() for rule in rules if "CNI-DN" in rule)
