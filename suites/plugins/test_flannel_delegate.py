"""What flannel's plugin hands to another one: delegate, ipam and runtimeConfig; what DEL and CHECK know of it."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.flannels import (
    CLUSTER,
    DATA,
    FAR,
    GATEWAY,
    OUTSIDE,
    SUBNET_FILE,
    UPLINK,
    announce,
    delegated,
    env,
    leases,
    network,
)
from cnitest.suites.plugins.lan_networks import distrusted, ready_sandbox, rejected
from cnitest.suites.plugins.seen import source

from cnitest import difference

pytestmark = [pytest.mark.topology(CLUSTER), pytest.mark.requires(plugin=["flannel", "bridge", "host-local"])]

MAC = "02:00:5e:00:53:44"


@pytest.fixture
def node(lab):
    """The node whose subnet is announced."""
    host = lab.host("node")
    announce(host, env())
    return host


def kept(host, directory=DATA):
    """The containers that a configuration is kept of."""
    paths = [file.path for file in host.files() if file.kind == "file"]
    return [path.rpartition("/")[2] for path in paths if path.startswith(f"{directory}/")]


class TestDelegate:
    """What a network says of the plugin that does the work."""

    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_a_bridge_of_another_name(self, node, cni):
        """delegate.bridge is the bridge, and cni0 is not made."""
        attachment = cni.add(node.sandbox("c1"), network(delegate={"bridge": "mynet0"}))

        assert node.addresses_on("mynet0") == (GATEWAY[4],)
        assert "cni0" not in [link.name for link in node.links]
        assert attachment.sandbox.ping(FAR[4])

    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_an_mtu_goes_before_flannels(self, node, cni):
        """delegate.mtu counts, and not FLANNEL_MTU, which smaller packets show."""
        attachment = cni.add(node.sandbox("c1"), network(delegate={"mtu": 1300}))

        assert attachment.sandbox.link("eth0").mtu == 1300
        assert attachment.sandbox.ping(GATEWAY[4], size=1272, df=True)
        assert not attachment.sandbox.ping(GATEWAY[4], size=1273, df=True)

    @pytest.mark.parametrize(("masq", "ip_masq"), [("true", True), ("false", False)])
    @pytest.mark.covers("flannel.delegate", "packet")
    def test_masquerading_that_is_said_goes_before_flannels(self, node, cni, masq, ip_masq):
        """delegate.ipMasq counts, whatever FLANNEL_IPMASQ says."""
        announce(node, env(masq=masq))
        wanted = network(delegate={"isDefaultGateway": True, "ipMasq": ip_masq})
        attachment = cni.add(node.sandbox("c1"), wanted)
        with node.capture("ens33") as uplink:
            reach = attachment.sandbox.ping(OUTSIDE[4])

        sources = {packet["IP"].src for packet in uplink.matching("ICMP", type="echo-request")}
        assert sources == {UPLINK[4] if ip_masq else attachment.address}
        assert bool(reach) is ip_masq

    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_no_gateway_where_that_is_said(self, node, cni):
        """delegate.isGateway=false makes a bridge without address: containers reach each other, and no gateway."""
        first, second = (cni.add(node.sandbox(name), network(delegate={"isGateway": False})) for name in ("c1", "c2"))

        assert node.addresses_on("cni0") == ()
        assert first.sandbox.ping(second.address)
        assert not first.sandbox.arp(GATEWAY[4], on="eth0")

    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_hairpin_is_the_bridges(self, node, cni):
        """Further keys are the delegate's own: hairpinMode is set on the port."""
        attachment = cni.add(node.sandbox("c1"), network(delegate={"hairpinMode": True}))

        assert [port.hairpin for port in node.state(firewall=False).ports if port.bridge == "cni0"] == [True]
        assert attachment.sandbox.ping(GATEWAY[4])

    @pytest.mark.requires(plugin=["ptp"])
    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_another_plugin_does_the_work(self, node, cni):
        """delegate.type names the plugin: by ptp there is no bridge, and the cluster is reached all the same."""
        attachment = cni.add(node.sandbox("c1"), network(delegate={"type": "ptp"}))

        assert "cni0" not in [link.name for link in node.links]
        assert "isGateway" not in delegated(node, "c1")
        assert attachment.sandbox.link("eth0").mtu == 1450
        assert source(attachment.sandbox.ping(FAR[4])) == attachment.address

    @pytest.mark.requires(plugin=["ipvlan"], kernel=["ipvlan"])
    @pytest.mark.covers("flannel.delegate", "kernel", "packet")
    def test_ipvlan_as_its_readme_has_it(self, lab, node, cni):
        """By ipvlan containers are on the uplink itself, where whoever has an address of their subnet reaches them."""
        lab.host("other").run(["ip", "address", "add", "10.244.1.200/32", "dev", "ens33"])
        lab.host("other").run(["ip", "route", "replace", "10.244.1.0/24", "dev", "ens33"])
        wanted = network(delegate={"type": "ipvlan", "master": "ens33"})
        attachment = cni.add(node.sandbox("c1"), wanted)

        assert attachment.sandbox.link("eth0").mac == node.link("ens33").mac
        assert lab.host("other").ping(attachment.address, source="10.244.1.200")

    @pytest.mark.parametrize(
        ("delegate", "words"),
        [
            ({"type": 7}, "must have \\(string\\) 'type' field"),
            ({"name": "mine"}, "must not have 'name' field"),
            ({"ipam": {"type": "host-local"}}, "must not have 'ipam' field"),
        ],
    )
    @pytest.mark.covers("flannel.delegate", "refused")
    def test_what_is_flannels_to_say_is_refused(self, node, cni, delegate, words):
        """The delegate's name and addresses come from flannel, and its type is a text."""
        said = rejected(cni, node.sandbox("c1"), network(delegate=delegate))

        assert words.replace("\\", "") in said
        assert "cni0" not in [link.name for link in node.links]

    @pytest.mark.covers("flannel.delegate", "refused")
    def test_a_plugin_that_is_not_there(self, node, cni):
        """A delegate that nobody installed is rejected by its name."""
        said = rejected(cni, node.sandbox("c1"), network(delegate={"type": "no-such"}))

        assert 'failed to find plugin "no-such"' in said


