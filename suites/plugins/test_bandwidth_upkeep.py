"""The bandwidth plugin besides throughput: what it makes, passes on, rejects and removes, what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.ends import ENDS
from cnitest.suites.plugins.lan_networks import chained, distrusted, macvlan, rejected
from cnitest.suites.plugins.limits import RATES, burst, by_runtime, egress, ifbs, ingress, limited, shapers
from cnitest.suites.plugins.node_networks import caller, host_end, network, pending, pool, ptp

from cnitest import PluginError

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="ifb", plugin=["bridge", "host-local", "bandwidth"], binary=["tc"]),
]

RATE = 2_000_000
BOTH = {**ingress(RATE), **egress(RATE)}
#: Seconds of the unit in which the kernel keeps how long a burst takes.
TICK = 64e-9
#: The first burst of four gigabytes, in bits.
TOO_MUCH = 8 * (2**32 - 1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.covers("bandwidth.ingressRate", "kernel")
@pytest.mark.covers("bandwidth.egressRate", "kernel")
@pytest.mark.covers("bandwidth.ingressBurst", "kernel")
@pytest.mark.covers("bandwidth.egressBurst", "kernel")
def test_a_token_bucket_has_the_rate_and_the_burst(node, cni, way, rate):
    """Bits become bytes: the rate is an eighth, and the bucket holds what passes in one burst."""
    keys = {"ingress": ingress, "egress": egress}[way](rate)
    found = shapers(cni.add(node.sandbox("c1"), limited(**keys)))

    assert set(found) == {way}
    options = dict(found[way].options)
    assert options["rate"] == rate // 8
    assert options["buffer"] * TICK * rate / 8 == pytest.approx(burst(rate) / 8, rel=0.01)


@pytest.mark.covers("bandwidth", "kernel")
def test_the_result_has_the_link_that_was_made(node, cni):
    """The link to which packets are redirected is in the result, with its MAC, after the interfaces of before."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    (name,) = ifbs(node)
    last = attachment.result.interfaces[-1]

    assert (last.name, last.mac, last.sandbox) == (name, node.link(name).mac, "")
    assert attachment.result.ips[0].address.startswith(attachment.address)


@pytest.mark.covers("bandwidth.egressRate", "kernel")
def test_the_link_is_as_wide_as_the_containers(node, cni):
    """The link to which packets are redirected has the MTU of the veth."""
    wide = chained(network(4, mtu=1400), {"type": "bandwidth", **BOTH})
    cni.add(node.sandbox("c1"), wide)

    assert [node.link(name).mtu for name in ifbs(node)] == [1400]


@pytest.mark.covers("bandwidth", "kernel")
@pytest.mark.parametrize(
    "keys", [{}, {"ingressRate": 0, "ingressBurst": 0}, {"egressRate": 0, "egressBurst": 0}], ids=str
)
def test_without_a_limit_nothing_is_made(node, cni, keys):
    """Limits of zero are none: the result is passed on, and no discipline and no link is made."""
    attachment = cni.add(node.sandbox("c1"), limited(**keys))

    assert shapers(attachment) == {}
    assert ifbs(node) == []
    assert len(attachment.result.interfaces) == 3


@pytest.mark.requires(plugin="ptp")
@pytest.mark.covers("bandwidth", "kernel", "DEL")
def test_a_host_end_that_the_result_names_first(node, cni):
    """The host's end is found wherever it is in the result: with ptp, no bridge is named before it."""
    attachment = cni.add(node.sandbox("c1"), chained(ptp(4), {"type": "bandwidth", **BOTH}))

    assert set(shapers(attachment)) == {"ingress", "egress"}
    cni.check(attachment)

    cni.delete(attachment)
    assert ifbs(node) == []


@pytest.mark.covers("bandwidth.runtimeConfig.bandwidth", "kernel")
def test_without_the_capability_the_runtime_gives_no_limit(node, cni):
    """A list that does not declare the capability gets no limits of the runtime's."""
    attachment = cni.add(node.sandbox("c1"), limited(), capabilities={"bandwidth": BOTH})

    assert shapers(attachment) == {}


