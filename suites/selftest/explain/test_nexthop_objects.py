"""Commands for routes by next hop objects, of which ip(8) wants the number alone."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place

FAR = {4: ("9.9.9.9", "192.168.80.2"), 6: ("2620:fe::fe", "2001:db8:80::2")}
LOOPBACK = "ip address add 9.9.9.9/32 dev lo; ip address add 2620:fe::fe/128 dev lo nodad"


def _broken(family: int, cause: str, dropped_by: str, remedy: str, commands: str, **more: object) -> Broken:
    six = " -6" if family == 6 else ""
    far, via = FAR[family]
    full = f"{far}/{32 if family == 4 else 128}"
    fill = {"{ip}": f"ip{six}", "{full}": full, "{via}": via, "{metric}": " metric 1024" if six else ""}
    for word, value in fill.items():
        remedy, commands = remedy.replace(word, value), commands.replace(word, value)
    setup = {"router": LOOPBACK, "node": "sysctl -qw net.ipv4.ip_forward=1"}
    return Broken(cause, dropped_by, "node", remedy, {"node": commands}, sender="node", to=far, setup=setup, **more)


@pytest.mark.parametrize("family", [4, 6])
def test_a_next_hop_on_another_link_is_taken_away(family):
    """The route names its link, which the command may not."""
    demand(
        _broken(family, "l2.elsewhere", "wrong subnet", "{ip} route del {full} nhid 7 table main{metric}",
                "{ip} nexthop add id 7 dev br01; {ip} route add {full} nhid 7"),
        warm=False,
    )  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
def test_a_route_with_an_mtu_is_changed(family):
    """So is one by a gateway, which the object has."""
    size = {4: 1428, 6: 1448}[family]
    demand(
        _broken(family, "limits.route-mtu", "route MTU",
                f"{{ip}} route change {{full}} nhid 7 table main{{metric}} mtu {size}",
                "{ip} nexthop add id 7 via {via} dev ens33; {ip} route add {full} nhid 7 mtu 1300",
                probe=lambda place, to: Place.ping(place, to, size=1400, df=True)),
        warm=False,
    )  # fmt: skip
