"""tuning's sysctls: set in the container, seen by packets, limited by an allow-list, rejected elsewhere."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import chained, macvlan, rejected

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["tuning", "macvlan", "static"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, ADDRESS6 = "192.168.80.120", "2001:db8:80::120"
UPLINK = "ens33"
LOG_MARTIANS = "net.ipv4.conf.all.log_martians"
ALLOW_LIST = "/etc/cni/tuning/allowlist.conf"


def tuned(sysctl, **keys):
    """A macvlan network with both families and tuning after it, which sets these sysctls."""
    return chained(macvlan(f"{ADDRESS}/24", f"{ADDRESS6}/64"), {"type": "tuning", "sysctl": sysctl, **keys})


@pytest.mark.covers("tuning.sysctl", "kernel", "packet")
@pytest.mark.parametrize(
    ("name", "address"), [("net.ipv4.icmp_echo_ignore_all", ADDRESS), ("net.ipv6.icmp.echo_ignore_all", ADDRESS6)]
)
def test_a_sysctl_of_the_container(cni, node, peer, sandbox, name, address):
    """What is set has its effect in the container, and the host has its own."""
    cni.add(sandbox, tuned({name: "1"}))

    assert sandbox.sysctl(name) == "1"
    assert node.sysctl(name) == "0"
    assert not peer.ping(address, wait=0.1)
    assert peer.tcp(address, 80)


@pytest.mark.covers("tuning.sysctl", "kernel", "packet")
def test_a_time_to_live(cni, peer, sandbox):
    """A default hop limit is on the packets that the container sends."""
    cni.add(sandbox, tuned({"net.ipv4.ip_default_ttl": "33"}))

    with peer.capture(UPLINK) as wire:
        assert sandbox.udp("192.168.80.102", 53)

        assert wire.matching("IP", src=ADDRESS, ttl=33)
        assert not wire.matching("IP", src=ADDRESS, ttl=64)


@pytest.mark.covers("tuning.sysctl", "kernel", "packet")
@pytest.mark.parametrize("name", ["net.ipv4.conf.IFNAME.arp_ignore", "net/ipv4/conf/IFNAME/arp_ignore"])
def test_the_links_own_name(cni, peer, sandbox, name):
    """IFNAME stands for the link of this ADD, with dots and with slashes: this one answers no ARP any more."""
    cni.add(sandbox, tuned({name: "8"}), "net1")

    assert sandbox.sysctl("net.ipv4.conf.net1.arp_ignore") == "8"
    assert not peer.arp(ADDRESS, on=UPLINK, wait=0.1)


@pytest.mark.covers("tuning.sysctl", "kernel")
def test_several_at_once(cni, sandbox):
    """All of them are set, numbers and words, a list of numbers too."""
    wanted = {LOG_MARTIANS: "1", "net.core.somaxconn": "300", "net.ipv4.ip_local_port_range": "40000 50000"}

    cni.add(sandbox, tuned(wanted))

    found = {name: " ".join((sandbox.sysctl(name) or "").split()) for name in wanted}
    assert found == wanted


@pytest.mark.covers("tuning.args.cni.sysctl", "kernel")
@pytest.mark.parametrize("own", [{LOG_MARTIANS: "0"}, None], ids=["with sysctl", "without sysctl"])
def test_sysctls_of_args(cni, sandbox, own):
    """`args.cni.sysctl` goes before the configuration's, and does without it."""
    network = tuned(own, args={"cni": {"sysctl": {LOG_MARTIANS: "1"}}})
    if own is None:
        del network["plugins"][1]["sysctl"]

    cni.add(sandbox, network)

    assert sandbox.sysctl(LOG_MARTIANS) == "1"


@pytest.mark.covers("tuning.sysctl", "kernel", "packet")
def test_it_survives_the_plugins_after_it(cni, peer, sandbox):
    """A sysctl of the link is still set when the list is done, though another plugin had the link after it."""
    network = tuned({"net.ipv4.conf.IFNAME.arp_ignore": "8"})
    network["plugins"].append({"type": "tuning", "mtu": 1400, "mac": "02:00:5e:00:53:21"})

    cni.add(sandbox, network)

    assert sandbox.sysctl("net.ipv4.conf.eth0.arp_ignore") == "8"
    assert not peer.arp(ADDRESS, on=UPLINK, wait=0.1)


@pytest.mark.covers("tuning.sysctl", "kernel")
def test_it_is_set_when_the_link_is_there_already(cni, sandbox):
    """The plugin works on a link that is up and has its addresses: IPv6 can be switched off, and they go."""
    cni.add(sandbox, tuned({"net.ipv6.conf.IFNAME.disable_ipv6": "1"}))

    assert sandbox.addresses_on("eth0") == (ADDRESS,)


@pytest.mark.covers("tuning.sysctl", "DEL")
def test_del_leaves_it(cni, sandbox):
    """A sysctl is not put back by DEL, as the plugin's documentation has it: the namespace ends anyway."""
    cni.delete(cni.add(sandbox, tuned({LOG_MARTIANS: "1"})))

    assert sandbox.sysctl(LOG_MARTIANS) == "1"


