"""The portmap plugin besides traffic: what it makes and passes on, what DEL removes, what CHECK has to notice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.lan_networks import distrusted, rejected
from cnitest.suites.plugins.node_networks import caller, pending, rules
from cnitest.suites.plugins.ports import BACKENDS, HOST_PORT, asked, mapping, published

from cnitest import PluginError
from cnitest.testing import Reply, ScriptedPlugin

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel="conntrack", plugin=["bridge", "host-local", "portmap"], binary=["iptables", "ip6tables"]
    ),
]

BACKEND = pytest.mark.parametrize("backend", BACKENDS)
#: What names a container's own rules.
OWN = ("CNI-DN-", f"dport {HOST_PORT}", f"dports {HOST_PORT}")


@BACKEND
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "kernel")
def test_without_ports_nothing_is_made(node, cni, backend):
    """Without ports the result is passed on, and no rule is made."""
    attachment = cni.add(node.sandbox("c1"), published(4, 6, **backend))
    none = cni.add(node.sandbox("c2"), published(4, 6, **backend), capabilities={"portMappings": []})

    assert rules(node, "CNI-", "cni_hostport") == []
    assert len(attachment.result.ips) == len(none.result.ips) == 2


@BACKEND
@pytest.mark.covers("portmap", "kernel")
def test_the_result_is_that_of_the_plugin_before(node, cni, backend):
    """The result with ports is the one without, but for names and addresses."""
    plain, ports = (
        cni.add(node.sandbox(name), published(4, 6, **backend), capabilities=wanted)
        for name, wanted in (("c1", {}), ("c2", asked()))
    )

    assert len(ports.result.interfaces) == len(plain.result.interfaces) == 3
    assert ports.result.routes == plain.result.routes
    assert set(ports.result.document) == set(plain.result.document)


@BACKEND
@pytest.mark.covers("portmap", "kernel")
def test_a_port_leads_to_no_address_of_the_host(node, cni, tmp_path, backend):
    """A link of the host may be called as the container's is: its address, first in the result, is passed over."""
    before = ScriptedPlugin.install(tmp_path, "of-the-host")
    cni.path = (*cni.path, str(tmp_path))
    sandbox = node.sandbox("c1")
    links = [{"name": "eth0"}, {"name": "eth0", "sandbox": sandbox.path}]
    ips = [{"address": f"10.22.0.{host}/24", "interface": number} for number, host in enumerate((99, 2))]
    result = {"cniVersion": "1.0.0", "interfaces": links, "ips": ips}
    before.program({"ADD": Reply(result=result), "DEL": Reply()})
    network = published(4, **backend)
    network["plugins"].insert(1, {"type": "of-the-host"})
    cni.add(sandbox, network, capabilities=asked())

    assert any("10.22.0.2" in rule for rule in rules(node, "10.22.0."))
    assert rules(node, "10.22.0.99") == []


@pytest.mark.covers("portmap", "kernel")
def test_the_entry_is_appended_and_masquerading_goes_first(node, cni):
    """What was in PREROUTING stays before the plugin's entry; in POSTROUTING the plugin's comes first."""
    node.load_rules("iptables", "-t nat -A PREROUTING -p sctp -j ACCEPT", "-t nat -A POSTROUTING -p sctp -j ACCEPT")
    cni.add(node.sandbox("c1"), published(4), capabilities=asked())
    before = [rule for rule in rules(node, "-A PREROUTING") if "nat" in rule]
    after = [rule for rule in rules(node, "-A POSTROUTING") if "nat" in rule]

    assert "sctp" in before[0]
    assert "CNI-HOSTPORT-DNAT" in before[1]
    assert "CNI-HOSTPORT-MASQ" in after[0]


@BACKEND
@pytest.mark.covers("portmap", "kernel")
def test_chains_are_made_once(node, cni, backend):
    """A second container with ports adds its own rules, and no second jump to those of all."""
    cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())
    before = _jumps(node)
    cni.add(node.sandbox("c2"), published(4, **backend), capabilities=asked(mapping(8081)))

    assert _jumps(node) == before


def _jumps(node):
    entries = rules(node, "-j CNI-HOSTPORT-DNAT", "-j CNI-HOSTPORT-MASQ", "jump hostports_all")
    return sorted(entry.partition(" #")[0] for entry in entries)


