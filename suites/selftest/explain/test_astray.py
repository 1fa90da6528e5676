"""Packets that are sent astray: prefixes too narrow, marks of rules, redirects of tc, NOTRACK, a bridge's own MAC."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place
from cnitest.lab.reach import Reach

ROUTER, ROUTER6 = "192.168.80.2", "2001:db8:80::2"
NS02, NS02_6 = "10.40.80.12", "2001:db8:40::12"
GATEWAY, GATEWAY6 = "10.40.80.1", "2001:db8:40::1"
MASQUERADE = {
    "node": "iptables -t nat -A POSTROUTING -o ens33 -j MASQUERADE; "
    "ip6tables -t nat -A POSTROUTING -o ens33 -j MASQUERADE"
}
DNAT = {"node": "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.40.80.12:80"}
FORGET = "ip neigh flush dev eth01"
OWN = "02:41:4c:fd:05:9f"
"""The MAC that the walkthrough's plan gives to br01."""
REDIRECT = "u32 match u32 0 0 action mirred egress redirect dev ens33"


def _narrow(place: str, old: str, new: str, link: str) -> dict[str, str]:
    nodad = " nodad" if ":" in old else ""
    return {place: f"ip address del {old} dev {link}; ip address add {new} dev {link}{nodad}"}


def _prefix(remedy: str, place: str, commands: dict[str, str], to: str = NS02, **more: object) -> Broken:
    return Broken("routing.narrow-prefix", "narrow prefix", place, remedy, commands, to=to, **more)


def published(place: Place, to: str) -> Reach:
    """A connection from the router to a port that the node publishes."""
    return place.tcp(to, 8080, listener=place.lab.place("node/ns02"), listener_port=80)


