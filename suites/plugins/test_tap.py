"""tap: a device whose other end is a program: frames through an open descriptor, owners, queues, bridges."""

from __future__ import annotations

import json

import pytest
from cnitest.suites.plugins.lan_networks import distrusted, ready_sandbox, refused, static

from cnitest import difference

pytestmark = [pytest.mark.requires(kernel="tap", plugin=["tap", "static"]), pytest.mark.topology("node-with-uplink")]

#: The kernel's device, and one that every user of the host may open.
DEVICE, OPEN_DEVICE = "/dev/net/tun", "/mnt/tun"
ADDRESS, FAR = "10.77.0.2", "10.77.0.9"
ADDRESS6 = "2001:db8:77::2"
MAC = "02:00:5e:00:53:31"

# What a virtual machine does: it has the tap's other end open, answers ARP for one address, and echoes UDP.
PROGRAM = """
import fcntl, os, struct, sys
name, queues, far = sys.argv[1], int(sys.argv[2]), bytes(map(int, sys.argv[3].split(".")))
mac, flags = bytes.fromhex("02005e005399"), 0x0002 | 0x1000 | (0x0100 if queues > 1 else 0)
taps = []
for _ in range(queues):
    tap = os.open(sys.argv[4], os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))
    taps.append(tap)
print("open", flush=True)
import selectors
ready = selectors.DefaultSelector()
for tap in taps:
    ready.register(tap, selectors.EVENT_READ)
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
while True:
    for key, _ in ready.select():
        frame = os.read(key.fd, 65536)
        kind, sender = frame[12:14], frame[6:12]
        if kind == b"\\x08\\x06" and frame[20:22] == b"\\0\\1" and frame[38:42] == far:
            answer = sender + mac + kind + frame[14:20] + b"\\0\\2" + mac + far + frame[22:32]
            os.write(key.fd, answer)
        if kind == b"\\x08\\0" and frame[23] == 1 and frame[30:34] == far and frame[34] == 8:
            icmp = b"\\0\\0\\0\\0" + frame[38:]
            padded = icmp + b"\\0" * (len(icmp) % 2)
            icmp = icmp[:2] + struct.pack("!H", checksum(padded)) + icmp[4:]
            header = frame[14:26] + frame[30:34] + frame[26:30]
            os.write(key.fd, sender + mac + kind + header + icmp)
"""


def network(*addresses, **keys):
    """A tap with these addresses; without any it has no IPAM."""
    conf = {"cniVersion": "1.0.0", "name": "taps", "type": "tap", **keys}
    return {**conf, "ipam": static(*addresses)} if addresses else conf


def details(sandbox, link="eth0"):
    """What ip(8) says of a tap: type, owner, group and flags."""
    (found,) = json.loads(sandbox.run(["ip", "-j", "-d", "link", "show", link]).stdout)
    return found["linkinfo"]["info_data"]


def as_user(number):
    """The command that has another one run as a user without any privilege."""
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]


def opened(sandbox, queues=1, user=None):
    """A program with the tap's other end open, which answers ARP and echo for an address; ``user`` runs it."""
    command = ["python3", "-c", PROGRAM, "eth0", str(queues), FAR, DEVICE if user is None else OPEN_DEVICE]
    if user is not None:
        command = [*as_user(user), *command]
    return sandbox.start(command, ready="open")


@pytest.fixture
def node(lab):
    """The host."""
    return lab.host("node")


@pytest.fixture
def sandbox(node):
    """A container without a network."""
    return ready_sandbox(node, "c1")


