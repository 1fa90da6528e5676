"""macvlan's keys by what the LAN sees: addresses, MTU, MAC."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import macvlan, ready_sandbox, rejected
from cnitest.suites.plugins.seen import source

from cnitest import difference

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, ADDRESS6 = "192.168.80.120", "2001:db8:80::120"
PEER, PEER6 = "192.168.80.102", "2001:db8:80::102"
NET = macvlan(f"{ADDRESS}/24")
DUAL = macvlan(f"{ADDRESS}/24", f"{ADDRESS6}/64")
MAC = "02:00:5e:00:53:21"


@pytest.mark.covers("macvlan", "kernel", "packet")
@pytest.mark.covers("macvlan", "kernel", "packet")
def test_a_dual_stack_child(lab, cni, node):
    """ADD brings a macvlan link with both addresses, and both families reach the LAN under them."""
    attachment = cni.add(ready_sandbox(node, "c1"), DUAL)
    child = attachment.sandbox

    assert child.link("eth0").kind == "macvlan"
    assert attachment.addresses == (ADDRESS, ADDRESS6)
    assert {*child.addresses_on("eth0")} == {ADDRESS, ADDRESS6}
    assert source(child.ping(PEER)) == ADDRESS
    assert source(child.tcp(PEER6, 80)) == ADDRESS6


@pytest.mark.covers("macvlan", "kernel", "packet")
def test_a_child_without_ipam(lab, cni, node):
    """Without IPAM the child is up, has no global address, and its frames reach the LAN."""
    child = cni.add(node.sandbox("c1"), macvlan()).sandbox

    assert child.link("eth0").up
    assert child.addresses_on("eth0") == ()
    child.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0"])
    assert child.ping(PEER)


@pytest.mark.covers("macvlan", "kernel", "packet")
@pytest.mark.parametrize(
    ("own", "gateway", "prefix", "beyond"),
    [
        (f"{ADDRESS}/24", PEER, "203.0.113.0/24", "203.0.113.1"),
        (f"{ADDRESS6}/64", PEER6, "2001:db8:113::/48", "2001:db8:113::1"),
    ],
    ids=["ipv4", "ipv6"],
)
def test_routes_of_the_ipam_lead_to_the_gateway(lab, cni, node, own, gateway, prefix, beyond):
    """Routes that IPAM names are in the container and lead by the gateway of the LAN."""
    lab.host("peer").run(["ip", "address", "add", beyond, "dev", "lo"])
    network = macvlan(own)
    network["ipam"] = {
        "type": "static",
        "addresses": [{"address": own, "gateway": gateway}],
        "routes": [{"dst": prefix}],
    }

    attachment = cni.add(ready_sandbox(node, "c1"), network)

    assert [route.via for route in attachment.sandbox.routes if route.to == prefix] == [gateway]
    assert attachment.sandbox.ping(beyond)


@pytest.mark.covers("macvlan", "kernel", "packet")
def test_addresses_work_the_moment_add_returns(cni, node):
    """Where the container checks its address for duplicates ADD has waited for that, to use the gateway's route."""
    network = macvlan()
    network["ipam"] = {"type": "static", "addresses": [{"address": f"{ADDRESS6}/64", "gateway": PEER6}]}

    child = cni.add(node.sandbox("c1"), network).sandbox

    assert [a.address for a in child.addresses if a.scope == "global" and a.tentative] == []
    assert child.ping(PEER6)


@pytest.mark.covers("macvlan", "kernel")
def test_the_host_itself_is_left_as_it_is(cni, node):
    """A macvlan needs no forwarding, no rule and no address on the host: only the parent listens to one MAC more."""
    before = node.state()
    cni.add(node.sandbox("c1"), NET)

    changed = [item for item in difference(before, node.state()) if item.table not in ("files", "fdb")]

    assert [(item.table, item.key) for item in changed] == [("links", "ens33")]
    assert {change.name for change in changed[0].changes} <= {"promiscuity"}


