"""How each mode of the runtime reads a network configuration: its version, its keys, its numbers."""

from __future__ import annotations

import json

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import requests
from cnitest.suites.selftest.plugins import recorder

from cnitest import ConfigError, Runtime
from cnitest.cni import conf
from cnitest.cni.calls.mode import LIBCNI, SPEC

lab, sandbox, bin_ = bare.lab, bare.sandbox, bare.bin_

NET = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "one"}]}


class TestConfigurations:
    """RT-18, RT-27: how a configuration is read."""

    @pytest.mark.parametrize(
        ("versions", "by_spec", "by_libcni"),
        [
            ({"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.1.0"]}, "1.1.0", "1.1.0"),
            ({"cniVersion": "1.0.0", "cniVersions": ["1.0.5", "7.0.0"]}, "1.0.0", "1.0.5"),
            ({"cniVersion": "7.0.0", "cniVersions": ["0.4.0"]}, "0.4.0", "0.4.0"),
            ({"cniVersion": "7.0.0", "cniVersions": ["8.0.0"]}, None, "7.0.0"),
            ({"cniVersion": "7.0.0"}, None, "7.0.0"),
            ({"cniVersion": "1.1"}, None, "1.1"),
            ({"cniVersion": "new"}, None, None),
            ({"cniVersion": "1.0.0", "cniVersions": ["new"]}, "1.0.0", None),
            ({"cniVersion": ""}, None, "0.1.0"),
            ({}, "0.1.0", "0.1.0"),
        ],
    )
    def test_the_version_is_chosen(self, versions, by_spec, by_libcni):
        """The highest published version that is named; libcni takes what it does not know at its word."""
        given = {"name": "net", "plugins": [{"type": "one"}], **versions}
        for mode, expected in ((SPEC, by_spec), (LIBCNI, by_libcni)):
            if expected:
                assert conf.network(given, mode).cni_version == expected
            else:
                with pytest.raises(ConfigError, match=r"'cniVersion' '\S*' is (none of|no version)"):
                    conf.network(given, mode)

    @pytest.mark.parametrize(("mode", "version"), [("spec", "0.1.0"), ("libcni", "")])
    def test_a_network_without_a_version(self, lab, sandbox, bin_, mode, version):
        """It is one of 0.1.0, and plugins get that; from libcni they get nothing."""
        recorder(bin_, "one")
        Runtime(lab, [str(bin_)], mode=mode).add(sandbox, {"name": "net", "plugins": [{"type": "one"}]})

        assert requests(bin_, "one")[0][1]["cniVersion"] == version

    def test_a_single_plugin_may_say_what_a_list_says(self, tmp_path):
        """A .conf has disableCheck and its like for the network; libcni leaves them to the plugin, unread."""
        file = tmp_path / "net.conf"
        keys = {"cniVersions": ["1.1.0"], "disableCheck": True, "disableGC": True}
        file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "one", **keys}))
        by_spec, by_libcni = conf.network(file), conf.network(file, LIBCNI)

        assert (by_spec.cni_version, by_spec.disable_check, by_spec.disable_gc) == ("1.1.0", True, True)
        assert set(by_spec.plugin(0)) == {"cniVersion", "name", "type"}
        assert (by_libcni.cni_version, by_libcni.disable_check, by_libcni.disable_gc) == ("1.0.0", False, False)
        assert keys.items() <= by_libcni.plugin(0).items()

    def test_a_list_in_a_conf(self, tmp_path):
        """A .conf may hold a list; libcni looks for lists in .conflist files only, and says what it misses."""
        file = tmp_path / "net.conf"
        file.write_text(json.dumps(NET))

        assert conf.network(file).plugin(0) == {"type": "one"}
        with pytest.raises(ConfigError, match="libcni looks for lists in .conflist files only"):
            conf.network(file, LIBCNI)

    def test_a_number_that_no_float_can_hold(self):
        """It is passed on as it is; libcni cannot read it."""
        given = {**NET, "plugins": [{"type": "one", "x": 10**400}]}

        assert conf.network(given).plugin(0)["x"] == 10**400
        with pytest.raises(ConfigError, match="a number of 401 digits is too large for libcni"):
            conf.network(given, LIBCNI)
