"""ipMasq of the ptp plugin: whose address the internet sees, by either backend."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import (
    INTERNET,
    OTHER_RANGES,
    UPLINK,
    caller,
    pending,
    pool,
    ptp,
    rules,
    without_dad,
)
from cnitest.suites.plugins.seen import goes_on, source

from cnitest import PluginError

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["ptp", "host-local"], binary=["iptables"]),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
BACKEND = pytest.mark.parametrize(
    "backend",
    [
        pytest.param({}, id="default"),
        pytest.param({"ipMasqBackend": "iptables"}, id="iptables", marks=pytest.mark.requires(plugin="ptp>=1.6")),
        pytest.param(
            {"ipMasqBackend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="ptp>=1.6", binary="nft")
        ),
    ],
)
ROUTES = {4: {"dst": "0.0.0.0/0"}, 6: {"dst": "::/0"}}


def masqueraded(*families, **keys):
    """A ptp network with default routes and ipMasq."""
    ipam = pool(*families, routes=[ROUTES[family] for family in families])
    return ptp(ipam=ipam, **{"ipMasq": True, **keys})


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILY
@BACKEND
@pytest.mark.covers("ptp.ipMasq", "kernel", "packet")
@pytest.mark.covers("ptp.ipMasqBackend", "kernel", "packet")
def test_the_internet_sees_the_hosts_address(node, cni, family, backend):
    """Behind ipMasq echo, TCP and UDP leave with the host's address, and are answered."""
    sandbox = cni.add(without_dad(node.sandbox("c1")), masqueraded(family, **backend)).sandbox

    assert source(sandbox.ping(INTERNET[family])) == UPLINK[family]
    assert source(sandbox.tcp(INTERNET[family], 443)) == UPLINK[family]
    assert source(sandbox.udp(INTERNET[family], 53)) == UPLINK[family]


@FAMILY
@BACKEND
@pytest.mark.covers("ptp.ipMasq", "packet", "DEL")
def test_each_of_two_addresses_is_masqueraded(node, cni, family, backend):
    """A container with two addresses of one family leaves with the host's from either, and DEL leaves no rule."""
    ipam = pool(family, routes=[ROUTES[family]])
    ipam["ranges"].append(OTHER_RANGES[family])
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(ipam=ipam, ipMasq=True, **backend))

    for each in attachment.addresses:
        assert source(attachment.sandbox.tcp(INTERNET[family], 443, source=each)) == UPLINK[family]
    cni.delete(attachment)

    assert rules(node, *attachment.addresses) == []


@FAMILY
@pytest.mark.covers("ptp.ipMasq", "kernel", "packet")
def test_without_masquerade_the_containers_address_leaves(node, lab, cni, family):
    """Without ipMasq the internet sees the container's own address, which it has no way back to."""
    attachment = cni.add(without_dad(node.sandbox("c1")), masqueraded(family, ipMasq=False))
    with lab.host("internet").capture("eth0") as outside:
        reach = attachment.sandbox.ping(INTERNET[family])

    assert not reach
    assert outside.matching("IP" if family == 4 else "IPv6", src=attachment.address)
    assert rules(node, "MASQUERADE", "masquerade") == []


@BACKEND
@pytest.mark.covers("ptp.ipMasqBackend", "packet")
def test_both_families_are_masqueraded(node, cni, backend):
    """With both families each one leaves with the host's address of that family."""
    sandbox = cni.add(without_dad(node.sandbox("c1")), masqueraded(4, 6, **backend)).sandbox

    for family in (4, 6):
        assert source(sandbox.ping(INTERNET[family])) == UPLINK[family]


@FAMILY
@BACKEND
@pytest.mark.covers("ptp.ipMasq", "packet")
def test_the_network_itself_is_not_masqueraded(node, cni, family, backend):
    """Containers of the network see each other's own addresses, although the host routes between them."""
    first, second = (cni.add(without_dad(node.sandbox(name)), masqueraded(family, **backend)) for name in ("c1", "c2"))

    assert source(first.sandbox.ping(second.address)) == first.address
    assert source(first.sandbox.tcp(first.gateway, 80)) == first.address


@pytest.mark.requires(plugin="ptp>=1.6", binary="nft")
@pytest.mark.covers("ptp.ipMasqBackend", "kernel")
@pytest.mark.parametrize(("backend", "other"), [("iptables", "nftables"), ("nftables", "iptables")])
def test_the_backend_that_was_asked_for_is_used(node, cni, backend, other):
    """The rules are those of the backend that was asked for, and the other one has none."""
    cni.add(without_dad(node.sandbox("c1")), masqueraded(4, ipMasqBackend=backend))
    found = {"iptables": rules(node, "-j MASQUERADE"), "nftables": rules(node, "cni_plugins_masquerade")}

    assert found[backend]
    assert found[other] == []


@pytest.mark.requires(plugin="ptp>=1.6")
@pytest.mark.covers("ptp.ipMasqBackend", "refused")
def test_a_backend_that_nobody_knows_is_refused(node, cni):
    """Another backend is an error that names it, and the container is left without a link."""
    sandbox = without_dad(node.sandbox("c1"))
    with pytest.raises(PluginError, match="ebtables"):
        caller(cni).add(pending(cni, sandbox, masqueraded(4, ipMasqBackend="ebtables")))

    assert [link.name for link in sandbox.links] == ["lo"]


@FAMILY
@BACKEND
@pytest.mark.covers("ptp.ipMasq", "DEL", "kernel", "packet")
def test_delete_takes_the_rules_of_its_container_only(node, cni, family, backend):
    """After DEL no rule names the address, and the neighbour is masqueraded as before."""
    gone, stays = (cni.add(without_dad(node.sandbox(name)), masqueraded(family, **backend)) for name in ("c1", "c2"))
    assert rules(node, gone.address)
    cni.delete(gone)

    assert rules(node, f"{gone.address}/", f"{gone.address} ") == []
    assert source(stays.sandbox.ping(INTERNET[family])) == UPLINK[family]


@BACKEND
@pytest.mark.covers("ptp.ipMasq", "DEL", "packet")
def test_one_interface_of_two_goes(node, cni, backend):
    """DEL of eth1 leaves eth0 of the same container masqueraded."""
    sandbox = without_dad(node.sandbox("c1"))
    first = cni.add(sandbox, masqueraded(4, **backend))
    second = cni.add(sandbox, ptp(ipam=pool(4, ranges=OTHER_RANGES), ipMasq=True, **backend), "eth1")
    failed = cni.delete(second, may_fail=True)

    assert source(first.sandbox.ping(INTERNET[4])) == UPLINK[4]
    assert failed is None


@BACKEND
@FAMILY
@pytest.mark.covers("ptp.ipMasq", "packet")
def test_a_connection_outlives_a_second_container(node, cni, backend, family):
    """A masqueraded connection goes on while rules of other containers come and go, whoever speaks next."""
    wanted = masqueraded(family, **backend)
    first = cni.add(without_dad(node.sandbox("c1")), wanted)
    with first.sandbox.connection(INTERNET[family], 443) as connection:
        cni.delete(cni.add(without_dad(node.sandbox("c2")), wanted))

        assert goes_on(connection)
