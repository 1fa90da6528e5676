"""Values and addresses of configurations that no plugin accepts: named with what is accepted, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cnitest.cni.conf import network
from cnitest.conformance.discover import start_addresses, warnings
from cnitest.plugins import files, values
from cnitest.plugins.knowledge import WRONG, Key

POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}
UNREAD = {("firewall", "backend", "nftables"), ("host-device", "device", "nic-{container}-{ifname}")}
"""Values in the files that are taken and do nothing, or that are filled in."""


def said(conf: Mapping[str, Any], release: str = "") -> list[str]:
    """What is said of the values of one plugin's configuration."""
    plugin = files.known(str(conf["type"]))
    section = conf.get("ipam") or {}
    pool = files.known(str(section.get("type")))
    return [*map(str, values.faults(plugin, conf, release)), *map(str, values.faults_of_section(pool, section))]


@pytest.mark.parametrize("name", files.names())
def test_what_is_valid_is_accepted(name: str):
    """No value that the files call valid, or at a boundary, is complained about."""
    plugin = files.known(name)
    for key in plugin.all_keys.values():
        for value in (*key.valid, *key.boundary):
            conf = {"type": name, key.name: value, **dict.fromkeys(key.together, 1)}
            if (name, key.name, value if isinstance(value, str) else "") not in UNREAD:
                assert said(conf) == [], key.name


@pytest.mark.parametrize("name", files.names())
def test_what_is_of_another_type_is_not(name: str):
    """Each key is complained about with each value of another type, whatever its case, once."""
    for key in files.known(name).all_keys.values():
        for value in WRONG[key.type]:
            found = said({"type": name, key.name.upper(): value, **dict.fromkeys(key.together, 1)})
            assert [line.partition(" ")[0] for line in found] == [repr(key.name.upper())], (key.name, value)


@pytest.mark.parametrize(
    ("conf", "lines"),
    [
        (
            {"type": "macvlan", "mode": "brigde"},
            ["'mode' is 'brigde', and is none of 'bridge', 'private', 'vepa', 'passthru'; did you mean 'bridge'?"],
        ),
        ({"type": "ipvlan", "mode": "L2"}, ["'mode' is 'L2', and is none of 'l2', 'l3', 'l3s'; did you mean 'l2'?"]),
        ({"type": "firewall", "backend": "nft"}, ["'backend' is 'nft', and is none of 'iptables', 'firewalld'"]),
        ({"type": "bridge", "vlan": 5000}, ["'vlan' is 5000, and 0 to 4094 are accepted"]),
        ({"type": "bridge", "mtu": -1}, ["'mtu' is -1, and 0 and 68 to 65535 are accepted"]),
        (
            {"type": "bridge", "mtu": "1500"},
            ["'mtu' is the text \"1500\", and a whole number, without quotes, is expected; did you mean 1500?"],
        ),
        (
            {"type": "bridge", "mtu": 1500.0},
            ["'mtu' is the number 1500.0, and a whole number, without quotes, is expected; did you mean 1500?"],
        ),
        (
            {"type": "bridge", "isGateway": "True"},
            ["'isGateway' is the text \"True\", and true or false, without quotes, is expected; did you mean true?"],
        ),
        (
            {"type": "bandwidth", "ingressRate": -1, "ingressBurst": 5},
            ["'ingressRate' is -1, and numbers from 0 on are accepted"],
        ),
        (
            {"type": "bandwidth", "egressRate": 1000},
            ["'egressRate' is given, and 'egressBurst', which belongs to it, is not, or is 0"],
        ),
        (
            {"type": "tuning", "sysctl": {"net.core.somaxconn": 500}},
            [
                "'sysctl.net.core.somaxconn' is the number 500, and text between double quotes, is expected; "
                'did you mean "500"?'
            ],
        ),
        (
            {"type": "portmap", "conditionsV4": "-d x"},
            ["'conditionsV4' is the text \"-d x\", and a list, [ … ], is expected; did you mean [\"-d x\"]?"],
        ),
        ({"type": "tuning", "mac": "zz"}, ["'mac' is wrong: 'zz' is not a MAC (six bytes such as"]),
        (
            {"type": "bridge", "ipam": {**POOL, "ranges": {"subnet": "10.2.0.0/24"}}},
            [
                "'ipam.ranges' is an object, and a list of lists, [[ … ]], is expected; did you mean "
                '[[{"subnet": "10.2.0.0/24"}]]?'
            ],
        ),
        (
            {"type": "bridge", "ipam": {**POOL, "routes": ["0.0.0.0/0"]}},
            ["'ipam.routes[0]' is the text \"0.0.0.0/0\", and an object, { … }, is expected"],
        ),
        ({"type": "bridge", "ipam": {**POOL, "subnet": 10}}, ["'ipam.subnet' is the number 10, and text between"]),
        ({"type": "bridge", "mtu": None, "ipMasqBackend": "", "ipam": {**POOL, "routes": None}}, []),
        ({"type": "somebodys", "mtu": "1500"}, []),
    ],
)  # fmt: skip
def test_each_value_is_named_with_what_is_accepted(conf: dict[str, Any], lines: list[str]):
    """One line a value: the key, the value, and what is accepted; of unknown plugins nothing is claimed."""
    found = said(conf)

    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True)), found


