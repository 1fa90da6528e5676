"""Gateways that nobody has and the other end of the link answers for: what keeps it from that is named."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import WARM, Broken, demand, run

from cnitest import Lab
from cnitest.topology import loads

TOPOLOGY = """
name: proxies
hosts:
  node:
    sysctls:
      net.ipv4.ip_forward: 1
      net.ipv4.conf.cali1.proxy_arp: 1
      net.ipv6.conf.all.forwarding: 1
      net.ipv6.conf.cali1.proxy_ndp: 1
    routes: [10.65.0.2 dev cali1, default via 192.168.80.2, "fd00:65::2 dev cali1", "default via fd00:80::2"]
    neighbours: [{to: "fd00:169::1", link: cali1, proxy: true}]
    sandboxes:
      a:
        routes:
          - 169.254.1.1 dev eth0 scope link
          - default via 169.254.1.1 dev eth0
          - "fd00:169::1 dev eth0"
          - "default via fd00:169::1 dev eth0"
  router: {role: router, routes: [10.65.0.2 via 192.168.80.100, "fd00:65::2 via fd00:80::100"]}
veths:
  - ends:
      - {at: node/a, name: eth0, addresses: [10.65.0.2/32, "fd00:65::2/128"]}
      - {at: node, name: cali1}
  - ends:
      - {at: node, name: ens33, addresses: [192.168.80.100/24, "fd00:80::100/64"]}
      - {at: router, name: lan0, addresses: [192.168.80.2/24, "fd00:80::2/64"]}
"""


def _broken(dropped_by: str, remedy: str, command: str, to: str = "192.168.80.2") -> Broken:
    flush = "ip neigh flush dev eth0; ip -6 neigh flush dev eth0"
    commands = {"node": command, "node/a": flush}
    return Broken("l2.proxy-off", dropped_by, "node", remedy, commands, "node/a", to, TOPOLOGY)


_ARP, _NDP = "net.ipv4.conf.cali1.proxy_arp", "net.ipv6.conf.cali1.proxy_ndp"
_FORWARDING = "net.ipv4.conf.cali1.forwarding"
_ALL6, _HERE6 = "net.ipv6.conf.all.forwarding", "net.ipv6.conf.cali1.forwarding"
_ENTRY, _SIX = "proxy fd00:169::1 dev cali1", "fd00:80::2"
BROKEN = [
    _broken("proxy_arp off", f"sysctl -w {_ARP}=1", f"sysctl -w {_ARP}=0"),
    _broken("proxy_ndp off", f"sysctl -w {_NDP}=1", f"sysctl -w {_NDP}=0", _SIX),
    _broken("no proxy neighbour", f"ip -6 neigh add {_ENTRY}", f"ip -6 neigh del {_ENTRY}", _SIX),
    _broken("forwarding off", f"sysctl -w {_FORWARDING}=1", f"sysctl -w {_FORWARDING}=0"),
    _broken("forwarding off", f"sysctl -w {_ALL6}=1", f"sysctl -w {_ALL6}=0", _SIX),
    _broken("forwarding off", f"sysctl -w {_HERE6}=1", f"sysctl -w {_HERE6}=0", _SIX),
    _broken("no route", "ip route add 169.254.1.1 dev …", "ip route del default; ip route add 192.168.80.2 dev ens33"),
]


@WARM
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.dropped_by}-v{6 if ':' in broken.to else 4}")
def test_what_keeps_a_link_from_answering_for_a_gateway_is_named(broken, warm):
    """The setting of the other end that is not as it must be, and the command that lets the packet pass."""
    demand(broken, warm=warm)


_OWN, _NEW = "02:00:00:00:ca:11", "02:00:00:00:ca:22"
_KNOWN = TOPOLOGY.replace("name: cali1}", f'name: cali1, mac: "{_OWN}"}}').replace(
    "      a:\n",
    f"""      a:
        neighbours:
          - 169.254.1.1 lladdr {_OWN} dev eth0
          - "fd00:169::1 lladdr {_OWN} dev eth0"
""",
)


@WARM
@pytest.mark.parametrize("proxy", ["", "0"], ids=["answers", "answers nobody"])
@pytest.mark.parametrize(("gateway", "to"), [("169.254.1.1", "192.168.80.2"), ("fd00:169::1", _SIX)])
@pytest.mark.parametrize("changed", ["link", "entry"])
def test_an_entry_for_a_gateway_that_nobody_has_is_wrong_where_the_other_end_has_another_mac(
    changed, gateway, to, proxy, warm
):
    """As where the host's end of a pair gets a new MAC: it need not answer, so that the entry is made anew."""
    entry = f"ip neigh replace {gateway} lladdr {{}} dev eth0 nud permanent"
    off = f"sysctl -w {_ARP}=0 {_NDP}=0; " if proxy else ""
    commands = {
        "node": off + (f"ip link set cali1 address {_NEW}" if changed == "link" else "true"),
        "node/a": "true" if changed == "link" else entry.format(_NEW),
    }
    remedy = entry.format(_NEW if changed == "link" else _OWN)
    demand(Broken("l2.wrong-neighbour", "wrong neighbour", "node/a", remedy, commands, "node/a", to, _KNOWN), warm=warm)


def test_rp_filter_that_keeps_an_answer_back_is_named():
    """Where the other end does not believe who asks, rp_filter is named, and the route back lets the packet pass."""
    with Lab(loads(TOPOLOGY)) as lab:
        run(lab, {"node": "sysctl -w net.ipv4.conf.cali1.rp_filter=1; ip route replace 10.65.0.2 via 192.168.80.2"})

        reach = lab.place("node/a").ping("192.168.80.2")

        assert reach.cause is not None
        assert (reach.cause.id, reach.cause.dropped_by) == ("l2.proxy-off", "rp_filter of ARP")
        assert "proxy_arp" not in reach.cause.words
        assert reach.cause.remedy == "ip route replace 10.65.0.2 dev cali1"
        run(lab, {"node": reach.cause.remedy})
        assert lab.place("node/a").ping("192.168.80.2")


@pytest.mark.parametrize(("written", "meant"), [("169.254.1.1", "169.254.1.1/32"), ("fd00::1", "fd00::1/128")])
def test_a_route_to_one_address_needs_no_prefix(written, meant):
    """``169.254.1.1 dev eth0`` is the route to that address alone, as ip(8) reads it."""
    topology = loads(TOPOLOGY.replace("10.65.0.2 dev cali1", f'"{written} dev cali1"'))

    assert topology.hosts["node"].routes[0].to == meant


@pytest.mark.parametrize(
    ("written", "source", "to"), [("from 10.0.0.1", "10.0.0.1/32", None), ("to ::1", None, "::1/128")]
)
def test_a_rule_of_one_address_needs_no_prefix(written, source, to):
    """``from 10.0.0.1`` and ``to ::1`` are rules for that address alone."""
    (rule,) = loads(f'name: n\nhosts: {{h: {{rules: ["{written} lookup 100"]}}}}').hosts["h"].rules

    assert (rule.source, rule.to) == (source, to)
