"""How many attachments a configuration has room for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cnitest.conformance.model.capacity import capacity
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject


def subject(conf: dict[str, Any], *before: dict[str, Any]) -> Subject:
    """A subject with that configuration."""
    return Subject(
        name="it",
        plugin=str(conf["type"]),
        kind=Kind.INTERFACE,
        network="net",
        conf=conf,
        before=before,
        path=(),
        versions=("1.0.0",),
        advertised=("1.0.0",),
        source="here",
        setting=Setting(),
    )


@pytest.mark.parametrize(
    ("ipam", "most"),
    [
        ({"subnet": "10.1.0.0/30"}, 1),
        ({"subnet": "10.1.0.0/24"}, 253),
        ({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.12"}, 3),
        ({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.12", "gateway": "10.1.0.11"}, 2),
        ({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/126"}]]}, 2),
        ({"ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]]}, 2),
        ({"subnet": "nonsense"}, math.inf),
        ({"addresses": [{"address": "10.1.0.5/24"}]}, math.inf),
        ({"ranges": "nonsense"}, math.inf),
        (None, math.inf),
    ],
)
def test_addresses_are_counted(ipam: Any, most: float):
    """Of each range set an attachment gets one address; the gateway is nobody's."""
    assert capacity(subject({"type": "bridge", "ipam": ipam})) == most


def test_a_device_is_moved_once():
    """The one device of a host goes into one container, but for devices that are each container's own."""
    assert capacity(subject({"type": "host-device", "device": "ens33"})) == 1
    assert capacity(subject({"type": "host-device", "device": "nic-{container}"})) == math.inf


def test_the_plugins_before_count_too():
    """A list has as much room as the tightest of its plugins."""
    tight = {"type": "ptp", "ipam": {"subnet": "10.1.0.0/30"}}
    assert capacity(subject({"type": "tuning"}, tight)) == 1
