"""A bare host, a sandbox, a directory for plugins, and a runtime over them, for tests of the runtime.

A module takes them with ``lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni``.
"""

from __future__ import annotations

import json

import pytest

from cnitest import Lab, Runtime, Topology
from cnitest.topology import Host


@pytest.fixture
def lab():
    """One bare host."""
    with Lab(Topology(name="bare", hosts={"node": Host()})) as built:
        yield built


@pytest.fixture
def sandbox(lab):
    """One fresh sandbox."""
    return lab.host("node").sandbox("c1")


@pytest.fixture
def bin_(tmp_path):
    """An empty directory for plugins."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


@pytest.fixture
def cni(lab, bin_):
    """A runtime over that directory, with short timeouts."""
    return Runtime(lab, [str(bin_)], timeout=5)


def requests(directory, name):
    """What a recorder was called with: (command, configuration) in order."""
    lines = (directory / f"{name}.log").read_text().splitlines()
    return [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in lines]


def cached(lab):
    """The names of the files in the cache."""
    return lab.host("node").run(["sh", "-c", "ls /var/lib/cni/results || true"]).stdout.split()
