"""The portmap plugin by traffic: from where a port of the host leads to a container, and whom the container sees."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.firewalls import ROUTER, UPLINK, route
from cnitest.suites.plugins.node_networks import INTERNET, RANGES, address, gateway, settled, without_dad
from cnitest.suites.plugins.ports import BACKENDS, HOST_PORT, PORT, asked, mapping, published
from cnitest.suites.plugins.seen import goes_on, source

from cnitest.lab.reach import Verdict

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel=["br_netfilter", "conntrack"],
        plugin=["bridge", "host-local", "portmap"],
        binary=["iptables", "ip6tables"],
    ),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
BACKEND = pytest.mark.parametrize("backend", BACKENDS)
PROTOCOL = pytest.mark.parametrize("protocol", ["tcp", "udp"])
LOCALHOST = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture
def node(lab):
    """A host whose bridged packets pass its firewall, and whose containers the LAN knows a way to."""
    host = without_dad(lab.host("node"))
    for program in ("iptables", "ip6tables"):
        host.sysctl(f"net.bridge.bridge-nf-call-{program}", 1)
    for family in (4, 6):
        route(lab, RANGES[family][0]["subnet"], family)
    return host


def seen(place, to, server, protocol="tcp", port=HOST_PORT, inside=PORT):
    """The source that a container sees of a probe to a port of the host; empty when it sees nothing."""
    settled(server.sandbox.host)
    reach = getattr(place, protocol)(to, port, listener=server.sandbox, listener_port=inside)
    return reach.source_seen if reach.verdict is Verdict.DELIVERED else ""


@BACKEND
@FAMILY
@pytest.mark.parametrize("snat", [True, False], ids=["snat", "no-snat"])
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
@pytest.mark.covers("portmap.snat", "packet")
@pytest.mark.covers("portmap.backend", "packet")
def test_who_reaches_a_port_and_as_whom(lab, node, cni, backend, family, snat):
    """From outside, the host, 127.0.0.1, a peer, another bridge and itself: each with the source that its way needs.

    Without ``snat`` nobody's source is changed, so that the container does not reach itself, and 127.0.0.1 nobody.
    """
    server = cni.add(node.sandbox("c1"), published(family, snat=snat, **backend), capabilities=asked())
    peer = cni.add(node.sandbox("c2"), published(family, **backend))
    apart = cni.add(node.sandbox("c3"), published(family, second=True, **backend))
    host, masqueraded = UPLINK[family], gateway(server, family)

    found = {
        (who, protocol): seen(place, to, server, protocol)
        for protocol in ("tcp", "udp")
        for who, place, to in (
            ("outside", lab.host("router"), host),
            ("host", node, host),
            ("localhost", node, LOCALHOST[family]),
            ("peer", peer.sandbox, host),
            ("other bridge", apart.sandbox, host),
            ("itself", server.sandbox, host),
        )
    }

    own = {"outside": ROUTER[family], "host": host, "peer": peer.address, "other bridge": apart.address}
    local = masqueraded if family == 4 and snat else ""
    truth = {**own, "localhost": local, "itself": masqueraded if snat else ""}
    if snat and backend.get("backend") != "nftables":
        truth["peer"] = masqueraded
    assert found == {(who, protocol): source for protocol in ("tcp", "udp") for who, source in truth.items()}


@BACKEND
@FAMILY
@PROTOCOL
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_is_of_one_protocol(lab, node, cni, backend, family, protocol):
    """The port of one protocol leads to the container, that of the other one stays the host's."""
    wanted = published(family, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping(protocol=protocol)))
    other = {"tcp": "udp", "udp": "tcp"}[protocol]
    router = lab.host("router")

    assert seen(router, UPLINK[family], server, protocol) == ROUTER[family]
    assert getattr(router, other)(UPLINK[family], HOST_PORT, listener=node)


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_is_of_both_families(lab, node, cni, backend):
    """One mapping of a container with addresses of both families leads there by either."""
    server = cni.add(node.sandbox("c1"), published(4, 6, **backend), capabilities=asked(mapping()))

    for family in (4, 6):
        assert seen(lab.host("router"), UPLINK[family], server) == ROUTER[family]


@BACKEND
@FAMILY
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_of_one_address(lab, node, cni, backend, family):
    """With ``hostIP`` the port of that address leads to the container, that of the host's others does not."""
    wanted = published(family, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping(hostIP=UPLINK[family])))
    apart = cni.add(node.sandbox("c3"), published(family, second=True, **backend))

    assert seen(lab.host("router"), UPLINK[family], server) == ROUTER[family]
    assert seen(apart.sandbox, UPLINK[family], server) == apart.address
    assert apart.sandbox.tcp(gateway(apart, family), HOST_PORT, listener=node)


