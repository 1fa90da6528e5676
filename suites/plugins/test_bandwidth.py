"""The bandwidth plugin by throughput: each way is as fast as configured, nobody else is slower."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.limits import RATES, by_runtime, egress, ifbs, ingress, limited
from cnitest.suites.plugins.node_networks import network, without_dad
from cnitest.suites.plugins.speeds import Rates, measured

from cnitest.errors import DeadlineExceeded

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="ifb", plugin=["bridge", "host-local", "bandwidth"], binary=["tc"]),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
LIMIT = 2_000_000
#: What arrives at least where that is the limit.
LEAST = 0.8 * LIMIT
#: What is faster than the limit by so much is not limited by it.
FREE = 2 * LIMIT


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILY
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.covers("bandwidth.ingressRate", "packet")
@pytest.mark.covers("bandwidth.egressRate", "packet")
def test_both_ways_are_as_fast_as_they_were_told(node, cni, family, rate):
    """What comes into the container and what leaves it arrive at their own rates, within a fifth."""
    attachment = cni.add(node.sandbox("c1"), limited(family, **ingress(rate), **egress(2 * rate)))
    found = measured(attachment, Rates(1.6 * rate, 0.8 * rate), rate=4 * rate)

    assert found.back == pytest.approx(rate, rel=0.2), found
    assert found.there == pytest.approx(2 * rate, rel=0.2), found


@FAMILY
@pytest.mark.covers("bandwidth.ingressRate", "packet")
@pytest.mark.covers("bandwidth.egressRate", "packet")
def test_connections_are_limited_too(node, cni, family):
    """TCP is no faster than the limits, each way, and not far below, although the link carries segments larger than a
    frame: where the short queue loses what was sent again TCP waits for its timer, a quarter of a second each time."""
    attachment = cni.add(node.sandbox("c1"), limited(family, **ingress(4_000_000), **egress(2_000_000)))
    found = measured(attachment, Rates(1_000_000, 2_000_000), rate=None, seconds=1.0, protocol="tcp")

    assert 1_000_000 < found.there < 2_400_000, found
    assert 2_000_000 < found.back < 4_800_000, found


@FAMILY
@pytest.mark.covers("bandwidth.ingressRate", "packet")
def test_only_what_comes_in_is_limited(node, cni, family):
    """Without a limit of what leaves, that is free, and no link to redirect it is made."""
    attachment = cni.add(node.sandbox("c1"), limited(family, **ingress(LIMIT)))
    found = measured(attachment, Rates(FREE, LEAST))

    assert found.back == pytest.approx(LIMIT, rel=0.2), found
    assert found.there > FREE, found
    assert ifbs(node) == []


@FAMILY
@pytest.mark.covers("bandwidth.egressRate", "packet")
def test_only_what_leaves_is_limited(node, cni, family):
    """Without a limit of what comes in, that is free."""
    attachment = cni.add(node.sandbox("c1"), limited(family, **egress(LIMIT)))
    found = measured(attachment, Rates(LEAST, FREE))

    assert found.there == pytest.approx(LIMIT, rel=0.2), found
    assert found.back > FREE, found


@pytest.mark.covers("bandwidth.runtimeConfig.bandwidth", "packet")
def test_the_runtime_sets_the_limits(node, cni):
    """The capability ``bandwidth`` limits both ways as keys of the configuration do."""
    asked = {"bandwidth": {**ingress(LIMIT), **egress(2 * LIMIT)}}
    attachment = cni.add(node.sandbox("c1"), by_runtime(), capabilities=asked)
    found = measured(attachment, Rates(2 * LEAST, LEAST))

    assert found.back == pytest.approx(LIMIT, rel=0.2), found
    assert found.there == pytest.approx(2 * LIMIT, rel=0.2), found


@pytest.mark.covers("bandwidth.runtimeConfig.bandwidth", "packet")
def test_the_configuration_goes_before_the_runtime(node, cni):
    """Where the configuration has limits, those of the runtime do not count."""
    asked = {"bandwidth": {**ingress(8 * LIMIT), **egress(8 * LIMIT)}}
    attachment = cni.add(node.sandbox("c1"), by_runtime(**ingress(LIMIT), **egress(LIMIT)), capabilities=asked)
    found = measured(attachment, Rates(LEAST, LEAST))

    assert found.back == pytest.approx(LIMIT, rel=0.2), found
    assert found.there == pytest.approx(LIMIT, rel=0.2), found


@FAMILY
@pytest.mark.covers("bandwidth", "packet")
def test_the_neighbour_is_not_slowed(node, cni, family):
    """A container without limits on the same bridge is as fast as before, each way."""
    cni.add(node.sandbox("c1"), limited(family, **ingress(LIMIT), **egress(LIMIT)))
    neighbour = cni.add(node.sandbox("c2"), network(family, isDefaultGateway=True))
    found = measured(neighbour, Rates(FREE, FREE))

    assert min(found.there, found.back) > FREE, found


@pytest.mark.covers("bandwidth", "packet")
def test_two_containers_have_limits_of_their_own(node, cni):
    """A second container's limits are its own: neither shares the other's rate."""
    slow = cni.add(node.sandbox("c1"), limited(**ingress(LIMIT), **egress(LIMIT)))
    fast = cni.add(node.sandbox("c2"), limited(**ingress(2 * LIMIT), **egress(2 * LIMIT)))

    assert measured(slow, Rates(LEAST, 0)).there == pytest.approx(LIMIT, rel=0.2)
    assert measured(fast, Rates(2 * LEAST, 0)).there == pytest.approx(2 * LIMIT, rel=0.2)


@pytest.mark.covers("bandwidth", "packet")
def test_containers_are_limited_on_the_way_to_each_other(node, cni):
    """Between two containers the slower of what one may send and the other may get counts."""
    sender = cni.add(node.sandbox("c1"), limited(**egress(2 * LIMIT)))
    receiver = cni.add(node.sandbox("c2"), limited(**ingress(LIMIT)))
    found = measured(sender, Rates(LEAST, FREE), to=receiver.address)

    assert found.there == pytest.approx(LIMIT, rel=0.2), found
    assert found.back > FREE, found


@pytest.mark.covers("bandwidth.ingressBurst", "packet")
@pytest.mark.covers("bandwidth.egressBurst", "packet")
@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_a_burst_passes_at_once(node, cni, way):
    """Forty datagrams in a row arrive at once when the burst has room for them, not half of them with a small one."""
    keys = {f"{way}Rate": 100_000}
    wide = cni.add(node.sandbox("c1"), limited(**keys, **{f"{way}Burst": 800_000}))
    narrow = cni.add(node.sandbox("c2"), limited(**keys, **{f"{way}Burst": 48_000}))

    assert _arrives(wide, way, count=40)
    assert not _arrives(narrow, way, count=20)


def _arrives(attachment, way, count):
    """Whether so many of forty datagrams arrive in less time than the rate would take for them."""
    with attachment.sandbox.connection(attachment.gateway, 5300, protocol="udp") as connection:
        source, sink = connection.ends if way == "egress" else connection.ends[::-1]
        for _ in range(40):
            source.send(bytes(1200))
        try:
            return bool(sink.receive(count * 1200, timeout=0.5))
        except DeadlineExceeded:
            return False


@FAMILY
@pytest.mark.covers("bandwidth", "packet")
def test_a_ping_gets_through_beside_a_full_queue(node, cni, family):
    """While datagrams fill the queue, an echo of the container is still answered: the queue is short."""
    attachment = cni.add(node.sandbox("c1"), limited(family, **ingress(LIMIT), **egress(LIMIT)))
    with attachment.sandbox.connection(attachment.gateway, 5300) as connection:
        connection.send(bytes(200_000))

        assert attachment.sandbox.ping(attachment.gateway)


@pytest.mark.covers("bandwidth", "packet", "DEL")
def test_after_delete_the_next_container_is_free(node, cni):
    """Another container of the same network, added after DEL without limits, has none."""
    cni.delete(cni.add(node.sandbox("c1"), limited(**ingress(LIMIT), **egress(LIMIT))))
    found = measured(cni.add(node.sandbox("c2"), network(4, isDefaultGateway=True)), Rates(FREE, FREE))

    assert min(found.there, found.back) > FREE, found


@pytest.mark.covers("bandwidth", "packet", "DEL")
def test_delete_of_one_container_leaves_the_others_limits(node, cni):
    """The other container is as slow as before, both ways."""
    gone, stays = (cni.add(node.sandbox(name), limited(**ingress(LIMIT), **egress(LIMIT))) for name in ("c1", "c2"))
    cni.delete(gone)
    found = measured(stays, Rates(LEAST, LEAST))

    assert found.back == pytest.approx(LIMIT, rel=0.2), found
    assert found.there == pytest.approx(LIMIT, rel=0.2), found


@pytest.mark.covers("bandwidth", "packet")
def test_two_networks_of_a_container_are_limited_apart(node, cni):
    """Two interfaces of a container by two networks have limits of their own."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, limited(**egress(LIMIT)))
    second = cni.add(sandbox, limited(second=True, **egress(2 * LIMIT)), "eth1")

    assert measured(first, Rates(LEAST, 0)).there == pytest.approx(LIMIT, rel=0.2)
    assert measured(second, Rates(2 * LEAST, 0)).there == pytest.approx(2 * LIMIT, rel=0.2)


@pytest.mark.covers("bandwidth", "packet")
def test_one_network_twice_on_a_container(node, cni):
    """A second interface of the same network is limited like the first, whose limit stays when the second goes."""
    sandbox, wanted = node.sandbox("c1"), limited(**egress(LIMIT))
    first = cni.add(sandbox, wanted)
    cni.delete(cni.add(sandbox, wanted, "eth1"))

    assert measured(first, Rates(LEAST, 0)).there == pytest.approx(LIMIT, rel=0.2)
