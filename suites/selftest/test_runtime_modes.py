"""Where libcni leaves the specification: what each of the two modes does (`cnitest.cni.calls.mode`)."""

from __future__ import annotations

import dataclasses

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import cached, requests
from cnitest.suites.selftest.plugins import RESULT, recorder, script

from cnitest import ConfigError, PluginError, Runtime
from cnitest.cni.calls.mode import LIBCNI, SPEC, mode_of

lab, sandbox, bin_ = bare.lab, bare.sandbox, bare.bin_

NET = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "one"}]}
RICH = {
    **NET,
    "plugins": [
        {"type": "one", "capabilities": {"mac": True}, "cni.dev/x": 1, "prevResult": {"ips": []}, "x": 2**53 + 1}
    ],
}
FAILS_ADD = '[ "$CNI_COMMAND" != ADD ] || { echo \'{"code": 7, "msg": "no", "details": "way"}\'; exit 1; }'
CACHE = "/var/lib/cni/results/net-c1-eth0"


@pytest.fixture
def spec(lab, bin_):
    """A runtime by the specification; `one` is a recorder."""
    recorder(bin_, "one")
    return Runtime(lab, [str(bin_)])


@pytest.fixture
def libcni(lab, bin_):
    """A runtime by libcni; `one` is a recorder."""
    recorder(bin_, "one")
    return Runtime(lab, [str(bin_)], mode="libcni")


def calls(runtime):
    """Plugin and command of each call."""
    return [(call.plugin, call.command) for call in runtime.calls]


def test_the_modes_differ_in_every_field():
    """The specification is the default of every field, and libcni leaves it in each: there is none without a use."""
    names = {field.name for field in dataclasses.fields(SPEC)} - {"name"}

    assert SPEC.deviations == ()
    assert set(LIBCNI.deviations) == names


def test_a_mode_is_known_by_its_name():
    """A name that there is not is rejected with those there are; a mode of one's own is taken as it is."""
    own = dataclasses.replace(SPEC, name="own", passes_capabilities=True)

    assert mode_of("libcni") is LIBCNI
    assert mode_of(own).deviations == ("passes_capabilities",)
    with pytest.raises(ValueError, match="there is no runtime mode 'cri'; there are: spec, libcni"):
        mode_of("cri")


class TestRequest:
    """RT-14, RT-15, RT-17, RT-20: what a plugin gets on stdin."""

    def test_by_the_specification_reserved_keys_are_ours(self, spec, sandbox, bin_):
        """ADD passes on neither capabilities, nor cni.dev/ keys, nor a prevResult, and numbers as they are."""
        spec.add(sandbox, RICH, capabilities={"mac": "m"})

        assert requests(bin_, "one")[0][1] == {
            "type": "one", "x": 2**53 + 1, "name": "net", "cniVersion": "1.1.0", "runtimeConfig": {"mac": "m"},
        }  # fmt: skip

    def test_libcni_passes_everything_on(self, libcni, sandbox, bin_):
        """In the mode libcni they are all there, and a large integer is rounded."""
        libcni.add(sandbox, RICH, capabilities={"mac": "m"})
        request = requests(bin_, "one")[0][1]

        assert (request["capabilities"], request["cni.dev/x"], request["prevResult"]) == ({"mac": True}, 1, {"ips": []})
        assert request["x"] == 2**53

    @pytest.mark.parametrize(("mode", "label"), [("spec", "1.1.0"), ("libcni", "0.4.0")])
    def test_results_of_another_version_between_plugins(self, lab, sandbox, bin_, mode, label):
        """An older result is converted for the next plugin; libcni does that only for one that was cached."""
        recorder(bin_, "one", '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "192.0.2.9/24"}]}')
        recorder(bin_, "two")
        cni = Runtime(lab, [str(bin_)], mode=mode)
        cni.delete(cni.add(sandbox, {**NET, "plugins": [{"type": "one"}, {"type": "two"}]}))

        assert requests(bin_, "two")[0][1]["prevResult"]["cniVersion"] == label
        assert ("version" in requests(bin_, "two")[0][1]["prevResult"]["ips"][0]) == (label == "0.4.0")
        assert requests(bin_, "two")[1][1]["prevResult"]["cniVersion"] == "1.1.0"

    @pytest.mark.parametrize(("mode", "kept"), [("spec", True), ("libcni", False)])
    def test_what_libcni_does_not_know_of_a_result(self, lab, sandbox, bin_, mode, kept):
        """A result is handed on whole; in the mode libcni it loses unknown keys and what is empty."""
        recorder(
            bin_,
            "one",
            '{"x-own": 1, "dns": {}, "interfaces": [{"name": "a", "mac": "", "mtu": 9, "x": 1}], '
            '"ips": [{"address": "2001:DB8::1/64", "interface": 0}], "routes": [{"dst": "::/0", "table": 0}]}',
        )
        recorder(bin_, "two")
        Runtime(lab, [str(bin_)], mode=mode).add(sandbox, {**NET, "plugins": [{"type": "one"}, {"type": "two"}]})
        previous = requests(bin_, "two")[0][1]["prevResult"]

        assert ("x-own" in previous) == kept
        if not kept:
            assert previous == {
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "a", "mtu": 9}],
                "ips": [{"address": "2001:db8::1/64", "interface": 0}],
                "routes": [{"dst": "::/0", "table": 0}],
            }


