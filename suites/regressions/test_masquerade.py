"""MASQUERADE and other translation: rules that leak or go missing, and what the internet gets to see of it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.seen import source
from cnitest.suites.regressions.symptoms import delete_in, must, must_fail_check, must_pass, network, rules

from cnitest import PluginError
from cnitest.report.marks.bug_reports import Symptom

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel=["conntrack"], plugin=["bridge", "host-local"], binary=["iptables", "ip6tables"]),
]

INTERNET, INTERNET6 = "8.8.8.8", "2001:4860:4860::8888"
UPLINK, UPLINK6 = "192.168.80.100", "2001:db8:80::100"
DUAL = "10.40.80.0/24 fd40:80::/64"
#: What tells rules that translate container addresses from others.
TRANSLATES = ("MASQUERADE", "masquerade", "CNI-")
BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        pytest.param({}, id="iptables"),
        pytest.param(
            {"ipMasqBackend": "nftables"}, marks=pytest.mark.requires(plugin="bridge>=1.6", binary="nft"), id="nftables"
        ),
    ],
)
FAMILIES = pytest.mark.parametrize(
    ("outside", "uplink"), [(INTERNET, UPLINK), (INTERNET6, UPLINK6)], ids=["ipv4", "ipv6"]
)
PROBES = pytest.mark.parametrize(
    "probe",
    [lambda a, to: a.ping(to), lambda a, to: a.tcp(to, 443), lambda a, to: a.udp(to, 53)],
    ids=["icmp", "tcp", "udp"],
)


@pytest.fixture
def node(lab):
    """A host whose bridged packets pass iptables, where the kernel has that."""
    host = lab.host("node")
    for name in ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"):
        if host.sysctl(name) is not None:
            host.sysctl(name, 1)
    return host


@pytest.fixture
def attach(node, cni):
    """Attaches a container to a network."""
    return lambda name, conf, ifname="eth0", **more: cni.add(node.sandbox(name), conf, ifname, **more)


@pytest.mark.regression("REG-13")
@BACKENDS
@pytest.mark.parametrize("gone", ["empty CNI_NETNS", "namespace removed", "interface removed"])
def test_masquerade_rules_are_gone_after_del_without_netns(node, attach, cni, backend, gone):
    """containernetworking/plugins#810: bridge plugin leaks ip masq if netns is empty; nerdctl#1872, #3253."""
    container = attach("c1", network(subnet=DUAL, ipMasq=True, **backend))
    assert rules(node, *TRANSLATES)
    netns = container.sandbox.path
    if gone == "namespace removed":
        node.lose("c1")
    elif gone == "interface removed":
        container.sandbox.run(["ip", "link", "delete", "eth0"])
    delete_in(cni, container, "" if gone.startswith("empty") else netns)

    left = rules(node, "MASQUERADE", "masquerade", "CNI-") - rules_of_the_empty(node)
    must(not left, f"{len(left)} rules are left after DEL with {gone}: {' '.join(sorted(left)[:1])}")


def rules_of_the_empty(node):
    """What a backend keeps for all containers of a host, with no rule of any of them."""
    return {line for line in rules(node, "masquerade") if "saddr" not in line}


@pytest.mark.regression("REG-14")
@BACKENDS
def test_masquerade_rules_do_not_pile_up(node, attach, cni, backend):
    """containernetworking/cni#18, #195, rkt/rkt#2565: rkt gc leaks iptables rules."""
    conf = network(subnet=DUAL, ipMasq=True, **backend)
    cni.delete(attach("first", conf))
    before = rules(node, *TRANSLATES)
    for at in range(20):
        cni.delete(attach(f"c{at}", conf))

    left = rules(node, *TRANSLATES) - before
    must(not left, f"{len(left)} rules are left after 20 times ADD and DEL")


@pytest.mark.regression("REG-15")
@BACKENDS
@FAMILIES
@PROBES
def test_the_internet_sees_the_address_of_the_host(node, attach, backend, outside, uplink, probe):
    """containernetworking/plugins#330, #279, #325: improper iptables rule for egress masquerading."""
    container = attach("c1", network(subnet=DUAL, ipMasq=True, **backend))
    reach = must_pass(probe(container.sandbox, outside))

    must(reach.source_seen == uplink, f"the internet sees {reach.source_seen}, not {uplink}")


