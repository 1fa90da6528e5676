"""GC and STATUS (RT-09, RT-10, RT-11): what is called, with what, and what is reported when it fails."""

from __future__ import annotations

import base64

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import cached, requests
from cnitest.suites.selftest.plugins import recorder, script

from cnitest import ConfigError, PluginError, Runtime
from cnitest.cni import conf
from cnitest.cni.calls.invoke import search_path

lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni

NET = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "one"}, {"type": "two"}]}
KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


@pytest.fixture
def node(lab):
    """The host."""
    return lab.host("node")


@pytest.fixture
def attached(cni, node, bin_):
    """Two containers, each attached to the network of two plugins."""
    recorder(bin_, "one")
    recorder(bin_, "two")
    return [cni.add(node.sandbox(name), NET) for name in ("c1", "c2")]


def commands(runtime, *wanted):
    """The calls of some commands as (plugin, command, container)."""
    return [
        (call.plugin, call.command, call.environment["CNI_CONTAINERID"])
        for call in runtime.calls
        if call.command in wanted
    ]


class TestGc:
    """RT-10 by the specification."""

    def test_the_stale_is_deleted_and_the_valid_is_listed(self, cni, node, bin_, attached, lab):
        """What is not kept gets a full DEL with its result; every plugin then gets GC with both names of the key."""
        cni.gc(node, NET, keep=[attached[1]])

        assert commands(cni, "DEL", "GC") == [
            ("two", "DEL", "c1"),
            ("one", "DEL", "c1"),
            ("one", "GC", ""),
            ("two", "GC", ""),
        ]
        assert requests(bin_, "one")[-2][1]["prevResult"]["ips"][0]["address"] == "192.0.2.9/24"
        assert requests(bin_, "two")[-1] == (
            "GC",
            {
                "type": "two",
                "name": "net",
                "cniVersion": "1.1.0",
                **{key: [{"containerID": "c2", "ifname": "eth0"}] for key in KEYS},
            },
        )
        assert cached(lab) == ["net-c2-eth0"]
        assert cni.attachments == [attached[1]]

    @pytest.mark.usefixtures("attached")
    def test_pairs_of_names_are_kept_too(self, cni, node, bin_):
        """What to keep may be given as container ID and interface name, of attachments nobody here has made."""
        cni.gc(node, NET, keep=[("c1", "eth0"), ("c2", "eth0"), ("pod-9", "net1")])

        assert commands(cni, "DEL") == []
        assert [pair["containerID"] for pair in requests(bin_, "one")[-1][1][KEYS[0]]] == ["c1", "c2", "pod-9"]

    @pytest.mark.usefixtures("attached")
    def test_without_a_list_what_this_runtime_attached_is_kept(self, cni, node, lab, bin_):
        """``keep=None`` frees what other runtimes left behind, and tells plugins of ours."""
        stranger = Runtime(lab, [str(bin_)])
        stranger.add(node.sandbox("c3"), NET)
        cni.gc(node, NET)

        assert {call[2] for call in commands(cni, "DEL")} == {"c3"}
        assert requests(bin_, "one")[-1][1][KEYS[0]] == [
            {"containerID": "c1", "ifname": "eth0"},
            {"containerID": "c2", "ifname": "eth0"},
        ]

    @pytest.mark.usefixtures("attached")
    def test_an_empty_list_frees_everything(self, cni, node, bin_, lab):
        """``keep=[]`` deletes all, and plugins see a list that is empty, not one that is absent."""
        cni.gc(node, NET, keep=[])

        assert {call[2] for call in commands(cni, "DEL")} == {"c1", "c2"}
        assert [requests(bin_, "one")[-1][1][key] for key in KEYS] == [[], []]
        assert cached(lab) == []
        assert cni.attachments == []

    @pytest.mark.usefixtures("attached")
    def test_another_network_is_left_alone(self, cni, node, bin_, lab):
        """Attachments of other networks are neither deleted nor listed, though their names begin alike."""
        other = cni.add(node.sandbox("c1"), {**NET, "name": "net-2"}, ifname="eth1")
        cni.gc(node, NET, keep=[other])

        assert cached(lab) == ["net-2-c1-eth1"]
        assert requests(bin_, "one")[-1][1][KEYS[0]] == []

    @pytest.mark.usefixtures("attached")
    def test_disable_gc_means_nothing_at_all(self, cni, node, lab):
        """A network that says disableGC is not touched: no DEL, no GC."""
        cni.gc(node, {**NET, "disableGC": "true"}, keep=[])

        assert commands(cni, "DEL", "GC") == []
        assert len(cached(lab)) == 2

    def test_an_older_network_is_only_deleted(self, cni, node, bin_, lab):
        """Before 1.1.0 there is no GC for plugins; what is stale is deleted all the same."""
        recorder(bin_, "one")
        old = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one"}]}
        cni.add(node.sandbox("c1"), old)
        cni.gc(node, old, keep=[])

        assert commands(cni, "DEL", "GC") == [("one", "DEL", "c1")]
        assert cached(lab) == []

    def test_everything_that_fails_is_reported(self, cni, node, bin_, attached, lab):
        """A plugin that fails stops nobody: the others get their DEL and GC, and one error tells it all, with hosts."""
        script(bin_, "one", 'echo \'{"code": 11, "msg": "later"}\'; exit 1')
        with pytest.raises(PluginError) as failure:
            cni.gc(node, NET, keep=[attached[1]])

        lines = str(failure.value).splitlines()
        assert lines[0] == "GC of net on node: 2 failures"
        assert lines[1].startswith("- DEL of stale net on node (container c1, ifname eth0): one DEL ")
        assert lines[2] == "- one GC: exit code 1, code 11 (try again later): later"
        assert failure.value.code == 11
        assert requests(bin_, "two")[-1][0] == "GC"
        assert cached(lab) == ["net-c1-eth0", "net-c2-eth0"]

    def test_a_missing_plugin_is_one_failure_among_others(self, cni, node, bin_, attached):
        """A plugin that is gone is reported, and the one after it is called (SPEC section 3)."""
        (bin_ / "one").unlink()
        with pytest.raises(PluginError, match="- one GC on node: failed to find plugin 'one' in path"):
            cni.gc(node, NET, keep=attached)

        assert commands(cni, "GC") == [("two", "GC", "")]

    @pytest.mark.usefixtures("attached")
    def test_the_stale_is_deleted_as_it_was_added(self, cni, node, lab, bin_):
        """RT-30: DEL gets the configuration of ADD from the cache, whatever the network has become since."""
        edited = {**NET, "plugins": [{"type": "two", "x-new": 1}]}
        Runtime(lab, [str(bin_)]).gc(node, edited, keep=[("c2", "eth0")])

        assert commands(cni, "DEL", "GC") == [("two", "DEL", "c1"), ("one", "DEL", "c1"), ("two", "GC", "")]
        assert "x-new" not in requests(bin_, "two")[-2][1]

    @pytest.mark.usefixtures("attached")
    def test_a_file_that_cannot_be_read_is_reported(self, cni, node):
        """A broken cache file of this network is named, with the reason; those of other networks are not."""
        for name in ("net-c9-eth0", "other-c9-eth0"):
            node.run(["sh", "-c", f"echo '{{' > /var/lib/cni/results/{name}"])
        with pytest.raises(PluginError) as failure:
            cni.gc(node, NET)

        assert "1 failure\n- /var/lib/cni/results/net-c9-eth0: the cached attachment cannot be understood" in str(
            failure.value
        )
        assert len(commands(cni, "GC")) == 2

    @pytest.mark.usefixtures("attached")
    def test_a_broken_file_of_what_is_kept_is_nobodys_trouble(self, cni, node, lab):
        """What GC keeps needs no file to be kept."""
        node.run(["sh", "-c", "echo '{' > /var/lib/cni/results/net-c1-eth0"])
        cni.gc(node, NET)

        assert cached(lab) == ["net-c1-eth0", "net-c2-eth0"]

    @pytest.mark.usefixtures("attached")
    @pytest.mark.parametrize("config", ["{}", '{"name": "x", "plugins": [{"type": "one"}]}', "{"])
    def test_a_configuration_that_cannot_be_read_does_not_stop_delete(self, node, lab, bin_, config):
        """Where the cached configuration is damaged, or another's, DEL goes by the one given, and that is reported."""
        encoded = base64.b64encode(config.encode()).decode()
        file = "/var/lib/cni/results/net-c1-eth0"
        node.run(["sed", "-i", f's/"config":"[^"]*"/"config":"{encoded}"/', file])
        with pytest.raises(PluginError, match="DEL was called with the configuration that GC was given"):
            Runtime(lab, [str(bin_)]).gc(node, NET, keep=[("c2", "eth0")])

        assert cached(lab) == ["net-c2-eth0"]

    def test_what_is_attached_but_no_longer_cached_is_stale_too(self, cni, node, attached):
        """An attachment of ours whose cache file was lost is deleted all the same."""
        node.run(["rm", "-r", "/var/lib/cni/results"])
        cni.gc(node, NET, keep=[attached[1]])

        assert {call[2] for call in commands(cni, "DEL")} == {"c1"}

    @pytest.mark.parametrize(
        ("keep", "error", "words"),
        [
            (["c1"], TypeError, "keep takes Attachments and (container ID, interface name) pairs, not 'c1'"),
            ([("-x", "eth0")], ConfigError, "container ID '-x' must begin with a letter or digit"),
            ([("c1", "a/b")], ConfigError, "interface name 'a/b' must be"),
        ],
    )
    @pytest.mark.usefixtures("attached")
    def test_nonsense_to_keep_is_rejected(self, cni, node, keep, error, words):
        """A list that names no attachment is rejected before anything is deleted."""
        with pytest.raises(error) as failure:
            cni.gc(node, NET, keep=keep)

        assert words in str(failure.value)
        assert commands(cni, "DEL", "GC") == []

    @pytest.mark.requires(plugin=["bridge", "host-local"])
    def test_a_lost_container_gives_its_lease_back(self, lab, node):
        """With real plugins: the lease and the link of what is not kept are gone, and the kept one still answers."""
        real = Runtime(lab, search_path([]))
        ipam = {"type": "host-local", "subnet": "10.40.80.0/24"}
        network = {"cniVersion": "1.0.0", "name": "real", "type": "bridge", "isGateway": True, "ipam": ipam}
        lost, valid = (real.add(node.sandbox(name), network) for name in ("c1", "c2"))
        Runtime(lab, search_path([])).gc(node, network, keep=[valid])

        leases = node.run(["ls", "/var/lib/cni/networks/real"]).stdout
        assert valid.address in leases and lost.address not in leases
        assert [link.name for link in node.sandbox("c1").links] == ["lo"]
        assert node.ping(valid.address)