class TestAdd:
    """RT-04, RT-19, RT-22, RT-29."""

    def test_delete_after_a_failed_add(self, spec, libcni, sandbox, bin_, lab):
        """By the specification DEL follows, libcni leaves that to its caller; neither keeps anything."""
        script(bin_, "one", FAILS_ADD)
        for runtime, commands in ((spec, ["ADD", "DEL"]), (libcni, ["ADD"])):
            before = len(runtime.calls)
            with pytest.raises(PluginError):
                runtime.add(sandbox, NET)

            assert [command for _, command in calls(runtime)[before:]] == commands
        assert cached(lab) == []

    def test_the_option_overrides_the_mode(self, lab, sandbox, bin_):
        """``delete_after_failed_add`` decides where it is given."""
        script(bin_, "one", FAILS_ADD)
        cni = Runtime(lab, [str(bin_)], mode="libcni", delete_after_failed_add=True)
        with pytest.raises(PluginError):
            cni.add(sandbox, NET)

        assert calls(cni) == [("one", "ADD"), ("one", "DEL")]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (FAILS_ADD, 'plugin type="one" failed (add): no; way'),
            ("exit 3", 'plugin type="one" failed (add): netplugin failed with no error message: exit status 3'),
            ("echo oops >&2; exit 1", 'plugin type="one" failed (add): netplugin failed: "oops\\n"'),
            ("kill -9 $$", 'plugin type="one" failed (add): netplugin failed with no error message: signal: killed'),
            (
                "echo oops; exit 1",
                'plugin type="one" failed (add): netplugin failed but error parsing its diagnostic message "oops\\n"',
            ),
        ],
    )
    def test_libcnis_words_are_noted(self, libcni, sandbox, bin_, body, words):
        """RT-22: a failure has libcni's own words as a note, for whoever searches a runtime's log for them."""
        script(bin_, "one", body)
        with pytest.raises(PluginError) as failure:
            libcni.add(sandbox, NET)

        assert failure.value.__notes__ == [f"libcni says: {words}"]

    def test_a_cache_file_is_not_shared(self, spec, libcni, lab):
        """Names that make the same file are rejected before ADD; libcni writes over the other attachment."""
        node = lab.host("node")
        first = spec.add(node.sandbox("c"), {**NET, "name": "a-b"})
        with pytest.raises(ConfigError) as failure:
            spec.add(node.sandbox("b-c"), {**NET, "name": "a"})

        assert "a-b-c-eth0 is that of network a-b, container c, ifname eth0; choose names" in str(failure.value)
        assert len(spec.calls) == 1
        libcni.add(node.sandbox("b-c"), {**NET, "name": "a"})
        assert cached(lab) == ["a-b-c-eth0"]
        spec.delete(first)

    def test_pairs_that_cannot_be_taken_apart(self, spec, libcni, sandbox):
        """CNI_ARGS with separators inside a pair are rejected; libcni hands them on."""
        for args in ({"IP": "192.0.2.1;X=1"}, {"": "x"}, {"A=B": "x"}):
            with pytest.raises(ConfigError, match="';' and '=' are what separates pairs"):
                spec.add(sandbox, NET, args=args)
        libcni.add(sandbox, NET, args={"IP": "192.0.2.1;X=1"})

        assert libcni.calls[-1].environment["CNI_ARGS"] == "IP=192.0.2.1;X=1"

    @pytest.mark.parametrize("command", ["check", "delete"])
    def test_names_are_checked_for_every_command(self, spec, libcni, sandbox, command):
        """A name that no call may be made with is rejected by all commands; libcni looks at ADD's only."""
        attachment = dataclasses.replace(spec.add(sandbox, NET), ifname="a b")
        with pytest.raises(ConfigError, match="interface name 'a b'"):
            getattr(spec, command)(attachment)
        getattr(libcni, command)(attachment)

        assert libcni.calls[-1].environment["CNI_IFNAME"] == "a b"