class TestFrames:
    """What passes between the container's network and who has the tap open."""

    @pytest.mark.covers("tap", "kernel", "packet")
    def test_a_program_exchanges_frames(self, cni, sandbox):
        """Who opens the tap gets the container's frames, and the container gets his."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))

        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0").answered_by == "02:00:5e:00:53:99"
            assert sandbox.ping(FAR)

    @pytest.mark.covers("tap", "kernel")
    def test_without_a_program_it_has_no_carrier(self, cni, sandbox):
        """A tap that nobody has open is up and has no carrier; with a program it has."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))
        link = sandbox.link("eth0")
        assert link.up
        assert not link.carrier

        with opened(sandbox):
            assert sandbox.link("eth0").carrier

        assert sandbox.link("eth0").name == "eth0", "the tap outlives the program"

    @pytest.mark.covers("tap", "kernel")
    @pytest.mark.covers("tap.runtimeConfig.ips", "kernel")
    def test_addresses_of_both_families(self, cni, sandbox):
        """The link has the addresses of IPAM, those of the runtime too."""
        conf = {**network(f"{ADDRESS}/24"), "capabilities": {"ips": True}}

        attachment = cni.add(sandbox, conf, capabilities={"ips": [f"{ADDRESS}/24", f"{ADDRESS6}/64"]})

        assert attachment.addresses == (ADDRESS, ADDRESS6)
        assert {*sandbox.addresses_on("eth0")} == {ADDRESS, ADDRESS6}

    @pytest.mark.covers("tap.multiQueue", "kernel", "packet")
    def test_several_queues(self, cni, sandbox):
        """With `multiQueue` a program may open the tap several times, and traffic passes whichever queue has it."""
        cni.add(sandbox, network(f"{ADDRESS}/24", multiQueue=True))
        assert details(sandbox)["multi_queue"]

        with opened(sandbox, queues=4):
            assert sandbox.arp(FAR, on="eth0")
            assert details(sandbox)["numqueues"] == 4

    @pytest.mark.covers("tap.multiQueue", "kernel")
    def test_one_queue_is_the_default(self, cni, sandbox):
        """Without it the tap has one queue, and who asks for more is refused by the kernel."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))
        assert not details(sandbox)["multi_queue"]

        ended = sandbox.run(["python3", "-c", PROGRAM, "eth0", "2", FAR, DEVICE], check=False)

        assert ended.exit_code != 0
        assert "Invalid argument" in ended.stderr


class TestOwners:
    """Who may open the tap."""

    @pytest.fixture
    def users(self, node):
        """A device that every user may open, and users who can: not inside a user namespace."""
        node.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        node.run(["mknod", OPEN_DEVICE, "c", "10", "200"], check=False)
        node.run(["chmod", "666", OPEN_DEVICE], check=False)
        if node.run([*as_user(1234), "python3", "-c", f"open({OPEN_DEVICE!r})"], check=False).exit_code:
            pytest.skip("no other user can open the kernel's tun device here: run as root")

    @pytest.mark.covers("tap.owner", "kernel")
    @pytest.mark.covers("tap.group", "kernel")
    def test_owner_and_group(self, cni, sandbox):
        """`owner` and `group` are the tap's; without them it has none."""
        cni.add(sandbox, network(owner=1234, group=4321))
        cni.add(sandbox, {**network(), "name": "second"}, "eth1")
        first, second = details(sandbox), details(sandbox, "eth1")

        assert (first["user"], first["group"]) == ("1234", "4321") or (first["user"], first["group"]) == (1234, 4321)
        assert "user" not in second
        assert "group" not in second

    @pytest.mark.covers("tap.owner", "packet")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    def test_the_owner_opens_it(self, cni, sandbox):
        """The owner may open the tap without any privilege, and exchanges frames by it."""
        cni.add(sandbox, network(f"{ADDRESS}/24", owner=1234))

        with opened(sandbox, user=1234):
            assert sandbox.arp(FAR, on="eth0")

    @pytest.mark.covers("tap.owner", "kernel")
    @pytest.mark.covers("tap.group", "kernel")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    @pytest.mark.parametrize("key", ["owner", "group"])
    def test_somebody_else_may_not(self, cni, sandbox, key):
        """A user who is neither is refused by the kernel."""
        cni.add(sandbox, network(f"{ADDRESS}/24", **{key: 1234}))

        ended = sandbox.run([*as_user(1235), "python3", "-c", PROGRAM, "eth0", "1", FAR, OPEN_DEVICE], check=False)

        assert ended.exit_code != 0
        assert "not permitted" in ended.stderr

    @pytest.mark.covers("tap.owner", "refused")
    @pytest.mark.covers("tap.group", "refused")
    @pytest.mark.parametrize("key", ["owner", "group"])
    @pytest.mark.parametrize("value", [-1, "root", 1 << 33])
    def test_what_is_nobodys_number_is_refused(self, cni, sandbox, key, value):
        """A number below none, a name and one that no user can have are errors, and no link is left."""
        refused(cni, sandbox, network(**{key: value}))

        assert [link.name for link in sandbox.links] == ["lo"]


