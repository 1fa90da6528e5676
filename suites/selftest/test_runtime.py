"""The runtime calls plugins as libcni does; RT-nn are libcni's rules."""

from __future__ import annotations

import base64
import json

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import requests
from cnitest.suites.selftest.plugins import RESULT, recorder, script

from cnitest import ConfigError, PluginError, Runtime
from cnitest.cni.calls import invoke

CONF = {"cniVersion": "1.0.0", "name": "net", "type": "one"}
CHAIN = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one"}, {"type": "two"}, {"type": "three"}]}


lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni


class TestOrder:
    """RT-01, RT-02, RT-03, RT-08: who is called when, with what."""

    def test_add_hands_each_result_to_the_next(self, cni, sandbox, bin_):
        """ADD goes down the list; the first plugin has no prevResult, each other that of the one before."""
        for name, address in (("one", "192.0.2.1"), ("two", "192.0.2.2"), ("three", "192.0.2.3")):
            recorder(bin_, name, RESULT.replace("192.0.2.9", address))
        attachment = cni.add(sandbox, CHAIN)
        received = [requests(bin_, name)[0][1].get("prevResult") for name in ("one", "two", "three")]

        assert received[0] is None
        assert [previous["ips"][0]["address"] for previous in received[1:]] == ["192.0.2.1/24", "192.0.2.2/24"]
        assert attachment.address == "192.0.2.3"
        assert [call.plugin for call in cni.calls] == ["one", "two", "three"]

    def test_delete_goes_back_with_the_final_result(self, cni, sandbox, bin_):
        """DEL goes up the list, and every plugin gets the result of the whole ADD."""
        for name, address in (("one", "192.0.2.1"), ("two", "192.0.2.2"), ("three", "192.0.2.3")):
            recorder(bin_, name, RESULT.replace("192.0.2.9", address))
        cni.delete(cni.add(sandbox, CHAIN))

        assert [call.plugin for call in cni.calls if call.command == "DEL"] == ["three", "two", "one"]
        for name in ("one", "two", "three"):
            assert requests(bin_, name)[-1][1]["prevResult"]["ips"][0]["address"] == "192.0.2.3/24"

    def test_check_goes_down_with_the_final_result(self, cni, sandbox, bin_):
        """CHECK goes down the list with the result of ADD."""
        for name in ("one", "two", "three"):
            recorder(bin_, name)
        cni.check(cni.add(sandbox, CHAIN))

        assert [call.plugin for call in cni.calls if call.command == "CHECK"] == ["one", "two", "three"]
        assert "prevResult" in requests(bin_, "one")[-1][1]

    def test_delete_stops_at_the_first_error_and_keeps_the_cache(self, cni, sandbox, bin_, lab):
        """A failing DEL ends the round; the cached result stays, so that a second DEL has it."""
        for name in ("one", "three"):
            recorder(bin_, name)
        recorder(bin_, "two")
        attachment = cni.add(sandbox, CHAIN)
        script(bin_, "two", 'echo \'{"code": 11, "msg": "later"}\'; exit 1')
        with pytest.raises(PluginError, match=r"two DEL .*code 11 \(try again later\): later"):
            cni.delete(attachment)

        assert [call.plugin for call in cni.calls if call.command == "DEL"] == ["three", "two"]
        assert lab.host("node").run(["ls", "/var/lib/cni/results"]).stdout.split() == ["net-c1-eth0"]

    def test_a_failed_add_is_deleted(self, cni, sandbox, bin_):
        """RT-29: after an ADD that failed in the middle, DEL is called on all plugins."""
        recorder(bin_, "one")
        script(bin_, "two", '[ "$CNI_COMMAND" != ADD ] || { echo \'{"code": 7, "msg": "no"}\'; exit 1; }')
        recorder(bin_, "three")
        with pytest.raises(PluginError, match=r"code 7 \(invalid network configuration\): no") as failure:
            cni.add(sandbox, CHAIN)

        assert failure.value.code == 7
        assert [(call.plugin, call.command) for call in cni.calls] == [
            ("one", "ADD"),
            ("two", "ADD"),
            ("three", "DEL"),
            ("two", "DEL"),
            ("one", "DEL"),
        ]


