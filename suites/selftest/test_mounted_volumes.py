"""Volumes of the machine: hosts see those below /usr, /opt and /srv, and plugins wherever a search path names them, and
cannot write there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_MOUNTS = """
mount -t tmpfs none /srv
mkdir '/srv/my plügins' /srv/outer
mount -t tmpfs none '/srv/my plügins'
mount -t tmpfs none /srv/outer
mkdir /srv/outer/inner
mount -t tmpfs none /srv/outer/inner
echo one >'/srv/my plügins/file'
echo two >/srv/outer/inner/file
echo three >/srv/source
touch /srv/single
mount --bind /srv/source /srv/single
exec "$@"
"""
_PROGRAM = """
import json
from pathlib import Path
from cnitest import Lab, Topology
from cnitest.topology.model import Host
volume = Path("/srv/my plügins/file")
with Lab(Topology(name="t", hosts={"a": Host()})) as lab:
    node = lab.host("a")
    read = node.run(["cat", str(volume), "/srv/outer/inner/file", "/srv/single"]).stdout
    written = [node.run(["cp", "/etc/passwd", str(to)], check=False).exit_code for to in (volume, "/srv/single")]
print(json.dumps([read.split(), written, volume.read_text()]))
"""


@pytest.mark.skipif(not os.path.isdir("/srv"), reason="this machine has no /srv")
def test_a_volume_is_seen_and_not_written_to():
    """Directories with blanks and other letters, mounts within mounts and single files have what they have on the
    machine; writing is refused, and nothing there has changed."""
    command = ["unshare", "--mount", "sh", "-ec", _MOUNTS, "sh", sys.executable, "-c", _PROGRAM]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["one", "two", "three"], [1, 1], "one\n"]


_PLUGINS = """
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
mkdir -p /run/netns /run/user/7 /var/lib/cni/bin /var/lib/cni/results /var/lib/rancher/bin /var/lib/rancher/data
touch /var/lib/cni/results/machine
mount -t tmpfs none /var/lib/rancher/bin
mount -t tmpfs none /var/lib/rancher/data
cp /usr/lib/cni/bridge /var/lib/cni/bin
cp /usr/lib/cni/host-local /var/lib/rancher/data/all
ln -s ../data/all /var/lib/rancher/bin/host-local
ln -s /var/lib/rancher/bin /run/user/7/linked
exec "$@"
"""
_ADD = """
import json, os, sys
from cnitest import Lab, Runtime, Topology
from cnitest.topology.model import Host
path = sys.argv[1:]
pool = {"type": "host-local", "subnet": "10.9.0.0/24"}
with Lab(Topology(name="t", hosts={"a": Host()})) as lab:
    node, runtime = lab.host("a"), Runtime(lab, path)
    net = {"cniVersion": "1.0.0", "name": "n", "type": "bridge", "ipam": pool}
    address = runtime.add(node.sandbox("c"), net).address
    written = [node.run(["touch", f"{directory}/new"], check=False).exit_code for directory in path]
    seen = node.run(["ls", "/var/lib/cni/results"]).stdout.split()
    files = [file.path for file in node.files() if not file.path.startswith("/var/lib/cni/")]
print(json.dumps([address, written, seen, files, [os.path.exists(f"{each}/new") for each in path]]))
"""


@pytest.mark.requires(plugin=("bridge", "host-local"))
@pytest.mark.parametrize("second", ["/var/lib/rancher/bin", "/run/user/7/linked"])
def test_plugins_are_found_wherever_a_search_path_says(second):
    """Below /var/lib/cni and /run, which hosts have of their own, in volumes, behind links: plugins are found there,
    can only be read, and are no files of the host; what else the machine has in /var/lib/cni stays hidden."""
    path = ["/var/lib/cni/bin", second]
    command = ["unshare", "--mount", "sh", "-ec", _PLUGINS, "sh", sys.executable, "-c", _ADD, *path]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["10.9.0.2", [1, 1], ["n-c-eth0"], [], [False, False]]
