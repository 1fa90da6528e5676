"""The portmap plugin's options by traffic: conditions, masquerading of all, marks, and what a port exposes."""

from __future__ import annotations

import re

import pytest
from cnitest.suites.plugins.firewalls import ROUTER, TABLES, UPLINK
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.node_networks import gateway, rules, without_dad
from cnitest.suites.plugins.ports import BACKENDS, HOST_PORT, PORT, asked, mapping, published
from cnitest.suites.plugins.test_portmap import seen

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
MASQ_ALL = pytest.mark.requires(plugin="portmap>=1.2")
KEY = {4: "conditionsV4", 6: "conditionsV6"}
SAYS_SOURCE = {4: "ip", 6: "ip6"}


@pytest.fixture
def node(lab):
    """A host whose bridged packets pass its firewall."""
    host = without_dad(lab.host("node"))
    for program in TABLES.values():
        host.sysctl(f"net.bridge.bridge-nf-call-{program}", 1)
    return host


@BACKEND
@FAMILY
@pytest.mark.covers("portmap.conditionsV4", "packet")
@pytest.mark.covers("portmap.conditionsV6", "packet")
def test_conditions_choose_who_reaches_a_port(lab, node, cni, backend, family):
    """With a source as condition the port leads to the container from there, and from elsewhere to the host."""
    words = [SAYS_SOURCE[family], "saddr"] if backend.get("backend") == "nftables" else ["-s"]
    keys = {KEY[family]: [*words, ROUTER[family]]}
    server = cni.add(node.sandbox("c1"), published(family, **keys, **backend), capabilities=asked())

    assert seen(lab.host("router"), UPLINK[family], server) == ROUTER[family]
    assert lab.host("internet").tcp(UPLINK[family], HOST_PORT, listener=node)


@BACKEND
@FAMILY
@pytest.mark.covers("portmap.conditionsV4", "packet")
@pytest.mark.covers("portmap.conditionsV6", "packet")
def test_conditions_of_one_family_are_not_the_others(lab, node, cni, backend, family):
    """A condition that nobody meets closes the port of its family only."""
    words = [SAYS_SOURCE[family], "saddr"] if backend.get("backend") == "nftables" else ["-s"]
    keys = {KEY[family]: [*words, {4: "192.0.2.1", 6: "2001:db8:ffff::1"}[family]]}
    server = cni.add(node.sandbox("c1"), published(4, 6, **keys, **backend), capabilities=asked())
    router, other = lab.host("router"), 10 - family

    assert seen(router, UPLINK[other], server) == ROUTER[other]
    assert router.tcp(UPLINK[family], HOST_PORT, listener=node)


@MASQ_ALL
@BACKEND
@FAMILY
@pytest.mark.covers("portmap.masqAll", "packet")
def test_all_sources_are_masqueraded(lab, node, cni, backend, family):
    """With ``masqAll`` the container sees its gateway's address, whoever it is that came through the port."""
    server = cni.add(node.sandbox("c1"), published(family, masqAll=True, **backend), capabilities=asked())

    for protocol in ("tcp", "udp"):
        assert seen(lab.host("router"), UPLINK[family], server, protocol) == gateway(server, family)
        assert seen(server.sandbox, UPLINK[family], server, protocol) == gateway(server, family)


@pytest.mark.parametrize("bit", [0, 13, 31])
@FAMILY
@pytest.mark.covers("portmap.markMasqBit", "packet", "kernel")
def test_the_mark_is_the_chosen_bit(node, cni, bit, family):
    """What has to be masqueraded gets the mark of the chosen bit, and is masqueraded for it."""
    server = cni.add(node.sandbox("c1"), published(family, markMasqBit=bit), capabilities=asked())

    mark = f"{1 << bit:#x}"
    assert any(f"--set-xmark {mark}/{mark}" in rule for rule in rules(node, "--set-xmark"))
    assert seen(server.sandbox, UPLINK[family], server) == gateway(server, family)


