"""How many bits a second get through: a shaper is seen in its own direction, a rate is kept."""

from __future__ import annotations

import dataclasses
import time

import pytest
from cnitest.suites.selftest import walkthrough

from cnitest.deadline import Deadline, pause
from cnitest.errors import DeadlineExceeded, UsageError
from cnitest.lab.flows import throughput
from cnitest.lab.flows.arrivals import Arrivals
from cnitest.lab.probe.kinds.live import End

NS02 = {4: "10.40.80.12", 6: "2001:db8:40::12"}
TBF = ["root", "tbf", "rate", "4mbit", "burst", "64kb", "limit", "500kb"]
#: The most that passes such a shaper in a second: its rate, and the burst that it begins with.
MOST = 4e6 + 64 * 1024 * 8

lab, ns01 = walkthrough.lab, walkthrough.ns01


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("link", "there"), [("veth02", True), ("veth01", False)])
def test_a_shaper_is_seen_in_its_direction(lab, ns01, family, protocol, link, there):
    """4 Mbit/s on the way there limit what arrives there, and nothing else; likewise back."""
    lab.host("node").run(["tc", "qdisc", "add", "dev", link, *TBF])
    found = ns01.throughput(NS02[family], 1.0, protocol=protocol, rate="20mbit")
    limited, free = (found.there, found.back) if there else (found.back, found.there)

    assert 3.0e6 < limited <= MOST, found
    assert free > 2 * limited, found


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_reads_late_counts_nothing_twice(lab, ns01, monkeypatch, protocol):
    """What arrived while others had the processor, before the second half began, is not that half's."""
    lab.host("node").run(["tc", "qdisc", "add", "dev", "veth02", *TBF])
    count, calls = End.count, []

    def starved(end):
        calls.append(time.monotonic())
        if len(calls) > 1 and calls[-1] - calls[0] > 0.2 > calls[-2] - calls[0]:
            pause(0.4)
        return count(end)

    monkeypatch.setattr(End, "count", starved)
    found = ns01.throughput(NS02[4], 1.0, protocol=protocol, rate="20mbit")

    assert 2.0e6 < found.there <= MOST * 1.1, found


@pytest.mark.parametrize("family", [4, 6])
def test_what_waits_for_a_lost_segment_has_arrived(lab, ns01, family):
    """Behind a small segment that never gets there others do: they count when they come, not when TCP hands them on."""
    backend = "iptables" if family == 4 else "ip6tables"
    lab.sandbox("ns02").load_rules(backend, "-A INPUT -p tcp -m length --length 120:220 -j DROP")
    with ns01.connection(NS02[family], 5201) as connection:
        arrivals = Arrivals(*connection.ends, 0)
        for size in (100, 4000):
            connection.send(bytes(size))
        Deadline.after(2, "segments behind the lost one").poll(lambda: arrivals.until_now().size >= 2 * 1400)

        assert connection.ends[1].count() == 0


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_rate_is_not_exceeded(ns01, protocol):
    """A paced measurement sends what was asked for, both ways, and loses nothing on a free link."""
    found = ns01.throughput(NS02[4], 0.5, rate="2mbit", protocol=protocol)

    assert found.there == pytest.approx(2e6, rel=0.3)
    assert found.back == pytest.approx(2e6, rel=0.3)
    assert found.received[0] <= 2e6 / 8 * 0.5 + 1200


def test_datagrams_that_are_lost_are_counted(lab, ns01):
    """Half of what is sent at twice the shaper's rate does not arrive; TCP sends again, so it does not say."""
    lab.host("node").run(["tc", "qdisc", "add", "dev", "veth02", *TBF])
    found = ns01.throughput(NS02[4], 1.0, rate="8mbit", protocol="udp")

    assert 0.3 < found.lost[0] < 0.7
    assert found.lost[1] < 0.1
    assert ns01.throughput(NS02[4], 0.1, rate="1mbit").lost is None


def test_time_that_others_had_the_processor_is_told(ns01, monkeypatch):
    """Where the sender comes late to the end, what arrived until then arrived in that time."""
    send = throughput._send

    def late(*arguments):
        sent = send(*arguments)
        pause(0.3)
        return sent

    monkeypatch.setattr(throughput, "_send", late)
    found = ns01.throughput(NS02[4], 0.2, rate="1mbit")

    assert found.seconds == 0.2
    assert all(took >= 0.8 for took in found.elapsed)


def test_a_result_is_frozen_and_prints_itself(ns01):
    """The figures cannot be changed, and read as a person says them."""
    found = ns01.throughput(NS02[4], 0.2, rate="1mbit")

    assert str(found).endswith("back")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.there = 0


def test_what_cannot_be_measured_is_an_error(lab, ns01):
    """No time, no such rate, no connection: each is reported, and no zero is made of it."""
    with pytest.raises(UsageError, match="seconds 0 is none"):
        ns01.throughput(NS02[4], 0)
    with pytest.raises(UsageError, match="rate 'fast'"):
        ns01.throughput(NS02[4], rate="fast")
    lab.sandbox("ns02").load_rules("iptables", "-A INPUT -p tcp -j DROP")
    with pytest.raises(DeadlineExceeded, match="timed out .*waiting for the connection"):
        ns01.throughput(NS02[4])
