"""The way of a probe is reported in the order in which it was travelled, whatever the clocks say."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest import Lab, Topology
from cnitest.errors import UsageError
from cnitest.kernel import stamps
from cnitest.topology import Host, Macvlan, Route, Sandbox, Switch, Veth, VethEnd, find, load

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PROBES = ["ping", "tcp", "udp"]


def probe(place, kind, address, **options):
    """One probe of a kind; TCP and UDP to port 80."""
    return getattr(place, kind)(address, *(() if kind in ("ping", "arp") else (80,)), **options)


@pytest.fixture(params=["true", "stopped", "backwards"])
def clock(request, monkeypatch):
    """The kernel's clock as it is, one that stands still, and one that runs backwards."""
    backwards = itertools.count(10**18, -1000)
    if request.param != "true":
        monkeypatch.setattr(stamps, "read", lambda _: 10**18 if request.param == "stopped" else next(backwards))


@pytest.mark.parametrize("kind", [*PROBES, "arp"])
@pytest.mark.parametrize("address", ["10.40.80.12", "2001:db8:40::12"])
@pytest.mark.usefixtures("clock")
def test_a_bridge_is_crossed_port_by_port(kind, address):
    """With all places watching, each port of the bridge comes between the ends, there and back."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        reach = probe(lab.sandbox("ns01"), kind, address, watch="all")

    there = ("node/ns01:eth01 out", "node:veth01 in", "node:veth02 out", "node/ns02:eth02 in")
    back = ("node/ns02:eth02 out", "node:veth02 in", "node:veth01 out", "node/ns01:eth01 in")
    assert reach
    assert tuple(hop for hop in reach.path if hop in there) == there
    assert (reach.path[0], reach.return_path) == (there[0], back)
    if kind != "arp":  # a broadcast goes on to the host, a solicitation to a group too
        assert reach.path == there


@pytest.mark.parametrize("kind", [*PROBES, "arp"])
@pytest.mark.parametrize("address", ["10.40.80.12", "2001:db8:40::12"])
@pytest.mark.usefixtures("clock")
def test_both_ends_are_reported_in_order(kind, address):
    """With nobody watching in between, what the far end does still comes between sending and getting the answer."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        reach = probe(lab.sandbox("ns01"), kind, address, wait=5.0)  # a second attempt is watched by everyone

    assert reach.path == ("node/ns01:eth01 out", "node/ns02:eth02 in")
    assert reach.return_path == ("node/ns02:eth02 out", "node/ns01:eth01 in")


def chain(*, switch=False):
    """a - r1 - r2 - b, routed, or with a switch between r1 and r2."""
    wires = [("a", "r1"), ("r1", "r2"), ("r2", "b")]
    veths = []
    for net, names in enumerate(wires, 1):
        addresses = [(f"10.0.{net}.{n}/24", f"2001:db8:{net}::{n}/64") for n in (1, 2)]
        ends = [VethEnd(at=name, name=f"net{net}", addresses=ips) for name, ips in zip(names, addresses, strict=True)]
        if switch and net == 2:
            veths += [Veth(ends=[end, VethEnd(at="sw", name=f"to-{end.at}")]) for end in ends]
        else:
            veths.append(Veth(ends=ends))
    return Topology(
        name="chain",
        hosts={
            "a": Host(routes=[Route(via="10.0.1.2"), Route(via="2001:db8:1::2")]),
            "r1": Host(role="router", routes=[Route(via="10.0.2.2"), Route(via="2001:db8:2::2")]),
            "r2": Host(role="router", routes=[Route(via="10.0.2.1"), Route(via="2001:db8:2::1")]),
            "b": Host(routes=[Route(via="10.0.3.1"), Route(via="2001:db8:3::1")]),
        },
        switches={"sw": Switch()} if switch else {},
        veths=veths,
    )


def mirrored(path):
    """The hops of a path as an answer takes them back."""
    other = {"in": "out", "out": "in"}
    return tuple(f"{hop.partition(' ')[0]} {other[hop.partition(' ')[2]]}" for hop in reversed(path))


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("address", ["10.0.3.2", "2001:db8:3::2"])
@pytest.mark.parametrize("switch", [False, True])
@pytest.mark.usefixtures("clock")
def test_routers_and_switches_come_one_after_the_other(kind, address, switch):
    """Each hop of a routed way is there once and in its place, and the way back is its mirror."""
    with Lab(chain(switch=switch)) as lab:
        reach = probe(lab.host("a"), kind, address, watch="all")

    between = ("sw:to-r1 in", "sw:to-r2 out") if switch else ()
    assert reach.path == ("a:net1 out", "r1:net1 in", "r1:net2 out", *between, "r2:net2 in", "r2:net3 out", "b:net3 in")
    assert reach.return_path == mirrored(reach.path)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.usefixtures("clock")
def test_translated_packets_stay_the_same_probe(kind):
    """Where a router hides the sender, and another leads to a server behind it, the way is whole in both directions."""
    with Lab(chain()) as lab:
        lab.host("r1").load_rules("iptables", "-t nat -A POSTROUTING -o net2 -j MASQUERADE --random-fully")
        lab.host("r2").load_rules("iptables", "-t nat -A PREROUTING -d 10.0.2.2 -j DNAT --to-destination 10.0.3.2")
        far = {} if kind == "ping" else {"listener": lab.host("b"), "listener_port": 80}
        reach = probe(lab.host("a"), kind, "10.0.2.2", watch="all", **far)

    assert reach.path == ("a:net1 out", "r1:net1 in", "r1:net2 out", "r2:net2 in", "r2:net3 out", "b:net3 in")
    assert reach.return_path == mirrored(reach.path)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("target", ["10.5.0.2", "10.5.0.3", "2001:db8:5::2", "2001:db8:5::3"])
