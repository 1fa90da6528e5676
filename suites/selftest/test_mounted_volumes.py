"""What is mounted below /usr, /opt and /srv, a volume with plugins for instance: hosts see it, and cannot write."""

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
