"""MACs of groups in static entries: a load balancer's neighbours have one, a link never."""

from __future__ import annotations

import pytest

from cnitest.errors import TopologyError
from cnitest.topology import check
from cnitest.topology.load import loads

LINKS = 'name: n\nhosts: {h: {bridges: {br0: {addresses: [10.0.0.1/24]%s}}, %s: ["%s"]}}'


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("neighbours", "10.0.0.9 lladdr 03:bf:0a:00:00:09 dev br0"),
        ("neighbours", "10.0.0.9 lladdr 01:00:5e:7f:00:09 dev br0"),
        ("fdb", "01:00:5e:7f:00:09 dev br0 self permanent"),
    ],
)
def test_a_static_entry_may_have_a_groups_mac(key, entry):
    """As ip(8) and bridge(8) take it."""
    check(loads(LINKS % ("", key, entry)))


def test_a_link_may_not():
    """The kernel gives no link such a MAC."""
    with pytest.raises(TopologyError, match="is a multicast MAC; a link needs a unicast one"):
        check(loads(LINKS % (", mac: '03:bf:0a:00:00:09'", "routes", "default via 10.0.0.2")))
