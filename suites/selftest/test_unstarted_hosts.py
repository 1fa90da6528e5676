"""Networks that a host cannot start, or seems not to: another address, a chain that is missing, data in /tmp."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnitest.conformance.host.data import data_directories

PATH = "/usr/lib/cni"
RANGES = {"type": "host-local", "ranges": [[{"subnet": "10.5.0.0/24"}], [{"subnet": "10.6.0.0/24"}]]}
POOL = {"type": "host-local", "subnet": "10.5.0.0/24"}

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "portmap"))


def cnitest(tmp_path: Path, *words: str, **network: Any) -> subprocess.CompletedProcess[str]:
    """A command on a network in an empty directory."""
    (tmp_path / "my.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "mynet", **network}))
    command = [sys.executable, "-m", "cnitest.cli", *words, "--cni-path", PATH]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)


BROKEN = {
    "two subnets of a bridge": (
        [{"type": "bridge", "isGateway": True, "ipam": RANGES}],
        "ipam gives one IPv4 address of each of its sets of ranges (10.5.0.0/24, 10.6.0.0/24), and a bridge is",
    ),
    "a bridge that is there": (
        [{"type": "bridge", "bridge": "br01", "isGateway": True, "ipam": POOL}],
        "the host's br01 has 10.40.80.1/24, and the gateway that ipam gives is 10.5.0.1/24: give it that gateway",
    ),
    "a chain of somebody else": (
        [
            {"type": "bridge", "ipam": POOL},
            {"type": "portmap", "capabilities": {"portMappings": True}, "externalSetMarkChain": "KUBE-MARK-MASQ"},
        ],
        "externalSetMarkChain is 'KUBE-MARK-MASQ', a chain that the host does not have: make it with host_setup",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_likely_cause_is_said(tmp_path: Path, name: str):
    """What the host has, or lacks, is beside what the configuration wants of it."""
    plugins, said = BROKEN[name]

    found = cnitest(tmp_path, "run", "my.conflist", "--topology", "bridge-walkthrough", "-n", "0", plugins=plugins)

    assert found.returncode == 1
    assert said in " ".join(found.stdout.split())


def test_an_address_that_the_add_itself_gave_is_no_cause(tmp_path: Path):
    """A command sees the bridge after the ADD that failed: what it has by then is not what was there before."""
    bridge = {"type": "bridge", "isGateway": True, "ipam": RANGES}

    explain = ("explain", "node-with-uplink", "node/c1", "10.5.0.1", "--conf", "my.conflist")
    found = cnitest(tmp_path, *explain, plugins=[bridge])

    assert "likely: ipam gives one IPv4 address of each of its sets of ranges (10.5.0.0/24, " in found.stderr
    assert "the host's" not in found.stderr


def test_data_in_a_directory_of_the_machine_is_the_hosts(tmp_path: Path):
    """What a plugin keeps in /tmp is no other host's: the second run gets the same address, and nothing is left."""
    data = f"/tmp/of-cnitest-{os.getpid()}/leases"
    bridge = {"type": "bridge", "isGateway": True, "ipam": {**POOL, "dataDir": data}}

    tries = [
        cnitest(
            tmp_path, "explain", "node-with-uplink", "node/c1", "10.5.0.1", "--conf", "my.conflist", plugins=[bridge]
        )
        for _ in range(2)
    ]
    run = cnitest(tmp_path, "run", "my.conflist", "--requirement", "DEL-01", "-n", "0", plugins=[bridge])

    assert [each.returncode for each in (*tries, run)] == [0, 0, 0], [each.stdout for each in (*tries, run)]
    assert not os.path.exists(os.path.dirname(data))


def test_what_names_a_directory_of_data():
    """Keys of any section whose name says so, with an absolute path."""
    conf = {
        "type": "flannel",
        "dataDir": "/var/lib/a/",
        "delegate": {"ipam": {"data_dir": "/tmp/b", "ranges": [[{"stateDir": "/c"}]]}},
        "confDir": "/etc/cni",
        "cacheDir": "relative",
        "name": 7,
    }

    assert data_directories([conf, {"dataDir": "/tmp/b"}]) == ("/var/lib/a", "/tmp/b", "/c")