def test_a_value_that_came_later_is_known_by_the_release():
    """A word that a release brought is rejected for older ones, and not where the release is unknown."""
    conf = {"type": "firewall", "ingressPolicy": "isolated"}

    assert said(conf, "1.6.2") == ["'ingressPolicy' is 'isolated', which came with release 1.7.0; this one is 1.6.2"]
    assert said(conf, "1.9.1") == said(conf) == []


def test_a_number_may_have_one_limit():
    """A range is named by the limits that it has."""
    plugin = files.known("bridge")
    key = Key(name="mtu", type="number", least=1)
    about = type(plugin)(name="x", family="interface", keys={"mtu": key})

    assert [str(each) for each in values.faults(about, {"mtu": 0})] == [
        "'mtu' is 0, and numbers from 1 on are accepted"
    ]


@pytest.mark.parametrize(
    ("ranges", "lines"),
    [
        ([{"subnet": "fd00::/64"}], ["'ipam.ranges[0]' is an object, and a list, [ … ], is expected; did you mean "
                                     '[{"subnet": "fd00::/64"}]?']),
        ({"subnet": "fd00::/64"}, ["'ipam.ranges' is an object, and a list of lists, [[ … ]], is expected; did you "
                                   'mean [[{"subnet": "fd00::/64"}]]?']),
        ([["fd00::/64"]], ["'ipam.ranges[0][0]' is the text \"fd00::/64\", and an object, { … }, is expected"]),
        ([[{"subnet": "fd00::/64"}]], []),
    ],
)  # fmt: skip
def test_lists_of_lists(ranges: Any, lines: list[str]):
    """One pair of brackets too few is named where it lacks, with what was meant."""
    section = {"type": "host-local", "ranges": ranges}

    assert [str(each) for each in values.faults_of_section(files.known("host-local"), section)] == lines


def of_addresses(**ipam: Any) -> list[str]:
    """What is said of the addresses of a section."""
    return list(start_addresses.faults({"type": "bridge", "ipam": {"type": "host-local", **ipam}}))