@pytest.mark.covers("macvlan.mtu", "kernel", "packet")
@pytest.mark.parametrize(("mtu", "target", "overhead"), [(576, PEER, 28), (1500, PEER, 28), (1400, PEER6, 48)])
def test_mtu_limits_packets(cni, node, mtu, target, overhead):
    """`mtu` is that of the child: a packet of that size leaves whole, one byte more does not."""
    child = cni.add(ready_sandbox(node, "c1"), {**(DUAL if ":" in target else NET), "mtu": mtu}).sandbox

    assert child.link("eth0").mtu == mtu
    assert child.ping(target, size=mtu - overhead, df=True)
    assert not child.ping(target, size=mtu - overhead + 1, df=True)


@pytest.mark.covers("macvlan.mtu", "kernel")
@pytest.mark.parametrize("keys", [{}, {"mtu": 0}], ids=["unsaid", "zero"])
def test_the_parents_mtu_is_the_default(cni, node, keys):
    """Without `mtu`, or with 0, the child has its parent's."""
    node.run(["ip", "link", "set", "ens33", "mtu", "1450"])

    child = cni.add(node.sandbox("c1"), {**NET, **keys}).sandbox

    assert child.link("eth0").mtu == 1450


@pytest.mark.covers("macvlan.mtu", "refused")
@pytest.mark.parametrize("mtu", [1501, 65536, -1])
def test_an_mtu_beyond_the_parents_is_refused(cni, node, mtu):
    """More than the parent's MTU, or less than nothing, is an error that says so, and no link is left."""
    assert "MTU" in rejected(cni, node.sandbox("c1"), {**NET, "mtu": mtu})
    assert [link.name for link in node.sandbox("c1").links] == ["lo"]


class TestMac:
    """The child's MAC, as the peer sees it."""

    @pytest.mark.covers("macvlan.mac", "kernel", "packet")
    def test_of_the_configuration(self, lab, cni, node):
        """`mac` of the configuration is the child's, and what it answers ARP with."""
        attachment = cni.add(node.sandbox("c1"), {**NET, "mac": MAC})

        assert attachment.sandbox.link("eth0").mac == MAC
        assert attachment.result.interfaces[0].mac == MAC
        assert lab.host("peer").arp(ADDRESS, on="ens33").answered_by == MAC

    @pytest.mark.covers("macvlan.CNI_ARGS.MAC", "kernel", "packet")
    def test_of_cni_args(self, lab, cni, node):
        """MAC in CNI_ARGS goes before the configuration's, whatever IPAM thinks of it when unknown keys are ignored."""
        cni.add(node.sandbox("c1"), {**NET, "mac": "02:00:5e:00:53:99"}, args={"IgnoreUnknown": "1", "MAC": MAC})

        assert lab.host("peer").arp(ADDRESS, on="ens33").answered_by == MAC

    @pytest.mark.covers("macvlan.runtimeConfig.mac", "kernel", "packet")
    def test_of_the_runtime(self, lab, cni, node):
        """The runtime's `mac` capability goes before CNI_ARGS and the configuration."""
        network = {**NET, "mac": "02:00:5e:00:53:99", "capabilities": {"mac": True}}
        cni.add(
            node.sandbox("c1"),
            network,
            args={"IgnoreUnknown": "1", "MAC": "02:00:5e:00:53:98"},
            capabilities={"mac": MAC},
        )

        assert lab.host("peer").arp(ADDRESS, on="ens33").answered_by == MAC

    @pytest.mark.covers("macvlan.mac", "packet")
    def test_each_child_has_one_of_its_own(self, lab, cni, node):
        """Without `mac` no two children share one, nor one with the parent."""
        for number in (1, 2):
            cni.add(node.sandbox(f"c{number}"), macvlan(f"192.168.80.12{number}/24", name=f"lan{number}"))
        peer = lab.host("peer")

        answers = [peer.arp(f"192.168.80.{last}", on="ens33").answered_by for last in (101, 121, 122)]

        assert len({*answers}) == 3

    @pytest.mark.covers("macvlan.mac", "refused")
    @pytest.mark.parametrize("mac", ["zz", "02:00:5e:00:53", "01:00:5e:00:53:21", "00:00:00:00:00:00"])
    def test_what_is_none_is_refused(self, cni, node, mac):
        """A word, five bytes, a group's address and nothing at all are rejected, and no link is left."""
        rejected(cni, node.sandbox("c1"), {**NET, "mac": mac})

        assert [link.name for link in node.sandbox("c1").links] == ["lo"]

    @pytest.mark.covers("macvlan.mac", "refused")
    @pytest.mark.parametrize("taken", ["sibling", "parent"])
    def test_one_that_is_taken_is_refused(self, cni, node, taken):
        """A second child with a MAC that the parent or a sibling has is rejected; the first one keeps its network."""
        first = cni.add(node.sandbox("c1"), {**NET, "mac": MAC})
        mac = MAC if taken == "sibling" else node.link("ens33").mac

        rejected(cni, node.sandbox("c2"), {**macvlan("192.168.80.121/24", name="second"), "mac": mac})

        assert [link.name for link in node.sandbox("c2").links] == ["lo"]
        assert first.sandbox.ping(PEER)