@pytest.mark.covers("portmap", "refused")
def test_it_is_no_plugin_by_itself(node, cni):
    """Without a previous result an ADD is rejected in words."""
    alone = {"cniVersion": "1.0.0", "name": "net", "plugins": [published(4)["plugins"][1]]}

    assert "chained plugin" in rejected(cni, node.sandbox("c1"), alone, capabilities=asked())


@BACKEND
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.covers("portmap", "DEL", "kernel")
def test_delete_leaves_no_rule_of_the_container(node, cni, backend, end):
    """However the container ended, after DEL no rule has its port or its chain, of either family."""
    attachment = cni.add(node.sandbox("c1"), published(4, 6, **backend), capabilities=asked())
    assert rules(node, *OWN)
    ENDS[end](cni, attachment)

    assert rules(node, *OWN) == []


@BACKEND
@pytest.mark.covers("portmap", "DEL", "kernel")
def test_deleting_twice_is_no_error(node, cni, backend):
    """A second DEL finds nothing, and succeeds."""
    attachment = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked())
    target, result = attachment.target, attachment.result.document
    cni.delete(attachment)
    caller(cni).delete(target, result)

    assert rules(node, *OWN) == []


@BACKEND
@pytest.mark.covers("portmap", "DEL", "kernel")
def test_coming_and_going_leaves_nothing(node, cni, backend):
    """After five containers came and went there are as many rules as after the first."""
    counts = []
    for number in range(5):
        cni.delete(cni.add(node.sandbox(f"c{number}"), published(4, **backend), capabilities=asked()))
        counts.append(len(rules(node, "CNI-", "hostport", "masquerad")))

    assert set(counts) == {counts[0]}


@BACKEND
@pytest.mark.covers("portmap", "DEL", "kernel")
def test_delete_gives_the_links_setting_back(node, cni, backend):
    """With the last port goes what let 127.0.0.1 be routed to the bridge."""
    cni.delete(cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked()))

    assert node.sysctl("net.ipv4.conf.cni0.route_localnet") == "0"


@BACKEND
@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)], ids=["ipv4", "ipv6", "both"])
@pytest.mark.covers("portmap", "CHECK")
def test_check_passes_while_nothing_was_changed(node, cni, backend, families):
    """An attachment with ports is in order, also once a second one has come and gone."""
    attachment = cni.add(node.sandbox("c1"), published(*families, **backend), capabilities=asked())
    cni.delete(cni.add(node.sandbox("c2"), published(*families, **backend), capabilities=asked(mapping(8081))))

    cni.check(attachment)


def _iptables(*words):
    return lambda node, chain: node.run(["iptables", "-w", "-t", "nat", *(chain if w == "OWN" else w for w in words)])


_LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL", "-j", "CNI-HOSTPORT-DNAT")
#: What can happen to a container's ports, and the words of iptables(8) that do it.
TAMPERINGS = {
    "own-chain-emptied": _iptables("-F", "OWN"),
    "way-to-own-chain-removed": _iptables("-F", "CNI-HOSTPORT-DNAT"),
    "first-rule-removed": _iptables("-D", "OWN", "1"),
    "way-from-outside-removed": _iptables("-D", "PREROUTING", *_LOCAL),
    "way-from-the-host-removed": _iptables("-D", "OUTPUT", *_LOCAL),
    "marks-removed": _iptables("-F", "CNI-HOSTPORT-SETMARK"),
    "masquerading-removed": _iptables("-F", "CNI-HOSTPORT-MASQ"),
    "way-to-masquerading-removed": _iptables("-F", "POSTROUTING"),
    "another-container-first": _iptables(
        "-I", "OWN", "1", "-p", "tcp", "--dport", str(HOST_PORT), "-j", "DNAT", "--to-destination", "10.22.0.99:80"
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
@pytest.mark.covers("portmap", "CHECK")
def test_check_finds_what_was_changed(node, cni, tampering):
    """CHECK fails once a port does not lead to the container as ADD had it."""
    attachment = cni.add(node.sandbox("c1"), published(4), capabilities=asked())
    own = next(rule.split()[1].lstrip(":") for rule in rules(node, ":CNI-DN-"))
    TAMPERINGS[tampering](node, own)

    assert distrusted(cni, attachment)


#: The same for nftables: how many rules of which chain of ``cni_hostport`` go.
NFT_CHAINS = (
    "hostports",
    "masquerading",
    pytest.param("hostports_all", marks=pytest.mark.requires(plugin="portmap>=1.9")),
    "prerouting",
    "output",
)


@pytest.mark.requires(plugin="portmap>=1.6", binary="nft")
@pytest.mark.parametrize("chain", NFT_CHAINS)
@pytest.mark.covers("portmap.backend", "CHECK")
def test_check_finds_an_empty_chain_of_nftables(node, cni, chain):
    """CHECK fails once one of the chains on the way to the container has no rules."""
    attachment = cni.add(node.sandbox("c1"), published(4, backend="nftables"), capabilities=asked())
    node.run(["nft", "flush", "chain", "ip", "cni_hostport", chain])

    assert distrusted(cni, attachment)


def _last_rule_gone_of_iptables(node):
    own = _own_chain(node, 4)
    listed = node.run(["iptables", "-w", "-t", "nat", "-S", own]).stdout.splitlines()
    node.run(["iptables", "-w", "-t", "nat", "-D", own, str(len(listed) - 1)])


def _last_rule_gone_of_nftables(node):
    chain = ["ip", "cni_hostport", "hostports"]
    listed = node.run(["nft", "-a", "list", "chain", *chain]).stdout.splitlines()
    handle = [line.rpartition("# handle ")[2] for line in listed if "dnat to" in line][-1]
    node.run(["nft", "delete", "rule", *chain, "handle", handle])


@BACKEND
@pytest.mark.requires(binary="iptables-save")
@pytest.mark.covers("portmap.runtimeConfig.portMappings", "CHECK")
def test_check_finds_that_one_port_of_two_is_gone(node, cni, backend):
    """CHECK fails once one of two ports does not lead to the container any more, although the other does."""
    attachment = cni.add(node.sandbox("c1"), published(4, **backend), capabilities=asked(mapping(), mapping(8081)))
    (_last_rule_gone_of_nftables if "nftables" in backend.values() else _last_rule_gone_of_iptables)(node)

    assert distrusted(cni, attachment)


@pytest.mark.covers("portmap.runtimeConfig.portMappings", "CHECK")
def test_check_finds_a_port_that_was_never_made(node, cni):
    """CHECK with one port more than ADD was asked for fails."""
    attachment = cni.add(node.sandbox("c1"), published(4), capabilities=asked())
    target = pending(cni, attachment.sandbox, published(4))
    more = replace(target, capabilities=asked(mapping(), mapping(protocol="udp"), mapping(8081)))

    with pytest.raises(PluginError):
        caller(cni).check(more, attachment.result.document)


#: What empties a container's own chain of one family, by backend.
EMPTIED = {
    "iptables": lambda node, family: node.run(
        [f"ip{'6' if family == 6 else ''}tables", "-w", "-t", "nat", "-F", _own_chain(node, family)]
    ),
    "nftables": lambda node, family: node.run(
        ["nft", "flush", "chain", f"ip{'6' if family == 6 else ''}", "cni_hostport", "hostports"]
    ),
}


def _own_chain(node, family):
    found = node.run([f"ip{'6' if family == 6 else ''}tables-save", "-t", "nat"]).stdout
    return next(line.split()[0].lstrip(":") for line in found.splitlines() if line.startswith(":CNI-DN-"))


@pytest.mark.requires(binary=["iptables-save", "ip6tables-save"])
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param({}, id="default"),
        pytest.param(
            {"backend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="portmap>=1.9", binary="nft")
        ),
    ],
)
@pytest.mark.covers("portmap", "CHECK")
def test_check_finds_what_was_changed_of_one_family(node, cni, backend, family):
    """CHECK of a container with addresses of both families fails once the ports of either one are gone."""
    attachment = cni.add(node.sandbox("c1"), published(4, 6, **backend), capabilities=asked())
    EMPTIED[backend.get("backend", "iptables")](node, family)

    assert distrusted(cni, attachment)
