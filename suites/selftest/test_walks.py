"""The way of a network configuration to its finding is short: measured while `cnitest run` goes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

MOST_FUNCTIONS, MOST_RETURNS = 18, 3
PLUGIN = """#!/bin/sh
# Succeeds whatever it is asked: what PROTO-03 finds.
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
ADD) echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.7.0.2/24"}]}' ;;
esac
"""
COMMAND = """
from cnitest.suites.selftest import walking
walking.start()
from cnitest.cli.commands import main
main()
"""
Way = list[tuple[str, str]]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> list[Way]:
    """How a configuration of one plugin came to the moments of `walking`, but for what is asked before any check."""
    place = tmp_path_factory.mktemp("walk")
    (place / "lax").write_text(PLUGIN)
    (place / "lax").chmod(0o755)
    file, out = place / "lax.conflist", place / "ways"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "lax"}]}))
    argv = ["run", file.name, "--cni-path", str(place), "-n", "0", "--requirement", "PROTO-03"]
    argv += ["--", "-p", "cnitest.suites.selftest.walking"]
    environment = {**os.environ, "CNITEST_WALK": str(out)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *argv], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert "FAIL     lax: PROTO-03" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    found: list[Way] = [[(module, name) for module, name in json.loads(line)] for line in out.read_text().splitlines()]
    return [_walked(way) for way in found if not _asks_before(way)]


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

    ends = {way[-1][1] for way in ways}
    assert ends == {"_network", "examine", "call", "Finding.__init__", "case_report"}
    assert len(passed) <= MOST_FUNCTIONS, "\n".join(map(str, sorted(passed)))


def test_the_way_seldom_returns_to_a_package(ways: list[Way]):
    """Each package does its part and hands on downwards."""
    assert sum(map(returns, ways)) <= MOST_RETURNS


@pytest.mark.parametrize(
    ("packages", "count"), [("a a b c", 0), ("a b a", 1), ("a b a b", 2), ("a b b a a", 1), ("a b c a d b", 2)]
)
def test_returns_are_counted(packages: str, count: int):
    """A package that is still on the way above counts once each time it is entered again."""
    assert returns([(f"{package}.module", "function") for package in packages.split()]) == count
