"""Senders that keep back their own questions for the next hop's MAC: dropped by a rule, and no answer of ours helps."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Words

from cnitest import Lab, Verdict
from cnitest.topology import loads

SOLICITATION = "-p icmpv6 --icmpv6-type neighbour-solicitation -j DROP"
NETDEV = "add table netdev f; add chain netdev f o { type filter hook egress device eth1 priority 0; }"
KEPT = [
    (4, "client", "arptables -A OUTPUT -j DROP", "arp filter OUTPUT rule 1"),
    (
        4,
        "client",
        "nft 'add table arp f; add chain arp f o { type filter hook output priority 0; policy drop; }'",
        "arp",
    ),
    (4, "client", f"nft '{NETDEV}; add rule netdev f o ether type arp drop'", "netdev f o rule 1"),
    (4, "r1", "arptables -A OUTPUT -j DROP", "arp filter OUTPUT rule 1"),
    (6, "client", f"ip6tables -A OUTPUT {SOLICITATION}", "ip6 filter OUTPUT rule 1"),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("family", "place", "rule", "dropped_by"), KEPT)
def test_a_question_that_is_kept_back_is_a_drop(
    family: int, place: str, rule: str, dropped_by: str, probe: str
) -> None:
    """Who may not ask for a next hop that would answer has dropped the packet; the rule is named, and its remedy."""
    words = Words(family)
    arguments = (words("{S}"),) if probe == "ping" else (words("{S}"), 4711)
    with Lab(loads(WAYS)) as lab:
        client, where = lab.place("client"), lab.place(place)
        assert getattr(client, probe)(*arguments)
        where.run(["sh", "-ec", f"{rule}; ip neigh flush all; ip -6 neigh flush all"])

        reach = getattr(client, probe)(*arguments)

        assert reach.verdict is Verdict.DROPPED, reach.reason
        assert (reach.cause.id, reach.cause.place) == ("firewall.neighbour", place), reach.explanation
        assert dropped_by in reach.dropped_by
        where.run(["sh", "-ec", reach.cause.remedy])
        assert getattr(client, probe)(*arguments)


def test_a_sender_that_does_not_ask_is_told() -> None:
    """The reason says that the packet never left for want of a question, and who would have answered."""
    with Lab(loads(WAYS)) as lab:
        client = lab.place("client")
        client.run(["arptables", "-A", "OUTPUT", "-j", "DROP"])

        reach = client.ping("10.0.1.2")

        assert "client was not seen to ask who has 10.0.1.2 on eth1, who would answer" in reach.reason
