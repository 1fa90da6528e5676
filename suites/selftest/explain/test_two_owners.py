"""An address that two places have, of which the wrong one has a firewall of its own.

As after a failover that only one side noticed, acassen/keepalived issue 166.
"""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import PROBES

from cnitest import Lab
from cnitest.topology import loads

PAIR = """
name: failover
switches: {lan: {}}
hosts: {first: {}, second: {}, client: {}}
veths:
  - ends:
      - {at: first, name: eth0, addresses: [10.0.0.1/24, 10.0.0.100/24, "2001:db8::1/64", "2001:db8::100/64"]}
      - {at: lan}
  - ends: [{at: second, name: eth0, mac: "02:00:00:00:00:02", addresses: [10.0.0.2/24, "2001:db8::2/64"]}, {at: lan}]
  - ends: [{at: client, name: eth0, addresses: [10.0.0.9/24, "2001:db8::9/64"]}, {at: lan}]
"""
PROTOCOLS = "{ icmp, icmpv6, tcp, udp }"
NFT = f"nft 'table inet f {{ chain c {{ type filter hook input priority 0; meta l4proto {PROTOCOLS} drop; }}; }}'"
RULES = {
    "iptables": "iptables -A INPUT -j DROP; ip6tables -A INPUT -j DROP",
    "legacy": "iptables-legacy -A INPUT -j DROP; ip6tables-legacy -A INPUT -j DROP",
    "nft": NFT,
    "reject": "iptables -A INPUT -j REJECT; ip6tables -A INPUT -j REJECT",
}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("to", "length"), [("10.0.0.100", 32), ("2001:db8::100", 128)])
def test_the_second_owner_is_the_cause_and_not_its_firewall(rules, probe, to, length):
    """What came to the wrong one of two owners is lost for that, whatever its rules; without its address it passes."""
    nodad = " nodad" if length == 128 else ""
    with Lab(loads(PAIR)) as lab:
        client, second = lab.place("client"), lab.place("second")
        client.run(["ip", "neigh", "replace", to, "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent"])
        second.run(["sh", "-ec", f"ip address add {to}/{length} dev eth0{nodad}; {RULES[rules]}"])

        reach = PROBES[probe](client, to)

        assert (reach.cause.id, reach.cause.place) == ("l2.duplicate-address", "second"), str(reach.explanation)
        assert reach.cause.remedy == f"ip address del {to}/{length} dev eth0"
        after = reach.cause.evidence[1].partition("there: ")[2]
        assert after == f"ip neigh del {to} dev eth0"
        second.run(reach.cause.remedy.split())
        client.run(after.split())
        assert PROBES[probe](client, to)


@pytest.mark.parametrize("probe", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("to", "remedy"),
    [
        ("10.0.0.100", "sysctl -w net.ipv4.conf.all.arp_ignore=1"),
        ("2001:db8::100", "ip address del 2001:db8::100/128 dev lo"),
    ],
)
def test_a_second_owner_may_have_the_address_on_loopback(to, remedy, probe):
    """As real servers behind a director have its address (LVS in direct routing): they are not to answer for it."""
    with Lab(loads(PAIR)) as lab:
        client, second = lab.place("client"), lab.place("second")
        client.run(["ip", "neigh", "replace", to, "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent"])
        second.run(["ip", "address", "add", to, "dev", "lo"])

        reach = PROBES[probe](client, to)

        assert (reach.cause.id, reach.cause.place) == ("l2.duplicate-address", "second"), str(reach.explanation)
        assert reach.cause.remedy == remedy
        second.run(reach.cause.remedy.split())
        client.run(["ip", "neigh", "del", to, "dev", "eth0"])
        assert PROBES[probe](client, to)
