"""Packets that a rule of their sender sends another way than the route to their destination: it leads to nobody."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Words

from cnitest import Lab, Verdict
from cnitest.topology import loads

_TABLE = "{ip} route add default via {2.2} dev eth2 table 77; "
_BY_RULE = {
    "ping": _TABLE + "{ip} rule add ipproto {icmp} lookup 77",
    "udp": _TABLE + "{ip} rule add ipproto udp dport 53 lookup 77",
    "tcp": _TABLE + "{ip} rule add ipproto tcp dport 53 lookup 77",
}
_BY_MARK = _TABLE + "{ip} rule add fwmark 7 lookup 77; {t} -t mangle -A OUTPUT -d {S} -j MARK --set-mark 7"
_TRANSLATED = "{t} -t nat -A OUTPUT -d {S} -j DNAT --to-destination {2.2}"
_WAYS = {"rule": _BY_RULE.get, "mark": lambda _: _BY_MARK, "translated": lambda _: _TRANSLATED}


@pytest.mark.requires(binary="iptables")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", ["ping", "udp", "tcp"])
@pytest.mark.parametrize("way", _WAYS)
def test_a_packet_on_another_way_that_leads_to_nobody_is_a_proved_drop(way, probe, family):
    """The next hop of its own destination, on another link, answers: that says nothing of a packet never meant for it.

    With the address back on that way the same probe gets through.
    """
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        client, r2, server = lab.host("client"), lab.host("r2"), lab.host("server")
        client.run(["sh", "-ec", words(_WAYS[way](probe)).replace("{icmp}", "icmp" if family == 4 else "ipv6-icmp")])
        server.run(words("{ip} route add {2.0}/{64} via {4.2}").split())
        r2.run(words("{ip} address del {2.2}/{64} dev eth2").split())

        ports = () if probe == "ping" else (53,)
        lost = getattr(client, probe)(words("{S}"), *ports)

        assert lost.verdict is Verdict.DROPPED, str(lost)
        assert lost.controls[-1].startswith(words("{2.2} does not answer ")), lost.controls
        wanted = ("nat.dnat-nobody", "client") if way == "translated" else ("host.address-missing", "r2")
        assert (lost.cause.id, lost.cause.place) == wanted, str(lost.explanation)
        assert ("hook OUTPUT" in str(lost.explanation)) == (way == "translated"), str(lost.explanation)
        lab.host(lost.cause.place).run(["sh", "-ec", lost.cause.remedy])
        assert getattr(client, probe)(words("{S}"), *ports)


@pytest.mark.requires(binary=["iptables", "nft"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("probe", ["ping", "udp", "tcp"])
@pytest.mark.parametrize("source", ["{9.77}", "{1.77}"])
def test_a_sender_that_translates_its_own_source_to_nobodys_is_named(source, probe, family):
    """The rule is its own, and no address that it chose for the packet."""
    words = Words(family)
    with Lab(loads(WAYS)) as lab:
        client = lab.host("client")
        client.run(words(f"{{t}} -t nat -A POSTROUTING -d {{S}} -j SNAT --to-source {source}").split())

        ports = () if probe == "ping" else (53,)
        lost = getattr(client, probe)(words("{S}"), *ports)

        assert (lost.cause.id, lost.cause.place) == ("nat.snat-address", "client"), str(lost.explanation)
        assert f"client translates {words('{1.1}')} to {words(source)}, which nobody has" in lost.cause.words
        client.run(["sh", "-ec", lost.cause.remedy])
        assert getattr(client, probe)(words("{S}"), *ports)