@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.parametrize("lacking", ["Rate", "Burst"])
@pytest.mark.parametrize("by", ["configuration", "runtime"])
@pytest.mark.covers("bandwidth.ingressRate", "refused")
@pytest.mark.covers("bandwidth.ingressBurst", "refused")
@pytest.mark.covers("bandwidth.egressRate", "refused")
@pytest.mark.covers("bandwidth.egressBurst", "refused")
@pytest.mark.covers("bandwidth.runtimeConfig.bandwidth", "refused")
def test_a_rate_and_a_burst_go_together(node, cni, way, lacking, by):
    """One without the other is rejected, with words that say which is missing."""
    keys = {key: value for key, value in BOTH.items() if key != f"{way}{lacking}"}
    sandbox = node.sandbox("c1")
    said = _rejected_by(cni, sandbox, keys, by)

    assert f"{lacking.lower()} must also be set" in said
    assert ifbs(node) == []


def _rejected_by(cni, sandbox, keys, by):
    if by == "configuration":
        return rejected(cni, sandbox, limited(**keys))
    return rejected(cni, sandbox, by_runtime(), capabilities={"bandwidth": keys})


@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.covers("bandwidth.ingressBurst", "refused")
@pytest.mark.covers("bandwidth.egressBurst", "refused")
def test_a_burst_is_less_than_four_gigabytes(node, cni, way):
    """The largest burst is taken; one byte more is rejected."""
    keys = {f"{way}Rate": 8_000_000}
    cni.add(node.sandbox("c1"), limited(**keys, **{f"{way}Burst": TOO_MUCH - 8}))
    said = rejected(cni, node.sandbox("c2"), limited(**keys, **{f"{way}Burst": TOO_MUCH}))

    assert "4GB" in said


@pytest.mark.parametrize("key", sorted(BOTH))
@pytest.mark.covers("bandwidth", "refused")
def test_a_negative_number_is_refused(node, cni, key):
    """Numbers below zero are no rates and no bursts."""
    assert key in rejected(cni, node.sandbox("c1"), limited(**{**BOTH, key: -1}))


@pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static"])
@pytest.mark.covers("bandwidth", "refused")
def test_an_interface_without_a_veth_is_refused(node, cni):
    """What has no other end on the host cannot be limited, and the plugin says so."""
    wanted = chained(macvlan("192.168.80.120/24"), {"type": "bandwidth", **BOTH})

    assert "veth peer" in rejected(cni, node.sandbox("c1"), wanted)


@pytest.mark.covers("bandwidth", "refused")
def test_it_is_no_plugin_by_itself(node, cni):
    """Without a previous result an ADD with limits is rejected in words."""
    alone = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bandwidth", **BOTH}]}

    assert "chained plugin" in rejected(cni, node.sandbox("c1"), alone)


@pytest.mark.covers("bandwidth", "refused")
def test_alone_and_without_a_limit_it_answers_in_words(node, cni):
    """Without a previous result and without limits the error is one of the specification, not a crash."""
    alone = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bandwidth"}]}

    assert "panic" not in rejected(cni, node.sandbox("c1"), alone)


@pytest.mark.covers("bandwidth", "refused")
def test_a_result_without_interfaces_is_refused(node, cni):
    """Where the result before names no interface there is nothing to limit."""
    addresses = {"cniVersion": "1.0.0", "name": "net", "type": "host-local", "ipam": pool(4)}
    wanted = chained(addresses, {"type": "bandwidth", **BOTH})

    assert "no interfaces" in rejected(cni, node.sandbox("c1"), wanted)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.covers("bandwidth", "DEL", "kernel")
def test_delete_leaves_no_link(node, cni, end):
    """However the container ended, DEL takes the link to which its packets were redirected."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    assert len(ifbs(node)) == 1
    ENDS[end](cni, attachment)

    assert ifbs(node) == []


@pytest.mark.parametrize("whose", ["configuration", "runtime"])
@pytest.mark.covers("bandwidth", "DEL", "kernel")
def test_delete_leaves_no_link_of_one_limit(node, cni, whose):
    """The same where only what leaves the container is limited, by the configuration or by the runtime."""
    own = egress(RATES[0])
    if whose == "runtime":
        attachment = cni.add(node.sandbox("c1"), by_runtime(), capabilities={"bandwidth": own})
    else:
        attachment = cni.add(node.sandbox("c1"), limited(**own))
    assert len(ifbs(node)) == 1
    cni.delete(attachment)

    assert ifbs(node) == []


@pytest.mark.covers("bandwidth", "DEL", "kernel")
def test_deleting_twice_is_no_error(node, cni):
    """A second DEL finds nothing, and succeeds."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    cni.delete(attachment)
    caller(cni).delete(attachment.target, attachment.result.document)

    assert ifbs(node) == []


