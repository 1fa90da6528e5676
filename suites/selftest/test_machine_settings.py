"""What is one for the whole machine stays as it is, whatever a lab's programs write."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cnitest import Lab
from cnitest.deadline import Deadline
from cnitest.errors import UsageError
from cnitest.kernel.processes import process
from cnitest.kernel.processes.supervised import LET, Supervised
from cnitest.topology import find, load

MACHINE_SETTING = Path("/proc/sys/vm/swappiness")


def test_a_program_cannot_set_what_is_the_machines():
    """Written with the value that is there, so that the machine stays as it is also where this fails."""
    value = MACHINE_SETTING.read_text()
    with Lab(load(find("bridge-walkthrough"))) as lab:
        for place in lab.places:
            done = place.run(["tee", str(MACHINE_SETTING)], stdin=value, check=False)
            assert "Read-only file system" in done.stderr, place
        with pytest.raises(UsageError, match=r"sysctl vm\.swappiness is the whole machine's"):
            lab.host("node").sysctl("vm.swappiness", value.strip())
        assert lab.host("node").sysctl("vm.swappiness") == value.strip()


def test_the_names_and_limits_that_a_program_sets_stay_in_its_lab():
    """Supervised programs, too, which are started by another thread."""
    limit = Path("/proc/sys/kernel/shmmni")
    before = (socket.gethostname(), limit.read_text())
    with Lab(load(find("node-with-uplink"))) as lab:
        node = lab.host("node")
        assert node.run(["hostname"]).stdout.strip() == before[0]
        node.run(["hostname", "renamed"])
        node.run(["tee", str(limit)], stdin="77")
        assert node.run(["hostname"]).stdout == "renamed\n"
        assert node.run(["cat", str(limit)]).stdout == "77\n"
        with Supervised(lambda *_: LET) as tree:
            started = node.start_supervised(
                tree, ["/bin/sh", "-c", f"hostname; cat {limit}"], {"PATH": "/usr/bin:/bin"}
            )
            seen = process.finish(started, b"", Deadline.after(20, "hostname"))
        assert seen.stdout == b"renamed\n77\n"
        assert (socket.gethostname(), limit.read_text()) == before
