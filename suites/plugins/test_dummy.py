"""dummy: an interface that leads nowhere, whose addresses are the container's all the same."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import (
    delete_without_namespace,
    distrusted,
    leases,
    ready_sandbox,
    rejected,
    static,
)
from cnitest.suites.plugins.seen import source

from cnitest import difference

pytestmark = [
    pytest.mark.topology("macvlan-modes-lan"),
    pytest.mark.requires(kernel=["dummy"], plugin=["dummy", "static", "host-local"]),
]

ADDRESS, ADDRESS6, BEYOND = "10.7.0.5", "2001:db8:7::5", "10.7.0.9"
ONE = {"subnet": "10.7.0.0/24", "rangeStart": ADDRESS, "rangeEnd": ADDRESS}


def network(*addresses, **keys):
    """A network of a dummy interface that gives these addresses, or one that host-local has."""
    ipam = static(*addresses) if addresses else {"type": "host-local", "ranges": [[ONE]]}
    return {"cniVersion": "1.0.0", "name": "nowhere", "type": "dummy", "ipam": ipam, **keys}


NET = network(f"{ADDRESS}/24")


@pytest.mark.covers("dummy", "kernel", "packet")
@pytest.mark.covers("dummy.ipam", "kernel", "packet")
def test_the_container_talks_to_itself_by_its_addresses(node, cni):
    """The interface is up with both addresses, and services of the container answer there."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(f"{ADDRESS}/24", f"{ADDRESS6}/64"))
    sandbox = attachment.sandbox
    sandbox.run(["ip", "link", "set", "lo", "up"])

    assert (sandbox.link("eth0").kind, sandbox.link("eth0").up) == ("dummy", True)
    assert [interface.mac for interface in attachment.result.interfaces] == [sandbox.link("eth0").mac]
    assert sandbox.addresses_on("eth0") == (ADDRESS, ADDRESS6)
    assert sandbox.ping(ADDRESS)
    assert source(sandbox.tcp(ADDRESS6, 80)) == ADDRESS6


@pytest.mark.covers("dummy", "packet")
def test_it_leads_nowhere(node, cni):
    """What is sent to others in the subnet leaves by the interface and comes nowhere: neither host nor LAN sees it."""
    from scapy.layers.inet import ICMP, IP

    attachment = cni.add(node.sandbox("c1"), NET)
    attachment.sandbox.run(["ip", "neighbour", "add", BEYOND, "lladdr", "02:00:5e:00:53:77", "dev", "eth0"])
    with node.capture() as host, attachment.sandbox.capture("eth0") as own:
        attachment.sandbox.send(IP(dst=BEYOND) / ICMP())
        own.wait_for("ICMP", type="echo-request")

    assert host.matching("ICMP") == []