class TestCheckAndDelete:
    """RT-05, RT-07, RT-08."""

    def test_disable_check_of_an_old_network(self, spec, libcni, sandbox):
        """Where CHECK is disabled nobody minds the version; libcni minds it first."""
        attachment = spec.add(sandbox, {**NET, "cniVersion": "0.3.1", "disableCheck": True})
        spec.check(attachment)

        with pytest.raises(ConfigError, match="0.3.1 <0.4.0 does not support CHECK"):
            libcni.check(attachment)

    def test_check_of_what_was_deleted(self, spec, libcni, sandbox, bin_):
        """CHECK after DEL is rejected, with the file that is missing; libcni calls plugins without a result."""
        attachment = spec.add(sandbox, NET)
        spec.delete(attachment)
        with pytest.raises(
            ConfigError, match=rf"CHECK of net on node \(container c1, .*no result of an ADD in {CACHE}"
        ):
            spec.check(attachment)
        libcni.check(attachment)

        assert requests(bin_, "one")[-1][0] == "CHECK"
        assert "prevResult" not in requests(bin_, "one")[-1][1]

    @pytest.mark.parametrize(("mode", "left"), [("spec", ["net-c1-eth0"]), ("libcni", [])])
    def test_a_broken_cache_file_when_delete_fails(self, lab, sandbox, bin_, mode, left):
        """What cannot be understood is kept until DEL has succeeded; libcni removes it at once."""
        recorder(bin_, "one")
        cni = Runtime(lab, [str(bin_)], mode=mode)
        attachment = cni.add(sandbox, NET)
        lab.host("node").run(["sh", "-c", f"echo '[1]' > {CACHE}"])
        script(bin_, "one", "exit 1")
        with pytest.raises(PluginError):
            cni.delete(attachment)

        assert cached(lab) == left

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[1]",
            "null",
            '{"kind": "cniCacheV1"}',
            '{"kind": "cniCacheV1", "result": {"cniVersion": "abc"}}',
            "\\377",
        ],
    )
    def test_no_cache_file_stops_delete(self, spec, sandbox, bin_, lab, content):
        """Whatever is in the file, DEL goes on without a result and then removes it."""
        attachment = spec.add(sandbox, NET)
        lab.host("node").run(["sh", "-c", f"printf '{content}' > {CACHE}"])
        spec.delete(attachment)

        assert "prevResult" not in requests(bin_, "one")[-1][1]
        assert cached(lab) == []

    def test_a_cache_file_of_old_is_a_bare_result(self, spec, sandbox, bin_, lab):
        """A file of before cniCacheV1 holds the result alone, and DEL gets it."""
        attachment = spec.add(sandbox, NET)
        lab.host("node").run(["sh", "-c", f"echo '{RESULT}' > {CACHE}"])
        spec.delete(attachment)

        assert requests(bin_, "one")[-1][1]["prevResult"]["ips"] == [{"address": "192.0.2.9/24"}]


class TestGc:
    """RT-10 by libcni, with its quirks."""

    def test_without_a_list_all_is_deleted_and_plugins_get_no_list(self, libcni, lab, bin_):
        """``keep=None`` is `cnitool gc`: a DEL of every attachment, then GC without either key."""
        node = lab.host("node")
        for name in ("c1", "c2"):
            libcni.add(node.sandbox(name), NET)
        libcni.gc(node, NET)

        assert cached(lab) == []
        assert [command for _, command in calls(libcni)[2:]] == ["DEL", "DEL", "GC"]
        assert not [key for key in requests(bin_, "one")[-1][1] if key.startswith("cni.dev/")]

    def test_the_stale_is_deleted_as_the_network_is_now(self, libcni, lab, sandbox, bin_):
        """DEL gets the configuration that GC was given, not the one of ADD."""
        libcni.add(sandbox, NET)
        libcni.gc(lab.host("node"), {**NET, "plugins": [{"type": "one", "x-new": 1}]}, keep=[])

        assert requests(bin_, "one")[-2][0] == "DEL"
        assert requests(bin_, "one")[-2][1]["x-new"] == 1

    def test_what_cannot_be_read_is_passed_over(self, libcni, lab, sandbox):
        """A broken file is left where it is without a word; when none can be listed GC does nothing at all."""
        node = lab.host("node")
        libcni.add(sandbox, NET)
        node.run(["sh", "-c", f"echo '{{' > {CACHE}"])
        libcni.gc(node, NET, keep=[])

        assert calls(libcni)[1:] == [("one", "GC")]
        assert cached(lab) == ["net-c1-eth0"]
        node.run(["sh", "-c", "rm -r /var/lib/cni/results; touch /var/lib/cni/results"])
        libcni.gc(node, NET, keep=[])
        assert len(libcni.calls) == 2

    def test_a_cache_that_cannot_be_listed_is_reported_by_the_specification(self, spec, lab):
        """Else nobody would know that nothing was deleted; plugins get their GC all the same."""
        node = lab.host("node")
        node.run(["sh", "-c", "mkdir -p /var/lib/cni; touch /var/lib/cni/results"])
        with pytest.raises(PluginError, match="/var/lib/cni/results: the cached result cannot be listed"):
            spec.gc(node, NET)

        assert calls(spec) == [("one", "GC")]