@FAMILY
@pytest.mark.covers("portmap.externalSetMarkChain", "packet", "kernel")
def test_a_chain_of_somebody_else_sets_the_mark(node, cni, family):
    """What has to be masqueraded goes through the named chain, and the plugin makes none of its own for marks."""
    chain = "SITE-MARK"
    node.load_rules(
        TABLES[family],
        f"-t nat -N {chain}",
        f"-t nat -A {chain} -j MARK --or-mark 0x4000",
        "-t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE",
    )
    server = cni.add(node.sandbox("c1"), published(family, externalSetMarkChain=chain), capabilities=asked())

    assert seen(server.sandbox, UPLINK[family], server) == gateway(server, family)
    assert rules(node, "CNI-HOSTPORT-SETMARK") == []


@FAMILY
@pytest.mark.covers("portmap.externalSetMarkChain", "packet")
def test_a_chain_that_sets_no_mark_masquerades_nothing(node, cni, family):
    """Whether a source is changed is the named chain's business alone."""
    node.load_rules(TABLES[family], "-t nat -N SITE-MARK")
    server = cni.add(node.sandbox("c1"), published(family, externalSetMarkChain="SITE-MARK"), capabilities=asked())

    assert seen(server.sandbox, UPLINK[family], server) == ""


@BACKEND
@pytest.mark.covers("portmap.backend", "kernel")
def test_the_backend_that_was_asked_for_is_used(node, cni, backend):
    """nftables makes a table of its own and no rule of iptables; iptables the other way round."""
    cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())
    by_nftables = backend.get("backend") == "nftables"

    assert bool(rules(node, "cni_hostport")) is by_nftables
    assert bool(rules(node, "CNI-HOSTPORT-DNAT")) is not by_nftables


#: What is rejected: keys of the plugin, the ports asked for, and a word of what it says.
REJECTED = {
    "bit-too-large": ({"markMasqBit": 32}, mapping(), "between 0 and 31"),
    "bit-negative": ({"markMasqBit": -1}, mapping(), "between 0 and 31"),
    "two-marks": ({"markMasqBit": 3, "externalSetMarkChain": "X"}, mapping(), "externalSetMarkChain"),
    "host-port-zero": ({}, mapping(0), "host port"),
    "host-port-negative": ({}, mapping(-1), "host port"),
    "container-port-zero": ({}, mapping(to=0), "container port"),
    "container-port-negative": ({}, mapping(to=-1), "container port"),
    "host-port-too-large": ({}, mapping(80800), "80800|exit status|running"),
    "container-port-too-large": ({}, mapping(to=99999), "99999|exit status|running"),
    "no-protocol": ({}, mapping(protocol=""), "protocol|exit status|running"),
    "protocol-without-ports": ({}, mapping(protocol="icmp"), "protocol|exit status|running"),
    "protocol-unknown": ({}, mapping(protocol="xyz"), "protocol|exit status|running"),
    "address-unknown": ({}, mapping(hostIP="zz"), "zz"),
}


@pytest.mark.parametrize("case", REJECTED)
@pytest.mark.covers("portmap.markMasqBit", "refused")
@pytest.mark.covers("portmap.externalSetMarkChain", "refused")
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "refused")
def test_what_cannot_be_is_refused(node, cni, case):
    """Numbers out of range, unknown words and keys that exclude each other are rejected, and leave no rule."""
    keys, wanted, says = REJECTED[case]
    said = rejected(cni, node.sandbox("c1"), published(4, **keys), capabilities=asked(wanted))

    assert re.search(says, said)
    assert rules(node, "CNI-DN-") == []


@pytest.mark.requires(plugin="portmap>=1.6")
@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"backend": "ebtables"}, "ebtables"),
        ({"backend": "nftables", "externalSetMarkChain": "X"}, "externalSetMarkChain"),
        ({"backend": "nftables", "conditionsV4": ["-s", "192.0.2.1"]}, "conditionsV4"),
        ({"backend": "nftables", "conditionsV6": ["-s", "2001:db8::1"]}, "conditionsV6"),
        ({"backend": "iptables", "conditionsV4": ["ip", "saddr", "192.0.2.1"]}, "conditionsV4"),
    ],
    ids=["unknown", "chain", "conditions-ipv4", "conditions-ipv6", "conditions-of-nftables"],
)
@pytest.mark.covers("portmap.backend", "refused")
@pytest.mark.covers("portmap.conditionsV4", "refused")
@pytest.mark.covers("portmap.conditionsV6", "refused")
def test_options_of_the_other_backend_are_refused(node, cni, keys, says):
    """An unknown backend, and what only the other one understands, are rejected by name."""
    assert says in rejected(cni, node.sandbox("c1"), published(4, **keys), capabilities=asked())


