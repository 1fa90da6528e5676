"""tuning's duties besides effects: results passed on, what DEL restores, what CHECK has to notice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.lan_networks import chained, delete_without_namespace, distrusted, macvlan, rejected

from cnitest import PluginError
from cnitest.cni.calls.caller import Caller
from cnitest.cni.calls.invoke import HostExec

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["tuning", "macvlan", "static"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, PEER = "192.168.80.120", "192.168.80.102"
MAC = "02:00:5e:00:53:21"
LOG_MARTIANS = "net.ipv4.conf.all.log_martians"
#: Keys, with the attributes of a link that each of them changes, and a value.
KEYS = {
    "mac": ([], MAC),
    "mtu": (["mtu"], 1400),
    "promisc": (["promiscuity", "flags"], True),
    "allmulti": (["allmulti", "flags"], True),
    "txQLen": (["txqlen"], 77),
    "sysctl": ([], {LOG_MARTIANS: "1"}),
}
NEWER = {"txQLen": pytest.mark.requires(plugin="tuning>=1.4")}
KEPT = "/run/cni/tuning"


def tuned(**keys):
    """A macvlan network of one address with tuning after it."""
    return chained(macvlan(f"{ADDRESS}/24"), {"type": "tuning", **keys})


def moved(**keys):
    """A network that moves the host's own link into the container, with tuning after it."""
    device = {"cniVersion": "1.0.0", "name": "moved", "type": "host-device", "device": "ens33"}
    return chained(device, {"type": "tuning", **keys})


def kept(node, directory=KEPT):
    """The files in which the plugin remembers how links were."""
    return [file.path for file in node.files() if file.path.startswith(f"{directory}/")]


@pytest.fixture
def sandbox(node):
    """A container without a network."""
    return node.sandbox("c1")


class TestResult:
    """What is passed on."""

    @pytest.mark.covers("tuning", "kernel")
    def test_it_is_that_of_the_plugin_before(self, cni, sandbox):
        """Nothing but a new MAC is changed in the result."""
        attachment = cni.add(sandbox, tuned(mtu=1400, sysctl={LOG_MARTIANS: "1"}))

        assert [call.plugin for call in cni.calls] == ["macvlan", "tuning"]
        assert attachment.addresses == (ADDRESS,)
        assert attachment.result.interfaces[0].mac == sandbox.link("eth0").mac

    @pytest.mark.covers("tuning", "kernel")
    @pytest.mark.parametrize("key", [pytest.param(key, marks=NEWER.get(key, ())) for key in KEYS])
    def test_what_is_not_asked_for_stays(self, cni, node, sandbox, key):
        """Nothing but the attribute that was asked for is otherwise than on a link without tuning."""
        asked, value = KEYS[key]
        cni.add(sandbox, tuned(**{key: value}))
        plain = node.sandbox("c2")
        cni.add(plain, macvlan("192.168.80.121/24"))
        attributes = ("mtu", "promiscuity", "allmulti", "txqlen", "group", "flags")
        own, other = sandbox.link("eth0"), plain.link("eth0")

        different = [name for name in attributes if getattr(own, name) != getattr(other, name)]

        assert different == asked
        assert sandbox.state().sysctls == plain.state().sysctls

    @pytest.mark.covers("tuning", "refused")
    def test_alone_it_has_nothing_to_pass_on(self, cni, sandbox):
        """Without a plugin before it ADD is an error."""
        rejected(cni, sandbox, {"cniVersion": "1.0.0", "name": "alone", "type": "tuning", "mtu": 1400})

    @pytest.mark.covers("tuning", "kernel")
    @pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0"])
    def test_of_every_version(self, cni, sandbox, version):
        """Each version of the specification is answered in its own form."""
        attachment = cni.add(sandbox, {**tuned(mac=MAC), "cniVersion": version})

        assert attachment.result.cni_version == version
        assert attachment.result.interfaces[0].mac == MAC

    @pytest.mark.covers("tuning", "refused")
    def test_a_name_with_a_path_in_it(self, cni, node, sandbox):
        """An interface name that leads elsewhere is rejected: it becomes part of a file's name."""
        attachment = cni.add(sandbox, tuned(mtu=1400))
        caller = Caller(cni.lab.journal, tuple(cni.path), cni.timeout, HostExec, cni.mode)
        own = replace(attachment.network, plugins=attachment.network.plugins[1:])

        with pytest.raises(PluginError):
            caller.add(replace(attachment.target, network=own, ifname="../eth0"))

        assert kept(node) == [f"{KEPT}/c1_eth0.json"]


