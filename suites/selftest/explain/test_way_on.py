"""Routes that no topology declares: the remedy is the one that leads on, where the lab has just one."""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology.load import loads

_WORDS = {
    4: {"lan": "10.1.0.", "dmz": "10.2.0.", "length": "24", "ip": "ip"},
    6: {"lan": "fd00:1::", "dmz": "fd00:2::", "length": "64", "ip": "ip -6"},
}
_OFFICE = """
name: office
hosts:
  desk: {{}}
  gate: {{role: router}}
  spare: {{role: router}}
  server: {{routes: [{{via: "{dmz}1"}}]}}
switches: {{lan: {{}}}}
veths:
  - ends: [{{at: desk, name: eth0, addresses: ["{lan}2/{length}"]}}, {{at: lan, name: p1}}]
  - ends: [{{at: gate, name: lan0, addresses: ["{lan}1/{length}"]}}, {{at: lan, name: p2}}]
  - ends: [{{at: spare, name: lan0, addresses: ["{lan}9/{length}"]}}, {{at: lan, name: p3}}]
  - ends:
      - {{at: server, name: eth0, addresses: ["{dmz}2/{length}"]}}
      - {{at: gate, name: dmz0, addresses: ["{dmz}1/{length}"]}}
"""
#: What is done, by whom the packet is lost, and the remedy.
ROWS = {
    "no route at all": ((), "desk", "{ip} route add {dmz}2 via {lan}1"),
    "a subnet's route is gone": (
        ("desk: {ip} route add default via {lan}1", "gate: {ip} route del {lan}{zero}/{length}"),
        "gate",
        "{ip} route add {lan}{zero}/{length} dev lan0",
    ),
    "a gateway that nobody has": (
        ("desk: {ip} route add default via {lan}77",), "desk", "{ip} route replace {dmz}2 via {lan}1",
    ),
    "a router that sends it back": (
        ("desk: {ip} route add default via {lan}9", "spare: {ip} route add {dmz}2 via {lan}2"),
        "spare",
        "{ip} route replace {dmz}2 via {lan}1",
    ),
    "two routers lead there": (
        ("spare: {ip} route add default via {lan}1", "gate: {ip} address add {lan}8/{length} dev lan0"),
        "desk",
        "{ip} route add {dmz}2 via …",
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_route_that_leads_on_is_the_remedy(row, family):
    """Over IPv4 and IPv6; with that route the packet arrives."""
    commands, place, remedy = row
    words = {**_WORDS[family], "zero": "0" if family == 4 else ""}
    with Lab(loads(_OFFICE.format(**words))) as lab:
        for command in commands:
            where, _, words_of_it = command.format(**words).partition(": ")
            lab.host(where).run(words_of_it.split())

        reach = lab.host("desk").ping(words["dmz"] + "2")

        assert reach.cause is not None, str(reach.explanation)
        assert (reach.cause.place, reach.cause.remedy) == (place, remedy.format(**words)), str(reach.explanation)
        if "…" not in remedy:
            lab.host(place).run(reach.cause.remedy.split())
            assert lab.host("desk").ping(words["dmz"] + "2")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_a_declared_route_that_refuses_is_replaced_by_one_that_leads_on(kind, family):
    """Where the topology itself has no other route, taking that one away would not be enough."""
    words = _WORDS[family]
    office = _OFFICE.format(**words).replace(
        "desk: {}", f"desk: {{routes: [{{to: default, kind: {kind}, family: {family}}}]}}"
    )
    with Lab(loads(office)) as lab:
        reach = lab.host("desk").ping(words["dmz"] + "2")

        again = f"{words['ip']} route add {words['dmz']}2 via {words['lan']}1"
        assert reach.cause is not None and reach.cause.remedy.endswith(again), str(reach.explanation)
        lab.host("desk").run(["sh", "-ec", reach.cause.remedy])
        assert lab.host("desk").ping(words["dmz"] + "2")


@pytest.mark.parametrize("family", [4, 6])
def test_a_declared_route_that_sends_packets_back_is_not_the_remedy_for_itself(family):
    """The router on the LAN that leads on is; a redirect is no part of the packet's way."""
    words = _WORDS[family]
    route = f'{{to: "{words["dmz"]}2/{128 if family == 6 else 32}", via: "{words["lan"]}2"}}'
    back = f"spare: {{role: router, routes: [{route}]}}"
    office = _OFFICE.format(**words).replace("spare: {role: router}", back)
    with Lab(loads(office.replace("desk: {}", f'desk: {{routes: [{{via: "{words["lan"]}9"}}]}}'))) as lab:
        reach = lab.host("desk").ping(words["dmz"] + "2")

        assert reach.cause is not None, str(reach.explanation)
        assert (reach.cause.id, reach.cause.place) == ("limits.sent-back", "spare")
        assert reach.cause.remedy == f"{words['ip']} route replace {words['dmz']}2 via {words['lan']}1"
        there = ("desk:eth0 out", "lan:p1 in", "lan:p3 out", "spare:lan0 in")
        back_again = ("spare:lan0 out", "lan:p3 in", "lan:p1 out", "desk:eth0 in")
        assert reach.path == (*there, *back_again)
        assert tuple(f"{hop.place}:{hop.link} {hop.direction}" for hop in reach.explanation.hops) == reach.path
        lab.host("spare").run(reach.cause.remedy.split())
        assert lab.host("desk").ping(words["dmz"] + "2")


@pytest.mark.parametrize(("family", "outside"), [(4, "203.0.113.9/32"), (6, "2001:db8:9::9/128")])
def test_what_is_in_no_subnet_wants_the_default_route(family, outside):
    """An address outside of all subnets is reached by the default route, which the place has none of."""
    words = _WORDS[family]
    with Lab(loads(_OFFICE.format(**words))) as lab:
        lab.place("gate").run(["ip", "address", "add", outside, "dev", "lo"])
        desk, to = lab.place("desk"), outside.partition("/")[0]

        reach = desk.ping(to)

        assert reach.cause.remedy == f"{words['ip']} route add default via {words['lan']}1"
        desk.run(reach.cause.remedy.split())
        assert desk.ping(to)
