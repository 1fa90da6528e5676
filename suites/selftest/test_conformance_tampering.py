"""Tamperings that CHECK is held to: what ADD did of each kind is seen and taken back."""

from __future__ import annotations

import json
import re
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


@pytest.mark.parametrize(("keys", "reported"), [({"hairpinMode": True}, True), ({}, False)])
def test_a_port_that_was_made_a_hairpin_is_made_none(tmp_path, keys, reported):
    """Where ADD set the flag, there is a tampering that clears it, and only there."""
    with open_bench(Trial(subject(tmp_path, **keys), "1.0.0")) as bench:
        target = bench.target("c1")
        before = bench.look(target)
        made = bench.attach(target)
        ways = tamper.tamperings(bench, made, before, bench.look(target))
        found = [way for way in ways if way.words.startswith("hairpin of ")]
        for way in found:
            way.apply(bench, made)
        ports = {port.hairpin for port in bench.node.state(firewall=False).ports}

    assert [way.requirement for way in found] == ["CHK-20"] * reported
    assert ports == {False}


def test_a_check_that_overlooks_the_hairpin_is_reported(tmp_path):
    """The suite's test names it; what is known of the plugin is distinguished later."""
    with pytest.raises(Finding) as raised:
        concluded(notice.other_attributes_are_noticed, subject(tmp_path, hairpinMode=True))

    assert any("hairpin of " in detail and "switched off" in detail for detail in raised.value.details)


BOTH = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]}
V4, V6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"


@pytest.mark.parametrize(
    ("ranges", "names"), [(BOTH["ranges"][:1], [V4]), (BOTH["ranges"][1:], [V6]), (BOTH["ranges"], [V4, V6])]
)
def test_forwarding_is_switched_off_in_each_family_of_the_attachment(tmp_path, ranges, names):
    """Where the host is the way to everywhere, its forwarding of that family is a tampering, and on again after it."""
    ipam = {"type": "host-local", "ranges": ranges}
    with open_bench(Trial(subject(tmp_path, ipam=ipam, isDefaultGateway=True), "1.0.0")) as bench:
        for name in (V4, V6):
            bench.node.sysctl(name, 1)
        target = bench.target("c1")
        before = bench.look(target)
        made = bench.attach(target)
        ways = tamper.tamperings(bench, made, before, bench.look(target))
        found = [way for way in ways if "forward" in way.words]
        values = []
        for way in found:
            way.apply(bench, made)
            values += [bench.node.sysctl(name) for name in names if name in way.words]
            way.revert(bench)
        after = [bench.node.sysctl(name) for name in (V4, V6)]

    assert [way.words for way in found] == [f"{name} set to 0" for name in names]
    assert {way.requirement for way in found} == {"CHK-13"}
    assert values == ["0"] * len(names)
    assert after == ["1", "1"]


def test_every_way_to_break_a_path_is_tried_once(tmp_path):
    """What only the first attachment makes is broken, too, and nothing is left out or doubled for it."""
    with pytest.raises(Finding) as raised:
        concluded(notice.an_unreachable_container_is_noticed, subject(tmp_path, ipam=BOTH, isDefaultGateway=True))

    reported = [detail.partition(": ")[0] for detail in raised.value.details]
    assert [re.sub("veth[0-9a-f]+", "veth", words) for words in reported] == [
        "the bridge cni0 down",
        "the host's end veth down",
        "the gateway's address 10.20.0.1/24 removed",
        "the gateway's address 2001:db8:20::1/64 removed",
        f"{V4} set to 0",
        f"{V6} set to 0",
    ]


@pytest.mark.requires(plugin="firewall", binary="iptables")
def test_rules_that_attachments_share_are_removed_one_by_one(tmp_path):
    """Each rule of the first ADD is tried, those that are there before the second one, too."""
    bridged = {"type": "bridge", "isGateway": True, "ipam": {"type": "host-local", "ranges": BOTH["ranges"][:1]}}
    policed = {"type": "firewall", "ingressPolicy": "same-bridge"}
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [bridged, policed]}))
    (firewall,) = (
        each for each in examine([source(file, PATH)], PATH, versions=("1.0.0",)) if each.plugin == "firewall"
    )

    with pytest.raises(Finding) as raised:
        concluded(notice.missing_firewall_rules_are_noticed, firewall)

    rules = [detail.partition(" removed: ")[0] for detail in raised.value.details]
    assert len(set(rules)) == len(rules)
    assert len([rule for rule in rules if "-A CNI-ISOLATION-STAGE-" in rule]) == 4


def test_what_attachments_have_in_common_tells_tamperings_apart():
    """Addresses, generated names and numbers are those of one attachment; what is left is named by its order."""
    words = ["veth0a1b2c3d down", "veth99887766 down", "the route to 10.1.0.0/16 removed", "cni0 removed"]
    ways = [tamper.Tampering("CHK-13", each, "host", ("true",)) for each in words]

    assert list(tamper.by_kind(ways)) == [("# down", 0), ("# down", 1), ("the route to # removed", 0), ("# removed", 0)]