class TestIpam:
    """What a network says of its addresses."""

    @pytest.mark.covers("flannel.ipam", "kernel", "packet")
    def test_routes_are_added_to_flannels(self, node, cni):
        """Routes of ipam stand beside that to the cluster, and packets take them."""
        announce(node, env(masq="false"))
        attachment = cni.add(node.sandbox("c1"), network(ipam={"routes": [{"dst": "203.0.113.0/24"}]}))

        assert [route.dst for route in attachment.result.routes] == ["203.0.113.0/24", "10.244.0.0/16"]
        assert source(attachment.sandbox.ping(OUTSIDE[4])) == UPLINK[4]
        assert attachment.sandbox.ping(FAR[4])

    @pytest.mark.covers("flannel.ipam", "kernel")
    def test_further_keys_are_the_ipam_plugins(self, node, cni):
        """Other keys of ipam are handed on: leases lie in the directory that dataDir names."""
        attachment = cni.add(node.sandbox("c1"), network(ipam={"dataDir": "/run/leases"}))

        assert leases(node, "/run/leases/cbr0") == [attachment.address]
        assert leases(node) == []

    @pytest.mark.covers("flannel.ipam", "kernel", "packet")
    def test_ranges_are_flannels(self, node, cni):
        """Ranges that ipam names are replaced by the node's subnet."""
        attachment = cni.add(node.sandbox("c1"), network(ipam={"ranges": [[{"subnet": "10.9.0.0/24"}]]}))

        assert attachment.gateway == GATEWAY[4]
        assert attachment.sandbox.ping(FAR[4])

    @pytest.mark.covers("flannel.ipam", "refused")
    def test_an_ipam_plugin_that_is_not_there(self, node, cni):
        """ipam.type is the IPAM plugin: one that nobody installed is rejected by its name."""
        said = rejected(cni, node.sandbox("c1"), network(ipam={"type": "no-such"}))

        assert 'failed to find plugin "no-such"' in said

    @pytest.mark.covers("flannel.ipam", "kernel", "packet")
    def test_two_ranges_are_two_addresses(self, node, cni):
        """Where both families are announced the container has one range set, and address, of each."""
        announce(node, env(4, 6))
        attachment = cni.add(ready_sandbox(node, "c1"), network())

        assert [len(ranges) for ranges in delegated(node, "c1")["ipam"]["ranges"]] == [1, 1]
        assert leases(node) == sorted(attachment.addresses)
        assert source(attachment.sandbox.ping(FAR[6])) == attachment.addresses[1]


