"""ADDs that the conformance suite kills: at moments that the speed of the machine does not move."""

from __future__ import annotations

import json

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.bench.steps import Ask
from cnitest.conformance.checks.attachments import concurrency
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.subject import Trial

PATH = ("/usr/lib/cni",)

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


def test_what_a_killed_add_leaves_is_found_each_time(tmp_path):
    """The first ADD of a network is killed, too, at the same changes in each run: the same calls fail after it."""
    file = tmp_path / "net.conflist"
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]}
    bridge = {"type": "bridge", "isDefaultGateway": True, "ipMasq": True, "ipam": ipam}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [bridge]}))
    subject = examine([source(file, PATH)], PATH, versions=("1.0.0",))[0]

    told, codes = [], []
    for _ in range(2):
        with open_bench(Trial(subject, "1.0.0")) as bench:
            concurrency.a_killed_call_leaves_no_lock(bench)
            told.append([complaint.detail for complaint in bench.record.complaints])
            codes.append([step.call.exit_code for step in bench.record.steps if isinstance(step, Ask)])

    assert told[0]
    assert told[0] == told[1]
    assert codes[0] == codes[1]
    assert -9 in codes[0]
    assert all("could not set bridge's mac" in detail for detail in told[0])
