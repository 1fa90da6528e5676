"""host-device's rejections, how the device comes back to the host, and what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.cards import ADDRESS, ADDRESS6, FIRST_MAC, LEASED, PEER, WIRE, names, network
from cnitest.suites.plugins.lan_networks import delete_without_namespace, distrusted, leases, rejected, static

from cnitest import PluginError

pytestmark = [pytest.mark.requires(plugin=["host-device", "static"]), pytest.mark.topology(WIRE)]

LONG_NAME = "net-of-15-chars"
SETTINGS = (
    ("address", "02:00:5e:00:53:77"),
    ("mtu", "1400"),
    ("txqueuelen", "91"),
    ("group", "7"),
    ("allmulticast", "on"),
    ("promisc", "on"),
)


def lasting(link):
    """What of a link is no matter of where it is: not its name, number, alias, state and peer."""
    return link._replace(name="", ifindex=0, alias="", up=False, carrier=False, parent="")


class TestRefusals:
    """What cannot be moved."""

    @pytest.mark.covers("host-device.device", "refused")
    @pytest.mark.covers("host-device.hwaddr", "refused")
    @pytest.mark.covers("host-device.kernelpath", "refused")
    @pytest.mark.parametrize(
        "keys",
        [
            {},
            {"device": "none0"},
            {"hwaddr": "02:00:5e:00:53:99"},
            {"hwaddr": "zz"},
            {"kernelpath": "/tmp"},
            {"kernelpath": "/sys/devices/none"},
        ],
    )
    def test_no_device(self, cni, node, sandbox, keys):
        """Nothing said, and what no device is or has, are errors, and no link is moved."""
        rejected(cni, sandbox, network(f"{ADDRESS}/24", **keys))

        assert names(node) == ["nic1", "nic2"]
        assert names(sandbox) == []

    @pytest.mark.covers("host-device.device", "refused", "packet")
    def test_a_name_that_is_taken(self, cni, node, sandbox):
        """A name that a link of the container has is rejected, and the device stays on the host, under its own."""
        cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"))

        rejected(cni, sandbox, {**network(device="nic2"), "name": "second"})

        assert names(node) == ["nic2"]
        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.device", "refused")
    @pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
    def test_a_name_that_is_taken_leaves_the_device_as_it_was(self, cni, node, sandbox, up):
        """A device that was up on the host is up there again when ADD cannot have its name; a down one is not."""
        node.run(["ip", "link", "set", "nic2", "up" if up else "down"])
        cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"))

        rejected(cni, sandbox, {**network(device="nic2"), "name": "second"})

        assert node.link("nic2").up is up

    @pytest.mark.covers("host-device.device", "refused")
    def test_a_device_that_somebody_has(self, cni, node, sandbox):
        """A device is one container's: a second ADD finds none on the host."""
        first = cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"))

        rejected(cni, node.sandbox("c2"), {**network(device="nic1"), "name": "second"})

        assert names(first.sandbox) == ["eth0"]

    @pytest.mark.covers("host-device", "refused")
    def test_when_ipam_fails_it_is_back_on_the_host(self, cni, node, sandbox):
        """An ADD whose IPAM fails gives the device back under its own name."""
        rejected(cni, sandbox, {**network(device="nic1"), "ipam": static("ten")})

        assert names(node) == ["nic1", "nic2"]
        assert names(sandbox) == []