class TestRequest:
    """RT-13 to RT-16: environment and configuration of a call."""

    def test_all_variables_are_set_and_nothing_of_ours(self, cni, sandbox, bin_, monkeypatch):
        """All six CNI variables are there, the namespace exists at its path, and our environment is not."""
        monkeypatch.setenv("SECRET_OF_OURS", "1")
        script(bin_, "one", f"env > {bin_}/env; ls -l \"$CNI_NETNS\" > {bin_}/netns; echo '{RESULT}'")
        cni.add(sandbox, CONF, ifname="net1", args={"IgnoreUnknown": "1", "K8S_POD": "x"})
        seen = dict(line.split("=", 1) for line in (bin_ / "env").read_text().splitlines())

        assert {name: seen[name] for name in seen if name.startswith("CNI_")} == {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "/run/netns/c1",
            "CNI_IFNAME": "net1",
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD=x",
            "CNI_PATH": str(bin_),
        }
        assert "SECRET_OF_OURS" not in seen
        assert (bin_ / "netns").read_text()

    def test_the_configuration_is_passed_on_whole(self, cni, sandbox, bin_):
        """Name and version of the list are put in, unknown keys are kept, ``capabilities`` is not passed on."""
        recorder(bin_, "one")
        cni.add(
            sandbox,
            {
                "cniVersion": "1.0.0",
                "name": "net",
                "plugins": [{"type": "one", "x-own": {"deep": [1, None]}, "capabilities": {"mac": True}}],
            },
        )

        assert requests(bin_, "one")[0][1] == {
            "type": "one",
            "x-own": {"deep": [1, None]},
            "name": "net",
            "cniVersion": "1.0.0",
        }

    def test_a_plugin_gets_the_capabilities_it_declares(self, cni, sandbox, bin_):
        """RT-16: runtimeConfig is what was provided and declared as true, per plugin; else it is absent."""
        for name in ("one", "two"):
            recorder(bin_, name)
        cni.add(
            sandbox,
            {
                "cniVersion": "1.0.0",
                "name": "net",
                "plugins": [{"type": "one", "capabilities": {"mac": True, "ips": False}}, {"type": "two"}],
            },
            capabilities={"mac": "02:00:00:00:00:01", "ips": ["192.0.2.7/24"], "bandwidth": {}},
        )

        assert requests(bin_, "one")[0][1]["runtimeConfig"] == {"mac": "02:00:00:00:00:01"}
        assert "runtimeConfig" not in requests(bin_, "two")[0][1]

    def test_the_search_path_is_searched_in_order(self, lab, sandbox, tmp_path):
        """The first directory that has the plugin wins."""
        for directory, address in (("a", "192.0.2.1"), ("b", "192.0.2.2")):
            (tmp_path / directory).mkdir()
            recorder(tmp_path / directory, "one", RESULT.replace("192.0.2.9", address))
        cni = Runtime(lab, [str(tmp_path / "none"), str(tmp_path / "b"), str(tmp_path / "a")])

        assert cni.add(sandbox, CONF).address == "192.0.2.2"

    def test_a_relative_search_path_is_taken_from_here(self, lab, sandbox, bin_, monkeypatch):
        """A directory relative to where we stand is found, though plugins run elsewhere."""
        recorder(bin_, "one")
        monkeypatch.chdir(bin_.parent)

        assert Runtime(lab, ["./bin"]).add(sandbox, CONF).address == "192.0.2.9"


