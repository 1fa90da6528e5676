"""Tamperings that CHECK is held to: what ADD did of each kind is seen and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.attachments import notice
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.conformance.observe import tamper

PATH = ("/usr/lib/cni",)

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


def subject(tmp_path: Path, **keys: object) -> Subject:
    """A bridge with these keys, without a profile."""
    ipam = {"type": "host-local", "subnet": "10.20.0.0/24"}
    conf = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge", "ipam": ipam, **keys}]}
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps(conf))
    return examine([source(file, PATH)], PATH, versions=("1.0.0",))[0]


def concluded(test: Any, one: Subject) -> None:
    """Run a test of the suite on a bench of its own; raises what its verdict is made of."""
    with open_bench(Trial(one, "1.0.0")) as bench:
        test(bench)
        bench.conclude()


@pytest.mark.parametrize(("keys", "told"), [({"hairpinMode": True}, True), ({}, False)])
def test_a_port_that_was_made_a_hairpin_is_made_none(tmp_path, keys, told):
    """Where ADD set the flag, there is a tampering that clears it, and only there."""
    with open_bench(Trial(subject(tmp_path, **keys), "1.0.0")) as bench:
        slot = bench.slot("c1")
        before = bench.look(slot)
        made = bench.attach(slot)
        ways = tamper.tamperings(bench, made, before, bench.look(slot))
        found = [way for way in ways if way.words.startswith("hairpin of ")]
        for way in found:
            way.apply(bench, made)
        ports = {port.hairpin for port in bench.node.state(firewall=False).ports}

    assert [way.requirement for way in found] == ["CHK-20"] * told
    assert ports == {False}


def test_a_check_that_overlooks_the_hairpin_is_told(tmp_path):
    """The suite's test names it; what is known of the plugin is told apart later."""
    with pytest.raises(Finding) as raised:
        concluded(notice.other_attributes_are_noticed, subject(tmp_path, hairpinMode=True))

    assert any("hairpin of " in detail and "switched off" in detail for detail in raised.value.details)