@pytest.mark.regression("REG-15")
@pytest.mark.topology("two-uplinks")
@pytest.mark.parametrize(
    ("outside", "uplink"),
    [(INTERNET, UPLINK), (INTERNET6, UPLINK6), ("9.9.9.9", "192.168.90.100"), ("2620:fe::fe", "2001:db8:90::100")],
)
def test_each_uplink_has_its_own_address_seen(node, attach, outside, uplink):
    """The same where packets leave by one of two uplinks."""
    container = attach("c1", network(subnet=DUAL, ipMasq=True))
    reach = must_pass(container.sandbox.ping(outside))

    must(reach.source_seen == uplink, f"the internet sees {reach.source_seen}, not {uplink}")


@pytest.mark.regression("REG-16")
@BACKENDS
@PROBES
@pytest.mark.parametrize("at", [0, 1], ids=["ipv4", "ipv6"])
def test_containers_of_a_network_see_each_others_addresses(node, attach, backend, probe, at):
    """containernetworking/plugins#838: what stays in the subnet is not masqueraded."""
    conf = network(subnet=DUAL, ipMasq=True, **backend)
    first, second = attach("c1", conf), attach("c2", conf)
    reach = must_pass(probe(first.sandbox, second.addresses[at]))

    must(reach.source_seen == first.addresses[at], f"the peer sees {reach.source_seen}")


@pytest.mark.regression("REG-17")
@BACKENDS
def test_ipv6_keeps_its_source_where_ipv4_is_masqueraded(lab, node, attach, backend):
    """containernetworking/plugins#398: separate ipMasq for IPv4 and IPv6."""
    container = attach("c1", network(subnet="10.40.80.0/24 2001:db8:40::/64", ipMasq=True, **backend))
    lab.host("router").run(["ip", "route", "add", "2001:db8:40::/64", "via", "2001:db8:80::100"])
    lab.host("internet").run(["ip", "route", "add", "2001:db8:40::/64", "via", "2001:db8:51::1"])
    assert source(container.sandbox.ping(INTERNET)) == UPLINK
    reach = must_pass(container.sandbox.ping(INTERNET6))

    must(reach.source_seen == container.addresses[1], f"the internet sees {reach.source_seen}")


@pytest.mark.regression("REG-18")
@BACKENDS
@pytest.mark.parametrize("flags", ["R", "RA", "FA", "A"])
def test_packets_of_no_connection_do_not_leave_with_a_private_source(lab, node, attach, backend, flags):
    """containernetworking/plugins#816, moby/moby#44015, podman#20623: a late RST or FIN leaves un-NATed."""
    from scapy.layers.inet import IP, TCP

    container = attach("c1", network(ipMasq=True, **backend))
    assert source(container.sandbox.tcp(INTERNET, 443)) == UPLINK
    packet = IP(src=container.address, dst=INTERNET) / TCP(sport=40001, dport=443, flags=flags, seq=7, ack=9)
    with lab.host("internet").capture("eth0") as outside:
        container.sandbox.send(packet)
        assert container.sandbox.ping(INTERNET), "what was sent before it has arrived"

    leaked = outside.matching("IP", src=container.address)
    must(not leaked, f"the internet sees {container.address}, TCP flags {flags}")


@pytest.mark.regression("REG-19")
@BACKENDS
def test_another_agents_exception_from_masquerading_holds(lab, node, attach, backend):
    """kubernetes-sigs/ip-masq-agent#35: ip-masq-agent conflicts with the CNI rule."""
    lab.host("router").run(["ip", "address", "add", "10.200.0.1/32", "dev", "lo"])
    lab.host("router").run(["ip", "route", "add", "10.40.80.0/24", "via", UPLINK])
    node.load_rules(
        "iptables",
        "-t nat -N IP-MASQ-AGENT",
        "-t nat -A POSTROUTING -m addrtype ! --dst-type LOCAL -j IP-MASQ-AGENT",
        "-t nat -A IP-MASQ-AGENT -d 10.0.0.0/8 -j RETURN",
        "-t nat -A IP-MASQ-AGENT -j MASQUERADE",
    )
    container = attach("c1", network(ipMasq=True, **backend))
    assert source(container.sandbox.ping(INTERNET)) == UPLINK
    reach = must_pass(container.sandbox.ping("10.200.0.1"))

    must(reach.source_seen == container.address, f"a host that the agent excepts sees {reach.source_seen}")


