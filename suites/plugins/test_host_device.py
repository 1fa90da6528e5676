"""host-device: a link of the host moves into the container, found in each way, and works there."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.cards import ADDRESS, ADDRESS6, FIRST_MAC, LEASED, PEER, PEER6, WIRE, names, network
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.seen import source

pytestmark = [pytest.mark.requires(plugin=["host-device", "static"]), pytest.mark.topology(WIRE)]

PCI = "0000:00:1f.6"


class TestMove:
    """The device in the container."""

    @pytest.mark.covers("host-device.device", "kernel", "packet")
    def test_it_works_there(self, lab, cni, node, sandbox):
        """The device has the name that was asked for, is up, and both families reach what is at its cable."""
        cni.add(sandbox, network(f"{ADDRESS}/24", f"{ADDRESS6}/64", device="nic1"), "net1")

        assert names(sandbox) == ["net1"]
        assert names(node) == ["nic2"]
        assert sandbox.link("net1").up
        assert source(sandbox.tcp(PEER, 80)) == ADDRESS
        assert source(sandbox.udp(PEER6, 53)) == ADDRESS6
        assert lab.host("peer").ping(ADDRESS)

    @pytest.mark.covers("host-device.device", "kernel", "packet")
    def test_it_keeps_what_it_was(self, lab, cni, node, sandbox):
        """MAC and MTU are as before, and the old name is kept as the link's alias."""
        node.run(["ip", "link", "set", "nic1", "mtu", "1400"])
        cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"))
        link = sandbox.link("eth0")

        assert (link.mac, link.mtu, link.alias) == (FIRST_MAC, 1400, "nic1")
        assert lab.host("peer").arp(ADDRESS, on="eth0").answered_by == FIRST_MAC
        assert not sandbox.ping(PEER, size=1373, df=True)

    @pytest.mark.covers("host-device.hwaddr", "kernel", "packet")
    @pytest.mark.parametrize("mac", [FIRST_MAC, FIRST_MAC.upper()])
    def test_by_its_mac(self, cni, node, sandbox, mac):
        """`hwaddr` finds the device by its MAC, in small letters or capitals."""
        cni.add(sandbox, network(f"{ADDRESS}/24", hwaddr=mac))

        assert names(node) == ["nic2"]
        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.kernelpath", "kernel", "packet")
    def test_by_its_kernel_path(self, cni, node, sandbox):
        """`kernelpath` finds the device by its place in /sys/devices: the first link below net/ there."""
        node.run(["ip", "link", "set", "nic1", "down"])  # before Linux 6.2 no link is renamed that is up
        node.run(["ip", "link", "set", "nic1", "name", "a-nic"])

        cni.add(sandbox, network(f"{ADDRESS}/24", kernelpath="/sys/devices/virtual"))

        assert names(node) == ["nic2"]
        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device", "kernel", "packet")
    def test_without_ipam(self, cni, sandbox):
        """Without IPAM the device is up and has no address; who gives it one reaches the peer."""
        attachment = cni.add(sandbox, network(device="nic1"))

        assert attachment.result.ips == ()
        assert sandbox.link("eth0").up
        sandbox.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0"])
        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.dns", "kernel")
    def test_dns_goes_before_that_of_the_ipam(self, cni, sandbox):
        """DNS settings of the network are those of the result, whatever IPAM says."""
        dns = {"nameservers": ["192.0.2.53", "2001:db8::53"], "domain": "example.com", "search": ["example.com"]}
        conf = network(f"{ADDRESS}/24", device="nic1", dns={**dns, "options": ["ndots:2"]})
        conf["ipam"]["dns"] = {"nameservers": ["192.0.2.54"]}

        assert cni.add(sandbox, conf).result.dns == {**dns, "options": ["ndots:2"]}

    @pytest.mark.covers("host-device.runtimeConfig.ips", "kernel", "packet")
    def test_addresses_of_the_runtime(self, lab, cni, sandbox):
        """Addresses that the runtime names reach IPAM."""
        conf = {**network("192.168.90.99/24", device="nic1"), "capabilities": {"ips": True}}

        cni.add(sandbox, conf, capabilities={"ips": [f"{ADDRESS}/24"]})

        assert lab.host("peer").ping(ADDRESS)

    @pytest.mark.covers("host-device", "kernel", "packet")
    @pytest.mark.requires(plugin="host-local")
    def test_routes_of_the_ipam(self, lab, cni, sandbox):
        """Routes that IPAM names are in the container."""
        lab.host("peer").run(["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])

        cni.add(sandbox, {**network(device="nic1"), "ipam": LEASED})

        assert sandbox.ping("203.0.113.1")

    @pytest.mark.covers("host-device.device", "packet")
    def test_two_devices_in_one_container(self, lab, cni, sandbox):
        """Both devices work side by side in one container."""
        cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"), "eth0")
        cni.add(sandbox, {**network("192.168.91.2/24", device="nic2"), "name": "second"}, "eth1")

        assert sandbox.ping(PEER)
        assert lab.host("other").ping("192.168.91.2")

    @pytest.mark.covers("host-device.device", "kernel", "packet")
    def test_the_name_is_taken_by_another_link_of_the_container(self, cni, sandbox):
        """A link of the container that is called as the device was on the host is no obstacle."""
        sandbox.run(["ip", "link", "add", "nic1", "type", "veth", "peer", "name", "far"])

        cni.add(sandbox, network(f"{ADDRESS}/24", device="nic1"))

        assert {"nic1", "far", "eth0"} == {*names(sandbox)}
        assert sandbox.ping(PEER)


class TestFoundByItsBus:
    """Devices that are found below /sys/bus, whose entries are made here."""

    @pytest.fixture
    def bus(self, node):
        """Makes entries of a bus: a device with a link, or with a driver."""
        node.run(["mount", "-t", "tmpfs", "tmpfs", "/sys/bus"])

        def make(device, link="nic1", bus="pci", driver="e1000"):
            at, drivers = f"/sys/bus/{bus}/devices/{device}", f"/sys/bus/{bus}/drivers"
            node.run(["mkdir", "-p", f"{at}/net/{link}" if link else at, f"{drivers}/{driver}"])
            node.run(["ln", "-s", f"../../drivers/{driver}", f"{at}/driver"])

        return make

    @pytest.mark.covers("host-device.pciBusID", "kernel", "packet")
    def test_by_its_pci_address(self, cni, node, sandbox, bus):
        """`pciBusID` finds the link of the device at that address."""
        bus(PCI)

        cni.add(sandbox, network(f"{ADDRESS}/24", pciBusID=PCI))

        assert names(node) == ["nic2"]
        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.runtimeConfig.deviceID", "kernel", "packet")
    def test_by_what_the_runtime_says(self, cni, sandbox, bus):
        """The runtime's `deviceID` is a PCI address, and goes before the configuration's."""
        bus(PCI)
        bus("0000:00:1f.7", "nic2")
        conf = {**network(f"{ADDRESS}/24", pciBusID="0000:00:1f.7"), "capabilities": {"deviceID": True}}

        cni.add(sandbox, conf, capabilities={"deviceID": PCI})

        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.runtimeConfig.deviceID", "kernel", "packet")
    @pytest.mark.requires(plugin="host-device>=1.5.0")
    def test_an_auxiliary_device(self, cni, sandbox, bus):
        """The runtime's `deviceID` may be that of an auxiliary device."""
        bus("mlx5_core.sf.4", bus="auxiliary")
        conf = {**network(f"{ADDRESS}/24"), "capabilities": {"deviceID": True}}

        cni.add(sandbox, conf, capabilities={"deviceID": "mlx5_core.sf.4"})

        assert sandbox.ping(PEER)

    @pytest.mark.covers("host-device.pciBusID", "refused")
    @pytest.mark.parametrize("keys", [{"pciBusID": "0000:00:00.0"}, {"pciBusID": "nonsense"}])
    def test_a_device_that_is_not_there_is_refused(self, cni, node, sandbox, bus, keys):
        """An address that no device has is an error, and no link is moved."""
        bus(PCI)

        rejected(cni, sandbox, network(f"{ADDRESS}/24", **keys))

        assert names(node) == ["nic1", "nic2"]

    @pytest.mark.covers("host-device.pciBusID", "kernel", "DEL")
    @pytest.mark.parametrize("driver", ["vfio-pci", "uio_pci_generic", "igb_uio"])
    def test_a_device_of_a_userspace_driver_is_left_alone(self, cni, node, sandbox, bus, driver):
        """A device that a DPDK driver has shows no link: ADD and DEL succeed and move nothing."""
        bus(PCI, link="", driver=driver)

        attachment = cni.add(sandbox, network(f"{ADDRESS}/24", pciBusID=PCI))
        assert attachment.addresses == (ADDRESS,)
        cni.delete(attachment)

        assert names(node) == ["nic1", "nic2"]
        assert names(sandbox) == []
