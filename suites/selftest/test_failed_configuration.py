"""A failed test shows what is wrong in the configurations that it used: mostly a key with a letter too few."""

from __future__ import annotations

import json
import sys

import pytest

from cnitest import Runtime
from cnitest.errors import PluginError
from cnitest.report import failure_report
from cnitest.testing import ScriptedPlugin

pytestmark = [pytest.mark.topology("bridge-walkthrough"), pytest.mark.requires(plugin=("bridge", "host-local"))]
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}
CONF = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "b0", "ipam": IPAM}


def _shown(lab):
    """The lines of the section about configurations."""
    return dict(failure_report.sections(lab)).get("cnitest: configuration", "").splitlines()


def test_a_mistyped_key_is_shown_once(lab, cni):
    """Its file or its network is named, however often it was added."""
    for ifname in ("eth8", "eth9"):
        cni.add(lab.sandbox("ns01"), CONF | {"isGatway": True}, ifname)

    assert _shown(lab) == ["network net: bridge has no key 'isGatway', and ignores it; did you mean 'isGateway'?"]


def test_a_value_that_is_not_accepted_is_shown_with_the_file(lab, cni, tmp_path, monkeypatch):
    """Also where ADD failed, so that nothing was attached."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.conf").write_text(json.dumps(CONF | {"mtu": "1400"}))

    with pytest.raises(PluginError):
        cni.add(lab.sandbox("ns01"), "net.conf", "eth9")

    expected = 'is the text "1400", and a whole number, without quotes, is expected; did you mean 1400?'
    assert _shown(lab) == [f"net.conf: bridge: 'mtu' {expected}"]


def _listed(plugin: str, before: dict[str, object] = CONF, **keys: object) -> dict[str, object]:
    """A plugin with some keys behind another one."""
    return {"cniVersion": "1.0.0", "name": "net", "plugins": [before, {"type": plugin, **keys}]}


REFUSED = {
    "a master that is not there": (
        CONF | {"type": "macvlan", "master": "etn0"},
        ["master is 'etn0', and the host has no such link; there are ", "make it before ADD, or choose a topology"],
    ),
    "two default routes": (
        CONF | {"isDefaultGateway": True, "ipam": IPAM | {"routes": [{"dst": "0.0.0.0/0"}]}},
        ["isDefaultGateway adds a default route, and ipam.routes has one, too (0.0.0.0/0)"],
    ),
    "two default routes of IPv6": (
        CONF
        | {
            "isDefaultGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "fd09::/64"}]], "routes": [{"dst": "::/0"}]},
        },
        ["isDefaultGateway adds a default route, and ipam.routes has one, too (::/0)"],
    ),
    "an IPAM plugin with a typo": (
        CONF | {"ipam": IPAM | {"type": "host-locl"}},
        ["bridge calls the plugin 'host-locl', which is not in the search path; did you mean 'host-local'?"],
    ),
    "a range without an address": (CONF | {"ipam": IPAM | {"ranges": [[{"subnet": "10.9.0.0/31"}]]}}, ["10.9.0.0/31"]),
    "a daemon that nobody started": (
        CONF | {"ipam": {"type": "dhcp"}},
        ["its daemon does not answer at /run/cni/dhcp.sock: start it before ADD: host.start("],
    ),
    "a mistyped sysctl": (
        _listed("tuning", sysctl={"net.core.somaxcon": "500"}),
        ["sysctl net.core.somaxcon: no such file or directory; did you mean 'net.core.somaxconn'?"],
    ),
    "a sysctl's value": (
        _listed("tuning", sysctl={"net.ipv4.ip_forward": "yes"}),
        ["sysctl net.ipv4.ip_forward: invalid argument: the kernel does not take the value 'yes'"],
    ),
    "a sysctl of IPv6": (
        _listed("tuning", sysctl={"net.ipv6.conf.all.forwarding": "yes"}),
        ["sysctl net.ipv6.conf.all.forwarding: invalid argument: the kernel does not take the value 'yes'"],
    ),
    "a sysctl of the machine": (
        _listed("tuning", sysctl={"kernel.pid_max": "99999"}),
        ["sysctl kernel.pid_max is the whole machine's: tuning sets none but those of a container, net.…"],
    ),
    "no addresses before": (
        _listed("sbr", {key: CONF[key] for key in ("cniVersion", "name", "type", "bridge")}),
        ["sbr wants addresses, and bridge gives the container none: it has no ipam.type"],
    ),
    "a key that has to be there": (_listed("vrf"), ["vrf wants the key 'vrfname'"]),
    "one key of several": (
        CONF | {"type": "host-device"},
        ["host-device wants one of the keys device, hwaddr, kernelpath, pciBusID, and none is given"],
    ),
    "a device that no lab has": (
        CONF | {"type": "host-device", "pciBusID": "0000:af:00.1"},
        ["/sys/bus/pci/devices/0000:af:00.1: no such file or directory: this machine has no such device"],
    ),
    "an address of no range": (
        CONF | {"capabilities": {"ips": True}, "runtimeConfig": {"ips": ["fd00::5/64"]}},
        ["fd00::5 is asked for, and no range of ipam has it"],
    ),
    "a file for a directory": (
        CONF | {"ipam": IPAM | {"dataDir": "/etc/hosts"}},
        ["/etc/hosts: not a directory: a file stands where a directory has to be"],
    ),
}


@pytest.mark.parametrize(("conf", "words"), REFUSED.values(), ids=REFUSED)
def test_why_add_failed_is_shown_with_what_to_do(lab, cni, conf, words):
    """As `cnitest run` shows it, in a few lines, and without the profile that a test does not have."""
    with pytest.raises(PluginError):
        cni.add(lab.sandbox("ns01"), conf, "eth9")

    shown = dict(failure_report.sections(lab))["cnitest: likely why ADD failed"]
    assert all(part in shown for part in words), shown
    assert 1 <= len(shown.splitlines()) <= 4
    assert "profile" not in shown
    assert "cnitest.yaml" not in shown


def test_a_configuration_that_an_error_repeats_is_no_evidence(lab, cni, tmp_path):
    """A plugin that puts all that it was given into its error speaks of no key of that."""
    error = 'json.dumps({"code": 100, "msg": f"cannot load {sys.stdin.read()}: x"})'
    (tmp_path / "echoing").write_text(f"#!{sys.executable}\nimport json, sys\nprint({error})\nsys.exit(1)\n")
    (tmp_path / "echoing").chmod(0o755)

    with pytest.raises(PluginError):
        Runtime(lab, [str(tmp_path), *cni.path]).add(lab.sandbox("ns01"), CONF | {"type": "echoing", "mtu": 1500})

    assert "cnitest: likely why ADD failed" not in dict(failure_report.sections(lab))


def test_a_version_that_a_plugin_does_not_speak(lab, cni, tmp_path):
    """Those that it names are shown."""
    error = {
        "code": 1,
        "msg": "incompatible CNI versions",
        "details": 'config is "1.1.0", plugin supports ["0.3.1" "1.0.0"]',
    }
    ScriptedPlugin.install(tmp_path, "old", {"ADD": {"error": error}})

    with pytest.raises(PluginError):
        Runtime(lab, [str(tmp_path), *cni.path]).add(
            lab.sandbox("ns01"), CONF | {"cniVersion": "1.1.0", "type": "old", "ipam": {}}
        )

    assert dict(failure_report.sections(lab))["cnitest: likely why ADD failed"] == (
        "old does not speak version 1.1.0; it speaks 0.3.1, 1.0.0: write one that it speaks as cniVersion"
    )


def test_a_version_that_an_ipam_plugin_does_not_speak(lab, cni, tmp_path):
    """Whose error it is does not show, so that both are named."""
    error = {"code": 1, "msg": "incompatible CNI versions", "details": 'config is "1.0.0", plugin supports ["0.4.0"]'}
    ScriptedPlugin.install(tmp_path, "pool", {"ADD": {"error": error}})

    with pytest.raises(PluginError):
        Runtime(lab, [str(tmp_path), *cni.path]).add(lab.sandbox("ns01"), CONF | {"ipam": {"type": "pool"}}, "eth9")

    assert dict(failure_report.sections(lab))["cnitest: likely why ADD failed"] == (
        "bridge, or pool that it calls for addresses, does not speak version 1.0.0; it speaks 0.4.0: "
        "write one that it speaks as cniVersion"
    )


def test_an_add_that_was_expected_to_fail_is_forgotten_with_the_next(lab, cni):
    """The section is about the last ADD alone."""
    with pytest.raises(PluginError):
        cni.add(lab.sandbox("ns01"), CONF | {"ipam": {"type": "host-locl"}}, "eth9")
    cni.add(lab.sandbox("ns01"), CONF, "eth9")

    assert "cnitest: likely why ADD failed" not in dict(failure_report.sections(lab))


def test_a_configuration_without_a_fault_has_no_section(lab, cni):
    """Nothing is invented."""
    cni.add(lab.sandbox("ns01"), CONF, "eth9")

    assert _shown(lab) == []