class TestCache:
    """RT-04 to RT-06: what the runtime remembers."""

    def test_the_cache_is_written_as_libcni_writes_it(self, cni, sandbox, bin_, lab):
        """The file has libcni's name, kind and fields; a single plugin's configuration is made a list of one."""
        recorder(bin_, "one")
        cni.add(sandbox, CONF, args={"A": "1"}, capabilities={"x": 1})
        cached = json.loads(lab.host("node").run(["cat", "/var/lib/cni/results/net-c1-eth0"]).stdout)

        assert json.loads(base64.b64decode(cached.pop("config"))) == {
            "name": "net",
            "cniVersion": "1.0.0",
            "plugins": [CONF],
        }
        assert cached == {
            "kind": "cniCacheV1",
            "containerId": "c1",
            "ifName": "eth0",
            "networkName": "net",
            "netns": "/run/netns/c1",
            "cniArgs": [["A", "1"]],
            "capabilityArgs": {"x": 1},
            "result": json.loads(RESULT),
        }

    def test_a_corrupt_cache_does_not_stop_delete(self, cni, sandbox, bin_, lab):
        """RT-05: DEL goes on without prevResult, CHECK does not."""
        recorder(bin_, "one")
        attachment = cni.add(sandbox, CONF)
        lab.host("node").run(["sh", "-c", "echo '{' > /var/lib/cni/results/net-c1-eth0"])
        with pytest.raises(PluginError, match="net-c1-eth0: the cached result cannot be understood"):
            cni.check(attachment)
        cni.delete(attachment)

        assert "prevResult" not in requests(bin_, "one")[-1][1]
        assert lab.host("node").run(["ls", "/var/lib/cni/results"]).stdout == ""


class TestVersions:
    """RT-07, RT-20, RT-24: what depends on the version of the specification."""

    def test_check_needs_0_4_0(self, cni, sandbox, bin_):
        """An older configuration cannot be checked; disableCheck means that nobody is asked."""
        recorder(bin_, "one")
        old = cni.add(sandbox, {**CONF, "cniVersion": "0.3.1"})
        silent = cni.add(sandbox, {**CONF, "name": "silent", "disableCheck": True}, ifname="eth1")
        cni.check(silent)

        with pytest.raises(ConfigError, match="configuration version 0.3.1 <0.4.0 does not support CHECK"):
            cni.check(old)
        assert [call for call in cni.calls if call.command == "CHECK"] == []

    def test_delete_before_0_4_0_has_no_result(self, cni, sandbox, bin_):
        """RT-02: the cached result is handed to DEL from 0.4.0 on."""
        recorder(bin_, "one")
        cni.delete(cni.add(sandbox, {**CONF, "cniVersion": "0.3.1"}))

        assert "prevResult" not in requests(bin_, "one")[-1][1]

    def test_old_results_are_understood(self, cni, sandbox, bin_):
        """The form of 0.2.0 has one address a family, and its routes inside."""
        recorder(
            bin_,
            "one",
            '{"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.5/24", "gateway": "192.0.2.1", '
            '"routes": [{"dst": "0.0.0.0/0"}]}, "ip6": {"ip": "2001:db8::5/64"}}',
        )
        attachment = cni.add(sandbox, {**CONF, "cniVersion": "0.2.0"})

        assert attachment.addresses == ("192.0.2.5", "2001:db8::5")
        assert attachment.gateway == "192.0.2.1"
        assert attachment.result.routes[0].dst == "0.0.0.0/0"

    def test_version_is_asked_with_dummies(self, cni, bin_):
        """VERSION gets the configuration's version on stdin and answers a list."""
        recorder(bin_, "one", "")
        script(
            bin_, "one", 'cat > /dev/null; echo \'{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}\''
        )

        assert cni.version("one").supported == ("0.4.0", "1.0.0")

    @pytest.mark.parametrize(
        ("body", "supported"),
        [
            ('echo \'{"code": 4, "msg": "unknown CNI_COMMAND: VERSION"}\'; exit 1', ("0.1.0",)),
            ('echo \'{"cniVersion": "0.2.0"}\'', ("0.1.0", "0.2.0")),
        ],
    )
    def test_plugins_older_than_their_list_are_known(self, cni, bin_, body, supported):
        """RT-24: one that does not know VERSION is of 0.1.0, and 0.2.0 gave no list."""
        script(bin_, "one", body)

        assert cni.version("one").supported == supported

    @pytest.mark.parametrize("version", ["", '"cniVersion": "", '])
    def test_a_result_without_a_version_is_of_the_configuration_s(self, cni, sandbox, bin_, version):
        """RT-20: where a result names no version, or an empty one, it is handed on as one of the configuration's."""
        recorder(bin_, "one", f'{{{version}"ips": []}}')
        cni.delete(cni.add(sandbox, CONF))

        assert requests(bin_, "one")[-1][1]["prevResult"] == {"cniVersion": "1.0.0", "ips": []}