class TestStatus:
    """RT-09."""

    def test_each_plugin_is_asked_in_order_about_nothing_else(self, cni, bin_):
        """STATUS goes down the list with name, version and the plugin's keys, and with no attachment."""
        recorder(bin_, "one")
        recorder(bin_, "two")
        cni.status({**NET, "plugins": [{"type": "one", "capabilities": {"mac": True}, "x-own": 1}, {"type": "two"}]})

        assert commands(cni, "STATUS") == [("one", "STATUS", ""), ("two", "STATUS", "")]
        assert requests(bin_, "one") == [
            ("STATUS", {"type": "one", "capabilities": {"mac": True}, "x-own": 1, "name": "net", "cniVersion": "1.1.0"})
        ]
        assert {key for key, value in cni.calls[0].environment.items() if key.startswith("CNI_") and value} == {
            "CNI_COMMAND",
            "CNI_PATH",
        }

    @pytest.mark.parametrize("code", [50, 51])
    def test_the_first_that_is_not_ready_is_reported(self, cni, bin_, code):
        """The error has the plugin's code and says which network on which host; nobody after it is asked."""
        script(bin_, "one", f'echo \'{{"code": {code}, "msg": "no daemon"}}\'; exit 1')
        recorder(bin_, "two")
        with pytest.raises(
            PluginError, match=rf"STATUS of net on node: one STATUS: .*code {code} \(the plugin is not"
        ) as failure:
            cni.status(NET)

        assert failure.value.code == code
        assert [call.plugin for call in cni.calls] == ["one"]

    def test_nobody_is_asked_before_1_1_0(self, cni, bin_):
        """An older network has no STATUS, which is no failure."""
        recorder(bin_, "one")
        cni.status({"cniVersion": "1.0.0", "name": "net", "type": "one"})

        assert cni.calls == []

    def test_the_host_can_be_chosen(self, cni, bin_, node):
        """A network that was read before is asked about on the host that is named."""
        recorder(bin_, "one")
        recorder(bin_, "two")
        cni.status(conf.network(NET), node)

        assert {call.host for call in cni.calls} == {"node"}
