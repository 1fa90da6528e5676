"""Checking topologies of any content and size: the rules never fail, and take time by the size alone."""

from __future__ import annotations

from time import thread_time

from hypothesis import HealthCheck, given, settings
from topology_strategies import any_topologies

from cnitest.topology import Bridge, Host, Problem, Route, Sandbox, Topology, Veth, VethEnd, problems


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(any_topologies)
def test_no_topology_makes_the_rules_fail(topology: Topology) -> None:
    """Whatever the values, checking ends in a tuple of problems, each on one printable line."""
    found = problems(topology)

    assert all(isinstance(problem, Problem) and problem.message for problem in found)
    assert all(str(problem).isprintable() for problem in found)


def test_hundreds_of_sandboxes_are_checked_quickly() -> None:
    """Checking grows with the size of the topology, not with its square."""
    small, large = _crowd(50), _crowd(400)
    seconds = []
    for topology in (small, large):
        start = thread_time()
        assert problems(topology) == ()
        seconds.append(thread_time() - start)

    assert seconds[1] < 1


def _crowd(count: int) -> Topology:
    sandboxes = {f"c{n}": Sandbox(routes=[Route(via="10.40.0.1")]) for n in range(count)}
    host = Host(bridges={"br0": Bridge(addresses=["10.40.0.1/16"])}, sandboxes=sandboxes)
    ends = [(f"c{n}", f"10.40.{1 + n // 200}.{1 + n % 200}/16", f"veth{n}") for n in range(count)]
    veths = [
        Veth(ends=[VethEnd(at=f"h/{c}", name="eth0", addresses=[ip]), VethEnd(at="h", name=veth, bridge="br0")])
        for c, ip, veth in ends
    ]
    return Topology(name="crowd", hosts={"h": host}, veths=veths)