@pytest.mark.regression("REG-20")
@BACKENDS
def test_one_interface_keeps_masquerade_when_another_of_its_container_goes(node, attach, cni, backend):
    """Two interfaces of one container in a network with ipMasq; found by this project."""
    conf = network(ipMasq=True, **backend)
    first, second = attach("c1", conf), attach("c1", conf, "eth1")
    assert source(first.sandbox.ping(INTERNET, source=first.address)) == UPLINK
    error = cni.delete(second, may_fail=True)

    must_pass(first.sandbox.ping(INTERNET, source=first.address))
    must(error is None, f"DEL of eth1 fails: {error}")


@pytest.mark.regression("REG-21")
@pytest.mark.topology("both-iptables-variants")
@pytest.mark.requires(binary=["iptables-legacy", "iptables-nft"])
def test_rules_are_gone_after_iptables_became_the_other_variant(node, attach, cni):
    """containernetworking/plugins#225: ADD wrote by iptables-nft, and DEL finds iptables-legacy."""
    container = attach("c1", network(ipMasq=True))
    before = rules(node, container.address)
    assert before
    node.run(["mount", "--bind", _program(node, "iptables-legacy"), _program(node, "iptables")])
    error = cni.delete(container, may_fail=True)

    left = rules(node, container.address)
    must(not left or error, f"DEL succeeds, and {len(left)} of {len(before)} rules with {container.address} are left")
    must(not error, f"DEL fails: {error}")


def _program(node, name):
    """The file that a program of the firewall is in the end."""
    return node.run(["readlink", "-f", f"/usr/sbin/{name}"]).stdout.strip()


@pytest.mark.regression("REG-22")
@pytest.mark.parametrize("first", ["no gateway", "a failed ADD"])
def test_a_bridge_that_lost_its_last_port_can_be_a_gateway(node, attach, cni, first):
    """containernetworking/plugins#620, containerd/nerdctl#4283: could not set bridge's mac: invalid argument."""
    plain = network(isDefaultGateway=False)
    if first == "no gateway":
        cni.delete(attach("c1", plain))
    else:
        wanted = network(isDefaultGateway=True, subnet="10.40.80.0/24")
        with pytest.raises(PluginError):
            attach("c1", wanted, args={"IP": "203.0.113.9", "IgnoreUnknown": "true"})
        cni.delete(attach("c1", plain))
    try:
        container = attach("c2", network(ipMasq=True))
    except PluginError as error:
        raise Symptom(str(error)) from error

    assert container.sandbox.ping(INTERNET)


@pytest.mark.regression("REG-23")
@pytest.mark.requires(plugin="flannel")
@pytest.mark.parametrize("flanneld", [True, False], ids=["FLANNEL_IPMASQ=true", "FLANNEL_IPMASQ=false"])
def test_packets_are_masqueraded_once_whoever_does_it(node, attach, flanneld):
    """flannel-io/flannel#1142: the plugin masquerades when flanneld does not, and the other way round."""
    lines = ["FLANNEL_NETWORK=10.244.0.0/16", "FLANNEL_SUBNET=10.244.1.1/24", "FLANNEL_MTU=1450"]
    text = "\n".join([*lines, f"FLANNEL_IPMASQ={str(flanneld).lower()}", ""])
    node.run(["mkdir", "-p", "/run/flannel"])
    node.run(["tee", "/run/flannel/subnet.env"], stdin=text)
    if flanneld:
        node.load_rules("iptables", "-t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE")
    before = rules(node, "MASQUERADE")
    flannel = {"type": "flannel", "delegate": {"isDefaultGateway": True}}
    container = attach("c1", {"cniVersion": "0.4.0", "name": "cbr0", "plugins": [flannel]})
    reach = must_pass(container.sandbox.ping(INTERNET))

    must(reach.source_seen == UPLINK, f"the internet sees {reach.source_seen}")
    must(bool(rules(node, "MASQUERADE") - before) is not flanneld, "both masquerade, or nobody does")


@pytest.mark.regression("REG-24")
@BACKENDS
def test_check_fails_once_nat_rules_were_flushed(node, attach, cni, backend):
    """moby/moby#18630, docker/for-linux#540: MASQUERADE is missing after iptables was reloaded."""
    container = attach("c1", network(ipMasq=True, **backend))
    if backend:
        node.load_rules("nft", "flush ruleset")
    else:
        node.load_rules("iptables", "-t nat -F")
    reach = container.sandbox.ping(INTERNET)
    assert not reach

    must_fail_check(cni, container)
