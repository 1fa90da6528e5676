"""tuning: attributes of a link by what they do, the forms they can be given in, and which goes before which."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import chained, macvlan, ready_sandbox, rejected

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["tuning", "macvlan", "static"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, ADDRESS6 = "192.168.80.120", "2001:db8:80::120"
PEER, PEER6 = "192.168.80.102", "2001:db8:80::102"
UPLINK = "ens33"
FRAMES = 20
MAC, OTHER_MAC, THIRD_MAC = "02:00:5e:00:53:21", "02:00:5e:00:53:22", "02:00:5e:00:53:23"
LOG_MARTIANS = "net.ipv4.conf.all.log_martians"


def tuned(**keys):
    """A macvlan network of one address with tuning after it."""
    return chained(macvlan(f"{ADDRESS}/24"), {"type": "tuning", **keys})


def group_frames(sandbox):
    """How many frames for several receivers have arrived at the container's link."""
    (line,) = [line for line in sandbox.run(["cat", "/proc/net/dev"]).stdout.splitlines() if "eth0:" in line]
    return int(line.partition(":")[2].split()[7])


@pytest.fixture
def sandbox(lab):
    """A container without a network."""
    return lab.host("node").sandbox("c1")


class TestMac:
    """`mac`, in its four forms."""

    @pytest.mark.covers("tuning.mac", "kernel", "packet")
    def test_of_the_configuration(self, cni, sandbox, peer):
        """The link has the MAC, the result says so, and the LAN sees it."""
        attachment = cni.add(sandbox, tuned(mac=MAC))

        assert sandbox.link("eth0").mac == MAC
        assert attachment.result.interfaces[0].mac == MAC
        assert peer.arp(ADDRESS, on=UPLINK).answered_by == MAC

    @pytest.mark.covers("tuning.mac", "packet")
    def test_a_peer_that_knew_the_old_one_reaches_the_new(self, cni, sandbox, peer):
        """Who has seen the link's first announcement learns the new MAC, or asks for it: traffic flows at once."""
        cni.add(sandbox, tuned(mac=MAC))

        assert peer.ping(ADDRESS)
        assert peer.tcp(ADDRESS, 80)

    @pytest.mark.covers("tuning.CNI_ARGS.MAC", "kernel", "packet")
    def test_of_cni_args(self, cni, sandbox, peer):
        """MAC in CNI_ARGS goes before the configuration."""
        cni.add(sandbox, tuned(mac=OTHER_MAC), args={"IgnoreUnknown": "1", "MAC": MAC})

        assert peer.arp(ADDRESS, on=UPLINK).answered_by == MAC

    @pytest.mark.covers("tuning.args.cni.mac", "kernel", "packet")
    def test_of_args(self, cni, sandbox, peer):
        """`args.cni.mac` goes before CNI_ARGS and the configuration."""
        network = tuned(mac=OTHER_MAC, args={"cni": {"mac": MAC}})

        cni.add(sandbox, network, args={"IgnoreUnknown": "1", "MAC": THIRD_MAC})

        assert peer.arp(ADDRESS, on=UPLINK).answered_by == MAC

    @pytest.mark.covers("tuning.runtimeConfig.mac", "kernel", "packet")
    def test_of_the_runtime(self, cni, sandbox, peer):
        """The runtime's `mac` capability goes before the configuration and CNI_ARGS."""
        network = tuned(mac=OTHER_MAC, capabilities={"mac": True})

        cni.add(sandbox, network, args={"IgnoreUnknown": "1", "MAC": THIRD_MAC}, capabilities={"mac": MAC})

        assert peer.arp(ADDRESS, on=UPLINK).answered_by == MAC

    @pytest.mark.covers("tuning.mac", "CHECK")
    def test_in_capitals(self, cni, sandbox):
        """A MAC may be written in capitals: the link has it, and CHECK of the whole list agrees."""
        attachment = cni.add(sandbox, tuned(mac=MAC.upper()))

        assert sandbox.link("eth0").mac == MAC
        cni.check(attachment)

    @pytest.mark.covers("tuning.mac", "refused")
    @pytest.mark.parametrize("mac", ["zz", "01:00:5e:00:53:11", "00:00:00:00:00:00"])
    def test_what_is_none_is_refused(self, cni, sandbox, mac):
        """A word, a group's address and nothing at all are rejected, and the link keeps its MAC."""
        rejected(cni, sandbox, tuned(mac=mac))

        assert sandbox.link("eth0").mac != mac