@BACKEND
@FAMILY
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_an_address_that_the_host_gets_later(lab, node, cni, backend, family):
    """A port of all addresses is one of those that the host gets after ADD, too."""
    server = cni.add(node.sandbox("c1"), published(family, **backend), capabilities=asked())
    later, length = {4: ("192.168.80.77", 24), 6: ("2001:db8:80::77", 64)}[family]
    node.run(["ip", "address", "add", f"{later}/{length}", "dev", "ens33"])

    for protocol in ("tcp", "udp"):
        assert seen(lab.host("router"), later, server, protocol) == ROUTER[family]
        assert seen(node, later, server, protocol)


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_of_127_0_0_1_is_for_the_host_alone(lab, node, cni, backend):
    """With ``hostIP`` 127.0.0.1 the host reaches the container, and nobody outside does."""
    wanted = published(4, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping(hostIP="127.0.0.1")))

    assert seen(node, "127.0.0.1", server) == server.gateway
    assert lab.host("router").tcp(UPLINK[4], HOST_PORT, listener=node)


@BACKEND
@pytest.mark.parametrize(("given", "family"), [("0.0.0.0", 4), ("::", 6)], ids=["ipv4", "ipv6"])
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_of_no_address_is_of_all_of_its_family(lab, node, cni, backend, given, family):
    """The unspecified address stands for all addresses of its family, and for none of the other."""
    wanted = published(4, 6, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping(hostIP=given)))
    other = 10 - family

    assert seen(lab.host("router"), UPLINK[family], server) == ROUTER[family]
    assert lab.host("router").tcp(UPLINK[other], HOST_PORT, listener=node)


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet", "kernel")
def test_many_ports(lab, node, cni, backend):
    """More ports than one rule of iptables takes all lead where they should."""
    ports = {9000 + number: 100 + number for number in range(20)}
    wanted = asked(*(mapping(port, to) for port, to in ports.items()))
    server = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=wanted)

    for port in (9000, 9014, 9015, 9019):
        assert seen(lab.host("router"), UPLINK[4], server, port=port, inside=ports[port]) == ROUTER[4]


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_two_containers_have_ports_of_their_own(lab, node, cni, backend):
    """One port of TCP leads to one container, the same one of UDP to the other."""
    wanted = published(4, **backend)
    first = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping()))
    second = cni.add(node.sandbox("c2"), wanted, capabilities=asked(mapping(protocol="udp")))
    router = lab.host("router")

    assert seen(router, UPLINK[4], first, "tcp") == ROUTER[4]
    assert seen(router, UPLINK[4], second, "udp") == ROUTER[4]


@BACKEND
@FAMILY
@PROTOCOL
@pytest.mark.covers("portmap", "packet")
def test_what_is_for_others_is_left_alone(lab, node, cni, backend, family, protocol):
    """A container reaches the same port of somebody else, and is reached on it by its own address."""
    server = cni.add(node.sandbox("c1"), published(family, **backend), capabilities=asked())
    router = lab.host("router")

    assert source(getattr(server.sandbox, protocol)(ROUTER[family], HOST_PORT, listener=router)) == server.address
    assert getattr(router, protocol)(server.address, HOST_PORT, listener=server.sandbox)


@BACKEND
@pytest.mark.covers("portmap", "packet")
def test_a_service_that_was_there_goes_first(lab, node, cni, backend):
    """What another program's chain translated before is still translated by it, although a container has the port."""
    service = cni.add(node.sandbox("service"), published(4, **backend))
    node.load_rules(
        "iptables",
        "-t nat -N KUBE-SERVICES",
        "-t nat -A PREROUTING -j KUBE-SERVICES",
        f"-t nat -A KUBE-SERVICES -d {UPLINK[4]} -p tcp --dport {HOST_PORT} -j DNAT --to {service.address}:{PORT}",
    )
    server = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())
    router = lab.host("router")

    assert router.tcp(UPLINK[4], HOST_PORT, listener=service.sandbox, listener_port=PORT)
    assert seen(router, UPLINK[4], server, "udp") == ROUTER[4]