@pytest.mark.covers("macvlan.dns", "kernel")
def test_dns_goes_before_that_of_the_ipam(cni, node):
    """`dns` of the network is what the result says, whatever IPAM says."""
    network = macvlan(f"{ADDRESS}/24", dns={"nameservers": ["192.0.2.53"], "search": ["example.org"]})
    network["ipam"]["dns"] = {"nameservers": ["192.0.2.54"]}

    assert cni.add(node.sandbox("c1"), network).result.dns == network["dns"]


@pytest.mark.covers("macvlan.runtimeConfig.ips", "kernel", "packet")
def test_addresses_of_the_runtime(lab, cni, node):
    """The runtime's `ips` capability reaches IPAM: the child has that address, and the LAN finds it."""
    network = {**macvlan("192.168.80.199/24"), "capabilities": {"ips": True}}

    attachment = cni.add(node.sandbox("c1"), network, capabilities={"ips": [f"{ADDRESS}/24"]})

    assert attachment.address == ADDRESS
    assert lab.host("peer").ping(ADDRESS)


@pytest.mark.covers("macvlan.bcqueuelen", "kernel", "packet")
@pytest.mark.requires(plugin="macvlan>=1.6.0")
@pytest.mark.parametrize(("given", "kept"), [(1, 1), (5000, 5000), (0, 1000), (None, 1000)])
def test_the_queue_of_broadcasts(lab, cni, node, given, kept):
    """`bcqueuelen` is how many broadcasts the parent queues, the kernel's 1000 unless said; they arrive by it."""
    child = cni.add(node.sandbox("c1"), NET if given is None else {**NET, "bcqueuelen": given}).sandbox

    assert dict(child.link("eth0").detail)["bcqueuelen"] == kept
    assert lab.host("peer").udp("192.168.80.255", 7000, listener=child)


@pytest.mark.covers("macvlan.bcqueuelen", "refused")
@pytest.mark.requires(plugin="macvlan>=1.6.0")
@pytest.mark.parametrize("length", [-1, 1 << 32, "many"])
def test_a_queue_of_no_length_is_refused(cni, node, length):
    """What is no number of 32 bits without a sign is rejected, and no link is left."""
    rejected(cni, node.sandbox("c1"), {**NET, "bcqueuelen": length})

    assert [link.name for link in node.sandbox("c1").links] == ["lo"]


@pytest.mark.covers("macvlan", "packet")
def test_two_children_in_one_container(lab, cni, node):
    """A container may have two links on one parent, each with its address and MAC."""
    sandbox = node.sandbox("c1")
    cni.add(sandbox, macvlan("192.168.80.121/24", name="one"), "eth0")
    cni.add(sandbox, macvlan("192.168.80.122/24", name="two"), "eth1")
    sandbox.sysctl("net.ipv4.conf.all.arp_ignore", 1)  # each answers for its own address alone
    peer = lab.host("peer")

    for ifname, address in (("eth0", "192.168.80.121"), ("eth1", "192.168.80.122")):
        assert peer.arp(address, on="ens33").answered_by == sandbox.link(ifname).mac


@pytest.mark.covers("macvlan", "refused")
def test_a_name_that_is_taken_is_refused(cni, node):
    """A second ADD under the name of a link that is there is rejected, and the first keeps working."""
    first = cni.add(node.sandbox("c1"), NET)

    rejected(cni, node.sandbox("c1"), macvlan("192.168.80.121/24", name="second"))

    assert [link.name for link in first.sandbox.links] == ["lo", "eth0"]
    assert first.sandbox.ping(PEER)
