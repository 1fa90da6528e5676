"""A rule rewrites the source of replies without tracking it: who asked does not take them, and the rule is named."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.firewall_rules import chain_of

PORT = 4711
HOOKS = {"node": "output priority 0", "router": "forward priority 0"}
NODE = {"ip": "192.168.80.100", "ip6": "2001:db8:80::100"}


@pytest.mark.topology("node-with-uplink")
@pytest.mark.parametrize("place", HOOKS)
@pytest.mark.parametrize("what", ["address", "port"])
@pytest.mark.parametrize("probe", ["tcp", "udp"])
@pytest.mark.parametrize(("ip", "nobody"), [("ip", "10.9.9.9"), ("ip6", "2001:db8:99::9")])
def test_the_rule_that_rewrites_answers_is_named(lab, ip, nobody, probe, what, place):
    """At who answers and at a router on the way; without it the same probe is delivered."""
    asking, at = lab.host("router" if place == "node" else "internet"), lab.place(place)
    rule = f"{ip} saddr set {nobody}" if what == "address" else f"{probe} sport set 98"
    at.load_rules("nft", *chain_of(f"{ip} own", HOOKS[place], f"{probe} sport {PORT} {rule}"))
    reach = getattr(asking, probe)(NODE[ip], PORT)

    assert reach.verdict.value == "dropped"
    assert reach.cause, reach.explanation
    assert (reach.cause.id, reach.cause.place) == ("nat.rewritten", place), reach.explanation
    assert reach.dropped_by == f"{ip} own c rule 1 rewrites"
    assert "is not what was asked" in reach.cause.words
    at.run(["sh", "-ec", reach.cause.remedy])
    assert getattr(asking, probe)(NODE[ip], PORT)