class TestMtu:
    """`mtu`."""

    @pytest.mark.covers("tuning.mtu", "kernel", "packet")
    @pytest.mark.parametrize("mtu", [576, 1280, 1499])
    def test_it_limits_packets(self, cni, sandbox, mtu):
        """A packet of the MTU leaves whole, one byte more does not."""
        cni.add(sandbox, tuned(mtu=mtu))

        assert sandbox.link("eth0").mtu == mtu
        assert sandbox.ping(PEER, size=mtu - 28, df=True)
        assert not sandbox.ping(PEER, size=mtu - 27, df=True)

    @pytest.mark.covers("tuning.mtu", "packet")
    def test_it_limits_packets_of_ipv6(self, cni, lab):
        """The same for IPv6."""
        sandbox = ready_sandbox(lab.host("node"), "c1")
        cni.add(sandbox, chained(macvlan(f"{ADDRESS6}/64"), {"type": "tuning", "mtu": 1400}))

        assert sandbox.ping(PEER6, size=1400 - 48, df=True)
        assert not sandbox.ping(PEER6, size=1400 - 47, df=True)

    @pytest.mark.covers("tuning.args", "kernel", "packet")
    @pytest.mark.covers("tuning.args.cni.mtu", "kernel", "packet")
    def test_of_args(self, cni, sandbox):
        """`args.cni.mtu` goes before the configuration."""
        cni.add(sandbox, tuned(mtu=1400, args={"cni": {"mtu": 1300}}))

        assert sandbox.link("eth0").mtu == 1300
        assert not sandbox.ping(PEER, size=1300, df=True)

    @pytest.mark.covers("tuning.mtu", "kernel")
    def test_zero_leaves_it(self, cni, sandbox):
        """0 is no MTU: the link keeps what it had."""
        cni.add(sandbox, tuned(mtu=0))

        assert sandbox.link("eth0").mtu == 1500

    @pytest.mark.covers("tuning.mtu", "kernel")
    @pytest.mark.requires(plugin="tuning>=1.6.0")
    def test_the_result_says_it(self, cni, sandbox):
        """From 1.1.0 on the result has the MTU of a link: it is the new one."""
        network = {
            **chained(macvlan(f"{ADDRESS}/24", mtu=1450), {"type": "tuning", "mtu": 1400}),
            "cniVersion": "1.1.0",
        }

        attachment = cni.add(sandbox, network)

        assert attachment.result.interfaces[0].mtu in (None, 1400)

    @pytest.mark.covers("tuning.mtu", "refused")
    @pytest.mark.parametrize("mtu", [67, 1501, 70000, -5])
    def test_one_that_the_link_cannot_have_is_refused(self, cni, sandbox, mtu):
        """What the kernel does not take is an error, and the link keeps what it had."""
        rejected(cni, sandbox, tuned(mtu=mtu))

        assert sandbox.link("eth0").mtu == 1500


