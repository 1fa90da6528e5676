"""Answers by what they are marked with (fwmark), or what is made of them where the request did not come by."""

from __future__ import annotations

import socket

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, Words, must_be_explained, run

from cnitest import Lab
from cnitest.topology import loads

PORT = 4711
BOTH = pytest.mark.parametrize("family", [4, 6])
MARKED = "server: {t} -t mangle -A PREROUTING -i eth3 -j MARK --set-mark 9"
REFUSED = "server: {ip} rule add fwmark 9 pref 5 prohibit"
OTHER_WAY = ("server: {ip} rule add from {S} pref 5 lookup 100", "server: {ip} route add default via {4.2} table 100")

BROKEN = [
    Broken("routing.prohibit", (MARKED, "server: sysctl -w net.{v}.fwmark_reflect=1", REFUSED), "prohibit rule",
           "server", "{ip} rule del pref 5"),
    Broken("routing.prohibit", (MARKED, "server: sysctl -w net.ipv4.tcp_fwmark_accept=1", REFUSED), "prohibit rule",
           "server", "{ip} rule del pref 5", probe="tcp"),
    Broken("routing.table-not-asked", ("client: ip link set eth1 group 7; {ip} rule add pref 40000 lookup 253",
           "client: {ip} rule del pref 32766; {ip} rule add pref 32766 lookup main suppress_ifgroup 7"),
           "no rule to table main", "client", "{ip} rule add pref 32766 lookup main"),
    Broken("nat.reply-translated", ("r2: {t} -t nat -A POSTROUTING -o eth2 -j MASQUERADE",), "reply translated", "r2",
           "{t} -t nat -I POSTROUTING -s {S} -d {1.1} -j ACCEPT", prepares=OTHER_WAY, probe="udp"),
    Broken("nat.reply-translated", ("r2: nft 'table inet n { chain p { type nat hook postrouting priority 100; "
           "oifname eth2 masquerade; }; }'",), "reply translated", "r2", "nft insert rule inet n p ip{6} saddr {S}",
           prepares=OTHER_WAY, probe="udp"),
    Broken("host.address-moved",
           ("r1: ip address add {1.77}/128 dev lo", "client: {ip} route replace default via {1.77}"),
           "address on another link", "r1", "ip address add {1.77}/128 dev eth1 nodad", (6,),
           afterwards=("client: ip neigh flush all",)),
    Broken("l2.elsewhere", ("client: {ip} route del default; {ip} route add {S} dev eth1",), "wrong subnet", "client",
           "ip route replace {S} via {1.2}"),
    Broken("l2.elsewhere", ("r1: ip nexthop add id 5 via {3.3} dev eth1 onlink", "r1: ip route replace {S} nhid 5"),
           "wrong subnet", "r1", "ip nexthop replace id 5 via {3.3} dev eth3", (4,)),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_what_was_made_of_an_answer_is_named(broken, family):
    """What decided on it is named, with its place and the command that would let it pass, which then does."""
    must_be_explained(broken, family)


@BOTH
@pytest.mark.parametrize("sysctl", ["fwmark_reflect", "tcp_fwmark_accept"])
def test_a_mark_that_no_answer_takes_decides_nothing(sysctl, family):
    """As the kernel is by default, an answer has no mark of its request: it is delivered."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        run(lab, (MARKED, REFUSED), words)

        client, target = lab.host("client"), words("{S}")
        assert client.tcp(target, PORT) if "tcp" in sysctl else client.ping(target)


@BOTH
def test_the_mark_of_a_socket_decides_on_its_answers(family):
    """A server that marks what it sends (SO_MARK) has the rule for that mark named."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        server, client = lab.host("server"), lab.host("client")
        run(lab, (REFUSED.replace("prohibit", "lookup 77"), "server: {ip} route add blackhole default table 77"), words)

        def opened():
            held = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 9)
            held.bind(("", PORT))
            held.listen(8)
            return held

        with server.namespace.run(opened):
            reach = client.tcp(words("{S}"), PORT, wait=0.2)

            assert reach.cause and reach.cause.id == "routing.blackhole", reach.explanation
            assert (reach.dropped_by, reach.cause.place) == ("blackhole route", "server")
            server.run(["sh", "-c", reach.cause.remedy])
            assert client.tcp(words("{S}"), PORT)
