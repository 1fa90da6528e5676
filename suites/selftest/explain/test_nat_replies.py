"""Replies that are translated on another way than their request's, or that never come back to where that was."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, must_be_explained

OTHER_WAY = ("server: {ip} rule add from {S} pref 5 lookup 100", "server: {ip} route add default via {4.2} table 100")
NFT = "nft 'table inet n { chain p { type nat hook postrouting priority 100; oifname %s; }; }'"
SNAT = "r1: ip address add {7.1}/{128} dev lo; {t} -t nat -A POSTROUTING -o eth3 -j SNAT --to-source {7.1}"
ANYCAST = (SNAT, "r2: ip address add {7.1}/{128} dev lo", "server: {ip} route add {7.1} via {4.2}")
UPLINK = "{t} -t nat -I POSTROUTING -s {1.0}/{64} -o eth3 -j MASQUERADE"
BYPASSES, TRANSLATED = "reply not translated back", "reply translated"
BETWEEN = """
  - ends:
      - {at: r1, name: eth5, addresses: [10.0.5.1/24, "2001:db8:5::1/64"]}
      - {at: r2, name: eth5, addresses: [10.0.5.2/24, "2001:db8:5::2/64"]}
"""

BROKEN = [
    # A connection is opened by the reply as it is, and what comes after that is a new one for the router.
    Broken("nat.reply-translated", ("r2: {t} -t nat -A POSTROUTING -o eth2 -j MASQUERADE",), TRANSLATED, "r2",
           "{t} -t nat -I POSTROUTING -s {S} -d {1.1} -j ACCEPT", prepares=OTHER_WAY, probe="tcp"),
    Broken("nat.reply-translated", ("r2: " + NFT % "eth2 masquerade",), TRANSLATED, "r2",
           "nft insert rule inet n p ip{6} saddr {S}", prepares=OTHER_WAY, probe="tcp"),
    # The address is that of the inner link, and the way back to its subnet is another one.
    Broken("nat.reply-bypasses", ("r1: {t} -t nat -A POSTROUTING -o eth3 -j SNAT --to-source {1.2}",
           "server: {ip} route add {1.0}/{64} via {4.2}"), BYPASSES, "r1", UPLINK),
    Broken("nat.reply-bypasses", ("r1: " + NFT % "eth3 snat ip{6} to {1.2}",
           "server: {ip} route add {1.0}/{64} via {4.2}"), BYPASSES, "r1", "nft insert rule inet n p ip{6} saddr"),
    Broken("nat.reply-bypasses", ("r1: ip{6}tables-legacy -t nat -A POSTROUTING -o eth3 -j SNAT --to-source {1.2}",
           "server: {ip} route add {1.0}/{64} via {4.2}"), BYPASSES, "r1", "ip{6}tables-legacy -t nat -I POSTROUTING"),
    # Both routers have the address.
    *(Broken("nat.reply-bypasses", ANYCAST, BYPASSES, "r1", UPLINK, probe=kind) for kind in ("ping", "tcp", "udp")),
    # The address is the right one, and the server sends what is for it elsewhere.
    Broken("nat.reply-bypasses", ("r1: {t} -t nat -A POSTROUTING -o eth3 -j MASQUERADE",
           "r2: {ip} route add default via {2.1}", "server: {ip} route add {3.2} via {4.2}"), BYPASSES, "server",
           "{ip} route replace {3.2} dev eth3", probe="tcp"),
    # An address that is moved takes the routes of its subnet along.
    Broken("l2.arp-ignore", ("server: ip addr del {3.3}/24 dev eth3; ip addr add {3.3}/32 dev lo; "
           "sysctl -qw net.ipv4.conf.all.arp_ignore=1", "r1: ip neigh flush all"), "arp_ignore", "server",
           "ip address add {3.3}/24 dev eth3 && ip route add default via {3.2}", (4,)),
    Broken("routing.no-return-route", ("server: ip addr del {3.3}/24 dev eth3; ip addr add {3.3}/32 dev lo",),
           "no route back", "server", "ip address del {3.3}/32 dev lo && ip address add {3.3}/24 dev eth3 && ", (4,)),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{number}-{broken.label}-v{family}")
    for number, broken in enumerate(BROKEN)
    for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_reply_that_nobody_translates_back_is_named(broken, family):
    """Which place translates, and the command that has the reply come back there, which then does."""
    must_be_explained(broken, family)


@pytest.mark.parametrize("family", [4, 6])
def test_a_router_that_leads_to_who_translates_is_no_bypass(family):
    """Where a router on another way back would hand the reply on to the one that translates it, it is at fault."""
    broken = Broken(
        "routing.forwarding-off",
        (
            "r1: {t} -t nat -A POSTROUTING -o eth3 -j SNAT --to-source {1.2}",
            "server: {ip} route add {1.2} via {4.2}",
            "r2: {ip} route add {1.2} via {5.1}",
            "r2: sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        ),
        "forwarding off",
        "r2",
        "net.{v}",
    )

    must_be_explained(broken, family, WAYS + BETWEEN)
