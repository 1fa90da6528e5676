"""What is known of reference plugins is distinguished from what is news."""

from __future__ import annotations

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


def test_what_check_does_not_notice_is_known_by_the_same_tampering():
    """A deviation of conformance explains the tampering that it is about, of its plugin, and no other."""
    words, masquerading = "CHECK succeeds though a rule is gone", "though the iptables rule nat: -A CNI-0a1b removed"

    assert explanation(Violation("check", "bridge", words, masquerading)).reason == "Masquerading is not checked."
    assert explanation(Violation("check", "macvlan", words, masquerading)) is None
    assert explanation(Violation("check", "bridge", words, "though the iptables rule filter: -A INPUT removed")) is None
    assert explanation(Violation("check", "bridge", words)) is None