@pytest.mark.requires(plugin="host-device")
class TestRestoring:
    """DEL gives the host's own link back as it was."""

    KEYS = [  # noqa: RUF012  (read only)
        ("mac", MAC, lambda link: link.mac),
        ("mtu", 1400, lambda link: link.mtu),
        ("promisc", True, lambda link: link.promiscuity),
        ("allmulti", True, lambda link: link.allmulti),
        pytest.param(
            "txQLen", 77, lambda link: link.txqlen, marks=pytest.mark.requires(plugin="tuning>=1.4.0"), id="txQLen"
        ),
    ]

    @pytest.mark.covers("tuning", "DEL")
    @pytest.mark.parametrize(("key", "value", "field"), KEYS, ids=lambda value: value if isinstance(value, str) else "")
    def test_an_attribute(self, cni, node, sandbox, key, value, field):
        """What was changed is as before on the link that is back on the host."""
        before = field(node.link("ens33"))
        attachment = cni.add(sandbox, moved(**{key: value}))
        during = field(sandbox.link("eth0"))

        cni.delete(attachment)

        assert during != before
        assert field(node.link("ens33")) == before

    @pytest.mark.covers("tuning.mac", "DEL", "packet")
    def test_the_lan_sees_the_old_mac_again(self, lab, cni, node, sandbox):
        """After DEL the host answers with the MAC that it had."""
        before = node.link("ens33").mac
        cni.delete(cni.add(sandbox, moved(mac=MAC, mtu=1400)))
        node.run(["ip", "link", "set", "ens33", "up"])
        node.run(["ip", "address", "add", "192.168.80.101/24", "dev", "ens33"])

        assert lab.host("peer").arp("192.168.80.101", on="ens33").answered_by == before
        assert lab.host("peer").ping("192.168.80.101", size=1472, df=True)

    #: What a link may have that is not the kernel's default, as ip(8) gives it.
    HAD = {  # noqa: RUF012  (read only)
        "mac": ["address", "02:00:5e:00:53:77"],
        "mtu": ["mtu", "1450"],
        "promisc": ["promisc", "on"],
        "allmulti": ["allmulticast", "on"],
        "txQLen": ["txqueuelen", "500"],
    }

    @pytest.mark.covers("tuning", "DEL")
    @pytest.mark.parametrize(("key", "value", "field"), KEYS, ids=lambda value: value if isinstance(value, str) else "")
    def test_what_the_link_had_already_is_kept(self, cni, node, sandbox, key, value, field):
        """What was not the kernel's default before ADD is so again after DEL."""
        default = field(node.link("ens33"))
        node.run(["ip", "link", "set", "ens33", *self.HAD[key]])
        before = field(node.link("ens33"))

        cni.delete(cni.add(sandbox, moved(**{key: value})))

        assert before != default
        assert field(node.link("ens33")) == before


class TestDel:
    """DEL, whatever state it finds."""

    @pytest.mark.covers("tuning", "DEL")
    def test_nothing_is_remembered_any_more(self, cni, node, sandbox):
        """The file that remembers the link's attributes is there while it is attached, and gone after DEL."""
        attachment = cni.add(sandbox, tuned(mtu=1400))
        during = kept(node)

        cni.delete(attachment)

        assert during == [f"{KEPT}/c1_eth0.json"]
        assert kept(node) == []

    @pytest.mark.covers("tuning", "kernel")
    def test_nobody_else_may_write_what_is_remembered(self, cni, node):
        """What DEL will trust is its owner's to read and to write, and nobody else may write it, or put it there."""
        cni.add(node.sandbox("c1"), tuned(mtu=1400))

        modes = {file.path: file.mode & 0o777 for file in node.files() if file.path.startswith(KEPT)}

        assert {*modes} == {KEPT, f"{KEPT}/c1_eth0.json"}
        wrong = {path: f"{mode:o}" for path, mode in modes.items() if mode & 0o622 != 0o600}
        assert wrong == {}

    @pytest.mark.covers("tuning.dataDir", "kernel", "DEL")
    def test_another_directory(self, cni, node, sandbox):
        """`dataDir` is where it is remembered, and where DEL finds it."""
        attachment = cni.add(sandbox, tuned(mtu=1400, dataDir="/run/elsewhere"))
        during = kept(node, "/run/elsewhere"), kept(node)

        cni.delete(attachment)

        assert during == (["/run/elsewhere/c1_eth0.json"], [])
        assert kept(node, "/run/elsewhere") == []

    @pytest.mark.covers("tuning", "DEL")
    def test_of_one_link_leaves_another(self, cni, node, sandbox):
        """Two links of a container, and links of two containers, are remembered apart."""
        first = cni.add(sandbox, tuned(mtu=1400), "eth0")
        second = {**tuned(mtu=1300), "name": "second"}
        second["plugins"][0]["ipam"]["addresses"] = [{"address": "192.168.80.121/24"}]
        cni.add(sandbox, second, "eth1")

        cni.delete(first)

        assert kept(node) == [f"{KEPT}/c1_eth1.json"]
        assert sandbox.link("eth1").mtu == 1300

    @pytest.mark.covers("tuning", "DEL")
    def test_twice(self, cni, sandbox):
        """A second DEL succeeds."""
        attachment = cni.add(sandbox, tuned(mtu=1400))
        cni.delete(attachment)

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)

    @pytest.mark.covers("tuning", "DEL")
    def test_after_the_link_has_gone(self, cni, node, sandbox):
        """DEL succeeds without the link, and remembers nothing any more."""
        attachment = cni.add(sandbox, tuned(mtu=1400))
        sandbox.run(["ip", "link", "delete", "eth0"])

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert kept(node) == []

    @pytest.mark.covers("tuning", "DEL")
    def test_after_the_namespace_has_gone(self, cni, node, sandbox):
        """DEL succeeds without the namespace, and remembers nothing any more."""
        attachment = cni.add(sandbox, tuned(mtu=1400))
        node.lose("c1")

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert kept(node) == []

    @pytest.mark.covers("tuning", "DEL")
    def test_without_a_namespace(self, cni, sandbox):
        """DEL with an empty CNI_NETNS succeeds."""
        delete_without_namespace(cni, cni.add(sandbox, tuned(mtu=1400)))


