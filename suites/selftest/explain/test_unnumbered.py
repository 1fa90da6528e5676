"""Reverse path filtering on a link without an address of its own, as the host's ends of many plugins' pairs are."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import WAYS, Broken, Words, must_be_explained, probe, run

from cnitest import Lab
from cnitest.topology import loads

UNNUMBERED = (
    "server: ip -4 addr flush dev eth4; ip route add {4.2} dev eth4",
    "r2: ip route replace {S} dev eth4",
    "client: ip route replace default via {2.2} src {1.1}",
)


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize("link", ["eth4", "all"])
@pytest.mark.parametrize("kind", ["ping", "tcp"])
def test_loose_filtering_is_strict_on_a_link_without_an_address(mode, link, kind):
    """Whatever the mode, the filter is named, and the remedy turns it off, since a loose one would not do."""
    does = (f"server: sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{link}.rp_filter={mode}",)
    remedy = f"net.ipv4.conf.{link}.rp_filter=0"

    must_be_explained(
        Broken("routing.rp-filter", does, "rp_filter", "server", remedy, (4,), prepares=UNNUMBERED, probe=kind), 4
    )


def test_a_loose_filter_takes_what_comes_by_a_link_with_an_address():
    """The same with an address on the link: delivered."""
    numbered = Broken("", (), "", "", "")
    with Lab(loads(WAYS)) as lab:
        run(lab, (*UNNUMBERED, "server: ip addr add 198.51.100.1/32 dev eth4"), Words(4))
        run(lab, ("server: sysctl -qw net.ipv4.conf.eth4.rp_filter=2",), Words(4))

        assert probe(lab, numbered, Words(4))
