"""What rules write into headers, policies behind rules that leave a chain, wrong answers for MACs, addresses astray."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest import Lab, load
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach
from cnitest.topology import find

ROUTER = {4: "192.168.80.2", 6: "2001:db8:80::2"}
NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
NOBODY = {4: "10.0.7.9", 6: "2001:db8:7::9"}
IP = {4: "ip", 6: "ip6"}
TABLES = {4: "iptables", 6: "ip6tables"}
SUBNET = {4: "10.40.80.0/24", 6: "2001:db8:40::/64"}
MASQUERADE = {
    "node": "iptables -t nat -A POSTROUTING -o ens33 -j MASQUERADE; "
    "ip6tables -t nat -A POSTROUTING -o ens33 -j MASQUERADE"
}
FORGET = {"node/ns01": "ip neigh flush all"}
WRONG = "02:00:00:00:00:99"
BOTH = (4, 6)


def tcp(place: Place, to: str) -> Reach:
    """A connection to a port of the router."""
    return place.tcp(to, 4711)


def chain(table: str, hook: str, *rules: str, policy: str = "accept", declared: str = "", kind: str = "filter") -> str:
    """The command that makes a table with one base chain."""
    body = "\n".join(rules)
    head = f"type {kind} hook {hook}; policy {policy};"
    return f"nft 'table {table} {{\n{declared}\nchain c {{\n{head}\n{body}\n}}\n}}'"


def of_rule(cause: str, dropped_by: str, command: str, remedy: str, family: int, **more: object) -> Broken:
    """What a rule on the node does to the walk to the router."""
    given = {"to": ROUTER[family], "setup": MASQUERADE, **more}
    return Broken(cause, dropped_by, "node", remedy, {"node": command}, **given)


def written(rule: str, family: int, hook: str = "forward priority 0", **more: object) -> Broken:
    """A header that a rule writes into."""
    command = chain("inet own", hook, rule)
    return of_rule("nat.header-written", "inet own c rule 1 rewrites", command, "nft delete rule inet own c handle 2",
                   family, **more)  # fmt: skip


_LATE = "postrouting priority 300"
WRITTEN = [
    written("icmp checksum set 1", 4),
    written("icmpv6 checksum set 1", 6),
    written("ip checksum set 1", 4, _LATE),
    written("ip hdrlength set 4", 4, _LATE),
    written("ip length set 2000", 4, _LATE),
    written("icmpv6 type echo-request ip6 length set 2000", 6, _LATE),
    written("ip frag-off set 0x2000", 4, _LATE),
    written("ip protocol set 250", 4, _LATE),
    written("icmpv6 type echo-request ip6 nexthdr set 250", 6, _LATE),
    written("icmp type echo-reply icmp id set 1", 4),
    *(written("tcp flags syn tcp flags set fin", family, probe=tcp) for family in BOTH),
    *(written("tcp flags & (syn | ack) == syn | ack tcp ackseq set 5", family, probe=tcp) for family in BOTH),
]
_ACCEPTING = " && ".join(f"{{program}} -I FORWARD -{way} br01 -j ACCEPT" for way in "io")
_INSERTING = " && ".join(f"nft insert rule inet own c {way}ifname br01 accept" for way in ("i", "o"))
LEFT = [
    *(
        of_rule(
            "firewall.policy", f"{IP[family]} filter FORWARD policy",
            f"{program} -N Z; {program} -A FORWARD {leaves}; {program} -P FORWARD DROP; {program} -A FORWARD -j ACCEPT",
            _ACCEPTING.format(program=program), family,
        )
        for family in BOTH
        for program in (TABLES[family], f"{TABLES[family]}-legacy")
        for leaves in ("-g Z", "-i br01 -j RETURN")
    ),
    *(
        of_rule(
            "nftables.policy", "inet own c policy",
            chain("inet own", "forward priority 0", rule, policy="drop", declared="chain d {\ncounter\n}"),
            _INSERTING, family,
        )
        for family in BOTH
        for rule in ("goto d", "iifname br01 return", "iifname vmap { br01 : goto d }")
    ),
    *(
        of_rule(
            "rates.quota", "inet own c policy",
            chain("inet own", "forward priority 0", "ct direction reply accept",
                  'meta l4proto { icmp, ipv6-icmp } quota name "little" accept', policy="drop",
                  declared="quota little {\n10 bytes\n}"),
            "nft insert rule inet own c meta l4proto { icmp, ipv6-icmp } accept", family,
        )
        for family in BOTH
    ),
    *(
        of_rule(
            "sets.nftables", "inet own c rule 1",
            chain("inet own", "forward priority 0", "ether saddr != @good drop",
                  declared="set good {\ntype ether_addr\nelements = { 02:00:00:00:00:77 }\n}"),
            "nft delete rule inet own c handle 3", family,
        )
        for family in BOTH
    ),
    *(
        of_rule("firewall.rule", "ip filter FORWARD rule 2",
                f"{program} -A FORWARD -m recent --name x --set; "
                f"{program} -A FORWARD -m recent --name x --rcheck --hitcount 1 -j DROP",
                f"{program} -D FORWARD 2", 4)
        for program in ("iptables", "iptables-legacy")
    ),
]  # fmt: skip
SOURCES = [
    *(
        of_rule("nat.snat-address", "SNAT to an address not its own",
                chain(f"{IP[family]} own", "postrouting priority 90", rule, kind="nat"),
                f"nft insert rule {IP[family]} own c {IP[family]} saddr {SUBNET[family]} oifname ens33 masquerade",
                family)
        for family in BOTH
        for rule in (f"snat to {NOBODY[family]}",
                     f"snat to {IP[family]} saddr map {{ {SUBNET[family].partition('/')[0]}11 : {NOBODY[family]} }}"
                     if family == 6
                     else f"snat to ip saddr map {{ 10.40.80.11 : {NOBODY[4]} }}")
    ),
    of_rule("nat.snat-address", "SNAT to an address not its own",
            "iptables-legacy -t nat -I POSTROUTING -o ens33 -j NETMAP --to 10.77.0.0/24",
            "iptables-legacy -t nat -I POSTROUTING -s 10.40.80.0/24 -o ens33 -j MASQUERADE", 4),
]  # fmt: skip
_GATEWAY = {4: "10.40.80.1/24", 6: "2001:db8:40::1/64"}
_NODAD = {4: "", 6: " nodad"}


def moved(cause: str, dropped_by: str, family: int) -> Broken:
    """The gateway's address on the uplink, and not on the bridge."""
    gateway, nodad = _GATEWAY[family], _NODAD[family]
    away = f"ip address del {gateway} dev br01; ip address add {gateway} dev ens33 nodad"
    back = f"ip address del {gateway} dev ens33 && ip address add {gateway} dev br01{nodad}"
    return of_rule(cause, dropped_by, away, back, family)