@pytest.mark.covers("flannel.runtimeConfig.mac", "kernel", "packet")
def test_runtime_config_is_the_delegates(node, cni):
    """What the runtime gives is handed on: the MAC is the container's, on its link and in its frames."""
    wanted = network(capabilities={"mac": True})
    with node.sandbox("c1").capture() as frames:
        attachment = cni.add(node.sandbox("c1"), wanted, capabilities={"mac": MAC})
        assert attachment.sandbox.ping(GATEWAY[4])

    assert attachment.sandbox.link("eth0").mac == MAC
    assert frames.matching("Ether", src=MAC)


@pytest.mark.covers("flannel.dataDir", "kernel")
def test_a_directory_of_ones_own(node, cni):
    """dataDir is where the delegate's configuration is kept until DEL, readable by root alone."""
    attachment = cni.add(node.sandbox("c1"), network(dataDir="/var/lib/cni/other"))
    made = delegated(node, "c1", "/var/lib/cni/other")
    modes = [file.mode & 0o777 for file in node.files() if file.path == "/var/lib/cni/other/c1"]
    cni.delete(attachment)

    assert (made["name"], made["type"], made["mtu"], made["ipMasq"]) == ("cbr0", "bridge", 1450, False)
    assert made["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert modes == [0o600]
    assert kept(node, "/var/lib/cni/other") == kept(node) == []


class TestDel:
    """What DEL takes back, by the configuration that was kept."""

    @pytest.mark.covers("flannel", "DEL")
    def test_nothing_of_the_container_is_left(self, node, cni):
        """After DEL the host is as with no container: no link, no port, no lease, nothing kept."""
        cni.delete(cni.add(node.sandbox("c0"), network()))
        before, inside = node.state(), node.sandbox("c1").state()
        cni.delete(cni.add(node.sandbox("c1"), network()))

        gone = [item for item in difference(before, node.state()) if "last_reserved" not in item.key]
        assert [item for item in gone if item.table != "flows"] == []
        assert difference(inside, node.sandbox("c1").state()) == ()
        assert kept(node) == leases(node) == []

    @pytest.mark.covers("flannel", "DEL")
    def test_twice_is_no_error(self, node, cni):
        """A second DEL finds nothing kept, and succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.delete(attachment)
        cni.delete(attachment)

        assert kept(node) == leases(node) == []

    @pytest.mark.covers("flannel.dataDir", "DEL")
    def test_without_what_was_kept_is_no_error(self, node, cni):
        """DEL of a container of which nothing is kept succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        node.run(["rm", f"{DATA}/c1"])

        assert cni.delete(attachment, may_fail=True) is None

    @pytest.mark.covers("flannel", "DEL")
    def test_without_the_namespace(self, node, cni):
        """DEL of a container whose namespace is gone frees the lease and what was kept."""
        attachment = cni.add(node.sandbox("c1"), network())
        node.lose("c1")
        cni.delete(attachment)

        assert kept(node) == leases(node) == []

    @pytest.mark.parametrize("change", ["another subnet", "no file"])
    @pytest.mark.covers("flannel.subnetFile", "DEL", "packet")
    def test_after_another_subnet_was_announced(self, node, cni, change):
        """DEL goes by what ADD was given: the old subnet's lease is freed when another, or none, is announced."""
        attachment = cni.add(node.sandbox("c1"), network())
        if change == "no file":
            node.run(["rm", SUBNET_FILE])
        else:
            announce(node, env(FLANNEL_SUBNET="10.244.7.1/24"))
        still = attachment.sandbox.ping(FAR[4])
        cni.delete(attachment)

        assert still
        assert kept(node) == leases(node) == []
        assert [link.name for link in attachment.sandbox.links] == ["lo"]

    @pytest.mark.covers("flannel", "DEL")
    def test_one_interface_of_two(self, node, cni):
        """Two interfaces of one container go one by one: DEL of the second, then of the first, leaves nothing."""
        first, second = (cni.add(node.sandbox("c1"), network(), name) for name in ("eth0", "eth1"))
        cni.delete(second)
        still = [link.name for link in first.sandbox.links]
        cni.delete(first)

        assert still == ["lo", "eth0"]
        assert [link.name for link in first.sandbox.links] == ["lo"]
        assert leases(node) == []

    @pytest.mark.covers("flannel.dataDir", "DEL")
    def test_a_failure_can_be_tried_again(self, node, cni):
        """Where the delegate's DEL failed, what is kept stays, and the next DEL frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network())
        node.run(["sh", "-c", "cd /var/lib/cni/networks && mv cbr0 away && touch cbr0"])
        error = cni.delete(attachment, may_fail=True)
        node.run(["sh", "-c", "cd /var/lib/cni/networks && rm cbr0 && mv away cbr0"])
        cni.delete(attachment)

        assert error is not None
        assert leases(node) == []


@pytest.mark.covers("flannel.subnetFile", "refused")
def test_a_bridge_of_the_old_subnet_is_refused(node, cni):
    """A node that was given another subnet has a bridge of the old one: ADD says so, by both addresses."""
    cni.add(node.sandbox("c1"), network())
    announce(node, env(FLANNEL_SUBNET="10.244.7.1/24"))
    said = rejected(cni, node.sandbox("c2"), network())

    assert '"cni0" already has an IP address different from 10.244.7.1/24' in said


@pytest.mark.covers("flannel.delegate", "kernel", "packet")
def test_the_bridge_moves_where_that_is_said(node, cni):
    """With delegate.forceAddress the bridge takes the new subnet's address, and new containers reach it."""
    wanted = network(delegate={"forceAddress": True})
    cni.add(node.sandbox("c1"), wanted)
    announce(node, env(FLANNEL_SUBNET="10.244.7.1/24"))
    attachment = cni.add(node.sandbox("c2"), wanted)

    assert node.addresses_on("cni0") == ("10.244.7.1",)
    assert source(attachment.sandbox.ping("10.244.7.1")) == attachment.address


class TestCheck:
    """CHECK of what the delegate made."""

    @pytest.mark.covers("flannel", "CHECK")
    def test_a_sound_container(self, node, cni):
        """CHECK of a container that is as it was added succeeds, after another subnet was announced, too."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.check(attachment)
        announce(node, env(FLANNEL_SUBNET="10.244.7.1/24"))
        cni.check(attachment)

        assert cni.attachments == [attachment]

    @pytest.mark.parametrize(
        "argv",
        [
            ["ip", "address", "flush", "dev", "eth0"],
            ["ip", "link", "delete", "eth0"],
            ["ip", "route", "delete", "10.244.0.0/16"],
        ],
        ids=["address", "link", "route"],
    )
    @pytest.mark.covers("flannel", "CHECK")
    def test_notices(self, node, cni, argv):
        """CHECK of a container that lost its address, link or route fails."""
        attachment = cni.add(node.sandbox("c1"), network())
        attachment.sandbox.run(argv)

        assert distrusted(cni, attachment)