TAMPERINGS = {
    "mac": f"ip link set eth0 address {MAC[:-2]}77",
    "mtu": "ip link set eth0 mtu 1280",
    "promisc": "ip link set eth0 promisc off",
    "allmulti": "ip link set eth0 allmulticast off",
    "txQLen": "ip link set eth0 txqueuelen 5",
    "sysctl": f"sysctl -w {LOG_MARTIANS}=0",
    "sysctl of the link": "sysctl -w net.ipv4.conf.eth0.arp_filter=0",
}


class TestCheck:
    """CHECK agrees with what ADD made and with nothing else."""

    @pytest.fixture
    def attachment(self, cni, sandbox, request):
        """A link with all that tuning can set."""
        sysctl = {LOG_MARTIANS: "1"}
        if getattr(request, "param", "") == "sysctl of the link":
            sysctl["net.ipv4.conf.eth0.arp_filter"] = "1"
        return cni.add(sandbox, tuned(mac=MAC, mtu=1400, promisc=True, allmulti=True, txQLen=77, sysctl=sysctl))

    @pytest.mark.covers("tuning", "CHECK", "packet")
    def test_agrees_with_a_fresh_link(self, cni, sandbox, attachment):
        """CHECK succeeds after ADD, also once traffic has passed."""
        cni.check(attachment)
        assert sandbox.ping(PEER)

        cni.check(attachment)

    @pytest.mark.covers("tuning.sysctl", "CHECK")
    def test_agrees_with_the_links_own_name(self, cni, sandbox):
        """CHECK understands IFNAME as ADD did."""
        cni.check(cni.add(sandbox, tuned(sysctl={"net.ipv4.conf.IFNAME.arp_filter": "1"})))

    @pytest.mark.covers("tuning.sysctl", "CHECK")
    def test_agrees_with_a_list_of_numbers(self, cni, sandbox):
        """A value of several numbers is the same with blanks as with the kernel's tabs."""
        cni.check(cni.add(sandbox, tuned(sysctl={"net.ipv4.ip_local_port_range": "40000 50000"})))

    @pytest.mark.covers("tuning", "CHECK")
    @pytest.mark.parametrize(
        ("tampering", "attachment"),
        [
            pytest.param(name, name, marks=pytest.mark.requires(plugin="tuning>=1.4.0") if name == "txQLen" else ())
            for name in TAMPERINGS
        ],
        indirect=["attachment"],
        ids=list(TAMPERINGS),
    )
    def test_notices(self, cni, sandbox, attachment, tampering):
        """CHECK fails when what was set is no longer so."""
        sandbox.run(["sh", "-c", TAMPERINGS[tampering]])

        distrusted(cni, attachment)

    @pytest.mark.covers("tuning.sysctl", "CHECK")
    @pytest.mark.parametrize("other", ["3001", "1300", "30"], ids=["longer", "longer before", "shorter"])
    def test_notices_a_value_that_looks_alike(self, cni, sandbox, other):
        """CHECK compares the whole value: one that has the wanted one in it, or is part of it, is another."""
        attachment = cni.add(sandbox, tuned(sysctl={"net.core.somaxconn": "300"}))
        cni.check(attachment)

        sandbox.sysctl("net.core.somaxconn", other)

        distrusted(cni, attachment)

    @pytest.mark.covers("tuning.promisc", "CHECK")
    @pytest.mark.covers("tuning.allmulti", "CHECK")
    @pytest.mark.parametrize(("key", "mode"), [("promisc", "promisc"), ("allmulti", "allmulticast")])
    def test_notices_what_was_to_stay_off(self, cni, sandbox, key, mode):
        """CHECK fails when a mode is on that the configuration wants off."""
        attachment = cni.add(sandbox, tuned(**{key: False}))
        cni.check(attachment)

        sandbox.run(["ip", "link", "set", "eth0", mode, "on"])

        distrusted(cni, attachment)

    @pytest.mark.covers("tuning.args.cni.mtu", "CHECK")
    def test_notices_what_args_have_set(self, cni, sandbox):
        """CHECK holds the link to `args.cni`, as ADD did."""
        attachment = cni.add(sandbox, tuned(args={"cni": {"mtu": 1300}}))
        cni.check(attachment)

        sandbox.run(["ip", "link", "set", "eth0", "mtu", "1400"])

        distrusted(cni, attachment)
