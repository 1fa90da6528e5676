"""Lists of plugins: what each of them is, and what each is blamed for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.test_conformance_run import BRIDGE, PATH, examined, listed, written

from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.requirement import Kind
from cnitest.testing import ScriptedPlugin

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "loopback", "macvlan", "tuning", "portmap"))
MACVLAN = {"type": "macvlan", "master": "ens33", "ipam": {"type": "host-local", "subnet": "10.21.0.0/24"}}
KEEPER = """#!/bin/sh
# Does what bridge does, and remembers its last configuration in a file per container.
conf=$(cat)
case $CNI_COMMAND in
ADD) mkdir -p /var/lib/cni/keeper; printf '%s' "$conf" >"/var/lib/cni/keeper/$CNI_CONTAINERID" ;;
DEL) rm -f "/var/lib/cni/keeper/$CNI_CONTAINERID" ;;
esac
printf '%s' "$conf" | exec /usr/lib/cni/bridge
"""


def held(file: Path, *options: str) -> str:
    """What ``cnitest run`` prints for a file, with the plugins beside it found first."""
    path = ":".join((str(file.parent), *PATH))
    command = [sys.executable, "-m", "cnitest.cli", "run", file.name, "--cni-path", path, "-n", "0"]
    command += ["--cni-version", "1.0.0", *options]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def kinds(file: Path, path: tuple[str, ...] = PATH) -> dict[str, Kind]:
    """What each plugin of a file is."""
    return {subject.plugin: subject.kind for subject in examine([source(file, path)], path)}


@pytest.mark.parametrize(
    ("plugins", "second", "kind"),
    [
        ([{"type": "loopback"}, BRIDGE], "bridge", Kind.INTERFACE),
        ([BRIDGE, {"type": "loopback"}], "loopback", Kind.INTERFACE),
        ([BRIDGE, MACVLAN], "macvlan", Kind.INTERFACE),
        ([BRIDGE, {"type": "tuning"}], "tuning", Kind.META),
        ([BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True}}], "portmap", Kind.META),
    ],
)
def test_a_plugin_is_what_its_add_does(tmp_path: Path, plugins: list[dict[str, Any]], second: str, kind: Kind):
    """Behind others, too, one that makes an interface without their result is an interface plugin."""
    file = written(tmp_path, "x.conflist", listed(*plugins))

    assert kinds(file)[second] is kind


def test_a_plugin_of_addresses_behind_others(tmp_path: Path):
    """One in second place that gives addresses and makes no interface is an IPAM plugin."""
    given = {"cniVersion": "1.0.0", "ips": [{"address": "10.22.0.7/24"}]}
    ScriptedPlugin.install(tmp_path, "leases", {"ADD": {"result": given}})
    file = written(tmp_path, "x.conflist", listed(BRIDGE, {"type": "leases"}))

    assert kinds(file, (*PATH, str(tmp_path)))["leases"] is Kind.IPAM


def test_what_a_profile_says_of_the_kind_wins(tmp_path: Path):
    """A profile's kind is taken whatever ADD does."""
    written(tmp_path, "x.conflist", listed({"type": "loopback"}, BRIDGE))
    profile = written(tmp_path, "cnitest.yaml", "conf: x.conflist\nplugin: bridge\nkind: meta\n")

    assert kinds(profile)["bridge"] is Kind.META


def test_an_interface_plugin_behind_another_needs_no_result(tmp_path: Path):
    """PREV-01 and PREV-03 are about chained plugins, and so not about a bridge behind a loopback."""
    file = written(tmp_path, "x.conflist", listed({"type": "loopback"}, BRIDGE))
    names = "add_needs_a_result or result_is_passed_on or add_prints_a_result"

    assert "FAIL" not in held(file, "-k", names)
    (subjects,) = [examined(file)]
    assert [subject.kind for subject in subjects if subject.plugin == "bridge"] == [Kind.INTERFACE]


@pytest.mark.parametrize("test", ["two_networks", "test_del_leaves_others_alone"])
def test_a_chained_plugin_is_not_blamed_for_the_one_before(tmp_path: Path, test: str):
    """What the first plugin of a list keeps wrongly is its own failure, and not that of the second."""
    (tmp_path / "keeper").write_text(KEEPER)
    (tmp_path / "keeper").chmod(0o755)
    file = written(tmp_path, "x.conflist", listed({**BRIDGE, "type": "keeper"}, {"type": "tuning"}))

    reported = [line for line in held(file, "-k", test).splitlines() if line.startswith("FAIL ")]

    assert any(" keeper: " in line for line in reported)
    assert not any(" tuning: " in line for line in reported)


