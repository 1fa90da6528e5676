"""What a chained plugin makes of a previous result: what it took away itself it may drop, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.conformance.observe.handed import wrongly_handed

NETNS = "/run/netns/c1"
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
GATEWAY = {4: "10.1.0.1", 6: "2001:db8:1::1"}
ADDRESS = {4: "10.1.0.2/24", 6: "2001:db8:1::2/64"}


def state(family: int, *, route: bool = True, address: bool = True, link: bool = True) -> Any:
    """A container with a default route, an address and a link, or without some of these."""
    routes = [
        SimpleNamespace(
            to="default",
            via=GATEWAY[family],
            gateways=(GATEWAY[family],),
            family=family,
            hops=(),
            kind="unicast",
            table=254,
        )
    ]
    ip = SimpleNamespace(ip=ADDRESS[family].partition("/")[0])
    return SimpleNamespace(
        routes=routes if route else [],
        addresses=[ip] if address else [],
        links=[SimpleNamespace(name="net1")] if link else [],
    )


def previous(family: int) -> dict[str, Any]:
    """The result of the plugin before it."""
    return {
        "interfaces": [{"name": "net1", "sandbox": NETNS}],
        "ips": [{"address": ADDRESS[family], "gateway": GATEWAY[family]}],
        "routes": [{"dst": DEFAULT[family]}],
    }


def complaints(family: int, result: dict[str, Any], conf: dict[str, Any] | None = None, **gone: bool) -> list[str]:
    """What is wrong with a result of a plugin after whose ADD something is gone from the container."""
    inside = (state(family), state(family, **gone))
    return wrongly_handed(previous(family), result, conf or {}, inside, (state(family), state(family)))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("odd", [[], {}, 7, True], ids=str)
def test_values_of_other_types_are_lost_ones(family: int, odd: object):
    """An address, a destination or a name that is no text is not the one that was handed over."""
    result = {
        "interfaces": [{"name": odd, "sandbox": NETNS}],
        "ips": [{"address": odd, "gateway": odd, "interface": odd}, {"address": [odd]}],
        "routes": [{"dst": odd, "gw": odd}],
        "dns": {"nameservers": [odd]},
    }

    assert [words.partition(":")[0] for words in complaints(family, result)] == ["ips", "routes", "interfaces"]


def test_dns_of_other_types_is_compared():
    """Entries of a previous DNS may be of any type: they are kept where the result has the same."""
    before = {"dns": {"nameservers": [{"odd": 1}], "search": [["a"]]}}
    both = (state(4), state(4))

    assert wrongly_handed(before, before, {}, both, both) == []
    assert len(wrongly_handed(before, {"dns": {"nameservers": [{"odd": 2}], "search": ["b"]}}, {}, both, both)) == 2


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("key", "gone"), [("routes", "route"), ("ips", "address"), ("interfaces", "link")])
def test_what_the_plugin_took_away_itself_may_be_dropped(family: int, key: str, gone: str):
    """A route, an address or a link that its ADD removed from the container need not be in its result."""
    result = {**previous(family), key: []}

    assert complaints(family, result, **{gone: False}) == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("key", ["routes", "ips", "interfaces"])
def test_what_the_kernel_still_has_may_not_be_dropped(family: int, key: str):
    """Dropped from the result alone is lost."""
    (wrong,) = complaints(family, {**previous(family), key: []})

    assert wrong.startswith(f"{key}: ")
    assert wrong.endswith("is not passed on")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("gone", ["route", "address", "link"])
def test_what_the_plugin_took_away_may_not_be_passed_on(family: int, gone: str):
    """What its ADD removed and its result still has is reported."""
    (wrong,) = complaints(family, previous(family), **{gone: False})

    assert wrong.endswith("is passed on, and ADD took it away")


@pytest.mark.parametrize(("route", "count"), [(False, 0), (True, 1)])
def test_a_gateway_goes_with_its_routes(route: bool, count: int):
    """An address may lose its gateway when no route leads there any more, else it may not."""
    result = {**previous(4), "ips": [{"address": ADDRESS[4]}], "routes": [] if not route else previous(4)["routes"]}

    assert len(complaints(4, result, route=route)) == count


@pytest.mark.parametrize(
    ("conf", "dns", "count"),
    [
        ({}, {"nameservers": ["10.9.9.9"]}, 0),
        ({}, {"nameservers": ["10.8.8.8", "10.9.9.9"]}, 0),
        ({"servers": ["10.8.8.8"]}, {"nameservers": ["10.8.8.8"]}, 0),
        ({}, {"nameservers": ["10.8.8.8"]}, 1),
        ({"servers": ["10.8.8.8"]}, {"nameservers": []}, 1),
        ({}, None, 1),
    ],
)
def test_dns_is_kept_added_to_or_configured(conf: dict[str, Any], dns: Any, count: int):
    """Servers may be added, or replaced by those of the configuration, not lost."""
    before = {"dns": {"nameservers": ["10.9.9.9"]}}
    both = (state(4), state(4))

    assert len(wrongly_handed(before, {"dns": dns}, conf, both, both)) == count


@pytest.mark.parametrize(
    ("key", "row", "changed", "words"),
    [
        ("interfaces", {"name": "x0", "mac": "02:0a:00:00:00:01"}, {"mac": "02:0a:00:00:00:02"}, "mac of x0 was"),
        ("interfaces", {"name": "x0", "sandbox": NETNS, "mtu": 1298}, {"mtu": 1500}, "mtu of x0 was 1298"),
        ("routes", {"dst": "10.9.0.0/16", "priority": 77}, {"priority": 1}, "priority of 10.9.0.0/16 was 77"),
        ("routes", {"dst": "2001:db8:9::/48", "mtu": 1298}, {"mtu": 1400}, "mtu of 2001:db8:9::/48 was 1298"),
    ],
)
def test_what_the_kernel_does_not_have_nobody_can_have_changed(key, row, changed, words):
    """A MAC, an MTU or an option of somebody else's is the same in the result; a MAC may be written in capitals."""
    both = (state(4), state(4))
    capitals = {name: str(value).upper() if name == "mac" else value for name, value in row.items()}

    (wrong,) = wrongly_handed({key: [row]}, {key: [{**row, **changed}]}, {}, both, both)

    assert wrong.startswith(f"{key}: {words}")
    assert wrongly_handed({key: [row]}, {key: [capitals]}, {}, both, both) == []


def test_what_the_kernel_has_a_plugin_may_change():
    """The MAC of a link, and the options of a route, that are there are compared with the kernel by another check."""
    both = (state(4), state(4))
    row, route = {"name": "net1", "sandbox": NETNS, "mac": "02:0a:00:00:00:01"}, {"dst": "0.0.0.0/0", "mtu": 1300}
    given = {"interfaces": [row], "routes": [route]}
    other = {"interfaces": [{**row, "mac": "02:0a:00:00:00:02"}], "routes": [{**route, "mtu": 1400}]}

    assert wrongly_handed(given, other, {}, both, both) == []