class TestHearing:
    """`promisc` and `allmulti`: frames of a group that nobody in the container has joined."""

    @pytest.fixture
    def hears(self, sandbox, peer):
        """Whether such frames from the LAN arrive at the container's link."""

        def ask():
            from scapy.layers.inet import IP, UDP
            from scapy.layers.l2 import Ether

            before = group_frames(sandbox)
            mac = peer.link(UPLINK).mac
            # Each to another group: macvlan knows groups by a hash of eight bits, which one may share with one joined.
            for group in range(1, FRAMES + 1):
                head = Ether(src=mac, dst=f"01:00:5e:01:02:{group:02x}")
                peer.send(head / IP(src=PEER, dst=f"224.1.2.{group}") / UDP(), on=UPLINK)
            # A broadcast takes its turn behind them.
            assert peer.udp("192.168.80.255", 7000, listener=sandbox)
            return group_frames(sandbox) - before >= FRAMES

        return ask

    @pytest.mark.covers("tuning.promisc", "kernel", "packet")
    @pytest.mark.parametrize("promisc", [True, False])
    def test_promiscuous(self, cni, sandbox, hears, promisc):
        """A promiscuous link has the flag and hears everything that its parent hands out."""
        cni.add(sandbox, tuned(promisc=promisc))

        assert ("PROMISC" in sandbox.link("eth0").flags) is promisc
        assert hears() is promisc

    @pytest.mark.covers("tuning.args.cni.promisc", "kernel", "packet")
    def test_promiscuous_by_args(self, cni, sandbox, hears):
        """`args.cni.promisc` does the same."""
        cni.add(sandbox, tuned(args={"cni": {"promisc": True}}))

        assert sandbox.link("eth0").promiscuity == 1
        assert hears()

    @pytest.mark.covers("tuning.allmulti", "kernel", "packet")
    @pytest.mark.parametrize("allmulti", [True, False])
    def test_all_multicast(self, cni, sandbox, hears, allmulti):
        """An all-multicast link has the flag and hears groups that nobody has joined."""
        cni.add(sandbox, tuned(allmulti=allmulti))

        assert ("ALLMULTI" in sandbox.link("eth0").flags) is allmulti
        assert hears() is allmulti

    @pytest.mark.covers("tuning.args.cni.allmulti", "kernel", "packet")
    def test_all_multicast_by_args(self, cni, sandbox, hears):
        """`args.cni.allmulti` does the same."""
        cni.add(sandbox, tuned(args={"cni": {"allmulti": True}}))

        assert sandbox.link("eth0").allmulti == 1
        assert hears()


@pytest.mark.requires(plugin="tuning>=1.4.0")
class TestQueue:
    """`txQLen`."""

    @pytest.mark.covers("tuning.txQLen", "kernel")
    @pytest.mark.parametrize("length", [0, 1, 500])
    def test_of_the_configuration(self, cni, sandbox, length):
        """The link has a queue of that many packets, none included."""
        cni.add(sandbox, tuned(txQLen=length))

        assert sandbox.link("eth0").txqlen == length

    @pytest.mark.covers("tuning.args.cni.txQLen", "kernel")
    def test_of_args(self, cni, sandbox):
        """`args.cni.txQLen` goes before the configuration."""
        cni.add(sandbox, tuned(txQLen=500, args={"cni": {"txQLen": 77}}))

        assert sandbox.link("eth0").txqlen == 77

    @pytest.mark.covers("tuning.txQLen", "packet")
    def test_traffic_passes_a_short_queue(self, cni, sandbox):
        """With a queue of one packet a bulk transfer still arrives whole."""
        cni.add(sandbox, tuned(txQLen=1))

        assert sandbox.tcp(PEER, 80, size=50_000, reply_size=50_000)

    @pytest.mark.covers("tuning.txQLen", "refused")
    def test_less_than_nothing_is_refused(self, cni, sandbox):
        """A queue of a negative length is an error."""
        rejected(cni, sandbox, tuned(txQLen=-1))


@pytest.mark.covers("tuning", "kernel", "packet")
def test_all_at_once(cni, sandbox):
    """All attributes of one configuration are set by one ADD, and the link still reaches the LAN."""
    cni.add(sandbox, tuned(mac=MAC, mtu=1300, promisc=True, allmulti=True, sysctl={LOG_MARTIANS: "1"}))
    link = sandbox.link("eth0")

    assert (link.mac, link.mtu, link.promiscuity, link.allmulti) == (MAC, 1300, 1, 1)
    assert sandbox.sysctl(LOG_MARTIANS) == "1"
    assert sandbox.ping(PEER, size=1300 - 28, df=True)
