"""A process that has more descriptors open than select(2) takes: 1,024, as a large lab has, or a test's own files."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

_MANY = 1100
_PROGRAM = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({2 * _MANY}, {2 * _MANY}))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range({_MANY})]
from cnitest import Lab
from cnitest.topology import find, load
with Lab(load(find("bridge-walkthrough"))) as lab:
    node, sandbox = lab.host("node"), lab.sandbox("ns01")
    assert sandbox.ping("10.40.80.12") and sandbox.ping("2001:db8:40::12")
    assert node.run(["echo", "said"]).stdout == "said\\n"
    node.start(["sleep", "100"]).stop()
    node.reboot()
    assert lab.sandbox("ns01").ping("10.40.80.12")
"""


@pytest.mark.skipif(
    0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * _MANY, reason="this process may not open so many files"
)
def test_a_lab_works_in_a_process_with_many_descriptors():
    """Probes, programs to their end, programs that stay, and reboots."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=100, check=False)

    assert (done.returncode, done.stderr) == (0, "")