class TestDel:
    """The device comes back."""

    @pytest.mark.covers("host-device.device", "DEL", "packet")
    def test_under_its_own_name(self, cni, node, sandbox):
        """After DEL the host has the device with its name, its MAC and its MTU, and it works."""
        node.run(["ip", "link", "set", "nic1", "mtu", "1400"])
        cni.delete(cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1")))
        link = node.link("nic1")

        assert (link.mac, link.mtu) == (FIRST_MAC, 1400)
        assert node.addresses_on("nic1") == ()
        assert names(sandbox) == []
        node.run(["ip", "link", "set", "nic1", "up"])
        node.run(["ip", "address", "add", "192.168.90.9/24", "dev", "nic1"])
        assert node.ping(PEER)

    @pytest.mark.covers("host-device.device", "DEL")
    def test_as_it_was(self, cni, node, sandbox):
        """What the host had set of its device is the same in the container and after DEL, by ip(8)'s own words."""
        node.run(["ip", "link", "property", "add", "dev", "nic1", "altname", "uplink-of-the-rack"])
        for words in SETTINGS:
            node.run(["ip", "link", "set", "nic1", *words])
        before = lasting(node.link("nic1"))

        attachment = cni.add(sandbox, network(device="nic1"), LONG_NAME)
        inside = lasting(sandbox.link(LONG_NAME))
        cni.delete(attachment)

        assert inside == before
        assert lasting(node.link("nic1")) == before
        assert names(sandbox) == []

    @pytest.mark.covers("host-device.device", "DEL")
    def test_without_the_alias(self, cni, node, sandbox):
        """The alias that kept its name is gone after DEL."""
        cni.delete(cni.add(sandbox, network(device="nic1")))

        assert node.link("nic1").alias == ""

    @pytest.mark.covers("host-device.hwaddr", "DEL")
    def test_of_one_that_was_found_by_its_mac(self, cni, node, sandbox):
        """DEL gives back what was found by its MAC, too, and again and again."""
        for _ in range(3):
            cni.delete(cni.add(sandbox, network(hwaddr=FIRST_MAC)))

        assert {*names(node)} == {"nic1", "nic2"}

    @pytest.mark.covers("host-device.device", "DEL", "packet")
    def test_of_one_leaves_the_other(self, lab, cni, sandbox):
        """Of two devices in a container DEL takes one, and the other works on."""
        first = cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"), "eth0")
        cni.add(sandbox, {**network("192.168.91.2/24", device="nic2"), "name": "second"}, "eth1")

        cni.delete(first)

        assert lab.host("other").ping("192.168.91.2")

    @pytest.mark.covers("host-device.device", "DEL")
    def test_when_its_name_is_taken_by_then(self, cni, node, sandbox):
        """DEL fails while another link of the host has the name, leaves the device alone, and works after that."""
        attachment = cni.add(sandbox, network(device="nic1"))
        node.run(["ip", "link", "add", "nic1", "type", "veth", "peer", "name", "far"])

        with pytest.raises(PluginError):
            cni.delete(attachment)
        node.run(["ip", "link", "delete", "nic1"])
        cni.delete(attachment)

        assert node.link("nic1").mac == FIRST_MAC

    @pytest.mark.covers("host-device.device", "DEL")
    def test_when_the_host_has_a_link_of_the_containers_name(self, cni, node, sandbox):
        """A link of the host that is called as the device was in the container is no obstacle."""
        attachment = cni.add(sandbox, network(device="nic1"))
        node.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far"])

        cni.delete(attachment)

        assert node.link("nic1").mac == FIRST_MAC

    @pytest.mark.covers("host-device.device", "DEL")
    def test_twice(self, cni, node, sandbox):
        """A second DEL succeeds and leaves the device on the host."""
        attachment = cni.add(sandbox, network(device="nic1"))
        cni.delete(attachment)

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert node.link("nic1").mac == FIRST_MAC

    @pytest.mark.covers("host-device", "DEL")
    @pytest.mark.requires(plugin="host-local")
    @pytest.mark.parametrize("lost", ["path", "namespace"])
    def test_frees_the_address_whatever_was_lost(self, cni, node, sandbox, lost):
        """Without the namespace, or its path, DEL succeeds and the address is free."""
        attachment = cni.add(sandbox, {**network(device="nic1"), "ipam": LEASED})
        assert leases(node, "cards") == [ADDRESS]

        try:
            if lost == "path":
                delete_without_namespace(cni, attachment)
            else:
                node.lose("c1")
                cni.delete(attachment)
        except PluginError as error:
            cni.attachments.clear()
            pytest.fail(f"{error}; kept: {leases(node, 'cards')}")

        cni.attachments.clear()
        assert leases(node, "cards") == [], f"kept: {leases(node, 'cards')}"


# Before Linux 6.2 no link is renamed that is up.
TAMPERINGS = {
    "link renamed": "ip link set eth0 down && ip link set eth0 name eth9 && ip link set eth9 up",
    "link down": "ip link set eth0 down",
    "MAC changed": "ip link set eth0 address 02:00:5e:00:53:77",
    "address removed": f"ip address delete {ADDRESS}/24 dev eth0",
    "route removed": "ip route delete 203.0.113.0/24",
    "subnet's route removed": "ip route delete 192.168.90.0/24",
}


class TestCheck:
    """CHECK agrees with what ADD made and with nothing else."""

    @pytest.mark.covers("host-device", "CHECK", "packet")
    def test_agrees_with_a_fresh_device(self, cni, sandbox):
        """CHECK succeeds after ADD, also once traffic has passed."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24", f"{ADDRESS6}/64", device="nic1"))
        cni.check(attachment)
        assert sandbox.ping(PEER)

        cni.check(attachment)

    @pytest.mark.covers("host-device", "CHECK")
    @pytest.mark.parametrize("lost", [f"{ADDRESS}/24", f"{ADDRESS6}/64"], ids=["ipv4", "ipv6"])
    def test_notices_the_lost_address_of_one_family(self, cni, sandbox, lost):
        """CHECK of a device with addresses of both families fails when either one is gone."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24", f"{ADDRESS6}/64", device="nic1"))
        cni.check(attachment)

        sandbox.run(["ip", "address", "delete", lost, "dev", "eth0"])

        assert distrusted(cni, attachment)

    @pytest.mark.covers("host-device", "CHECK")
    @pytest.mark.requires(plugin="host-local")
    @pytest.mark.parametrize("tampering", TAMPERINGS)
    def test_notices(self, cni, sandbox, tampering):
        """CHECK fails when what ADD made is no longer so."""
        attachment = cni.add(sandbox, {**network(device="nic1"), "ipam": LEASED})
        cni.check(attachment)

        sandbox.run(["sh", "-c", TAMPERINGS[tampering]])
        if tampering == "link renamed":
            cni.attachments.clear()

        distrusted(cni, attachment)