ASTRAY = [moved("l2.elsewhere", "wrong subnet", 4), moved("host.address-moved", "address moved", 6)]
UPLINK, UPLINK6 = "192.168.80.100/24", "2001:db8:80::100/64"
SOURCES += [
    of_rule("nat.masquerade-address", "MASQUERADE without an address",
            f"ip address del {UPLINK} dev ens33; ip route add 192.168.80.2 dev ens33; "
            "ip route add default via 192.168.80.2 dev ens33",
            f"ip address add {UPLINK} dev ens33", 4),
    of_rule("nat.masquerade-address", "MASQUERADE without an address",
            f"ip address del {UPLINK6} dev ens33; ip -6 route add 2001:db8:80::2 dev ens33; "
            "ip -6 route replace default via 2001:db8:80::2 dev ens33",
            f"ip address add {UPLINK6} dev ens33 nodad", 6),
    *(
        of_rule("nat.masquerade-skipped", "rule before MASQUERADE",
                f"{TABLES[family]} -t nat -N X; {TABLES[family]} -t nat -I POSTROUTING -g X",
                f"{TABLES[family]} -t nat -I POSTROUTING -s {SUBNET[family]} -o ens33 -j MASQUERADE", family)
        for family in BOTH
    ),
]  # fmt: skip
WARM = [
    moved("l2.elsewhere", "wrong subnet", 4),
    of_rule("routing.subnet-route", "no subnet route", "ip address flush dev br01 to 10.40.80.1",
            "ip address add 10.40.80.1/24 dev br01", 4),
]  # fmt: skip
QUESTIONS = [
    *(
        Broken("l2.flood-off", "proxy_arp of the port", "node",
               "ip link set veth02 type bridge_slave proxy_arp off",
               {"node": "ip link set veth02 type bridge_slave proxy_arp on", **FORGET}, to=NS02[family])
        for family in BOTH
    ),
    *(
        Broken("l2.false-answer", "false answer", "node", f"ip neigh del {NS02[family]} dev br01",
               {"node": "bridge link set dev veth02 neigh_suppress on; "
                f"ip neigh replace {NS02[family]} lladdr {WRONG} dev br01; "
                f"bridge fdb add {WRONG} dev veth02 master static", **FORGET}, to=NS02[family], afterwards=FORGET)
        for family in BOTH
    ),
    Broken("l2.false-answer", "false answer", "node",
           f"ebtables -t nat -D PREROUTING -p ARP -i veth01 --arp-op Request -j arpreply --arpreply-mac {WRONG}",
           {"node": "ebtables -t nat -A PREROUTING -p ARP --arp-opcode Request -i veth01 "
            f"-j arpreply --arpreply-mac {WRONG}", **FORGET}, to=NS02[4], afterwards=FORGET),
    Broken("l2.false-answer", "false answer", "node/ns02",
           "arptables -D OUTPUT … (what changes the answers of node/ns02)",
           {"node/ns02": f"arptables -A OUTPUT -j mangle --mangle-mac-s {WRONG}", **FORGET}, to=NS02[4]),
]  # fmt: skip
ALL = [*WRITTEN, *LEFT, *SOURCES, *ASTRAY, *QUESTIONS]


@pytest.mark.parametrize("broken", ALL, ids=[f"{n}-{one.cause}-{one.dropped_by}" for n, one in enumerate(ALL)])
def test_what_was_changed_is_reported(broken):
    """What works is broken in one way, which is named with its rule, place and remedy; with that it works again."""
    demand(broken, warm=False)


@pytest.mark.parametrize("broken", WARM, ids=[f"{n}-{one.cause}-{one.dropped_by}" for n, one in enumerate(WARM)])
def test_what_was_changed_later_is_reported(broken):
    """The same after a probe that got through, which has left its traces in neighbour tables."""
    demand(broken, warm=True)


def test_a_sender_that_asks_nobody_is_reported():
    """Without questions for MACs (``mcast_solicit``) no packet leaves, and nobody else is to blame."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        ns01 = lab.sandbox("ns01")
        names = [f"net.ipv6.neigh.eth01.{kind}_solicit=0" for kind in ("mcast", "ucast", "app")]
        ns01.run(["sysctl", "-qw", *names])
        ns01.run(["ip", "neigh", "flush", "all"])

        reach = ns01.ping(NS02[6])

        assert reach.cause, reach.explanation
        assert (reach.cause.id, reach.cause.place) == ("l2.asks-nobody", "node/ns01"), reach.explanation
        ns01.run(["sh", "-ec", reach.cause.remedy])
        assert ns01.ping(NS02[6])
