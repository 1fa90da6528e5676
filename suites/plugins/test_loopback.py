"""The loopback plugin: lo is up and carries both families, whatever the runtime calls it, and DEL takes it down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.node_networks import caller, pending
from cnitest.suites.plugins.seen import source

from cnitest import PluginError, difference

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin="loopback")]

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"]
ADDRESS = {4: "127.0.0.1", 6: "::1"}
FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


def network(version="1.0.0", **keys):
    """A network of the loopback plugin alone."""
    return {"cniVersion": version, "name": "lo", "type": "loopback", **keys}


@pytest.fixture
def sandbox(lab):
    """A fresh container."""
    return lab.host("node").sandbox("c1")


@FAMILY
@pytest.mark.covers("loopback", "kernel", "packet")
def test_lo_comes_up(sandbox, cni, family):
    """Before ADD nothing answers at the loopback address; after it echo, TCP and UDP come back."""
    before = sandbox.link("lo").up
    cni.add(sandbox, network(), "lo")

    assert not before
    assert sandbox.link("lo").up
    assert ADDRESS[family] in [a.ip for a in sandbox.addresses if a.link == "lo"]
    assert sandbox.ping(ADDRESS[family])
    assert source(sandbox.tcp(ADDRESS[family], 80)) == ADDRESS[family]
    assert source(sandbox.udp(ADDRESS[family], 53)) == ADDRESS[family]


@pytest.mark.covers("loopback", "packet")
def test_all_of_127_is_the_container_s_own(sandbox, cni):
    """Not 127.0.0.1 alone answers: the whole of 127.0.0.0/8 does."""
    cni.add(sandbox, network(), "lo")

    assert sandbox.ping("127.0.0.53")
    assert sandbox.ping("127.255.255.254")


@FAMILY
@pytest.mark.covers("loopback", "DEL", "kernel", "packet")
def test_delete_takes_lo_down(sandbox, cni, family):
    """After DEL lo is down and nothing is answered over it."""
    attachment = cni.add(sandbox, network(), "lo")
    assert sandbox.ping(ADDRESS[family])
    cni.delete(attachment)

    assert not sandbox.link("lo").up
    assert sandbox.ping(ADDRESS[family]).verdict.value != "delivered"


@pytest.mark.covers("loopback", "kernel", "packet")
@pytest.mark.parametrize("ifname", ["lo", "eth0", "whatever"])
def test_the_interface_name_does_not_matter(sandbox, cni, ifname):
    """Whatever CNI_IFNAME is, it is lo that comes up, and no link is made."""
    attachment = cni.add(sandbox, network(), ifname)

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [interface.name for interface in attachment.result.interfaces] == ["lo"]
    assert sandbox.ping("127.0.0.1")


@pytest.mark.covers("loopback", "kernel")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_result_in_each_version(sandbox, cni, version):
    """The result of each version of the specification has its label and the loopback addresses in its form."""
    result = cni.add(sandbox, network(version), "lo").result

    assert result.document["cniVersion"] == version
    assert {ip.address for ip in result.ips} == {"127.0.0.1/8", "::1/128"}
    if version >= "0.3.0":
        assert [(link.name, link.sandbox) for link in result.interfaces] == [("lo", sandbox.path)]


@pytest.mark.requires(plugin=["bridge", "host-local"])
@pytest.mark.covers("loopback", "kernel", "packet")
def test_a_previous_result_is_passed_on(sandbox, cni):
    """Behind another plugin the result is that one's, and lo is up all the same."""
    bridge = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/24"}}
    chain = {"cniVersion": "1.0.0", "name": "net", "plugins": [bridge, {"type": "loopback"}]}
    attachment = cni.add(sandbox, chain)

    assert [link.name for link in attachment.result.interfaces][-1] == "eth0"
    assert [ip.address for ip in attachment.result.ips] == ["10.22.0.2/24"]
    assert sandbox.ping("127.0.0.1")


@pytest.mark.covers("loopback", "kernel", "packet")
def test_where_ipv6_is_disabled(sandbox, cni):
    """With IPv6 disabled lo comes up with IPv4 alone, and the result names no IPv6 address."""
    for name in ("all", "default", "lo"):
        sandbox.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 1)
    attachment = cni.add(sandbox, network(), "lo")

    assert sandbox.ping("127.0.0.1")
    assert [ip.address for ip in attachment.result.ips] == ["127.0.0.1/8"]


@pytest.mark.covers("loopback", "kernel", "packet")
def test_adding_twice(sandbox, cni):
    """No link is made, so a second ADD succeeds and changes nothing."""
    first = cni.add(sandbox, network(), "lo")
    once = sandbox.state()
    again = caller(cni).add(first.target)

    assert again["ips"] == first.result.document["ips"]
    assert difference(once, sandbox.state()) == ()
    assert sandbox.ping("127.0.0.1")


@pytest.mark.covers("loopback", "CHECK")
def test_check_of_a_loopback_that_is_up(sandbox, cni):
    """CHECK passes after ADD, and fails once somebody has taken lo down."""
    attachment = cni.add(sandbox, network(), "lo")
    cni.check(attachment)
    sandbox.run(["ip", "link", "set", "lo", "down"])

    with pytest.raises(PluginError):
        cni.check(attachment)


@pytest.mark.covers("loopback", "CHECK")
@pytest.mark.parametrize("address", ["127.0.0.1/8", "::1/128"])
def test_check_finds_that_an_address_is_gone(sandbox, cni, address):
    """CHECK fails once a loopback address of the result is not there any more."""
    attachment = cni.add(sandbox, network(), "lo")
    cni.check(attachment)
    sandbox.run(["ip", "address", "del", address, "dev", "lo"])

    with pytest.raises(PluginError):
        cni.check(attachment)


@pytest.mark.covers("loopback", "DEL")
@pytest.mark.parametrize("end", ["namespace-gone", "namespace-empty", "twice", "never-added"])
def test_delete_always_succeeds(lab, sandbox, cni, end):
    """DEL succeeds where the namespace is gone or not named, a second time, and without ADD; the host is untouched."""
    node = lab.host("node")
    target = pending(cni, sandbox, network())
    if end != "never-added":
        target = cni.add(sandbox, network(), "lo").target
    if end == "namespace-gone":
        node.lose("c1")
    if end == "twice":
        caller(cni).delete(target, None)
    before = node.state()
    caller(cni).delete(replace(target, netns="") if end == "namespace-empty" else target, None)

    assert difference(before, node.state()) == ()


@FAMILY
@pytest.mark.covers("loopback", "refused", "kernel", "packet")
@pytest.mark.parametrize("verb", ["add", "delete"])
def test_the_hosts_own_loopback_is_out_of_bounds(lab, sandbox, cni, verb, family):
    """With the host's own namespace as CNI_NETNS the call is rejected, or changes nothing: its loopback works on."""
    node = lab.host("node")
    node.run(["ip", "link", "set", "lo", "up"])
    own = replace(pending(cni, sandbox, network()), netns="/proc/self/ns/net")
    with pytest.raises(PluginError):
        caller(cni).add(own) if verb == "add" else caller(cni).delete(own, None)

    assert node.link("lo").up
    assert node.ping(ADDRESS[family])


@pytest.mark.covers("loopback", "refused")
def test_a_namespace_that_is_not_there_is_refused(sandbox, cni):
    """ADD into a namespace that is gone is an error that names it."""
    nowhere = replace(pending(cni, sandbox, network()), netns="/run/netns/nowhere")
    with pytest.raises(PluginError, match="nowhere"):
        caller(cni).add(nowhere)
