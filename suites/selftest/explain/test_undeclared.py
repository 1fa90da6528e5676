"""What differs from the topology: the remedy takes it away, or makes the topology's own address or route again."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

BROKEN = [
    (6, "l2.elsewhere", "client: ip -6 address add {9.3}/64 dev eth1 nodad", "wrong subnet", "ip address del {9.3}/64"),
    (4, "l2.elsewhere", "client: ip address add {9.3}/24 dev eth1", "wrong subnet", "ip address del {9.3}/24 dev eth1"),
    (
        4,
        "routing.rp-filter-loose",
        "server: sysctl -qw net.ipv4.conf.eth3.rp_filter=2; ip route del default",
        "rp_filter loose",
        "ip route add default via {3.2}",
    ),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize(("family", "cause", "does", "dropped_by", "remedy"), BROKEN)
def test_what_the_topology_does_not_have_is_taken_away(family, cause, does, dropped_by, remedy, probe):
    """A foreign subnet goes with its address, and what reverse path filtering lacks is the declared route."""
    place = does.partition(":")[0]

    must_be_explained(Broken(cause, (does,), dropped_by, place, remedy, probe=probe), family)