class TestRefusals:
    """What is no sysctl of networking."""

    @pytest.mark.covers("tuning.sysctl", "refused")
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("kernel.hostname", None),
            ("vm.swappiness", None),
            ("net.ipv4.no.such", "1"),
            (LOG_MARTIANS, "many"),
            ("netfoo.bar", "1"),
            ("", "1"),
        ],
    )
    def test_what_is_none(self, cni, node, sandbox, name, value):
        """Sysctls of anything else, unknown ones and values that the kernel does not take are errors. Those of the
        machine are asked for with the value that is there: a plugin that sets them changes nothing."""
        same = "" if value else node.run(["cat", f"/proc/sys/{name.replace('.', '/')}"]).stdout.strip()

        rejected(cni, sandbox, tuned({name: value or same}))

    @pytest.mark.covers("tuning.sysctl", "refused")
    @pytest.mark.parametrize(
        "name", ["net/../kernel/hostname", "net.../kernel/hostname", "net/ipv4/../../kernel/hostname"]
    )
    def test_a_way_out(self, cni, node, sandbox, name):
        """A name that leads out of net/ is rejected, though it begins with it; asked for is the value that is there."""
        same = node.run(["cat", "/proc/sys/kernel/hostname"]).stdout.strip()

        rejected(cni, sandbox, tuned({name: same}))

    @pytest.mark.covers("tuning.sysctl")
    @pytest.mark.requires(plugin="tuning>=1.2.0")
    def test_one_that_is_there_twice(self, cni, node, sandbox):
        """The same sysctl twice in the configuration's text has no telling value: an error."""
        cni.add(sandbox, tuned({}))
        stdin = cni.calls[-1].stdin.replace(
            '"sysctl": {}', f'"sysctl": {{"{LOG_MARTIANS}": "1", "{LOG_MARTIANS}": "0"}}'
        )

        ended = node.run(cni.calls[-1].argv, stdin=stdin, environment=cni.calls[-1].environment, check=False)

        assert stdin != cni.calls[-1].stdin
        assert ended.exit_code != 0
        assert "code" in ended.stdout

    @pytest.mark.covers("tuning.sysctl", "refused")
    @pytest.mark.requires(plugin="tuning>=1.2.0")
    def test_one_in_two_spellings(self, cni, sandbox):
        """The same sysctl with dots and with slashes has no telling value either."""
        rejected(cni, sandbox, tuned({LOG_MARTIANS: "1", LOG_MARTIANS.replace(".", "/"): "0"}))

    @pytest.mark.covers("tuning.sysctl", "refused")
    def test_one_that_is_wrong_stops_all(self, cni, sandbox):
        """With one wrong name among them ADD is an error."""
        rejected(cni, sandbox, tuned({LOG_MARTIANS: "1", "net.ipv4.no.such": "1"}))


#: A line that is for one sysctl alone.
EXACT = r"^net\.ipv4\.conf\.all\.log_martians$"


@pytest.mark.requires(plugin="tuning>=1.2.0")
class TestAllowList:
    """The host's list of sysctls that containers may set: a regular expression a line."""

    @pytest.fixture
    def allowed(self, node):
        """Writes the list."""

        def write(*lines):
            node.run(["mkdir", "-p", ALLOW_LIST.rpartition("/")[0]])
            node.run(["tee", ALLOW_LIST], stdin="\n".join(lines) + "\n")

        return write

    @pytest.mark.covers("tuning.sysctl", "kernel")
    @pytest.mark.parametrize("pattern", [EXACT, "log_martians", ".*", f"  {EXACT}\t", f"{EXACT}\r"])
    def test_one_that_is_listed(self, cni, sandbox, allowed, pattern):
        """What a line matches may be set, whatever blanks or carriage returns are around it."""
        allowed("^net.core.somaxconn$", pattern)

        cni.add(sandbox, tuned({LOG_MARTIANS: "1"}))

        assert sandbox.sysctl(LOG_MARTIANS) == "1"

    @pytest.mark.covers("tuning.sysctl", "refused")
    def test_one_that_is_not(self, cni, sandbox, allowed):
        """What no line matches is rejected, and keeps its value."""
        allowed("^net.core.somaxconn$")

        rejected(cni, sandbox, tuned({LOG_MARTIANS: "1"}))

        assert sandbox.sysctl(LOG_MARTIANS) == "0"

    @pytest.mark.covers("tuning.sysctl", "refused")
    def test_one_of_several_that_is_not(self, cni, sandbox, allowed):
        """One sysctl that is not listed is an error even beside one that is."""
        allowed("^net.core.somaxconn$")

        rejected(cni, sandbox, tuned({"net.core.somaxconn": "300", LOG_MARTIANS: "1"}))

    @pytest.mark.covers("tuning.sysctl", "kernel")
    def test_the_links_name(self, cni, sandbox, allowed):
        """A line may speak of IFNAME, which is what the configuration says, too."""
        allowed("^net.ipv4.conf.IFNAME.arp_filter$")

        cni.add(sandbox, tuned({"net.ipv4.conf.IFNAME.arp_filter": "1"}))

        assert sandbox.sysctl("net.ipv4.conf.eth0.arp_filter") == "1"

    @pytest.mark.covers("tuning.mtu", "kernel")
    def test_it_is_about_sysctls_alone(self, cni, sandbox, allowed):
        """Attributes of the link need no line."""
        allowed("^nothing$")

        cni.add(sandbox, chained(macvlan(f"{ADDRESS}/24"), {"type": "tuning", "mtu": 1400}))

        assert sandbox.link("eth0").mtu == 1400
