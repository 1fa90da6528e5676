"""A lab of two hosts, one with a container, for tests of what our API says of arguments.

A module takes them with ``lab, node = two_hosts.lab, two_hosts.node``.
"""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology import Host, Sandbox, Topology


@pytest.fixture(scope="module")
def lab():
    """Two hosts, one with a container."""
    hosts = {"node": Host(sandboxes={"pod1": Sandbox()}), "other": Host()}
    with Lab(Topology(name="t", hosts=hosts)) as lab:
        yield lab


@pytest.fixture
def node(lab):
    """The host with the container."""
    return lab.host("node")