@pytest.mark.usefixtures("clock")
def test_a_macvlan_is_left_by_its_parent(kind, target):
    """A child sends through its parent, which keeps the frame's stamp, or straight to another child."""
    sandboxes = {
        f"s{n}": Sandbox(
            macvlans={"eth0": Macvlan(parent="node:up", addresses=[f"10.5.0.{n}/24", f"2001:db8:5::{n}/64"])}
        )
        for n in (1, 2)
    }
    peer = VethEnd(at="peer", name="eth0", addresses=["10.5.0.3/24", "2001:db8:5::3/64"])
    topology = Topology(
        name="macvlan",
        hosts={"node": Host(sandboxes=sandboxes), "peer": Host()},
        veths=[Veth(ends=[VethEnd(at="node", name="up"), peer])],
    )
    with Lab(topology) as lab:
        reach = probe(lab.sandbox("s1"), kind, target, watch="all")

    if target.endswith("2"):  # the kernel shows such a frame to the parent's sniffers, too
        assert reach.path == ("node/s1:eth0 out", "node:up in", "node/s2:eth0 in")
        assert reach.return_path == ("node/s2:eth0 out", "node:up in", "node/s1:eth0 in")
    else:
        assert reach.path == ("node/s1:eth0 out", "node:up out", "peer:eth0 in")
        assert reach.return_path == ("peer:eth0 out", "node:up in", "node/s1:eth0 in")


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("place", ["r1", "r2", "b"])
@pytest.mark.parametrize("six", [False, True])
@pytest.mark.usefixtures("clock")
def test_a_drop_is_last_seen_where_it_happens(kind, place, six):
    """Wherever a firewall drops the probe, the path ends at the link that it came in by there."""
    with Lab(chain(switch=True)) as lab:
        icmp = "ipv6-icmp --icmpv6-type echo-request" if six else "icmp"
        drops = [f"-A INPUT -p {protocol} -j DROP" for protocol in (icmp, "tcp", "udp")]
        lab.host(place).load_rules("ip6tables" if six else "iptables", "-P FORWARD DROP", *drops)
        reach = probe(lab.host("a"), kind, "2001:db8:3::2" if six else "10.0.3.2")

    last = {"r1": "r1:net1 in", "r2": "r2:net2 in", "b": "b:net3 in"}[place]
    assert not reach
    assert (reach.path[0], reach.path[-1]) == ("a:net1 out", last)
    assert reach.reason.endswith(f"last seen at {last}")


def test_a_probe_to_oneself_goes_out_and_in():
    """The loopback carries the probe and its answer, each out and in."""
    with Lab(chain()) as lab:
        for address in ("10.0.1.1", "2001:db8:1::1"):
            for kind in PROBES:
                reach = probe(lab.host("a"), kind, address)

                assert reach.path == reach.return_path == ("a:lo out", "a:lo in")


def test_watch_is_one_of_two_words():
    """Any other word is refused by a sentence that says which there are."""
    with Lab(chain()) as lab, pytest.raises(UsageError, match='"ends".*"all".*not \'everyone\''):
        lab.host("a").ping("10.0.3.2", watch="everyone")


def test_a_frame_is_stamped_when_it_passes():
    """The first frame of a fresh process carries the time at which it passed, not the one at which it was read."""
    program = """
import time
from cnitest import Lab
from cnitest.topology import find, load
with Lab(load(find("bridge-walkthrough"))) as lab:
    with lab.sandbox("ns02").capture("eth02") as capture:
        before = time.time_ns()
        assert lab.sandbox("ns01").arp("10.40.80.12")
        after = time.time_ns()
        frames = [frame for frame in capture.frames if frame.data[12:14] == bytes([8, 6])]
    assert [type(frame.when) for frame in frames] == [int] * len(frames)
    print(len(frames), all(before < frame.when < after for frame in frames))
"""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

        assert done.stdout.split() == ["2", "True"]


def test_a_capture_file_has_nanoseconds(tmp_path):
    """Who reads the file finds each frame with its own time, to the nanosecond, its interface and its direction."""
    from scapy.utils import rdpcap

    with Lab(load(find("bridge-walkthrough"))) as lab:
        with lab.host("node").capture() as capture:
            lab.sandbox("ns01").ping("10.40.80.12")
        frames, path = capture.frames, capture.write(tmp_path / "node.pcapng")
    found = [(int(p.time * 10**9), p.sniffed_on, p.direction, bytes(p)) for p in rdpcap(str(path))]

    assert len(frames) >= 4
    assert found == [(f.when, f"node:{f.link}", 2 if f.out else 1, f.data) for f in frames]


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are in the checkout only")
def test_first_probes_of_cold_labs_are_in_order():
    """A few rounds of the program that counts misordered first probes, in fresh processes beside busy ones."""
    argv = [sys.executable, str(BENCHMARKS / "order.py"), "--probes", "66", "--processes", "3", "--busy", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 misordered probes: 0 of 66" in done.stdout
