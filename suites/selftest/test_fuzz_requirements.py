"""Requirements of the specification, checked with configurations by ``cnitest fuzz``; what they ask, and what not."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from cnitest.conformance.bench import first
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.execute import requirements
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.search import finding_files, kinds
from cnitest.fuzz.search.searcher import FuzzFinding
from cnitest.fuzz.search.workers import FuzzSettings

PATH = ("/usr/lib/cni",)
POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}
EVERYWHERE = {**POOL, "routes": [{"dst": "0.0.0.0/0"}]}
FIXED = {"type": "static", "addresses": [{"address": "10.1.0.9/24", "gateway": "10.1.0.1"}]}
BRIDGE = {"type": "bridge", "isGateway": True, "ipam": POOL}
SWITCH = {"type": "bridge", "ipMasq": True, "ipam": EVERYWHERE}
PRIVATE = {"type": "macvlan", "mode": "private", "ipam": EVERYWHERE}
ARGUMENTS = "test_the_delegate_gets_the_variables"
GATEWAY, PEERS, OUTSIDE = "test_the_gateway_answers", "test_containers_reach_each_other", "test_the_outside_answers"
AT_ONCE, NETWORKS = "test_many_adds_at_once", "test_two_networks_at_once"
FORGETFUL = """#!/bin/sh
[ "$CNI_COMMAND" != DEL ] || unset CNI_ARGS
exec /usr/lib/cni/bridge
"""
#: bridge, whose gateway is gone as soon as it has answered.
DEAF = """#!/bin/sh
/usr/lib/cni/bridge || exit
[ "$CNI_COMMAND" != ADD ] || ip address flush dev cni0
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "static", "macvlan"))


def held(name: str, *plugins: dict[str, Any]) -> Scenario:
    """One requirement, checked with a list of plugins."""
    network = {"cniVersion": "1.0.0", "name": "net", "plugins": list(plugins)}
    return Scenario((Example(network),), (), held=name)


def plugin_of(tmp_path: Path, script: str) -> tuple[str, ...]:
    """A search path with another bridge before Debian's."""
    plugin = tmp_path / "bridge"
    plugin.write_text(script)
    plugin.chmod(0o755)
    return (str(tmp_path), *PATH)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Debian's bridge."""
    return subject_of("bridge", PATH)


def test_a_requirement_is_checked_and_written(subject: Subject, tmp_path: Path):
    """What breaks a requirement is reported with its requirement, and its script sees it only while it is so."""
    honest, wrong = trial_of(subject), trial_of(subject_of("bridge", plugin_of(tmp_path, FORGETFUL)))
    one = held(ARGUMENTS, BRIDGE)

    with ReusingExecutor(wrong) as executor:
        (violation,) = executor.run(one)
        finding = FuzzFinding(violation, one, (violation.cause,), "requirements", 1, 0.1, 1)
        place = finding_files.write(finding, executor, tmp_path, "bridge")

    assert violation.cause == "requirement bridge: DLG-02"
    assert "DEL: CNI_ARGS was" in violation.words
    with ReusingExecutor(honest) as executor:
        assert executor.run(one) == []
    for path, code in ((f"{tmp_path}:/usr/lib/cni", 1), ("/usr/lib/cni", 0)):
        argv = ["bash", str(place / "repro.sh")]
        assert subprocess.run(argv, env={**os.environ, "CNI_PATH": path}, capture_output=True).returncode == code


def test_a_requirement_is_drawn_with_what_it_is_about(subject: Subject):
    """Configurations and versions differ, and no requirement is checked in a version that does not have it."""
    seen: set[str] = set()

    @settings(max_examples=40, derandomize=True, database=None, deadline=None)
    @given(kinds.of_requirements(FuzzSettings(subject, ("requirements",), 1, 60.0)))
    def every(one: Scenario) -> None:
        seen.add(one.networks[0].network["cniVersion"])
        assert one.held in {other.held for other in requirements.about(subject, one.networks[0])}

    every()
    assert len(seen) > 2


@pytest.mark.parametrize(
    "name", [GATEWAY, PEERS, OUTSIDE, "test_packets_arrive_outside", "test_the_path_works_at_once"]
)
@pytest.mark.parametrize(
    "conf", [SWITCH, {"type": "bridge", "isGateway": True, "ipam": FIXED}], ids=["switch", "fixed"]
)
def test_a_bridge_is_asked_for_what_it_was_asked_for(subject: Subject, conf: dict[str, Any], name: str):
    """Without isGateway a bridge is no gateway, and two containers with one address are no pair."""
    assert not requirements.hold(trial_of(subject), held(name, conf)).details


@pytest.mark.parametrize("name", [GATEWAY, PEERS, OUTSIDE])
def test_a_mode_keeps_containers_apart(name: str):
    """macvlan's private containers do not reach each other, nor a gateway that the topology lacks."""
    assert not requirements.hold(trial_of(subject_of("macvlan", PATH)), held(name, PRIVATE)).details


@pytest.mark.parametrize("name", [AT_ONCE, NETWORKS])
@pytest.mark.parametrize("subnet", ["10.1.0.0/30", "10.1.0.0/24"], ids=["tiny", "usual"])
def test_a_tiny_range_is_no_fault(subject: Subject, name: str, subnet: str):
    """Ten containers are not asked of a range of one address, and a second network gets a bridge of its own."""
    conf = {"type": "bridge", "isGateway": True, "ipam": {**POOL, "subnet": subnet}}
    assert not requirements.hold(trial_of(subject), held(name, conf)).details


@pytest.mark.parametrize("families", [("4",), ("6",), ("4", "6")], ids="".join)
def test_what_an_early_result_lacks_is_reported_by_a_later_one_of_the_same_network(families: tuple[str, ...]):
    """The network that a plugin's profile has gives addresses of both families; one that is drawn need not."""
    subnets = {"4": "10.1.0.0/24", "6": "2001:db8::/64"}
    pool = {"type": "host-local", "ranges": [[{"subnet": subnets[family]}] for family in families]}
    network = {"cniVersion": "0.2.0", "name": "net", "plugins": [{"type": "host-local", "ipam": pool}]}

    done = requirements.hold(
        trial_of(subject_of("host-local", PATH)),
        Scenario((Example(network),), (), held="test_early_results_have_addresses"),
    )

    assert not done.details
    assert [str(ipaddress.ip_interface(ip.address).version) for ip in first.ips(done.bench)] == list(families)


def test_a_gateway_that_was_asked_for_has_to_answer(tmp_path: Path):
    """The same requirement sees a bridge that is to be a gateway and is none; the first lost packet is enough."""
    wrong = trial_of(subject_of("bridge", plugin_of(tmp_path, DEAF)))

    outcome = requirements.hold(wrong, held(GATEWAY, BRIDGE))

    assert len(outcome.details) == 1
    assert "10.1.0.1 icmp: dropped" in outcome.details[0]