GATEWAYS = [
    _prefix(
        "ip address add 10.40.80.1/24 dev br01",
        "node",
        _narrow("node", "10.40.80.1/24", f"10.40.80.1/{length}", "br01"),
        to,
        setup=MASQUERADE,
    )
    for to in (GATEWAY, ROUTER)
    for length in (29, 32)
] + [
    _prefix(
        "ip address del 2001:db8:40::1/124 dev br01 && ip address add 2001:db8:40::1/64 dev br01 nodad",
        "node",
        _narrow("node", "2001:db8:40::1/64", "2001:db8:40::1/124", "br01"),
        to,
        setup=MASQUERADE,
    )
    for to in (GATEWAY6, ROUTER6)
]
NO_DEFAULT = {"node/ns02": "ip -6 route del default"}
ENDS = [
    _prefix(
        "ip address add 10.40.80.12/24 dev eth02",
        "node/ns02",
        _narrow("node/ns02", "10.40.80.12/24", "10.40.80.12/30", "eth02"),
    ),
    _prefix(
        "ip address del 2001:db8:40::12/128 dev eth02 && ip address add 2001:db8:40::12/64 dev eth02 nodad",
        "node/ns02",
        _narrow("node/ns02", "2001:db8:40::12/64", "2001:db8:40::12/128", "eth02"),
        NS02_6,
        setup=NO_DEFAULT,
    ),
]
MARKED = [
    Broken(
        "routing.blackhole",
        "blackhole route",
        "node",
        "ip route del blackhole default table 77",
        {
            "node": "nft add table ip x; nft 'add chain ip x p { type filter hook prerouting priority -150; }'; "
            "nft add rule ip x p iifname br01 meta mark set 7; ip rule add fwmark 7 lookup 77; "
            "ip route add blackhole default table 77"
        },
        to=ROUTER,
        setup=MASQUERADE,
    ),
    Broken(
        "routing.rule-table",
        "rule to table 77",
        "node",
        "ip -6 rule del pref 90",
        {
            "node": "ip6tables -t mangle -A PREROUTING -i br01 -j MARK --set-mark 7; "
            "ip -6 rule add pref 90 fwmark 7 lookup 77; "
            "ip -6 route add default via 2001:db8:80::77 dev ens33 table 77"
        },
        to=ROUTER6,
        setup=MASQUERADE,
    ),
    Broken(
        "routing.unreachable",
        "unreachable rule",
        "node",
        "ip rule del pref 90",
        {
            "node": "iptables-legacy -t mangle -A PREROUTING -i br01 -j MARK --set-mark 7; "
            "ip rule add pref 90 fwmark 7 unreachable"
        },
        to=ROUTER,
        setup=MASQUERADE,
    ),
    Broken(
        "routing.reply-astray",
        "rule to table 77",
        "node",
        "ip rule del pref 90",
        {
            "node": "iptables -t mangle -A PREROUTING -i ens33 -j MARK --set-mark 7; "
            "ip rule add pref 90 fwmark 7 lookup 77; ip route add default via 192.168.80.2 table 77"
        },
        to=ROUTER,
        setup=MASQUERADE,
    ),
    Broken(
        "routing.reply-astray",
        "preferred route",
        "node",
        "ip route del 10.40.80.11/32 via 192.168.80.2 dev ens33 table main",
        {"node": "ip route add 10.40.80.11/32 via 192.168.80.2"},
        to=GATEWAY,
    ),
    Broken(
        "routing.reply-by-default",
        "no route back",
        "router",
        "ip route add 172.32.0.5 via 192.168.80.100",
        {
            "node/ns01": "ip address add 172.32.0.5/32 dev eth01; "
            "ip route replace default via 10.40.80.1 src 172.32.0.5",
            "node": "ip route add 172.32.0.5/32 dev br01",
        },
        to=ROUTER,
        setup={"router": "ip route add 10.40.80.0/24 via 192.168.80.100"},
    ),
]
REDIRECTED = [
    Broken(
        "limits.redirect",
        "tc redirect",
        "node",
        f"tc filter del dev {link} {hook} pref 5",
        {
            "node": f"tc qdisc add dev {link} clsact; "
            f"tc filter add dev {link} {hook} pref 5 protocol {'ipv6' if ':' in to else 'ip'} {REDIRECT}"
        },
        to=to,
    )
    for link, hook, to in (
        ("veth01", "ingress", NS02),
        ("veth02", "egress", NS02),
        ("veth02", "ingress", NS02),
        ("veth01", "ingress", NS02_6),
    )
]
UNTRACKED = [
    Broken(
        "nat.source-untracked",
        "not tracked",
        "node",
        "iptables -t raw -D PREROUTING -s 10.40.80.0/24 -j CT --notrack",
        {"node": "iptables -t raw -A PREROUTING -s 10.40.80.0/24 -j CT --notrack"},
        to=ROUTER,
        setup=MASQUERADE,
    ),
    Broken(
        "nat.source-untracked",
        "not tracked",
        "node",
        "ip6tables -t raw -D PREROUTING -s 2001:db8:40::/64 -j CT --notrack",
        {"node": "ip6tables -t raw -A PREROUTING -s 2001:db8:40::/64 -j CT --notrack"},
        to=ROUTER6,
        setup=MASQUERADE,
    ),
    Broken(
        "nat.destination-untracked",
        "not tracked",
        "node",
        "nft delete rule ip r p handle 2",
        {
            "node": "nft add table ip r; nft 'add chain ip r p { type filter hook prerouting priority raw; }'; "
            "nft add rule ip r p tcp dport 8080 notrack"
        },
        sender="router",
        to="192.168.80.100",
        setup=DNAT,
        probe=published,
    ),
    Broken(
        "nat.reply-untracked",
        "not tracked",
        "node",
        "iptables -t raw -D PREROUTING -p tcp -m tcp --sport 80 -j CT --notrack",
        {"node": "iptables -t raw -A PREROUTING -p tcp --sport 80 -j CT --notrack"},
        sender="router",
        to="192.168.80.100",
        setup=DNAT,
        probe=published,
    ),
    Broken(
        "nat.masquerade-missing",
        "no MASQUERADE",
        "node",
        "ip6tables -t nat -A POSTROUTING -s 2001:db8:40::/64 -o ens33 -j MASQUERADE",
        {"node": "ip6tables -t nat -F"},
        to=ROUTER6,
        setup=MASQUERADE,
    ),
]
NEIGHBOURS = (
    [
        Broken(
            "l2.own-mac",
            "own MAC not in fdb",
            "node",
            f"bridge fdb add {OWN} dev br01 self permanent",
            {"node": "bridge fdb flush dev br01" + flood},
            to=to,
            setup=MASQUERADE,
        )
        for to in (GATEWAY, GATEWAY6, ROUTER)
        for flood in ("", "; bridge link set dev veth02 flood off")
    ]
    + [
        Broken(
            "l2.arp-refusing-route",
            f"{kind} route",
            "node",
            f"ip route del {kind} 10.40.80.11/32 table main",
            {"node": f"sysctl -w net.ipv4.conf.all.rp_filter=1; ip route add {kind} 10.40.80.11", "node/ns01": FORGET},
            to=GATEWAY,
        )
        for kind in ("blackhole", "prohibit")
    ]
    + [
        Broken(
            "l2.arp-refusing-route",
            "blackhole rule",
            "node/ns02",
            "ip rule del pref 90",
            {
                "node/ns02": "sysctl -w net.ipv4.conf.eth02.rp_filter=1; ip rule add pref 90 to 10.40.80.11 blackhole",
                "node/ns01": FORGET,
            },
        ),
        Broken(
            "l2.arp-not-local",
            "no local route",
            "node",
            "ip route add local 10.40.80.1 dev br01 table local",
            {"node": "ip route del local 10.40.80.1 table local", "node/ns01": FORGET},
            to=GATEWAY,
        ),
    ]
)


@pytest.mark.parametrize("broken", [*GATEWAYS, *ENDS, *MARKED, *REDIRECTED, *UNTRACKED, *NEIGHBOURS], ids=str)
def test_what_sends_a_packet_astray_is_named(broken):
    """Not the place where it ends in the end, but the one that sent it there; and what to do there helps."""
    demand(broken, warm=True)
