"""A lab of the topology ``bridge-walkthrough`` and the first of its sandboxes, for tests of probes.

A module takes them with ``lab, ns01 = walkthrough.lab, walkthrough.ns01``.
"""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology import find, load

NS01, NS02 = "10.40.80.11", "10.40.80.12"


@pytest.fixture
def lab():
    """Two sandboxes on a bridge, with a way to the internet."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        yield built


@pytest.fixture
def ns01(lab):
    """The sender."""
    return lab.sandbox("ns01")
