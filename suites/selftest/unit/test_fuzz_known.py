"""What is known of reference plugins is distinguished from what is news."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.conformance.observe.tamper import Tampering
from cnitest.fuzz.execute import operations
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search.survey import explanation


def test_what_is_known_is_no_finding_of_the_reference():
    """A known cause has its reason and a link; the same rule with other words, or of another plugin, is news."""
    words = "CHECK crashes: panic: runtime error: invalid memory address or nil pointer dereference"

    known = explanation(Violation("crash", "bandwidth", words))

    assert known is not None
    assert known.reason
    assert known.link.startswith("https://")
    assert explanation(Violation("crash", "bandwidth", "ADD crashes: panic: something else")) is None
    assert explanation(Violation("crash", "portmap", words)) is None


@pytest.mark.parametrize(
    ("rule", "plugin", "words"),
    [
        ("check", "tuning", r"Tuning configured value of /proc/sys/net/a/b is 0 0, current value is 0\t0"),
        ("untrue", "loopback", "the result has no interface fifteen-letter1 in the container"),
        ("left", "host-device", "after ADD by hand and DEL: + links eth0: ifindex=4 kind=veth alias=nic-c1-eth0"),
        ("left", "ptp", "after DEL: the host: + ip6tables rule: nat: -A CNI-0a1b2c3d4e5f -d ff00::/8 -j MASQUERADE"),
        ("refused", "ptp", "failed to add route {Ifindex: 3 Dst: 10.44.0.1/32 Gw: <nil>}: file exists"),
        ("harm", "bandwidth", "the result has an interface bwp19a3 in the host, the kernel has none of that name"),
    ],
)
def test_values_do_not_hide_what_is_known(rule: str, plugin: str, words: str):
    """Names, numbers and addresses of a run, as plugins write them, are left out of what is compared."""
    assert explanation(Violation(rule, plugin, words)) is not None


@pytest.mark.parametrize(
    ("requirement", "plugin"), [("CHK-20", "bridge"), ("CHK-08", "bridge"), ("CHK-12", "bandwidth")]
)
def test_whose_check_had_to_notice_it(requirement: str, plugin: str):
    """The interface, its addresses and routes are the first plugin's of a chain; what else is there the last one's."""
    calls: Any = [SimpleNamespace(plugin="bridge"), SimpleNamespace(plugin="bandwidth")]

    assert operations._whose_check(calls, Tampering(requirement, "", "", ())) == plugin


def test_what_check_does_not_notice_is_known_by_the_same_tampering():
    """A deviation of conformance explains the tampering that it is about, of its plugin, and no other."""
    words, masquerading = "CHECK succeeds though a rule is gone", "though the iptables rule nat: -A CNI-0a1b removed"

    assert explanation(Violation("check", "bridge", words, masquerading)).reason == "Masquerading is not checked."
    assert explanation(Violation("check", "macvlan", words, masquerading)) is None
    assert explanation(Violation("check", "bridge", words, "though the iptables rule filter: -A INPUT removed")) is None
    assert explanation(Violation("check", "bridge", words)) is None


def test_what_gc_leaves_is_known_by_the_same_leftover():
    """A deviation of conformance explains what GC of its plugin leaves, and nothing else that is left."""
    words, file = "GC leaves what is lost: + files /d/10.1.0.2: kind=file", "node: + files /d/10.1.0.2: kind=file"

    assert explanation(Violation("left", "macvlan", words, file)).reason == "GC does nothing."
    assert explanation(Violation("left", "stranger", words, file)) is None
    assert explanation(Violation("left", "macvlan", words.replace("GC leaves", "DEL leaves"), file)) is None
