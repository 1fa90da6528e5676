"""What is asked of the addresses that a plugin gives, as far as no host is needed for that."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.conformance.bench.request import sibling
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.oracles import allocator
from cnitest.fuzz.oracles.allocator import Expected
from cnitest.fuzz.oracles.attached import Attached


def attached(kind: str, address: str, gateway: str) -> Attached:
    """An attachment whose IPAM plugin is of some kind, with one address."""
    example = Example({"cniVersion": "1.0.0", "plugins": [{"type": "x", "ipam": {"type": kind}}]})
    target: Any = SimpleNamespace(network="net")
    return Attached(Step("ADD"), example, target, {}, result={"ips": [{"address": address, "gateway": gateway}]})


@pytest.mark.parametrize(
    ("kind", "address", "wanted"),
    [
        ("pool", "10.1.0.1/24", ["the address 10.1.0.1 is the gateway's"]),
        ("pool", "10.1.0.2/24", []),
        ("static", "10.1.0.1/24", []),
    ],
)
def test_no_address_is_its_gateways(kind: str, address: str, wanted: list[str]) -> None:
    """An address that a plugin chose is not that of its own gateway; one that a person chose may be."""
    found = allocator.misallocated(attached(kind, address, "10.1.0.1"), Expected(), [])

    assert [violation.words for violation in found] == wanted


def test_no_address_is_given_twice() -> None:
    """Two attachments of a network have different addresses."""
    one, other = attached("pool", "10.1.0.2/24", "10.1.0.1"), attached("pool", "10.1.0.2/24", "10.1.0.1")

    assert allocator.misallocated(one, Expected(), [other])


@pytest.mark.parametrize("subnet", ["10.1.0.1/32", "10.1.0.0/31", "2001:db8::1/128", "nowhere"])
def test_a_subnet_without_room_is_not_known(subnet: str) -> None:
    """The model says nothing of ranges that it cannot have, and does not fail over them."""
    nobody: Any = SimpleNamespace(inside=lambda _: (set(), {}))
    network = {"name": "net", "plugins": [{"type": "x", "ipam": {"type": "host-local", "subnet": subnet}}]}

    found = allocator.expected(nobody, Example(network))

    assert not found.addresses


@pytest.mark.parametrize(
    ("called", "section", "wanted"),
    [
        ("static", {"type": "host-local", "subnet": "10.1.0.0/24"}, ()),
        ("static", {"type": "host-local", "addresses": [{"address": "10.1.0.9/24"}]}, ("10.1.0.9",)),
        ("host-local", {"type": "static", "subnet": "10.1.0.0/24"}, ("10.1.0.2",)),
        ("host-local", {"subnet": "10.1.0.0/24"}, ("10.1.0.2",)),
        ("bridge", {"type": "host-local", "subnet": "10.1.0.0/24"}, ("10.1.0.2",)),
        ("bridge", {"subnet": "10.1.0.0/24"}, ()),
    ],
)
def test_who_is_called_gives_the_addresses(called: str, section: dict[str, Any], wanted: tuple[str, ...]) -> None:
    """An IPAM plugin that is called itself reads its section whatever the type in it is; others call that type."""
    nobody: Any = SimpleNamespace(inside=lambda _: (set(), {}))
    network = {"name": "net", "plugins": [{"type": called, "ipam": section}]}

    assert allocator.expected(nobody, Example(network)).addresses == wanted


@pytest.mark.parametrize("subnet", ["172.20.0.0/16", "10.1.2.0/28", "fd00:7::/48", "2001:db8:2::/120"])
def test_a_sibling_moves_a_range_with_its_subnet(subnet: str) -> None:
    """The second network's range is in its own subnet, however wide that is."""
    network = ipaddress.ip_network(subnet)

    moved = sibling({"ipam": {"ranges": [[{"subnet": subnet, "rangeStart": str(network[3])}]]}})

    row = moved["ipam"]["ranges"][0][0]
    assert row["subnet"] != subnet
    assert ipaddress.ip_address(row["rangeStart"]) in ipaddress.ip_network(row["subnet"])