def test_networks_that_share_one_device_cannot_be_two(tmp_path: Path):
    """A plugin that takes one device for all networks has no second network: ADD-07 and CON-04 do not apply."""
    text = '#!/bin/sh\nsed \'s/"bridge": *"[^"]*"/"bridge": "only0"/\' | exec /usr/lib/cni/bridge\n'
    (tmp_path / "single").write_text(text)
    (tmp_path / "single").chmod(0o755)
    ipam = {"type": "host-local", "subnet": "10.20.0.0/24"}
    conf = {"cniVersion": "1.0.0", "name": "n", "type": "single", "bridge": "only0", "isGateway": True, "ipam": ipam}
    file = written(tmp_path, "x.conf", conf)

    reported = held(file, "-k", "two_networks and single", "--json", "out.json")

    rows = json.loads((tmp_path / "out.json").read_text())["requirements"]
    verdicts = {row["id"]: row["verdict"] for row in rows if row["subject"] == "single"}
    assert (verdicts["ADD-07"], verdicts["CON-04"]) == ("not applicable", "not applicable"), reported


@pytest.mark.parametrize("subnet", ["10.23.0.0/24", "fd00:23::/64"])
def test_a_limit_that_is_none_is_found_in_each_family(tmp_path: Path, subnet: str):
    """A plugin for bandwidth that does nothing is reported, whether the network has IPv4 or IPv6."""
    ScriptedPlugin.install(tmp_path, "lazy")
    ipam = {"type": "host-local", "subnet": subnet}
    plugins = [{**BRIDGE, "ipam": ipam}, {"type": "lazy", "capabilities": {"bandwidth": True}}]
    file = written(tmp_path, "x.conflist", listed(*plugins))

    reported = held(file, "-k", "takes_effect and bandwidth and lazy")

    assert " lazy: CAP-01 " in reported
    assert "not limited to it" in " ".join(reported.split())


def test_a_limit_without_a_gateway_is_not_applicable(tmp_path: Path):
    """Where there is nobody to send to no limit can be measured, which is not success."""
    ScriptedPlugin.install(tmp_path, "lazy")
    plain = {"type": "bridge", "bridge": "cni0", "ipam": {"type": "static", "addresses": [{"address": "10.24.0.2/24"}]}}
    file = written(tmp_path, "x.conflist", listed(plain, {"type": "lazy", "capabilities": {"bandwidth": True}}))

    held(file, "-k", "takes_effect and bandwidth and lazy", "--json", "out.json")

    rows = json.loads((tmp_path / "out.json").read_text())["requirements"]
    (verdict,) = [row["verdict"] for row in rows if (row["id"], row["subject"]) == ("CAP-01", "lazy")]
    assert verdict == "not applicable"


@pytest.mark.parametrize("subnet", ["198.18.0.0/24", "2001:db8:c000::/64"])
def test_what_a_check_adds_is_not_the_users(tmp_path: Path, subnet: str):
    """An address and a route that CHK-09 adds are of networks that nobody else has, of the family of the network."""
    conf = {"cniVersion": "1.0.0", "name": "n", **BRIDGE, "ipam": {"type": "host-local", "subnet": subnet}}
    file = written(tmp_path, "x.conf", conf)

    held(file, "-k", "added_later and bridge", "--json", "out.json")

    rows = json.loads((tmp_path / "out.json").read_text())["requirements"]
    (verdict,) = [row["verdict"] for row in rows if (row["id"], row["subject"]) == ("CHK-09", "bridge")]
    assert verdict == "passed"


def test_a_del_that_fails_in_plain_text_is_reported(tmp_path: Path):
    """PROTO-20 sees a DEL that fails with words on standard error and no error document."""
    text = '#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && { echo "cannot delete" >&2; exit 1; }\nexec /usr/lib/cni/bridge\n'
    (tmp_path / "wordy").write_text(text)
    (tmp_path / "wordy").chmod(0o755)
    file = written(tmp_path, "x.conf", {"cniVersion": "1.0.0", "name": "n", **BRIDGE, "type": "wordy"})

    reported = held(file, "-k", "of_every_command and wordy")

    assert "wordy DEL: fails without an error document: cannot delete" in reported


@pytest.mark.requires(plugin="firewall")
def test_a_chain_that_the_configuration_names_is_shared(tmp_path: Path):
    """A chain by the name that iptablesAdminChainName gives may stay after DEL, as one by its usual name may."""
    firewall = {"type": "firewall", "backend": "iptables", "iptablesAdminChainName": "MY-OWN"}
    file = written(tmp_path, "x.conflist", listed(BRIDGE, firewall))

    assert "MY-OWN" not in held(file, "-k", "test_del_removes_what and firewall")
