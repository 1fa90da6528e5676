"""The ways of a network configuration and of a generated example to their findings are short: measured while `cnitest
run` and `cnitest fuzz` go them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cnitest.suites.selftest import walking
from cnitest.suites.selftest.unit import architecture

MOST_FUNCTIONS, MOST_RETURNS = 18, 3
MOST_OF_AN_EXAMPLE, MOST_RETURNS_OF_AN_EXAMPLE = 40, 8
PLUGIN = """#!/bin/sh
# Succeeds whatever it is asked: what PROTO-03 finds.
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
ADD) echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.7.0.2/24"}]}' ;;
esac
"""
# Ends ADD with a stack trace, whatever it is asked: what the rule "crash" finds.
CRASHES = """#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
ADD) echo 'panic: runtime error' >&2; echo 'goroutine 1 [running]:' >&2; exit 2 ;;
esac
"""
COMMAND = """
from cnitest.suites.selftest import walking
walking.start()
from cnitest.cli.commands import main
main()
"""
# Builds a topology, probes it, breaks it, and asks why a probe is lost.
PROBES = """
from cnitest.suites.selftest import walking
walking.start()
from cnitest import Lab
from cnitest.topology import find, load
with Lab(load(find("bridge-walkthrough"))) as lab:
    sandbox = lab.sandbox("ns01")
    assert sandbox.ping("10.40.80.1")
    lab.host("node").run(["iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP"])
    print(sandbox.ping("10.40.80.1").explanation)
"""
Way = list[tuple[str, str]]


@pytest.fixture(scope="module")
def of_a_run(tmp_path_factory: pytest.TempPathFactory) -> list[Way]:
    """What is noted while a configuration of one plugin is checked against one requirement."""
    place = tmp_path_factory.mktemp("walk")
    options = ["-n", "0", "--requirement", "PROTO-03", "--", "-p", "cnitest.suites.selftest.walking"]
    return _ways(place, "lax", PLUGIN, "run", options, "FAIL     lax: PROTO-03")


@pytest.fixture(scope="module")
def of_an_example(tmp_path_factory: pytest.TempPathFactory) -> list[Way]:
    """What is noted while examples are generated for one plugin."""
    place = tmp_path_factory.mktemp("example")
    options = ["--only", "configs", "-n", "1", "--examples", "3", "--seed", "1"]
    return _ways(place, "ptp", CRASHES, "fuzz", options, "FOUND in ptp: crash")


@pytest.fixture(scope="module")
def of_probes(tmp_path_factory: pytest.TempPathFactory) -> list[Way]:
    """What is noted while one probe of a topology is answered, and one is lost to a rule."""
    return _noted(tmp_path_factory.mktemp("probes"), [PROBES], "dropped on node")


@pytest.fixture(scope="module")
def ways(of_a_run: list[Way]) -> list[Way]:
    """How a configuration came to the moments of a run, but for what is asked before any check."""
    return [way for way in of_a_run if way[-1] in walking.OF_A_RUN and not _asks_before(way)]


@pytest.fixture(scope="module")
def example(of_an_example: list[Way]) -> list[Way]:
    """How an example came to each moment of fuzzing for the first time, from the campaign on."""
    found = [way for way in of_an_example if ("cnitest.fuzz.search.campaign", "Campaign.run") in way]
    return list({way[-1]: way for way in reversed(found) if way[-1] in walking.OF_AN_EXAMPLE}.values())


def _ways(place: Path, plugin: str, program: str, command: str, options: Sequence[str], said: str) -> list[Way]:
    """The ways that `walking` notes while a subcommand is run with a network of one plugin, and says something."""
    (place / plugin).write_text(program)
    (place / plugin).chmod(0o755)
    file = place / f"{plugin}.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": plugin}]}))
    argv = [COMMAND, command, file.name, "--cni-path", str(place), *options]
    return [_walked(way) for way in _noted(place, argv, said)]


def _noted(place: Path, argv: Sequence[str], said: str) -> list[Way]:
    """The ways that are noted while Python runs a program that says something."""
    moments = [each for walk in architecture.walks() for each in _calls(walk)]
    done = subprocess.run(
        [sys.executable, "-c", *argv],
        cwd=place,
        env={**os.environ, "CNITEST_WALK": str(place / "ways"), "CNITEST_MOMENTS": json.dumps(moments)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    lines = (place / "ways").read_text().splitlines()
    return [[(module, name) for module, name in json.loads(line)] for line in lines]


def _calls(walk: str) -> Way:
    """The functions that a walk names, as calls of them are seen, in the order of the text."""
    return [call for name in architecture.names(walk) if (call := architecture.called(name))]


def _walked(way: Way) -> Way:
    """A way from where the subcommand begins."""
    return [(module, name) for module, name in way if module != "cnitest.cli.commands"]


def _asks_before(way: Way) -> bool:
    """Whether a plugin is called to learn what it is."""
    return way[-1][1] == "call" and any(module.startswith("cnitest.conformance.discover.") for module, _ in way)


def returns(way: Sequence[tuple[str, str]]) -> int:
    """How often a function calls one of a package that has been left on the way to it."""
    packages = [module.rpartition(".")[0] for module, _ in way]
    return sum(
        package != packages[place - 1] and package in packages[:place]
        for place, package in enumerate(packages)
        if place
    )


def test_few_functions_lie_on_the_way(ways: list[Way]):
    """From the subcommand over network, subjects and call to the verdict on a finding."""
    passed = {each for way in ways for each in way}

    assert {way[-1] for way in ways} == walking.OF_A_RUN
    assert len(passed) <= MOST_FUNCTIONS, "\n".join(map(str, sorted(passed)))


def test_the_way_seldom_returns_to_a_package(ways: list[Way]):
    """Each package does its part and hands on downwards."""
    assert sum(map(returns, ways)) <= MOST_RETURNS


def test_few_functions_lie_on_the_way_of_an_example(example: list[Way]):
    """From the subcommand over what generates, the scenario's run, call and oracle to the files of a finding."""
    passed = {each for way in example for each in way}

    assert {way[-1] for way in example} == walking.OF_AN_EXAMPLE
    assert len(passed) <= MOST_OF_AN_EXAMPLE, "\n".join(map(str, sorted(passed)))


def test_the_way_of_an_example_seldom_returns_to_a_package(example: list[Way]):
    """As that of a configuration."""
    assert sum(map(returns, example)) <= MOST_RETURNS_OF_AN_EXAMPLE


@pytest.mark.parametrize(("walk", "noted"), [(0, "of_probes"), (1, "of_a_run"), (2, "of_an_example"), (3, "of_probes")])
def test_a_walk_has_the_order_of_the_first_calls(walk: int, noted: str, request: pytest.FixtureRequest):
    """ARCHITECTURE.md names the functions of each walk in the order in which they are called for the first time."""
    firsts = dict.fromkeys(way[-1] for way in request.getfixturevalue(noted))

    named = _calls(architecture.walks()[walk])

    assert len(named) >= 5
    assert [each for each in firsts if each in named] == named


@pytest.mark.parametrize(
    ("packages", "count"), [("a a b c", 0), ("a b a", 1), ("a b a b", 2), ("a b b a a", 1), ("a b c a d b", 2)]
)
def test_returns_are_counted(packages: str, count: int):
    """A package that is still on the way above counts once each time it is entered again."""
    assert returns([(f"{package}.module", "function") for package in packages.split()]) == count