class TestConfigurations:
    """What no runtime would accept is rejected before any plugin is called."""

    @pytest.mark.parametrize(
        ("conf", "words"),
        [
            ({"type": "one"}, "a dictionary: has no 'name' (SPEC section 1 demands one)"),
            ({"name": "-x", "type": "one"}, "'name' '-x' must begin with a letter or digit"),
            ({"name": "net"}, "it has no 'type': the name of the plugin's binary"),
            ({"name": "net", "type": "../one"}, "'type' '../one' must be the name of a binary, not a path"),
            ({"name": "net", "cniVersion": "2.0.0", "type": "one"}, "'cniVersion' '2.0.0' is none of 0.1.0, 0.2.0"),
            ({"name": "net", "plugins": []}, "'plugins' must be a list with at least one plugin"),
            ({"name": "net", "plugins": [5]}, "plugins[0] is a number, not an object"),
            ({"name": "net", "plugins": [{"type": "one"}], "disableCheck": 7}, "'disableCheck' is 7, not a boolean"),
        ],
    )
    def test_faults_are_named(self, cni, sandbox, conf, words):
        """Each fault of a dictionary is one sentence."""
        with pytest.raises(ConfigError) as failure:
            cni.add(sandbox, conf)

        assert words in str(failure.value)
        assert cni.calls == []

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"name": "net",\n "type" "one"}', "net.conf:2:9: is not JSON: a colon is missing before this"),
            ("[]", "net.conf:1:1: a network configuration is a JSON object, this is a list"),
            ("[" * 100_000, "net.conf: is nested too deeply"),
            ("\xff", "net.conf:1:1: byte 0xff is not UTF-8"),
        ],
        ids=["typo", "list", "nesting", "bytes"],
    )
    def test_files_are_named_with_the_place(self, cni, sandbox, tmp_path, text, words):
        """A file that cannot be read as JSON is named with line and column."""
        file = tmp_path / "net.conf"
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError) as failure:
            cni.add(sandbox, file)

        assert words in str(failure.value)

    @pytest.mark.parametrize("ifname", ["", "x" * 16, "a/b", "a b", ".", ".."])
    def test_interface_names_are_checked(self, cni, sandbox, ifname):
        """RT-19: a name that no link can have is rejected."""
        with pytest.raises(ConfigError, match="interface name"):
            cni.add(sandbox, CONF, ifname=ifname)


def test_a_call_tells_its_story(cni, sandbox, bin_):
    """A recorded call prints what it got and gave, so that a person can repeat it."""
    recorder(bin_, "one")
    cni.add(sandbox, CONF)
    story = cni.calls[0].story()

    assert story.startswith("one ADD (container c1, ifname eth0) on node: exit code 0 after ")
    for part in ("CNI_NETNS=/run/netns/c1", '"type": "one"', "192.0.2.9/24", str(bin_ / "one")):
        assert part in story


def test_the_environment_table_covers_every_command():
    """`invoke.environment` sets every variable that any command needs."""
    from cnitest.cni import spec

    needed = {name for names in spec.REQUIRED.values() for name in names}

    assert needed <= set(invoke.environment("ADD"))
