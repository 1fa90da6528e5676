"""What DEL leaves behind, in each way in which a container can end, and what an ADD that fails leaves."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.node_networks import caller, host_end, network, pending, rules, without_dad

from cnitest import PluginError
from cnitest.testing import Reply, ScriptedPlugin

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local"], binary=["iptables", "nft"]),
]

LEASES = "/var/lib/cni/networks/net/"


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


def _bridge_gone(cni, attachment):
    attachment.sandbox.host.run(["ip", "link", "del", "cni0"])
    cni.delete(attachment)


ALL_ENDS = {**ENDS, "bridge-gone": _bridge_gone}
END = pytest.mark.parametrize("end", ALL_ENDS)


@END
@pytest.mark.covers("bridge.ipMasq", "DEL", "kernel")
@pytest.mark.covers("bridge.ipMasqBackend", "DEL", "kernel")
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param({}, id="default"),
        pytest.param({"ipMasqBackend": "iptables"}, id="iptables", marks=pytest.mark.requires(plugin="bridge>=1.6")),
        pytest.param({"ipMasqBackend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="bridge>=1.6")),
    ],
)
def test_no_masquerade_is_left(node, cni, end, backend):
    """Whichever way the container ended, after DEL no rule of either family masquerades its addresses."""
    attachment = cni.add(node.sandbox("c1"), network(4, 6, isDefaultGateway=True, ipMasq=True, **backend))
    before = rules(node, *attachment.addresses)
    ALL_ENDS[end](cni, attachment)

    assert before
    assert rules(node, *attachment.addresses) == []


@END
@pytest.mark.covers("bridge.macspoofchk", "DEL", "kernel")
def test_no_spoof_check_is_left(node, cni, end):
    """Whichever way the container ended, after DEL no chain or rule of its macspoofchk is there."""
    attachment = cni.add(node.sandbox("c1"), network(4, macspoofchk=True))
    of_it = (host_end(attachment), "cni-br-iface-c1-")
    before = rules(node, *of_it)
    ALL_ENDS[end](cni, attachment)

    assert before
    assert rules(node, *of_it) == []


@END
@pytest.mark.covers("bridge.ipam", "DEL", "kernel")
def test_no_lease_is_left(node, cni, end):
    """Whichever way the container ended, after DEL its addresses are free."""
    attachment = cni.add(node.sandbox("c1"), network(4, 6))
    before = [file.path for file in node.files() if file.path.removeprefix(LEASES) in attachment.addresses]
    ALL_ENDS[end](cni, attachment)

    assert len(before) == len(attachment.addresses)
    assert [file.path for file in node.files() if file.path.removeprefix(LEASES) in attachment.addresses] == []


@END
@pytest.mark.covers("bridge", "DEL", "kernel")
def test_no_link_is_left(node, cni, end):
    """Whichever way the container ended, after DEL neither end of its veth is there."""
    attachment = cni.add(node.sandbox("c1"), network(4))
    outside = host_end(attachment)
    ALL_ENDS[end](cni, attachment)

    assert outside not in [link.name for link in node.links]
    assert attachment.sandbox.lost or "eth0" not in [link.name for link in attachment.sandbox.links]


@pytest.fixture
def fails_once(cni, tmp_path):
    """An IPAM plugin that gives one address, and whose first DEL fails."""
    plugin = ScriptedPlugin.install(tmp_path, "fails-once")
    result = {"cniVersion": "1.0.0", "ips": [{"address": "10.22.0.5/24", "gateway": "10.22.0.1"}]}
    failure = Reply(error={"code": 11, "msg": "try again later"})
    plugin.program({"ADD": Reply(result=result), "DEL": [failure, Reply()]})
    cni.path = (*cni.path, str(tmp_path))
    return {"type": "fails-once"}


@pytest.mark.covers("bridge.ipam", "DEL", "refused")
@pytest.mark.covers("bridge.ipMasq", "DEL", "refused")
def test_a_failed_release_is_made_good_by_the_next_delete(node, cni, fails_once):
    """DEL fails while IPAM does; the one after it takes everything: link, port and masquerading rules."""
    attachment = cni.add(node.sandbox("c1"), network(ipam=fails_once, isGateway=True, ipMasq=True))
    outside = host_end(attachment)
    assert rules(node, "10.22.0.5")
    with pytest.raises(PluginError, match="try again later"):
        cni.delete(attachment)
    cni.delete(attachment)

    assert outside not in [link.name for link in node.links]
    assert rules(node, "10.22.0.5") == []


@pytest.mark.covers("bridge.ipam", "refused", "kernel")
def test_an_exhausted_range_leaves_no_veth(node, cni):
    """ADD that gets no address has made no link that stays, in the container and on the host."""
    wanted = network(ipam={"type": "host-local", "subnet": "10.22.0.0/30"})
    cni.add(node.sandbox("c1"), wanted)
    sandbox = node.sandbox("c2")
    ports = [link.name for link in node.links if link.master == "cni0"]
    with pytest.raises(PluginError, match="no IP addresses available"):
        caller(cni).add(pending(cni, sandbox, wanted))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [link.name for link in node.links if link.master == "cni0"] == ports


@pytest.mark.covers("bridge.ipam", "refused", "DEL")
def test_delete_after_a_failed_add_takes_what_it_left(node, cni):
    """What a runtime does after an ADD that failed, a DEL, leaves no link of it and no lease."""
    wanted = network(ipam={"type": "host-local", "subnet": "10.22.0.0/30"})
    cni.add(node.sandbox("c1"), wanted)
    sandbox = node.sandbox("c2")
    before = {link.name for link in node.links}
    with pytest.raises(PluginError, match="no IP addresses available"):
        cni.add(sandbox, wanted)

    assert [link.name for link in sandbox.links] == ["lo"]
    assert {link.name for link in node.links} == before


@pytest.mark.covers("bridge.ipam", "refused", "DEL", "kernel")
def test_an_address_is_released_when_add_fails_later(node, cni):
    """Where the link cannot be set up after IPAM gave an address, DEL has given it back: the next container gets it."""
    node.run(["ip", "link", "add", "cni0", "type", "bridge"])
    node.run(["ip", "address", "add", "10.9.0.1/24", "dev", "cni0"])
    with pytest.raises(PluginError):
        cni.add(node.sandbox("c1"), network(4, isGateway=True))

    assert [file.path for file in node.files() if file.path.startswith(f"{LEASES}10.")] == []
