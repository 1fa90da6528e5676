"""Causes in limits: each breaks a working topology in one way, which is reported with place and remedy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, Words, must_be_explained, probe, run

from cnitest import Lab
from cnitest.explain.causes.limits.tables import conntrack_full, neighbours_full
from cnitest.explain.evidence.loss import NoRoute
from cnitest.kernel.tracing import trace
from cnitest.topology import find, load, loads

_BIG = (("size", 1400), ("df", True))
_NO_WORD = {
    4: "iptables -A OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP",
    6: "ip6tables -A OUTPUT -p icmpv6 --icmpv6-type packet-too-big -j DROP",
}
_LEARNED = "client: {ip} route flush cache"
_ALL = "protocol all u32 match u32 0 0"
_TBF = "root tbf rate 8kbit burst 200 limit 1600"
_FRAGMENTS = {4: "net.ipv4.ipfrag", 6: "net.ipv6.ip6frag"}


def _black_hole(family: int, **rest: object) -> Broken:
    does = ("r1: ip link set eth3 mtu 1300", f"r1: {_NO_WORD[family]}")
    remedy = f"ip link set dev eth3 mtu {rest.pop('mtu')}"
    return Broken("limits.pmtu-black-hole", does, "pmtu black hole", "r1", remedy, (family,), **rest)


def _mirrored(place: str, link: str, hook: str) -> tuple[str, ...]:
    return (
        f"{place}: ip link add ifb9 type ifb",
        f"{place}: tc qdisc add dev {link} clsact",
        f"{place}: tc filter add dev {link} {hook} pref 7 {_ALL} action mirred egress redirect dev ifb9",
    )


def _fragments(family: int) -> Broken:
    name = _FRAGMENTS[family]
    does = (f"server: sysctl -w {name}_low_thresh=0 {name}_high_thresh=0",)
    remedy = f"sysctl -w {name}_high_thresh=4194304"
    return Broken("limits.fragments", does, "fragments", "server", remedy, (family,), options=(("size", 2400),))


BROKEN = [
    Broken("limits.own-mtu", ("client: ip link set eth1 mtu 1300",), "MTU", "client", "ip link set dev eth1 mtu 1500",
           options=_BIG),
    Broken("limits.route-mtu", ("client: {ip} route add {S} via {1.2} mtu 1300",), "route MTU", "client",
           "route change {S}/{128} via {1.2} dev eth1 table main", options=_BIG),
    Broken("limits.path-mtu", ("r1: ip link set eth3 mtu 1300",), "MTU", "r1", "ip link set dev eth3 mtu 1500",
           options=_BIG, afterwards=(_LEARNED,)),
    _black_hole(4, mtu=1500, options=_BIG),
    _black_hole(6, mtu=1500, options=_BIG),
    _black_hole(4, mtu=1500, probe="tcp", options=(("size", 20000),)),
    _black_hole(6, mtu=1500, probe="tcp", options=(("size", 20000),)),
    Broken("limits.receiver-mtu", ("server: ip link set eth3 mtu 1300",), "MTU of the receiver", "server",
           "ip link set dev eth3 mtu 1500", options=_BIG),
    Broken("limits.receiver-mtu", ("r1: ip link set eth1 mtu 1300",), "MTU of the receiver", "r1",
           "ip link set dev eth1 mtu 1500", probe="udp", options=(("size", 1400),)),
    Broken("limits.hop-limit", (), "TTL expired", "r1", "a TTL that is higher by at least 1", (4,),
           options=(("ttl", 1),), works_first=False, runs_remedy=False),
    Broken("limits.hop-limit", (), "hop limit expired", "r1", "a hop limit that is higher by at least 1", (6,),
           options=(("ttl", 1),), works_first=False, runs_remedy=False),
    *(Broken("limits.hop-limit", ("client: sysctl -w net.ipv4.ip_default_ttl=1",), "TTL expired", "client",
             "sysctl -w net.ipv4.ip_default_ttl=64", (4,), probe=probe) for probe in ("ping", "udp")),
    Broken("limits.hop-limit", ("client: sysctl -w net.ipv6.conf.eth1.hop_limit=1",), "hop limit expired", "client",
           "sysctl -w net.ipv6.conf.eth1.hop_limit=64", (6,)),
    Broken("limits.hop-limit", ("client: ip route change default via {1.2} hoplimit 1",), "TTL expired", "client",
           "ip route change default via {1.2} dev eth1 table main hoplimit 64", (4,)),
    Broken("limits.hop-limit", ("server: sysctl -w net.ipv4.ip_default_ttl=1",), "TTL expired", "server",
           "sysctl -w net.ipv4.ip_default_ttl=64", (4,), probe="tcp"),
    Broken("limits.hop-limit-rule", ("r1: nft 'table ip t { chain c { type filter hook prerouting priority -150; "
           "ip ttl set 1; }; }'",), "TTL lowered", "r1", "nft delete rule ip t c handle ", (4,)),
    Broken("limits.hop-limit-rule", ("client: iptables -t mangle -A OUTPUT -p udp -j TTL --ttl-set 1",), "TTL lowered",
           "client", "iptables -t mangle -D OUTPUT -p udp -j TTL --ttl-set 1", (4,), probe="udp"),
    Broken("limits.hop-limit-rule", ("server: {t} -t mangle -A OUTPUT -p tcp -j TTL --ttl-set 1",), "TTL lowered",
           "server", "iptables -t mangle -D OUTPUT -p tcp -j TTL --ttl-set 1", (4,), probe="tcp"),
    Broken("limits.hop-limit-rule", ("r1: {t} -t mangle -A PREROUTING -p udp -j HL --hl-set 1",), "hop limit lowered",
           "r1", "ip6tables -t mangle -D PREROUTING -p udp -j HL --hl-set 1", (6,), probe="udp"),
    Broken("limits.discovery-hop-limit", ("r1: {t} -t mangle -A PREROUTING -j HL --hl-set 1",),
           "hop limit of neighbour discovery", "r1", "leave neighbour discovery", (6,), works_first=False,
           runs_remedy=False),
    Broken("limits.discovery-hop-limit", ("r1: nft 'table ip6 t { chain c { type filter hook prerouting "
           "priority 0; ip6 hoplimit set 9; }; }'",), "hop limit of neighbour discovery", "r1",
           "leave neighbour discovery", (6,), works_first=False, runs_remedy=False),
    Broken("limits.discovery-hop-limit", ("r1: {t} -t mangle -A POSTROUTING -o eth1 -j HL --hl-set 1",),
           "hop limit of neighbour discovery", "r1", "leave neighbour discovery", (6,), works_first=False,
           runs_remedy=False),
    Broken("limits.routing-loop", ("r1: {ip} address del {7.9}/{128} dev lo", "r1: {ip} route add {7.9} via {3.3}",
           "server: sysctl -w net.{v}.conf.all.forwarding=1"), "routing loop", "", "correct the route to {7.9}",
           prepares=("r1: {ip} address add {7.9}/{128} dev lo",), to="{7.9}", runs_remedy=False),
    Broken("limits.qdisc", (f"client: tc qdisc add dev eth1 {_TBF}",), "tbf qdisc", "client",
           "tc qdisc del dev eth1 root", options=_BIG),
    Broken("limits.qdisc", (f"r1: tc qdisc add dev eth3 {_TBF}",), "tbf qdisc", "r1", "tc qdisc del dev eth3 root",
           probe="udp", options=(("size", 1400),)),
    Broken("limits.qdisc", (f"server: tc qdisc add dev eth3 {_TBF}",), "tbf qdisc", "server",
           "tc qdisc del dev eth3 root", options=_BIG),
    Broken("limits.qdisc", ("r1: tc qdisc add dev eth3 root handle 1: htb default 1",
           "r1: tc class add dev eth3 parent 1: classid 1:1 htb rate 100mbit",
           "r1: tc qdisc add dev eth3 parent 1:1 bfifo limit 100"), "htb qdisc", "r1", "tc qdisc del dev eth3 root",
           options=_BIG),
    Broken("limits.filter", _mirrored("r1", "eth1", "ingress"), "tc filter", "r1",
           "tc filter del dev eth1 ingress pref 7"),
    Broken("limits.filter", _mirrored("server", "eth3", "egress"), "tc filter", "server",
           "tc filter del dev eth3 egress pref 7", probe="tcp"),
    _fragments(4),
    _fragments(6),
]  # fmt: skip
CASES = [
    pytest.param(broken, family, id=f"{broken.label}-v{family}") for broken in BROKEN for family in broken.families
]
#: Whose packets are no probe's, so that only the kernel says what became of them.
_TRACED = ("limits.discovery-hop-limit",)
_DROPS = {
    "a filter that drops": f"tc filter add dev eth1 ingress pref 7 {_ALL} action drop",
    "a policer": f"tc filter add dev eth1 ingress pref 7 {_ALL} police rate 8bit burst 1 drop",
    "flower": "tc filter add dev eth1 ingress pref 7 protocol all flower action drop",
    "matchall": "tc filter add dev eth1 ingress pref 7 protocol all matchall action drop",
}


@pytest.mark.parametrize(("broken", "family"), CASES)
def test_a_limit_is_reported(broken, family):
    """The limit is named, with its place and the command that would let the packet pass, which then does."""
    if broken.cause in _TRACED and not trace.await_armed():
        pytest.skip(f"{broken.cause} is recognised by the kernel's trace alone: {trace.why()}")
    must_be_explained(broken, family)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("what", _DROPS)
def test_a_filter_of_tc_is_reported(what, family):
    """A filter with an action that drops is named with its order, whatever its kind."""
    with Lab(loads(WAYS)) as lab:
        r1 = lab.host("r1")
        r1.run(["tc", "qdisc", "add", "dev", "eth1", "clsact"])
        made = r1.run(["sh", "-c", _DROPS[what]], check=False)
        if made.exit_code:
            pytest.skip(f"this kernel has no {what}: {made.stderr.strip().splitlines()[0]}")

        broken = Broken("limits.filter", (), "tc filter", "r1", "tc filter del dev eth1 ingress pref 7")
        reach = probe(lab, broken, Words(family))

        assert (reach.cause.id, reach.cause.place) == (broken.cause, broken.place)
        run(lab, (f"r1: {reach.cause.remedy}",), Words(family))
        assert probe(lab, broken, Words(family))


def test_netem_is_reported():
    """What netem loses is named by it."""
    with Lab(loads(WAYS)) as lab:
        made = lab.host("r1").run(["tc", "qdisc", "add", "dev", "eth3", "root", "netem", "loss", "100%"], check=False)
        if made.exit_code:
            pytest.skip(f"this kernel has no netem: {made.stderr.strip().splitlines()[0]}")

        assert probe(lab, Broken("", (), "", "", ""), Words(4)).dropped_by == "netem qdisc"


@pytest.mark.parametrize(
    ("address", "cause"), [("10.40.80.12", "limits.bridge-port-mtu"), ("2001:db8:40::12", "limits.path-mtu")]
)
def test_a_bridge_port_that_is_too_small_is_reported(address, cause):
    """What a bridge does not send to a port for its MTU is reported with the port; of IPv6 to the sender, too."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        sender, node = lab.sandbox("ns01"), lab.host("node")
        assert sender.ping(address, size=1400, df=True)
        node.run(["ip", "link", "set", "veth02", "mtu", "1300"])

        reach = sender.ping(address, size=1400, df=True, wait=0.2)

        assert reach.cause, reach.explanation
        assert reach.cause.id in (cause, "limits.bridge-port-mtu")
        assert "MTU" in reach.dropped_by
        assert reach.cause.place == "node"
        node.run(reach.cause.remedy.split())
        sender.run(["ip", "-6", "route", "flush", "cache"])
        assert sender.ping(address, size=1400, df=True)