@BACKEND
@pytest.mark.covers("portmap", "packet")
def test_the_lan_does_not_reach_what_listens_on_127_0_0_1(lab, node, cni, backend):
    """A frame of the LAN for the host's 127.0.0.1 is dropped, also while a port is published."""
    cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())

    assert not _reaches_localhost(node, lab.host("router"), "lan0", "ens33")


@BACKEND
@pytest.mark.covers("portmap", "packet")
def test_a_container_does_not_reach_what_listens_on_127_0_0_1(node, cni, backend):
    """A frame of a container for the host's 127.0.0.1 is dropped, too."""
    server = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())

    assert not _reaches_localhost(node, server.sandbox, "eth0", "cni0")


def _reaches_localhost(node, place, link, entrance):
    """Whether a datagram to 127.0.0.1 comes to a service there; one to an address of the host's comes after it."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    source = place.addresses_on(link)[0]
    frame = Ether(src=place.link(link).mac, dst=node.link(entrance).mac)
    with node.service(7000, "udp") as service:
        for to in ("127.0.0.1", node.addresses_on(entrance)[0]):
            place.send(frame / IP(src=source, dst=to) / UDP(sport=7001, dport=7000) / f"to {to}".encode(), link)
        return any(b"127.0.0.1" in peer.payload for peer in service.wait_for())


@BACKEND
@pytest.mark.covers("portmap", "kernel")
def test_the_uplink_does_not_route_127_0_0_1(node, cni, backend):
    """Only the container's link gets ``route_localnet``, so that what comes from the LAN is still checked."""
    cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())

    assert node.sysctl("net.ipv4.conf.ens33.route_localnet") == "0"
    assert node.sysctl("net.ipv4.conf.all.route_localnet") == "0"
    assert node.sysctl("net.ipv4.conf.cni0.route_localnet") == "1"


@BACKEND
@pytest.mark.covers("portmap.snat", "kernel")
def test_without_snat_nothing_routes_127_0_0_1(node, cni, backend):
    """Without ``snat`` 127.0.0.1 leads nowhere, and no link gets ``route_localnet``."""
    cni.add(node.sandbox("c1"), published(4, snat=False, **backend), capabilities=asked())

    assert node.sysctl("net.ipv4.conf.cni0.route_localnet") == "0"


@BACKEND
@FAMILY
@PROTOCOL
@pytest.mark.parametrize(("port", "inside"), [(1, 65535), (32768, 32768), (65535, 1)])
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_every_number_of_a_port_leads_to_the_container(lab, node, cni, backend, family, protocol, port, inside):
    """The first and the last port there are, and those of more than 15 bits, on either side; the next one is not."""
    wanted = asked(mapping(port, inside, protocol))
    server = cni.add(node.sandbox("c1"), published(family, **backend), capabilities=wanted)
    router, beside = lab.host("router"), port + 1 if port < 65535 else port - 1

    assert seen(router, UPLINK[family], server, protocol, port, inside) == ROUTER[family]
    assert getattr(router, protocol)(UPLINK[family], beside, listener=node)


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "packet")
def test_a_port_of_localhost_whatever_the_bridge_is_called(node, cni, backend):
    """A bridge with a dot in its name, as links of VLANs have it, is where 127.0.0.1 is routed to as well."""
    wanted = published(4, bridge={"bridge": "cni.7"}, **backend)
    server = cni.add(node.sandbox("c1"), wanted, capabilities=asked())

    assert node.tcp("127.0.0.1", HOST_PORT, listener=server.sandbox, listener_port=PORT)
