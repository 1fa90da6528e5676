"""What tests take for themselves is never the user's: networks, ports and names."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from cnitest.conformance.bench import request
from cnitest.conformance.model import space
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject


def subject(conf: dict[str, Any], **setting: Any) -> Subject:
    """A subject with a configuration and a setting."""
    return Subject("x", "x", Kind.INTERFACE, "n", conf, (), (), ("1.0.0",), (), "x", setting=Setting(**setting))


@pytest.mark.parametrize("family", [4, 6])
def test_networks_overlap_neither_user_nor_topology(family: int):
    """Whatever is named anywhere, as a network or an address, is left alone; two numbers are two networks."""
    taken = {4: ["198.18.0.0/16", "198.19.1.7"], 6: ["2001:db8:c000::/48", "2001:db8:c001::7"]}[family]
    used = subject({"ipam": {"subnet": taken[0]}}, host_setup=(("ip", "address", "add", taken[1], "dev", "lo"),))

    found = [space.network(used, family, nth) for nth in range(3)]

    named = [ipaddress.ip_network(taken[0]), ipaddress.ip_network(taken[1])]
    assert not any(one.overlaps(other) for one in found for other in named)  # type: ignore[arg-type]
    assert len(set(found)) == 3


def test_networks_leave_the_topology_alone():
    """The uplink of the default topology is nobody else's."""
    full = subject({"ranges": ["198.18.0.0/15", "172.16.0.0/12", "10.0.0.0/8"]})

    found = [space.network(full, 4, nth) for nth in range(100)]

    assert ipaddress.ip_network("192.168.80.0/24") not in found


def test_ports_and_names_are_free():
    """A number or a name of the configuration is not taken."""
    used = subject({"bridge": "cnitest0", "port": 18080}, capabilities={"portMappings": [{"hostPort": 18081}]})

    assert space.port(used, 18080) == 18082
    assert space.name(used, "cnitest0") == "cnitest00"


@pytest.mark.parametrize(
    ("section", "families"),
    [
        ({"subnet": "10.1.0.0/24"}, (4,)),
        ({"subnet": "fd00::/64"}, (6,)),
        ({"a": "10.1.0.1/8", "b": "fd00::1/64"}, (4, 6)),
    ],
)
def test_families_are_those_of_the_network(section: dict[str, str], families: tuple[int, ...]):
    """What is tried in each family is so in those that the network has."""
    assert space.families(subject({"ipam": {**section, "routes": [{"dst": "0.0.0.0/0"}]}})) == families


def test_a_sibling_overlaps_nothing():
    """Its networks are others than those of the list, of the profile and of the topology; its bridge is nobody's."""
    conf = {"bridge": "cni0", "ipam": {"ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9"}]]}}
    used = subject(
        conf, host_setup=(("ip", "address", "add", "10.1.64.1/24", "dev", "lo"), ("ip", "link", "x", "cni0b"))
    )
    used = replace(used, before=({"bridge": "cni0", "ipam": {"subnet": "10.1.65.0/24"}},))

    own, before = request.siblings(used)

    assert own["ipam"]["ranges"] == [[{"subnet": "10.1.66.0/24", "rangeStart": "10.1.66.9"}]]
    assert before["ipam"] == {"subnet": "10.1.131.0/24"}
    assert own["bridge"] == before["bridge"] == "cni0b0"


@pytest.mark.parametrize("text", ["255.255.255.255", "255.255.255.0/24", "ffff:ffff:ffff:ffff::/64"])
def test_what_has_nothing_behind_it_is_not_moved(text: str):
    """The last addresses stay."""
    assert request.sibling({"x": text}) == {"x": text}


def test_a_sibling_of_a_long_bridge_can_be_made():
    """Names of links have fifteen letters."""
    assert request.sibling({"bridge": "a-bridge-of-15c"}) == {"bridge": "a-bridge-of-15b"}
