"""Network configurations in files (RT-25 to RT-27): what is read from where, and what is rejected with which words."""

from __future__ import annotations

import json

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import requests
from cnitest.suites.selftest.plugins import recorder

from cnitest import ConfigError, Runtime
from cnitest.cni import conf

lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni


@pytest.fixture
def directory(tmp_path):
    """Writes configurations: a dictionary as JSON, text as it is; paths are relative to one directory."""

    def write(path, content):
        file = tmp_path / "net.d" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


def types(network):
    """The plugins of a network by name."""
    return [plugin["type"] for plugin in network.plugins]


LIST = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "one"}]}


class TestFolder:
    """RT-26: plugins from the folder beside a .conflist that is called as the network."""

    def test_they_are_appended_in_the_order_of_their_names(self, directory):
        """Each .conf of the folder adds one plugin; other files and folders add none."""
        file = directory("10-x.conflist", LIST)
        for name in "dbface":
            directory(f"net/10-{name}.conf", {"type": name, "x-own": 1})
        directory("net/30-c.conflist", "no JSON")
        directory("net/more.conf/x", "")
        directory("other/10.conf", {"type": "other"})
        network = conf.network(file)

        assert types(network) == ["one", *"abcdef"]
        assert network.plugin(1)["x-own"] == 1

    def test_the_folder_may_hold_all_of_them(self, directory):
        """A list without plugins of its own has those of the folder."""
        file = directory("10-x.conflist", {"cniVersion": "1.1.0", "name": "net"})
        directory("net/10-a.conf", {"type": "two"})

        assert types(conf.network(file)) == ["two"]

    @pytest.mark.parametrize("value", [True, "true", "True"])
    def test_only_inlined_plugins_may_be_asked_for(self, directory, value):
        """With loadOnlyInlinedPlugins nobody looks into the folder, broken or not."""
        file = directory("10-x.conflist", {**LIST, "loadOnlyInlinedPlugins": value})
        directory("net/10-a.conf", "no JSON")

        assert types(conf.network(file)) == ["one"]

    def test_they_are_called_with_the_network_s_name_and_version(self, cni, sandbox, bin_, directory):
        """A plugin of the folder is called as any other."""
        file = directory("10-x.conflist", LIST)
        directory("net/10-a.conf", {"type": "two"})
        for name in ("one", "two"):
            recorder(bin_, name)
        cni.add(sandbox, file)

        assert requests(bin_, "two")[0][1].keys() == {"type", "name", "cniVersion", "prevResult"}

    def test_gc_deletes_with_them_though_the_cache_has_them_not(self, lab, sandbox, bin_, directory):
        """The cache holds the list's own text; what the folder adds today is added to it for a stale attachment."""
        file = directory("10-x.conflist", LIST)
        directory("net/10-a.conf", {"type": "two"})
        for name in ("one", "two"):
            recorder(bin_, name)
        Runtime(lab, [str(bin_)]).add(sandbox, file)
        directory("10-x.conflist", {**LIST, "plugins": [{"type": "one", "x-new": 1}]})
        cni = Runtime(lab, [str(bin_)])
        cni.gc(lab.host("node"), file)

        assert [call.plugin for call in cni.calls if call.command == "DEL"] == ["two", "one"]
        assert "x-new" not in requests(bin_, "one")[-2][1]


class TestRejections:
    """One line for each fault, with file and remedy."""

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (
                {"name": "net"},
                "has no 'plugins', and there are none in the folder net/ beside it; one alone is a .conf",
            ),
            ({"name": "net", "type": "one"}, "has no 'plugins', and there are none in the folder net/ beside it"),
            (
                {"name": "net", "loadOnlyInlinedPlugins": True},
                "'loadOnlyInlinedPlugins' is true, but there are no 'plugins' (SPEC section 1)",
            ),
            ({**LIST, "disableGC": "yes"}, "'disableGC' is 'yes', not a boolean"),
            ({**LIST, "loadOnlyInlinedPlugins": 1}, "'loadOnlyInlinedPlugins' is 1, not a boolean"),
            ({**LIST, "cniVersions": "1.0.0"}, "'cniVersions' is a string, not a list of strings"),
            ({**LIST, "cniVersions": ["1.0.0", 5]}, "cniVersions[1] is a number (5), not a string"),
            (
                {**LIST, "plugins": [{"type": "one", "capabilities": {"mac": "yes"}}]},
                "plugins[0] 'capabilities' has 'mac' as a string, not a boolean",
            ),
            ('{"name": "net", "plugins": [{"type": "one", "x": NaN}]}', "NaN is no number in JSON"),
            ('{"name": "net", "plugins": [{"type": "one", "x": 1e999}]}', "is no network configuration: Out of range"),
        ],
    )
    def test_a_list_is_rejected(self, directory, content, words):
        """The fault is reported once, after the name of the file."""
        file = directory("10-x.conflist", content)
        with pytest.raises(ConfigError) as failure:
            conf.network(file)

        assert str(failure.value).startswith(f"{file}:")
        assert words in str(failure.value)
        assert len(str(failure.value).splitlines()) == 1

    def test_a_plugin_of_the_folder_is_named_by_its_file(self, directory):
        """Each plugin of the folder is checked, and what is wrong says in which file."""
        file = directory("10-x.conflist", LIST)
        first, second = directory("net/10-a.conf", {"x": 1}), directory("net/20-b.conf", {"type": "a/b"})
        with pytest.raises(ConfigError) as failure:
            conf.network(file)

        assert f"{first}: has no 'type'" in str(failure.value)
        assert f"{second}: 'type' 'a/b' must be the name of a binary" in str(failure.value)

    def test_a_folder_file_that_is_no_json_is_named_with_the_place(self, directory):
        """A typo in the folder has its file, line and column."""
        file = directory("10-x.conflist", LIST)
        broken = directory("net/10-a.conf", '{"type" "one"}')
        with pytest.raises(ConfigError, match="is not JSON") as failure:
            conf.network(file)

        assert str(failure.value).startswith(f"{broken}:1:9:")