class TestLink:
    """MAC, MTU and bridge."""

    @pytest.mark.covers("tap.mtu", "kernel")
    @pytest.mark.parametrize(
        ("keys", "mtu"), [({}, 1500), ({"mtu": 0}, 1500), ({"mtu": 1400}, 1400), ({"mtu": 9000}, 9000)]
    )
    def test_the_mtu(self, cni, sandbox, keys, mtu):
        """`mtu` is the link's; without it, or with 0, the kernel's."""
        cni.add(sandbox, network(**keys))

        assert sandbox.link("eth0").mtu == mtu

    @pytest.mark.covers("tap.mtu", "packet")
    @pytest.mark.parametrize(("size", "delivered"), [(1272, True), (1273, False)])
    def test_the_mtu_limits_packets(self, cni, sandbox, size, delivered):
        """A packet of the MTU leaves whole, one byte more does not."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mtu=1300))

        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0")
            assert bool(sandbox.ping(FAR, size=size, df=True)) is delivered

    @pytest.mark.covers("tap.mtu", "refused")
    @pytest.mark.parametrize("mtu", [70000, -5, 67])
    def test_an_mtu_that_it_cannot_have_is_refused(self, cni, sandbox, mtu):
        """What the kernel does not take is an error, and no link is left."""
        refused(cni, sandbox, network(mtu=mtu))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.mac", "kernel", "packet")
    def test_the_mac_of_the_configuration(self, cni, sandbox):
        """`mac` is the link's, and what its frames come from."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))

        with opened(sandbox), sandbox.capture("eth0") as wire:
            assert sandbox.arp(FAR, on="eth0")
            assert wire.matching("Ether", src=MAC)

    @pytest.mark.covers("tap.CNI_ARGS.MAC", "kernel")
    def test_the_mac_of_cni_args(self, cni, sandbox):
        """MAC of CNI_ARGS goes before the configuration."""
        cni.add(sandbox, network(mac="02:00:5e:00:53:99"), args={"IgnoreUnknown": "1", "MAC": MAC})

        assert sandbox.link("eth0").mac == MAC

    @pytest.mark.covers("tap.runtimeConfig.mac", "kernel")
    def test_the_mac_of_the_runtime(self, cni, sandbox):
        """The runtime's `mac` capability goes before CNI_ARGS and the configuration."""
        conf = {**network(mac="02:00:5e:00:53:99"), "capabilities": {"mac": True}}

        cni.add(sandbox, conf, args={"IgnoreUnknown": "1", "MAC": "02:00:5e:00:53:98"}, capabilities={"mac": MAC})

        assert sandbox.link("eth0").mac == MAC

    @pytest.mark.covers("tap.mac", "refused")
    @pytest.mark.parametrize("mac", ["zz", "01:00:5e:00:53:21"])
    def test_a_mac_that_is_none_is_refused(self, cni, sandbox, mac):
        """A word and a group's address are errors, and no link is left."""
        refused(cni, sandbox, network(mac=mac))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.bridge", "kernel", "packet")
    @pytest.mark.requires(plugin="tap>=1.4.0")
    def test_a_port_of_the_containers_bridge(self, cni, sandbox):
        """`bridge` is one in the container: the tap is its port, and frames pass by it."""
        sandbox.run(["ip", "link", "add", "br0", "type", "bridge"])
        sandbox.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "br0"])
        sandbox.run(["ip", "link", "set", "br0", "up"])

        cni.add(sandbox, network(bridge="br0"))

        assert sandbox.link("eth0").master == "br0"
        with opened(sandbox):
            assert sandbox.arp(FAR, on="br0", wait=1)

    @pytest.mark.covers("tap.bridge", "refused")
    @pytest.mark.requires(plugin="tap>=1.4.0")
    def test_a_bridge_that_is_not_there_is_refused(self, cni, node, sandbox):
        """A bridge that only the host has, or nobody, is an error, and no link is left."""
        node.run(["ip", "link", "add", "br0", "type", "bridge"])

        refused(cni, sandbox, network(bridge="br0"))

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap.selinuxContext", "refused")
    def test_an_selinux_context_without_selinux(self, cni, sandbox):
        """Where there is no SELinux a context cannot be had: an error, and no link is left."""
        if sandbox.run(["test", "-d", "/sys/fs/selinux"], check=False).exit_code == 0:
            pytest.skip("this machine has SELinux")

        refused(cni, sandbox, network(selinuxContext="system_u:system_r:svirt_t:s0"))

        assert [link.name for link in sandbox.links] == ["lo"]


