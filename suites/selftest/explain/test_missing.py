"""Links that were deleted or renamed after the topology was built."""

from __future__ import annotations

import pytest

from cnitest import Lab, load
from cnitest.kernel import features
from cnitest.topology import find

TO = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
FAR = {4: "10.40.80.12", 6: "2001:db8:40::12"}
#: What is deleted, and which link is missed first on the way from ns01 to ns02.
DELETED = {("node", "veth02"): "node:veth02", ("node", "br01"): "node:br01", ("node/ns02", "eth02"): "node:veth02"}
family = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def lab():
    """Two containers on a bridge, behind a router."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        yield lab


@family
@pytest.mark.parametrize(("where", "missing"), DELETED.items(), ids=[f"{place}:{link}" for place, link in DELETED])
def test_a_deleted_link_on_the_segment_is_named(lab, where, missing, family):
    """Whichever end of a pair was deleted, and whether the way was used before; no remedy is to add an address."""
    place, link = where
    assert lab.sandbox("ns01").ping(FAR[family])
    lab.place(place).run(["ip", "link", "del", link])

    for reach in (lab.sandbox("ns01").ping(FAR[family]), lab.sandbox("ns01").tcp(FAR[family], 80)):
        assert (reach.cause.id, reach.dropped_by) == ("l2.link-gone", "link gone"), reach.explanation
        assert reach.cause.place == missing.partition(":")[0]
        assert f"{missing}, which the topology has on the way, is not there any more" in str(reach.explanation)
        assert reach.cause.remedy.startswith(f"make {missing} again: a ")


@family
def test_a_pair_that_was_made_anew_elsewhere_is_not_the_same(lab, family):
    """A link of the same name whose other end is not in the container leads nowhere."""
    node = lab.host("node")
    node.run(["ip", "link", "del", "veth02"])
    node.run(["ip", "link", "add", "veth02", "type", "veth", "peer", "name", "other"])
    node.run(["ip", "link", "set", "veth02", "master", "br01", "up"])
    node.run(["ip", "link", "set", "other", "up"])

    reach = lab.sandbox("ns01").ping(FAR[family])

    assert (reach.cause.id, reach.cause.place) == ("l2.link-gone", "node/ns02"), reach.explanation
    assert reach.cause.remedy == "make node/ns02:eth02 again: a veth, whose other end is node:veth02"


@family
@pytest.mark.parametrize(("sender", "place"), [("node", "node"), ("node/ns01", "node"), ("node/ns01", "router")])
def test_a_deleted_uplink_is_named(lab, sender, place, family):
    """And not the route that went with it."""
    lab.host(place).run(["ip", "link", "del", "ens33" if place == "node" else "wan0"])

    reach = lab.place(sender).ping(TO[family])

    assert (reach.cause.id, reach.cause.place) == ("l2.own-link-gone", place), reach.explanation
    assert any("gone with it: ip " in line for line in reach.cause.evidence), reach.explanation
    assert not any("fe80:" in line for line in reach.cause.evidence)


@family
@pytest.mark.parametrize("while_up", [None, False], ids=["this-kernel", "before-6.2"])
def test_a_renamed_uplink_is_named_and_its_name_fixes_it(lab, family, while_up, monkeypatch):
    """A link that was taken down to be renamed has lost its routes, and of IPv6 its addresses."""
    if while_up is not None:
        monkeypatch.setattr(features, "renames_while_up", lambda: while_up)
    router = lab.host("router")
    for words in ("wan0 down", "wan0 name uplink", "uplink up"):
        router.run(["ip", "link", "set", *words.split()])

    reach = lab.host("node").ping(TO[family])

    assert (reach.cause.id, reach.cause.place) == ("l2.own-link-gone", "router"), reach.explanation
    assert "router:wan0, which the topology has on the way, is named uplink now" in str(reach.explanation)
    router.run(["sh", "-ec", reach.cause.remedy])
    assert lab.host("node").ping(TO[family])
    if not features.renames_while_up():
        assert reach.cause.remedy.startswith("ip link set uplink down && ")
        assert lab.host("node").ping(TO[10 - family]), "what the remedy took of the other family is not back"


@family
def test_a_link_that_is_not_on_the_way_is_no_cause(lab, family):
    """What is dropped for another reason is not put down to a link that is missed elsewhere."""
    lab.host("router").run(["ip", "link", "del", "wan0"])
    lab.sandbox("ns02").run(["ip", "link", "set", "eth02", "down"])

    assert lab.sandbox("ns01").ping(FAR[family]).cause.id in ("l2.link-down", "host.address-link-down")
