"""Resets that a rule answers a place's own packets with: they name the other end as their sender, and never leave."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.topology("bridge-walkthrough")

ADDRESSES = {4: ("10.40.80.11", "10.40.80.12"), 6: ("2001:db8:40::11", "2001:db8:40::12")}


def _reject(place, program, family, which):
    """Have a place reject what it sends of TCP, by a rule of a program."""
    if program == "nft":
        base = "type filter hook output priority 0"
        place.load_rules("nft", f"table inet f {{\nchain o {{\n{base}\ntcp {which} reject with tcp reset\n}}\n}}")
    else:
        name = program.replace("ip", "ip6", 1) if family == 6 else program
        place.load_rules(name, f"-A OUTPUT -p tcp --{which} -j REJECT --reject-with tcp-reset")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("program", ["iptables", "iptables-legacy", "nft"])
def test_a_reset_of_the_senders_own_rule_is_no_reply(lab, program, family):
    """It is the request that was rejected, before it left: no link is on its way, not lo either."""
    sender, (own, other) = lab.sandbox("ns01"), ADDRESSES[family]
    _reject(sender, program, family, "dport 99")

    reach = sender.tcp(other, 99)

    assert (reach.verdict.value, reach.cause.id) == ("dropped", "firewall.reset")
    assert (reach.explanation.where, reach.explanation.returning, reach.explanation.hops) == ("node/ns01", False, ())
    assert (reach.cause.place, reach.cause.hook) == ("node/ns01", "OUTPUT")
    assert f"{own} → {other}, out eth01" in reach.cause.evidence[0]
    assert "sent by node/ns01" in reach.reason
    sender.run(["sh", "-c", reach.cause.remedy])
    assert sender.tcp(other, 99)


@pytest.mark.parametrize("rule", ["dport 99", "dport 1:65535"])
@pytest.mark.parametrize("program", ["iptables", "iptables-legacy"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_reset_that_the_rule_rejects_as_well_is_not_what_it_ended(lab, program, family, rule):
    """A rule for all ports meets the reset, too: what is told is the packet that was sent."""
    sender, (own, other) = lab.sandbox("ns01"), ADDRESSES[family]
    _reject(sender, program, family, rule)

    reach = sender.tcp(other, 99)

    assert reach.cause.id == "firewall.reset"
    assert f"{own} → {other}, out eth01" in reach.cause.evidence[0]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("program", ["iptables", "iptables-legacy", "nft"])
def test_a_reset_of_the_servers_own_rule_is_no_request(lab, program, family):
    """It is the reply that was rejected, before it left the server, where the request came by its link alone."""
    sender, server, (own, other) = lab.sandbox("ns01"), lab.sandbox("ns02"), ADDRESSES[family]
    _reject(server, program, family, "sport 99")

    reach = sender.tcp(other, 99)

    assert (reach.cause.id, reach.cause.place, reach.cause.hook) == ("firewall.reset", "node/ns02", "OUTPUT")
    assert (reach.explanation.where, reach.explanation.returning) == ("node/ns02:eth02 in", True)
    assert "lo" not in {hop.link for hop in reach.explanation.hops}
    assert f"{other} → {own}, out eth02" in reach.cause.evidence[0]
    assert not any("by lo" in words for words in reach.explanation.evidence)
    server.run(["sh", "-c", reach.cause.remedy])
    assert sender.tcp(other, 99)