def _full(**rest):
    """A loss of which a cause asks what is given."""
    asked = {"place": SimpleNamespace(full_name="node"), "family": "ipv4", "returning": False, "link": ""}
    return SimpleNamespace(**asked | rest)


@pytest.mark.parametrize(
    ("count", "dropped", "told", "reported"),
    [
        ("100", 1, "entries drop", "conntrack table full"),
        ("100", 0, "", "conntrack table full"),
        ("100", 0, "entries drop", ""),
        ("99", 0, "", ""),
    ],
)
def test_a_full_table_of_connections_is_reported(count, dropped, told, reported):
    """As many tracked connections as there may be, unless the kernel tells that nothing was dropped for it;
    nf_conntrack_max is the whole machine's, which no test changes."""
    numbers = {"netfilter/nf_conntrack_max": 100, "netfilter/nf_conntrack_count": int(count)}
    lab = SimpleNamespace(own_file_reader=lambda _: lambda _: told)
    place = SimpleNamespace(full_name="node", lab=lab, namespace=None)
    found = conntrack_full(_full(counted=lambda *_: dropped, number=numbers.get, place=place))

    assert (found.dropped_by if found else "") == reported
    assert not found or found.remedy == "sysctl -w net.netfilter.nf_conntrack_max=200"


def test_a_full_table_of_neighbours_is_reported():
    """The kernel's trace says that no entry could be made; gc_thresh3 is the whole machine's, which no test changes."""
    asked = {"attempt": SimpleNamespace(error=None), "routed": NoRoute(0), "forwarded": False, "dropped": dict}
    asked["state"] = lambda: SimpleNamespace(neighbours=())

    assert neighbours_full(_full(reasons=frozenset({"NEIGH_CREATEFAIL"}), **asked)).dropped_by == "neighbour table full"
    assert neighbours_full(_full(reasons=frozenset(), **asked)) is None
