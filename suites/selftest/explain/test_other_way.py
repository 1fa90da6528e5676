"""Answers that come by a firewall that has not seen their request: who sends them there is to send them elsewhere."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

STATEFUL = {
    "policy": ("{t} -A FORWARD -m state --state ESTABLISHED -j ACCEPT; {t} -P FORWARD DROP", "FORWARD policy"),
    "invalid": (
        "{t} -A FORWARD -m conntrack --ctstate INVALID -j DROP; {t} -A FORWARD -m state --state NEW -j REJECT",
        "FORWARD rule 1",
    ),
    "reject": ("{t} -A FORWARD -m state --state ESTABLISHED -j ACCEPT; {t} -A FORWARD -j REJECT", "FORWARD rule 2"),
    "nftables": (
        "nft 'table inet fw {{ chain f {{ type filter hook forward priority 0; policy drop; "
        "ct state established,related accept; icmpv6 type nd-neighbor-solicit accept; }}; }}'",
        "inet fw f policy",
    ),
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("rules", "probe"),
    [(rules, "ping") for rules in STATEFUL if rules != "invalid"]
    + [(rules, "tcp") for rules in STATEFUL]
    + [("policy", "udp")],
)
def test_who_sends_an_answer_by_another_firewall_is_named(rules, probe, family):
    """The rule is reported as what ended it, and the way that the request came as the remedy."""
    command, dropped_by = STATEFUL[rules]
    table = "" if rules == "nftables" else {4: "ip filter ", 6: "ip6 filter "}[family]
    does = (f"r2: {command.replace('{{', '{').replace('}}', '}')}", "server: {ip} route replace default via {4.2}")
    remedy = "ip {6}route replace {1.1} via {3.2}".replace("{6}", "-6 " if family == 6 else "")

    must_be_explained(
        Broken("conntrack.other-way", does, f"{table}{dropped_by}", "server", remedy, probe=probe), family
    )


def test_a_firewall_that_drops_all_is_the_cause_itself():
    """A rule that asks for no connection would drop the answer by any way that leads there."""
    does = ("r2: iptables -A FORWARD -j DROP", "server: ip route replace default via 10.0.4.2")
    remedy = "iptables -D FORWARD -j DROP"

    must_be_explained(Broken("firewall.rule", does, "ip filter FORWARD rule 1", "r2", remedy), 4)
