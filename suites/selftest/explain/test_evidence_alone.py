"""Causes that this machine cannot be brought to without a change of the machine itself, shown by made-up evidence.

`l2.vlan` needs a kernel with VLAN filtering (`test_l2.py` tries it where there is one); how many connections
(nf_conntrack_max) and neighbours (gc_thresh3) there may be is a limit of all namespaces together.
"""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from cnitest import Lab, load
from cnitest.explain import explainer
from cnitest.explain.causes import registry
from cnitest.explain.causes.l2 import ports
from cnitest.explain.causes.limits import tables
from cnitest.explain.evidence.ip.counters import Counts
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import LastSeen
from cnitest.explain.evidence.wiring import LinkAt
from cnitest.kernel.rows.records import Vlan
from cnitest.topology import find

MAX, COUNT = "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_count"
UNTAGGED = ("pvid", "untagged")
TOLD = {"ipv4": "10.40.80.12", "ipv6": "2001:db8:40::12"}


@pytest.fixture
def lab():
    """The walkthrough."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        yield lab


@pytest.fixture
def lost(lab, monkeypatch):
    """Explains a probe that is lost after commands at the node; what was seen of it."""
    seen: list[Loss] = []
    recognised = registry.recognised
    monkeypatch.setattr(explainer.registry, "recognised", lambda loss: seen.append(loss) or recognised(loss))

    def explained(command: str, to: str) -> Loss:
        assert lab.sandbox("ns01").ping(to)
        lab.host("node").run(["sh", "-ec", command])
        assert lab.sandbox("ns01").ping(to, wait=0.2).explanation
        return seen[-1]

    return explained


@pytest.mark.parametrize("to", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize(
    ("rows", "words", "remedy"),
    [
        ([("veth01", 1)], "veth02 is in no VLAN 1 of node:br01", "bridge vlan add dev veth02 vid 1 pvid untagged"),
        ([("veth01", 7), ("veth02", 1)], "veth02 is in no VLAN 7 of", "bridge vlan add dev veth02 vid 7 pvid untagged"),
        ([("veth02", 1)], "veth01 is in no VLAN for untagged frames", "bridge vlan add dev veth01 vid 1 pvid untagged"),
        ([("veth01", 1), ("veth02", 1)], "", ""),
    ],
    ids=["out", "another", "none", "sound"],
)
def test_a_port_outside_the_vlan_is_named_by_its_rows(lost, rows, words, remedy, to):
    """Of a bridge that filters, the port that is not in the frame's VLAN; where both are, nothing."""
    loss = _filtering(lost("bridge link set dev veth02 state 0", to), rows)

    found = ports.vlan_filtered(loss)

    assert (found is None) == (words == "")
    if found:
        assert (found.dropped_by, found.place, found.remedy) == ("VLAN filtered", "node", remedy)
        assert words in found.words


def test_a_bridge_that_does_not_filter_minds_no_vlan(lost):
    """Rows of VLANs alone are no evidence."""
    loss = lost("bridge link set dev veth02 state 0", TOLD["ipv4"])

    assert ports.vlan_filtered(loss) is None


def _filtering(loss: Loss, rows: list[tuple[str, int]]) -> Loss:
    """The same loss by a bridge that filters, whose ports are in some VLANs."""
    node, at = loss.wiring.places["node"], LinkAt("node", "br01")
    vlans = tuple(Vlan(link, vid, UNTAGGED) for link, vid in rows)
    loss._states["node"] = replace(loss.state(node), vlans=vlans)
    links = dict(loss.wiring.links)
    links[at] = links[at]._replace(detail=(*links[at].detail, ("vlan_filtering", 1)))
    vars(loss.wiring)["links"] = links
    return loss


@pytest.mark.parametrize("to", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize(
    ("most", "count", "dropped", "full"),
    [(1000, 1000, 1, True), (1000, 1000, 0, False), (1000, 999, 1, True), (1000, 999, 0, False), (0, 0, 0, False)],
)
def test_a_full_table_of_connections_is_named_by_its_counters(lost, monkeypatch, most, count, dropped, full, to):
    """Where as many are tracked as may be, with the limit, and the command that raises it."""
    loss = replace(lost("bridge link set dev veth02 state 0", to), counts={"node": _counted(dropped)})
    loss = replace(loss, spot=LastSeen(loss.wiring.places["node"], "br01"))
    monkeypatch.setattr(Loss, "number", lambda _, name: {MAX: most, COUNT: count}[name])

    found = tables.conntrack_full(loss)

    assert (found is not None) == full
    if found:
        assert (found.dropped_by, found.hook) == ("conntrack table full", "conntrack")
        assert found.words == f"node tracks {count} connections, and net.netfilter.nf_conntrack_max={most}"
        assert found.remedy == "sysctl -w net.netfilter.nf_conntrack_max=2000"
        assert bool(found.evidence) == bool(dropped)


def _counted(dropped: int) -> Counts:
    return Counts({"conntrack drop": dropped} if dropped else {}, {})


@pytest.mark.parametrize("family", TOLD)
@pytest.mark.parametrize(("number", "full"), [(errno.ENOBUFS, True), (errno.EHOSTUNREACH, False), (0, False)])
def test_a_full_table_of_neighbours_is_named_by_what_the_kernel_answers(lost, number, full, family):
    """Where the sender's kernel has no room (ENOBUFS) for a neighbour that it does not know, with the sysctl."""
    loss = lost("bridge link set dev veth02 state 0; ip link set veth01 down", TOLD[family])
    attempt = replace(loss.attempt, error=OSError(number, "No buffer space available") if number else None)
    loss = replace(loss, spot=LastSeen(loss.probe.sender), attempt=attempt, freed=())
    loss._states["node/ns01"] = replace(loss.state(loss.probe.sender), neighbours=())

    found = tables.neighbours_full(loss)

    assert (found is not None) == full
    if found:
        assert (found.dropped_by, found.hook) == ("neighbour table full", "neighbour")
        assert found.remedy == f"sysctl -w net.{family}.neigh.default.gc_thresh3=8192"


def test_a_known_neighbour_takes_no_more_room(lost):
    """ENOBUFS of a next hop that the table has is something else's."""
    loss = lost("bridge link set dev veth02 state 0", TOLD["ipv4"])
    attempt = replace(loss.attempt, error=OSError(errno.ENOBUFS, "No buffer space available"))

    assert tables.neighbours_full(replace(loss, spot=LastSeen(loss.probe.sender), attempt=attempt, freed=())) is None
