"""A network that cannot start for an argument that the runtime hands in: where it stands, and what is expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.test_unstarted import BRIDGE, PATH, timed, tried

PORT = {"hostPort": 8080, "containerPort": 80}
pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "portmap"))


@pytest.mark.parametrize(
    ("profile", "where"),
    [
        ({"capabilities": {"mac": "33:33:00:00:00:01"}}, "the argument of the capability mac is wrong: '33:33:00"),
        ({"args": {"MAC": "01:00:5e:00:53:11"}}, "MAC in CNI_ARGS is wrong: '01:00:5e:00:53:11' is a multicast MAC"),
    ],
    ids=["capability", "CNI_ARGS"],
)
def test_a_mac_that_the_runtime_asks_for_is_named(tmp_path: Path, profile: dict[str, Any], where: str) -> None:
    """A MAC of a profile that no link can have is the likely cause, with where it stands."""
    conf = {"cniVersion": "1.0.0", "name": "n", **BRIDGE, "capabilities": {"mac": True}}
    (tmp_path / "cnitest.yaml").write_text(json.dumps({"conf": conf, **profile}))

    done, _ = timed(tmp_path, "run", "cnitest.yaml", "--cni-path", PATH)

    assert done.returncode == 1
    assert where in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{**PORT, "protocol": "icmp"}], "[0].protocol is 'icmp', and is none of 'tcp', 'udp', 'sctp'"),
        (PORT, " is an object, and a list, [ … ], is expected; did you mean [{"),
    ],
    ids=["protocol", "no list"],
)
def test_ports_that_the_configuration_asks_for(tmp_path: Path, given: Any, said: str) -> None:
    """Arguments that stand in the configuration are looked at as a runtime's are, and told of once."""
    done = tried(tmp_path, BRIDGE, {"type": "portmap", "runtimeConfig": {"portMappings": given}})

    text = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert text.count(f"the argument of the capability portMappings{said}") == 1
    assert "warning" not in text
