"""Messages that a packet is too big, which a rule keeps from its sender: it is named, wherever it stands."""

from __future__ import annotations

import pytest

from cnitest import Lab, load
from cnitest.topology import find

BACK = "ip route add 10.40.80.0/24 via 192.168.80.100; ip -6 route add 2001:db8:40::/64 via 2001:db8:80::100"
TYPES = {4: "-p icmp -m icmp --icmp-type 3/4", 6: "-p ipv6-icmp -m icmp6 --icmpv6-type 2"}
NS01 = {4: "10.40.80.11", 6: "2001:db8:40::11"}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("place", "chain", "legacy"),
    [
        (place, chain, legacy)
        for place, chain in (("node", "OUTPUT"), ("router", "FORWARD"))
        for legacy in ("", "-legacy")
    ],
)
@pytest.mark.parametrize("narrow", ["ip link set br01 mtu 1300", "ip{six} route add {ns01} dev br01 mtu 1300"])
def test_the_rule_that_drops_the_message_is_named(narrow, place, chain, legacy, family):
    """The node that has no room says so; the internet, which has sent the packet, does not hear of it."""
    program = f"{'iptables' if family == 4 else 'ip6tables'}{legacy}"
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("router").run(["sh", "-c", BACK])
        lab.host("internet").run(["sh", "-c", "ip route add 10.40.80.0/24 via 198.51.100.1; "
                                  "ip -6 route add 2001:db8:40::/64 via 2001:db8:51::1"])  # fmt: skip
        lab.host("node").run(narrow.format(six=" -6" if family == 6 else "", ns01=NS01[family]).split())
        lab.host(place).run([program, "-A", chain, *TYPES[family].split(), "-j", "DROP"])

        reach = lab.host("internet").ping(NS01[family], size=1400, df=True, wait=0.2)

        assert reach.cause, reach.explanation
        assert reach.cause.id in ("limits.pmtu-black-hole", "limits.path-route-mtu")
        assert reach.cause.place == "node"
        said = next((line for line in reach.cause.evidence if "drops the message" in line), "")
        table = "ip" if family == 4 else "ip6"
        assert said == (
            f"{place} drops the message by {table} filter {chain}: -A {chain} {TYPES[family]} -j DROP; it would pass "
            f"with: {program} -D {chain} {TYPES[family]} -j DROP"
        )