class TestUpkeep:
    """DEL, CHECK and failures."""

    @pytest.mark.covers("tap", "DEL")
    def test_del_leaves_nothing(self, cni, node, sandbox):
        """After DEL container and host are as before; a second DEL succeeds."""
        inside, outside = sandbox.state(), node.state()
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))

        cni.delete(attachment)
        cni.delete(attachment)

        assert difference(inside, sandbox.state()) == ()
        assert [item for item in difference(outside, node.state()) if item.table != "files"] == []

    @pytest.mark.covers("tap", "DEL")
    @pytest.mark.parametrize("lost", ["link", "namespace"])
    def test_del_of_what_is_lost(self, cni, node, sandbox, lost):
        """DEL succeeds without the link, and without the namespace."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))
        if lost == "link":
            sandbox.run(["ip", "link", "delete", "eth0"])
        else:
            node.lose("c1")

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)

    @pytest.mark.covers("tap", "DEL", "packet")
    def test_del_while_a_program_has_it_open(self, cni, sandbox):
        """DEL takes the tap away from a program that has it open."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24"))
        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0")
            cni.delete(attachment)

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap", "CHECK")
    @pytest.mark.parametrize(
        "tampering",
        [
            "ip link delete eth0",
            "ip link set eth0 address 02:00:5e:00:53:77",
            f"ip address delete {ADDRESS}/24 dev eth0",
            "ip link delete eth0; ip link add eth0 type veth peer name eth9; ip link set eth0 up; "
            f"ip link set eth0 address {MAC}; ip address add {ADDRESS}/24 dev eth0",
        ],
        ids=["link deleted", "MAC changed", "address removed", "other kind"],
    )
    def test_check_notices(self, cni, sandbox, tampering):
        """CHECK agrees with what ADD made and with nothing else."""
        attachment = cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))
        cni.check(attachment)

        sandbox.run(["sh", "-c", tampering])

        distrusted(cni, attachment)

    @pytest.mark.covers("tap", "refused")
    def test_a_failed_ipam_leaves_no_link(self, cni, sandbox):
        """When IPAM fails no link is left."""
        conf = {**network(), "ipam": {"type": "static", "addresses": [{"address": "ten"}]}}

        refused(cni, sandbox, conf)

        assert [link.name for link in sandbox.links] == ["lo"]

    @pytest.mark.covers("tap", "refused")
    def test_a_name_that_is_taken_is_refused(self, cni, sandbox):
        """A second ADD under the same name is refused, and the first stays."""
        cni.add(sandbox, network(f"{ADDRESS}/24", mac=MAC))

        refused(cni, sandbox, {**network(), "name": "second"})

        assert sandbox.link("eth0").mac == MAC