@pytest.mark.covers("bandwidth", "DEL", "kernel")
def test_delete_works_with_limits_that_are_refused_now(node, cni):
    """DEL removes the link although the configuration has lost a burst since."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    changed = limited(ingressRate=RATE, **egress(RATE))
    cni.attachments.remove(attachment)
    caller(cni).delete(pending(cni, attachment.sandbox, changed), attachment.result.document)

    assert ifbs(node) == []


@pytest.mark.covers("bandwidth", "DEL", "kernel")
def test_coming_and_going_leaves_nothing(node, cni):
    """Ten containers one after the other leave no link, no discipline and no filter."""
    cni.delete(cni.add(node.sandbox("first"), network(4, isDefaultGateway=True)))
    before = node.state(firewall=False)
    for number in range(10):
        cni.delete(cni.add(node.sandbox(f"c{number}"), limited(**BOTH)))
    after = node.state(firewall=False)

    assert (after.qdiscs, after.filters) == (before.qdiscs, before.filters)
    assert ifbs(node) == []


@pytest.mark.covers("bandwidth", "CHECK")
def test_check_passes_while_nothing_was_changed(node, cni):
    """An attachment with both limits, one, or none is in order."""
    for number, keys in enumerate((BOTH, ingress(RATE), egress(RATE), {})):
        cni.check(cni.add(node.sandbox(f"c{number}"), limited(**keys)))


def _qdisc(*words):
    return lambda node, ends: node.run(["tc", "qdisc", *[ends.get(word, word) for word in words]])


#: What can happen to the limits of a container, and the words of tc(8) that do it.
TAMPERINGS = {
    "ingress-removed": _qdisc("del", "dev", "HOST", "root"),
    "ingress-replaced": _qdisc("replace", "dev", "HOST", "root", "pfifo"),
    "ingress-faster": _qdisc(
        "replace", "dev", "HOST", "root", "tbf", "rate", "9mbit", "burst", "16k", "latency", "25ms"
    ),
    "egress-removed": _qdisc("del", "dev", "IFB", "root"),
    "egress-replaced": _qdisc("replace", "dev", "IFB", "root", "pfifo"),
    "egress-faster": _qdisc("replace", "dev", "IFB", "root", "tbf", "rate", "9mbit", "burst", "16k", "latency", "25ms"),
    "redirection-removed": _qdisc("del", "dev", "HOST", "ingress"),
    "link-removed": lambda node, ends: node.run(["ip", "link", "del", ends["IFB"]]),
    "link-down": lambda node, ends: node.run(["ip", "link", "set", ends["IFB"], "down"]),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
@pytest.mark.covers("bandwidth", "CHECK")
def test_check_finds_what_was_changed(node, cni, tampering):
    """CHECK fails once a limit is not what ADD made."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    (ifb,) = ifbs(node)
    TAMPERINGS[tampering](node, {"HOST": host_end(attachment), "IFB": ifb})

    assert distrusted(cni, attachment)


@pytest.mark.parametrize("value", ["rate", "burst", "limit"])
@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.covers("bandwidth", "CHECK")
def test_check_compares_each_value(node, cni, way, value):
    """CHECK fails where the rate, the bucket or the queue alone is another one, and the other two are as they were."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    bucket = shapers(attachment)[way]
    if bucket.kind != "tbf":
        pytest.skip("a hierarchy of token buckets has no queue of its own")
    faster, deeper, longer = (2 if value == each else 1 for each in ("rate", "burst", "limit"))
    # The kernel keeps how long a burst takes: at twice the rate, twice as much is the same.
    limits = {"rate": f"{RATE * faster}bit", "burst": burst(RATE) // 8 * faster * deeper}
    limits["limit"] = dict(bucket.options)["limit"] * longer
    words = [str(word) for pair in limits.items() for word in pair]
    node.run(["tc", "qdisc", "replace", "dev", bucket.link, "root", "tbf", *words])
    assert dict(shapers(attachment)[way].options) != dict(bucket.options)

    assert distrusted(cni, attachment)


@pytest.mark.covers("bandwidth", "CHECK")
def test_check_finds_another_limit_than_the_configured_one(node, cni):
    """CHECK with a configuration that has other limits since fails."""
    attachment = cni.add(node.sandbox("c1"), limited(**BOTH))
    target = pending(cni, attachment.sandbox, limited(**ingress(2 * RATE), **egress(RATE)))

    with pytest.raises(PluginError, match="match"):
        caller(cni).check(target, attachment.result.document)
