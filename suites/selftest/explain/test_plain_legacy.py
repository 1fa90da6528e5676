"""Machines where ``iptables`` is the older variant: rules of the newer one are removed by the name of that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cnitest import Lab, load
from cnitest.topology import find

OLDER = shutil.which("iptables-legacy", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.mark.skipif(not OLDER, reason="needs iptables-legacy")
def test_the_remedy_names_the_program_that_has_the_rule(tmp_path, monkeypatch):
    """The plain name would say that there is no such rule."""
    (tmp_path / "iptables").symlink_to(Path(str(OLDER)).resolve())
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("node").run(["iptables-nft", "-A", "FORWARD", "-p", "icmp", "-j", "DROP"])

        reach = lab.sandbox("ns01").ping("10.40.80.12") or lab.sandbox("ns01").ping("192.168.80.2")

        assert reach.dropped_by == "ip filter FORWARD rule 1"
        assert reach.cause.remedy == "iptables-nft -D FORWARD -p icmp -j DROP"