@BACKEND
@FAMILY
@pytest.mark.covers("portmap", "packet", "DEL")
def test_a_flow_of_datagrams_follows_the_port_to_the_next_container(lab, node, cni, backend, family):
    """A client that goes on from the same port reaches the container that has the port now, not the one before."""
    router, wanted = lab.host("router"), published(family, **backend)
    first = cni.add(node.sandbox("c1"), wanted, capabilities=asked())
    assert router.udp(UPLINK[family], HOST_PORT, source_port=4000, listener=first.sandbox, listener_port=PORT)
    cni.delete(first)
    ports = asked(mapping(protocol="udp"), mapping())  # the first one counts as the last one does
    second = cni.add(node.sandbox("c2"), wanted, capabilities=ports)

    assert second.address != first.address
    assert router.udp(UPLINK[family], HOST_PORT, source_port=4000, listener=second.sandbox, listener_port=PORT)


@BACKEND
@pytest.mark.covers("portmap", "packet", "DEL")
def test_a_flow_of_datagrams_comes_back_to_the_host(lab, node, cni, backend):
    """After DEL a client that goes on from the same port reaches the host's own service."""
    router = lab.host("router")
    server = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())
    assert router.udp(UPLINK[4], HOST_PORT, source_port=4000, listener=server.sandbox, listener_port=PORT)
    cni.delete(server)

    assert router.udp(UPLINK[4], HOST_PORT, source_port=4000, listener=node)


@BACKEND
@FAMILY
@pytest.mark.covers("portmap", "packet", "DEL")
def test_a_connection_outlives_the_ports_of_others(lab, node, cni, backend, family):
    """A connection to a port goes on while another container with ports comes and goes, whoever speaks next."""
    wanted = published(family, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked())
    ends = {"listener": server.sandbox, "listener_port": PORT}
    with lab.host("router").connection(UPLINK[family], HOST_PORT, **ends) as connection:
        cni.delete(cni.add(node.sandbox("c2"), wanted, capabilities=asked(mapping(8081, 81))))

        assert goes_on(connection)


@BACKEND
@FAMILY
@PROTOCOL
@pytest.mark.covers("portmap", "packet", "DEL")
def test_delete_gives_the_port_back(lab, node, cni, backend, family, protocol):
    """After DEL the host's own service has the port, from outside and from the host itself."""
    server = cni.add(node.sandbox("c1"), published(family, **backend), capabilities=asked())
    cni.delete(server)

    assert getattr(lab.host("router"), protocol)(UPLINK[family], HOST_PORT, listener=node)
    assert getattr(node, protocol)(UPLINK[family], HOST_PORT, listener=node)


@BACKEND
@FAMILY
@pytest.mark.covers("portmap", "packet", "DEL")
def test_delete_leaves_the_ports_of_others(lab, node, cni, backend, family):
    """DEL of one container takes no port of another."""
    wanted = published(family, **backend)
    gone = cni.add(node.sandbox("c1"), wanted, capabilities=asked(mapping(8081, 81)))
    stays = cni.add(node.sandbox("c2"), wanted, capabilities=asked())
    cni.delete(gone)

    assert seen(lab.host("router"), UPLINK[family], stays) == ROUTER[family]
    assert seen(stays.sandbox, UPLINK[family], stays) == gateway(stays, family)


@BACKEND
@pytest.mark.covers("portmap", "packet", "DEL")
def test_one_interface_of_two_goes(lab, node, cni, backend):
    """DEL of a second interface leaves the port that leads to the first."""
    sandbox, wanted = node.sandbox("c1"), published(4, **backend)
    first = cni.add(sandbox, wanted, capabilities=asked())
    second = cni.add(sandbox, wanted, "eth1", capabilities=asked(mapping(8081, 81)))
    cni.delete(second)

    assert address(first, 4)
    assert seen(lab.host("router"), UPLINK[4], first) == ROUTER[4]


@BACKEND
@pytest.mark.covers("portmap", "packet", "DEL")
def test_one_network_of_two_goes(lab, node, cni, backend):
    """DEL of a second network's interface leaves the port that leads to the first."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, published(4, **backend), capabilities=asked())
    beside = published(4, second=True, bridge={"isDefaultGateway": False, "isGateway": True}, **backend)
    second = cni.add(sandbox, beside, "eth1", capabilities=asked(mapping(8081, 81)))
    cni.delete(second)

    assert seen(lab.host("router"), UPLINK[4], first) == ROUTER[4]


@BACKEND
@FAMILY
@pytest.mark.covers("portmap", "packet")
def test_datagrams_of_others_go_on_when_a_port_is_added(node, cni, backend, family):
    """What another container's datagrams are translated by stays, when a port of UDP is added: answers still come."""
    wanted = published(family, bridge={"ipMasq": True}, **backend)
    client = cni.add(node.sandbox("c1"), wanted)
    with client.sandbox.connection(INTERNET[family], 5300, protocol="udp") as flow:
        cni.add(node.sandbox("c2"), wanted, capabilities=asked(mapping(protocol="udp")))

        assert goes_on(flow)