@pytest.mark.parametrize(
    ("ipam", "lines"),
    [
        ({}, ["ipam has neither 'subnet' nor 'ranges'"]),
        ({"ranges": [[]]}, ["ipam.ranges[0] is empty"]),
        (
            {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.5"},
            ["ipam: rangeStart 10.1.0.9 lies"],
        ),
        ({"subnet": "fd00::/64", "rangeStart": "fd00::9", "rangeEnd": "fd00::5"}, ["ipam: rangeStart fd00::9 lies"]),
        (
            {"subnet": "10.1.0.0/31"},
            ["ipam.subnet: '10.1.0.0/31' is too small: a network to give addresses from is a /30"],
        ),
        (
            {"subnet": "fd00::/127"},
            ["ipam.subnet: 'fd00::/127' is too small: a network to give addresses from is a /126"],
        ),
        ({"subnet": "10.1.0.0/24", "gateway": "10.2.0.1"}, ["ipam.gateway: 10.2.0.1 is not in the subnet 10.1.0.0/24"]),
        ({"subnet": "10.1.0.0/24", "gateway": "fd00::1"}, ["ipam.gateway: fd00::1 is not in the subnet 10.1.0.0/24"]),
        ({"subnet": "10.1.0.0/24", "gateway": "10.1.0.255"}, ["ipam.gateway: 10.1.0.255 is the broadcast address"]),
        (
            {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.5/24"},
            ["ipam.rangeStart: '10.1.0.5/24' is not an address. Did you mean '10.1.0.5'?"],
        ),
        (
            {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.1", "rangeEnd": "10.1.0.1"},
            ["ipam (10.1.0.1 to 10.1.0.1): its"],
        ),
        (
            {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]]},
            ["ipam.ranges[0][0] (10.1.0.1 to 10.1.0.254) and ipam.ranges[1][0] (10.1.0.1 to 10.1.255.254) overlap"],
        ),
        ({"ranges": [[{"subnet": "fd00::/64"}, {"subnet": "fd00::/48"}]]}, ["ipam.ranges[0][0] (fd00::1 to "]),
        (
            {"subnet": "10.1.0.0/24", "ranges": [[{"subnet": "10.1.0.0/24"}]]},
            ["ipam (10.1.0.1 to 10.1.0.254) and ipam.ranges"],
        ),
        ({"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]}, ["ipam.ranges[0] has IPv4 and IPv6"]),
        ({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]}, []),
        (
            {
                "ranges": [
                    [
                        {"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.9"},
                        {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10"},
                    ]
                ]
            },
            [],
        ),
        ({"subnet": "10.1.0.0/24", "routes": [{"gw": "10.1.0.1"}]}, ["ipam.routes[0] has no 'dst'"]),
        ({"subnet": "10.1.0.0/24", "routes": [{"dst": "default"}]}, ["ipam.routes[0].dst: 'default' is not "]),
        (
            {"subnet": "10.1.0.0/24", "routes": [{"dst": "10.5.0.1/16"}]},
            ["ipam.routes[0].dst: '10.5.0.1/16' has bits of a"],
        ),
        (
            {"subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0"}]},
            ["ipam.routes[0].gw: '10.1.0' is not"],
        ),
        (
            {"subnet": "10.1.0.0/24", "routes": [{"dst": "::/0", "gw": "10.1.0.1"}]},
            ["ipam.routes[0]: gw 10.1.0.1 is IPv4"],
        ),
        (
            {"subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0", "gw": "10.2.0.1"}]},
            ["ipam.routes[0].gw: 10.2.0.1 is in none"],
        ),
        ({"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]}, []),
        ({"type": "static", "addresses": [{"address": "10.1.0.5"}]}, ["ipam.addresses[0].address: '10.1.0.5' is not "]),
        (
            {"type": "static", "addresses": [{"address": "10.1.0.0/24"}]},
            ["ipam.addresses[0].address: 10.1.0.0/24 is the first"],
        ),
        (
            {"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "fd00::1"}]},
            ["ipam.addresses[0].gateway: fd00"],
        ),
        ({"type": "static", "addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]}, []),
        ({"type": "static", "addresses": [{"address": "fd00::/64", "gateway": "fe80::1"}]}, []),
        ({"type": "somebodys", "range": "10.1.0.0/24"}, []),
        (
            {"subnet": "10.001.0.0/24"},
            ["ipam.subnet: '10.001.0.0/24' is not an address with prefix (0-32). Did you mean '10.1."],
        ),
        (
            {"subnet": "10.1.0.0/24", "gateway": "010.1.0.01"},
            ["ipam.gateway: '010.1.0.01' is not an address. Did you mean '10.1.0.1'?"],
        ),
        (
            {"subnet": "fd00::/64", "gateway": "fd00::1%eth0"},
            ["ipam.gateway: 'fd00::1%eth0' is not an address. Did you mean 'fd00::1'?"],
        ),
    ],
)
def test_addresses_that_contradict_each_other(ipam: dict[str, Any], lines: list[str]):
    """What cannot be is named with its place, in IPv4 and IPv6; what can be is not."""
    found = of_addresses(**ipam)

    assert len(found) == len(lines), found
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True)), found


def test_a_runtime_may_bring_the_ranges():
    """A section without ranges is complete where the runtime hands them in."""
    conf = {"type": "bridge", "ipam": {"type": "host-local"}, "capabilities": {"ipRanges": True}}

    assert list(start_addresses.faults(conf)) == []


def warned(*plugins: Mapping[str, Any], **whole: Any) -> list[str]:
    """The warnings of a list of plugins."""
    return warnings.warnings(network({"cniVersion": "1.0.0", "name": "n", "plugins": list(plugins), **whole}), ())


@pytest.mark.parametrize(
    ("plugin", "line"),
    [
        ({"type": "bridge", "isGatway": 1}, "bridge has no key 'isGatway', and ignores it; did you mean 'isGateway'?"),
        (
            {"type": "bridge", "isgateway": True},
            "bridge: the key 'isgateway' is written 'isGateway'; what is made in Go reads it all the same",
        ),
        ({"type": "bridge", "ipam": {}}, "bridge: ipam has no 'type', so no address is given"),
        (
            {"type": "macvlan", "ipam": {"addresses": [{"address": "10.1.0.5/24"}]}},
            'macvlan: ipam has no \'type\', so no address is given; did you mean "type": "static"?',
        ),
        ({"type": "bridge", "ipam": "host-local"}, "bridge: 'ipam' is not an object, { … }, with the 'type' of an"),
    ],
)
def test_a_plugin_is_warned_of(plugin: dict[str, Any], line: str):
    """One line for what nobody reads or what leads to no address."""
    (found,) = warned(plugin)

    assert found.startswith(line)


def test_keys_of_a_list_are_warned_of():
    """A key beside 'plugins' that no runtime reads, and one that belongs to a plugin."""
    found = warned({"type": "bridge"}, disablecheck=True, ipam=POOL)

    assert found == [
        "a list has no key 'disablecheck', and runtimes ignore it; did you mean 'disableCheck'?",
        "a list has no key 'ipam', and runtimes ignore it; it belongs to one of its plugins",
    ]


@pytest.mark.parametrize(
    ("plugin", "whole", "line"),
    [
        ({"type": "bridge", "dns": {"nameserver": []}}, {}, "bridge has no key 'nameserver' in dns, and ignores"),
        ({"type": "bridge"}, {"cniVersions": ["1.0.0", "1.1"]}, "cniVersions has '1.1', which is none of 0.1.0, "),
        ({"type": "bridge", "ipam": {"type": "static"}}, {}, "ipam has no 'addresses': static gives those alone, and"),
        (
            {"type": "bridge", "ipam": {**POOL, "routes": [{"dst": "0.0.0.0"}]}},
            {},
            "ipam.routes[0].dst: '0.0.0.0' is not an address with prefix (0-32). Did you mean '0.0.0.0/0'?",
        ),
    ],
)
def test_parts_of_a_configuration_are_warned_of(plugin: dict[str, Any], whole: dict[str, Any], line: str):
    """One line for what is inside a section, or beside the plugins."""
    (found,) = warned(plugin, **whole)

    assert found.startswith(line)