@pytest.mark.requires(kernel=["macvlan"], plugin=["macvlan"])
@pytest.mark.covers("dummy", "packet")
def test_beside_a_network_that_leads_somewhere(node, cni):
    """Beside another network only the dummy's own subnet is cut off: the other one works as it did."""
    lan = {"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "ens33"}
    first = cni.add(node.sandbox("c1"), {**lan, "ipam": static("192.168.80.120/24")})
    cni.add(node.sandbox("c1"), NET, "net1")

    assert source(first.sandbox.ping("192.168.80.102")) == "192.168.80.120"
    assert first.sandbox.tcp("192.168.80.102", 80)


@pytest.mark.covers("dummy", "kernel")
def test_the_host_may_have_a_link_of_that_name(node, cni):
    """A link of the host that is called like the container's does not come into its way, and stays as it is."""
    node.run(["ip", "link", "add", "eth0", "type", "dummy"])
    mac = node.link("eth0").mac
    attachment = cni.add(node.sandbox("c1"), NET)
    cni.delete(attachment)

    assert node.link("eth0").mac == mac
    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@pytest.mark.covers("dummy", "kernel")
def test_two_in_one_container(node, cni):
    """A container may have several, each with its address; DEL of one leaves the other."""
    first = cni.add(node.sandbox("c1"), NET)
    second = cni.add(node.sandbox("c1"), network("10.8.0.5/24", name="second"), "net1")
    cni.delete(first)

    assert second.sandbox.addresses_on("net1") == ("10.8.0.5",)
    assert [link.name for link in second.sandbox.links] == ["lo", "net1"]


@pytest.mark.covers("dummy.runtimeConfig.ips", "kernel", "packet")
def test_an_address_of_the_runtimes(node, cni):
    """With the capability ips the runtime's address goes before the configuration's."""
    wanted = network("10.7.0.99/24", capabilities={"ips": True})
    attachment = cni.add(node.sandbox("c1"), wanted, capabilities={"ips": [f"{ADDRESS}/24"]})
    attachment.sandbox.run(["ip", "link", "set", "lo", "up"])

    assert attachment.sandbox.addresses_on("eth0") == (ADDRESS,)
    assert attachment.sandbox.ping(ADDRESS)


@pytest.mark.covers("dummy.ipam", "refused")
def test_without_ipam_it_is_refused(node, cni):
    """An interface without addresses would be of no use: without IPAM ADD is rejected."""
    wanted = {key: value for key, value in NET.items() if key != "ipam"}
    said = rejected(cni, node.sandbox("c1"), wanted)

    assert "dummy interface requires an IPAM configuration" in said
    assert [link.name for link in node.sandbox("c1").links] == ["lo"]


@pytest.mark.covers("dummy.ipam", "refused")
def test_an_address_that_cannot_be_had_leaves_no_link(node, cni):
    """Where IPAM has nothing to give ADD is rejected, and the container stays as it was."""
    cni.add(node.sandbox("c1"), network())
    second = node.sandbox("c2")
    rejected(cni, second, network())

    assert [link.name for link in second.links] == ["lo"]


@pytest.mark.covers("dummy", "refused")
def test_an_interface_that_is_there_is_refused(node, cni):
    """A name that the container has already is rejected, and what is there stays."""
    cni.add(node.sandbox("c1"), NET)
    said = rejected(cni, node.sandbox("c1"), network("10.8.0.5/24", name="second"))

    assert "file exists" in said
    assert node.sandbox("c1").addresses_on("eth0") == (ADDRESS,)


class TestDel:
    """What DEL takes back."""

    @pytest.mark.covers("dummy", "DEL")
    def test_link_and_lease_go(self, node, cni):
        """After DEL container and host are as before."""
        before, inside = node.state(), node.sandbox("c1").state()
        cni.delete(cni.add(node.sandbox("c1"), network()))

        assert difference(inside, node.sandbox("c1").state()) == ()
        assert [item for item in difference(before, node.state()) if item.table != "files"] == []
        assert leases(node, "nowhere") == []

    @pytest.mark.covers("dummy", "DEL")
    def test_twice_is_no_error(self, node, cni):
        """A second DEL succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.delete(attachment)
        cni.delete(attachment)

        assert leases(node, "nowhere") == []

    @pytest.mark.covers("dummy", "DEL")
    def test_without_a_namespace_frees_the_lease(self, node, cni):
        """DEL with an empty CNI_NETNS, and of a namespace that is gone, frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network())
        delete_without_namespace(cni, attachment)
        empty = leases(node, "nowhere")
        node.lose("c1")
        cni.delete(attachment)

        assert empty == leases(node, "nowhere") == []


class TestCheck:
    """What CHECK has to notice."""

    @pytest.mark.covers("dummy", "CHECK")
    def test_a_sound_interface(self, node, cni):
        """CHECK of an interface that is as it was added succeeds, with addresses of both families."""
        attachment = cni.add(ready_sandbox(node, "c1"), network(f"{ADDRESS}/24", f"{ADDRESS6}/64"))
        cni.check(attachment)

        assert attachment.sandbox.link("eth0").up

    @pytest.mark.parametrize(
        "argv",
        [
            ["ip", "address", "flush", "dev", "eth0"],
            ["ip", "link", "delete", "eth0"],
            ["ip", "link", "set", "eth0", "down"],
            ["ip", "link", "set", "eth0", "address", "02:00:5e:00:53:66"],
            ["ip", "link", "set", "eth0", "mtu", "1300"],
            ["sh", "-c", "ip link delete eth0 && ip link add eth0 type bridge && ip link set eth0 up"],
        ],
        ids=["address", "link", "down", "mac", "mtu", "kind"],
    )
    @pytest.mark.covers("dummy", "CHECK")
    def test_notices(self, node, cni, argv):
        """CHECK of an interface that was changed fails."""
        attachment = cni.add(node.sandbox("c1"), NET)
        attachment.sandbox.run(argv)

        assert distrusted(cni, attachment)
