"""Routes and rules in ip(8)'s words: what is declared is what ip(8) then shows."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.processes import maps_user

from cnitest import Lab
from cnitest.topology import loads
from cnitest.topology.building.plan import plan

_HEAD = """name: t
hosts:
  h:
    bridges:
      br0: {addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      br1: {}
"""


def built(kind, line):
    """A lab with one route, or one rule."""
    if "uidrange 5-9" in line and not maps_user(9):
        pytest.skip("this user namespace has no users 5 to 9: the kernel says Invalid uid range")
    return Lab(loads(f'{_HEAD}    {kind}:\n      - "{line}"\n'))


RULES = [
    ("from 10.0.0.0/8 fwmark 0x80/0x80 lookup main", "32765: from 10.0.0.0/8 fwmark 0x80/0x80 lookup main"),
    ("from 10.0.0.0/8 to 10.1.0.0/16 iif br0 oif br1 lookup 7 pref 9",
     "9: from 10.0.0.0/8 to 10.1.0.0/16 iif br0 oif br1 lookup 7"),
    ("not from all fwmark 0xca6c lookup 51820", "32765: not from all fwmark 0xca6c lookup 51820"),
    ("10: from all ipproto tcp sport 7 dport 80-90 lookup 7", "10: from all ipproto tcp sport 7 dport 80-90 lookup 7"),
    ("from all uidrange 5-9 tos 10 lookup 7", "32765: from all tos 0x10 uidrange 5-9 lookup 7"),
    ("from all lookup main suppress_prefixlength 0", "32765: from all lookup main suppress_prefixlength 0"),
    ("from all lookup main suppress_ifgroup 3", "32765: from all lookup main suppress_ifgroup 3"),
    ("from all blackhole pref 5", "5: from all blackhole"),
    ("from all unreachable pref 5", "5: from all unreachable"),
    ("prohibit pref 5", "5: from all prohibit"),
    ("from all goto 32766 pref 5", "5: from all goto 32766"),
    ("-6 from 2001:db8::/32 fwmark 1/3 dport 53 lookup 300",
     "32765: from 2001:db8::/32 fwmark 0x1/0x3 dport 53 lookup 300"),
    ("-6 uidrange 0-0 lookup 7 proto bird", "32765: from all uidrange 0-0 lookup 7 proto bird"),
]  # fmt: skip

ROUTES = [
    ("default via 10.0.0.2", "default via 10.0.0.2 dev br0"),
    ("10.9.0.0/16 via 10.0.0.2 dev br0 src 10.0.0.1 metric 5",
     "10.9.0.0/16 via 10.0.0.2 dev br0 src 10.0.0.1 metric 5"),
    ("10.9.0.0/16 via 10.7.0.2 dev br1 onlink", "10.9.0.0/16 via 10.7.0.2 dev br1 onlink"),
    ("10.9.0.0/16 via 10.0.0.2 mtu lock 1400 advmss 1200",
     "10.9.0.0/16 via 10.0.0.2 dev br0 mtu lock 1400 advmss 1200"),
    ("10.9.0.0/16 dev br1 initcwnd 20 initrwnd 30 window 9 hoplimit 7 proto kernel",
     "10.9.0.0/16 dev br1 proto kernel scope link window 9 hoplimit 7 initcwnd 20 initrwnd 30"),
    ("10.9.0.0/16 dev br1 scope host tos 10 table 7", "10.9.0.0/16 tos 0x10 dev br1 table 7 scope host"),
    ("10.9.0.0/16 nexthop via 10.0.0.2 dev br0 weight 3 nexthop via 10.0.7.3 dev br1 onlink",
     "10.9.0.0/16 nexthop via 10.0.0.2 dev br0 weight 3 nexthop via 10.0.7.3 dev br1 weight 1 onlink"),
    ("10.9.0.0/16 via inet6 2001:db8::2 dev br0", "10.9.0.0/16 via inet6 2001:db8::2 dev br0"),
    ("blackhole 10.9.0.0/16", "blackhole 10.9.0.0/16"),
    ("throw 10.9.0.0/16 table 7", "throw 10.9.0.0/16 table 7"),
    ("local 0.0.0.0/0 dev lo table 100", "local default dev lo table 100 scope host"),
    ("10.9.0.0/16 dev br0 congctl cubic", "10.9.0.0/16 dev br0 scope link congctl cubic"),
    ("2001:db8:9::/48 via 2001:db8::2 metric 7 mtu lock 1400",
     "2001:db8:9::/48 via 2001:db8::2 dev br0 metric 7 mtu lock 1400"),
    ("-6 default nexthop via 2001:db8::2 dev br0 nexthop via 2001:db8::3 dev br0 weight 2",
     "default metric 1024 nexthop via 2001:db8::2 dev br0 weight 1 "
     "nexthop via 2001:db8::3 dev br0 weight 2"),
    ("-6 default via fe80::9 dev br1 onlink", "default via fe80::9 dev br1 metric 1024 onlink"),
    ("-6 prohibit default", "prohibit default dev lo metric 1024"),
]  # fmt: skip


def shown(host, *words):
    """What ip(8) shows of both families, an entry a line, without what the kernel adds in its own time."""
    text = "".join(host.run(["ip", family, *words]).stdout for family in ("-4", "-6")).replace("\n\t", " ")
    for passing in ("linkdown ", " error -13", "proto static ", "proto boot ", "pref medium"):
        text = text.replace(passing, "")
    return [" ".join(line.split()) for line in text.splitlines() if "table local" not in line]


@pytest.mark.parametrize(("line", "expected"), RULES)
def test_a_rule_is_as_ip_shows_it(line, expected):
    """Each selector and action of a rule reaches the kernel."""
    with built("rules", line) as lab:
        assert expected in shown(lab.host("h"), "rule")


@pytest.mark.parametrize(("line", "expected"), ROUTES)
def test_a_route_is_as_ip_shows_it(line, expected):
    """Each attribute of a route reaches the kernel."""
    with built("routes", line) as lab:
        assert expected in shown(lab.host("h"), "route", "show", "table", "all")


@pytest.mark.parametrize(("kind", "line"), [*(("rules", r) for r, _ in RULES), *(("routes", r) for r, _ in ROUTES)])
def test_a_plan_says_commands_that_do_the_same(kind, line):
    """The command in the plan, typed into ip(8), gives what building gave."""
    show = ["rule"] if kind == "rules" else ["route", "show", "table", "all"]
    with built(kind, line) as lab, Lab(loads(_HEAD)) as bare:
        (step,) = [str(step) for step in plan(lab.topology).steps if type(step).__name__ in ("AddRoute", "AddRule")]
        bare.host("h").run(step.partition(": ")[2].split())

        assert shown(bare.host("h"), *show) == shown(lab.host("h"), *show)
