"""The guard of the real machine can fail: what a run changed is said, and the run fails for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnitest.fixtures import guard

CONFTEST = Path(__file__).resolve().parents[2] / "conftest.py"


def test_each_change_is_a_line():
    """What vanished and what appeared are listed by topic; equal snapshots differ in nothing."""
    before = {"links": ("lo", "eth0"), "nft": ()}

    assert guard.changes(before, {"links": ("lo",), "nft": ("table ip leak",)}) == (
        "links: - eth0",
        "nft: + table ip leak",
    )
    assert guard.changes(before, before) == ()


def test_a_snapshot_looks_at_every_topic():
    """Links, routes, firewalls, mounts and sysctls of the machine are in it, and two in a row are equal."""
    first, second = guard.snapshot(), guard.snapshot()

    assert {"links", "routes", "nft", "iptables-legacy", "mounts", "sysctls", "files"} <= set(first)
    assert first["sysctls"]
    assert not [line for line in first["sysctls"] if "available_" in line]  # modules come at any time
    assert guard.changes(first, second) == ()


@pytest.mark.skipif(not CONFTEST.is_file(), reason="the guard's conftest is in the checkout only")
def test_a_run_that_changed_the_machine_fails(pytester):
    """A run whose tests pass fails all the same when the machine is not as it was, and says what changed."""
    changing = "from cnitest.fixtures import guard\n_looks = iter([{'links': ()}, {'links': ('leak0',)}])\n"
    changing += "guard.snapshot = lambda: next(_looks)\n"
    pytester.makeconftest(CONFTEST.read_text().replace("import pytest\n", f"import pytest\n{changing}", 1))
    pytester.makepyfile("def test_passes():\n    pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*the run changed the real machine*", "links: + leak0"])
