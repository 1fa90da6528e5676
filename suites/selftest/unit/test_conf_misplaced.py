"""What a configuration says though it is not its to say, or to no effect; arguments of capabilities of another form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnitest.cni.conf import network
from cnitest.conformance.discover import warnings
from cnitest.plugins import arguments

BRIDGE = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/24"}}
NET = {"cniVersion": "1.0.0", "name": "n"}


def warned(file: Path, conf: dict[str, Any], **given: Any) -> list[str]:
    """The warnings of a file with a configuration."""
    file.write_text(json.dumps(conf))
    return warnings.warnings(network(file), (), given=given.get("given", {}))


@pytest.mark.parametrize(
    ("name", "conf", "line"),
    [
        ("a.conf", {**NET, "plugins": [BRIDGE]}, "a list in a file that ends in .conf, in which runtimes read one"),
        ("a.json", {**NET, "plugins": [BRIDGE]}, "a list in a file that ends in .json, in which runtimes read one"),
        ("a.conf", {**BRIDGE, "name": "n"}, "has no 'cniVersion', which is taken for 0.1.0; write"),
        ("a.conf", {**NET, **BRIDGE, "prevResult": {}}, "bridge: 'prevResult' is for the runtime to write: a plugin h"),
        ("a.conf", {**NET, "type": "bridge", "isGateway": True}, "bridge: 'isGateway' does nothing without 'ipam', w"),
        ("a.conf", {**NET, "type": "bridge", "ipMasq": True}, "bridge: 'ipMasq' does nothing without 'ipam', which is"),
        ("a.conf", {**NET, **BRIDGE, "runtimeConfig": []}, "bridge: 'runtimeConfig' is no object, { … }, of argumen"),
        (
            "a.conflist",
            {**NET, "plugins": [BRIDGE, {"type": "portmap", "runtimeConfig": {"portMappings": {"hostPort": 80}}}]},
            "portmap: in 'runtimeConfig' 'portMappings' is an object, and a list, [ … ], is expected; did you mean [{",
        ),
    ],
)
def test_what_is_not_a_configuration_s_to_say(tmp_path: Path, name: str, conf: dict[str, Any], line: str):
    """One line each: what is written where, and what becomes of it."""
    (found,) = warned(tmp_path / name, conf)

    assert found.startswith(line)


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        ("a.conflist", {**NET, "plugins": [BRIDGE]}),
        ("a.conf", {**NET, **BRIDGE, "isGateway": True, "ipMasq": True}),
        ("a.conf", {**NET, "type": "bridge", "isGateway": False, "ipMasq": False}),
        ("a.conf", {**NET, **BRIDGE, "runtimeConfig": {"mac": "02:00:00:00:00:01", "mine": 5}}),
        (
            "a.json",
            {"kind": "NetworkAttachmentDefinition", "spec": {"config": json.dumps({**NET, "plugins": [BRIDGE]})}},
        ),
    ],
)
def test_nothing_is_said_of_what_is_usual(tmp_path: Path, name: str, conf: dict[str, Any]):
    """A list in its own kind of file or in a manifest, keys that have what they need or are off, arguments that fit."""
    assert warned(tmp_path / name, conf) == []


FAULTY = [
    ("portMappings", {"hostPort": 80}, "portMappings is an object, and a list, [ … ], is expected; did you mean [{"),
    ("portMappings", [80], "portMappings[0] is the number 80, and an object, { … }, is expected"),
    ("portMappings", [{"hostPort": 80}], "portMappings[0].containerPort is missing: the port in the container"),
    ("portMappings", [{"containerPort": 0}], "portMappings[0].containerPort is 0, and 1 to 65535 are accepted"),
    ("portMappings", [{"containerPort": 80, "hostPort": 65536}], "portMappings[0].hostPort is 65536, and 0 to 65535 a"),
    ("portMappings", [{"containerPort": "80"}], 'portMappings[0].containerPort is the text "80", and a whole number, '),
    ("portMappings", [{"containerPort": 80, "protocol": "tpc"}], "portMappings[0].protocol is 'tpc', and is none of"),
    ("portMappings", [{"containerPort": 80, "protocol": 6}], "portMappings[0].protocol is the number 6, and text bet"),
    (
        "portMappings",
        [{"containerPort": 80, "hostIP": "::/0"}],
        "portMappings[0].hostIP is '::/0', which is no address",
    ),
    (
        "portMappings",
        [{"containerPort": 80, "hostport": 80}],
        "portMappings[0].hostport is a key that nobody reads; did",
    ),
    ("bandwidth", {"ingressRate": "1M"}, 'bandwidth.ingressRate is the text "1M", and a whole number, without quotes'),
    ("bandwidth", {"ingresRate": 1}, "bandwidth.ingresRate is a key that nobody reads; did you mean 'ingressRate'?"),
    ("ips", "10.1.0.5", 'ips is the text "10.1.0.5", and a list, [ … ], is expected; did you mean ["10.1.0.5"]?'),
    ("ips", ["2001:db8::5/129"], "ips[0] is '2001:db8::5/129', which is no address, and not an address with prefix (0"),
    ("ipRanges", [{"subnet": "10.1.0.0/24"}], "ipRanges[0] is an object, and a list, [ … ], is expected"),
    ("ipRanges", [[{"subnet": "10.1.0.0/33"}]], "ipRanges[0][0].subnet is '10.1.0.0/33', which is not an address with"),
    ("mac", "33:33:00:00:00:01", "mac is wrong: '33:33:00:00:00:01' is a multicast MAC"),
    ("dns", {"servers": "10.1.0.1"}, 'dns.servers is the text "10.1.0.1", and a list, [ … ], is expected'),
    ("aliases", [5], "aliases[0] is the number 5, and text between double quotes, is expected"),
    ("deviceID", 5, "deviceID is the number 5, and text between double quotes, is expected"),
]


@pytest.mark.parametrize(("name", "value", "said"), FAULTY)
def test_an_argument_of_another_form(name: str, value: Any, said: str):
    """Its place in the argument, what is there, and what is expected."""
    (found,) = map(arguments.words, arguments.faults({name: value}))

    assert found.startswith(f"the argument of the capability {said}")


@pytest.mark.parametrize(
    "given",
    [
        {"portMappings": [{"hostPort": 0, "containerPort": 65535, "protocol": "SCTP", "hostIP": "2001:db8::1"}]},
        {"portMappings": [], "mac": "", "aliases": ["a"], "ips": ["10.1.0.5", "2001:db8::5/64"]},
        {"ipRanges": [[{"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}]], "bandwidth": {"ingressRate": 1}},
        {"dns": {"servers": ["10.1.0.1"], "searches": [], "options": []}, "deviceID": "0000:00:1f.6", "mine": 5},
    ],
)
def test_arguments_that_fit(given: dict[str, Any]):
    """Nothing is wrong with what the conventions have, nor with a capability of somebody's own."""
    assert [*arguments.faults(given)] == []


def test_a_profile_s_arguments_are_warned_of(tmp_path: Path):
    """What `capabilities` of a cnitest.yaml gives is looked at before anything is called."""
    conf = {**NET, "plugins": [{**BRIDGE, "capabilities": {"mac": True}}]}

    found = warned(tmp_path / "a.conflist", conf, given={"mac": "zz"})

    assert found == [
        "the argument of the capability mac is wrong: 'zz' is not a MAC (six bytes such as '02:00:00:00:00:01')"
    ]
