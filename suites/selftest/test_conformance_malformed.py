"""The suite over plugins whose results have anything wrong: findings, or why not, but no exception of ours.

CNITEST_MALFORMED=all tries every test with every wrong result; else each test gets another few of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.unit.malformed import RESULTS, Malformed, all_of

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks import running
from cnitest.conformance.checks.registry import Variant, variants
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding, NotApplicable, Undecided
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import PluginError
from cnitest.fuzz.execute.requirements import applying

PATH = ("/usr/lib/cni",)
# What a plugin says is replaced for one command, part by part of the path that the file names.
WRAPPER = """#!/usr/bin/python3 -IS
import json, os, subprocess, sys
done = subprocess.run(["/usr/lib/cni/{plugin}"], input=sys.stdin.buffer.read(), stdout=subprocess.PIPE)
with open("{change}") as file:
    change = json.load(file)
answer = done.stdout
if os.environ.get("CNI_COMMAND") == "ADD" and done.returncode == 0 and change:
    document = {{"all": json.loads(answer)}}
    change["path"].insert(0, "all")
    try:
        within = document
        for part in change["path"][:-1]:
            within = within[part]
        last = change["path"][-1]
        if change["how"] == "missing":
            del within[last]
        elif change["how"] == "twice":
            within.insert(last, within[last])
        else:
            within[last] = change["value"]
    except (LookupError, TypeError, AttributeError):
        pass  # this result has no such part
    answer = json.dumps(document["all"]).encode()
sys.stdout.buffer.write(answer)
sys.exit(done.returncode)
"""

IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipMasq": True, "ipam": IPAM}
CHANGES = [case for case in all_of(RESULTS["1.0.0"]) if "dns" not in case.change["path"]]
#: The plugin whose result is changed, and its list.
LISTS: dict[str, list[dict[str, Any]]] = {
    "bridge": [{**BRIDGE, "type": "changed-bridge", "capabilities": {"mac": True, "ips": True}}],
    "tuning": [BRIDGE, {"type": "changed-tuning", "mtu": 1400, "capabilities": {"mac": True}}],
    "host-local": [{"type": "changed-host-local", "ipam": {**IPAM, "type": "changed-host-local"}}],
}

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning"))


class Changed:
    """A subject around a real plugin, whose results can be changed."""

    def __init__(self, plugin: str, directory: Path) -> None:
        self._file = directory / "change.json"
        self.change(None)
        program = directory / f"changed-{plugin}"
        program.write_text(WRAPPER.format(plugin=plugin, change=self._file))
        program.chmod(0o755)
        conf = directory / "net.conflist"
        conf.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": LISTS[plugin]}))
        path = (str(directory), *PATH)
        subjects = examine([source(conf, path)], path, versions=("0.4.0", "1.0.0"))
        self.subject = next(one for one in subjects if one.plugin == program.name)

    def change(self, case: Malformed | None) -> None:
        """Change the results of ADD from now on."""
        self._file.write_text(json.dumps(case.change if case else None))


def held(subject: Subject, variant: Variant) -> None:
    """Run one check on a lab of its own; it may end in every way but by an exception of ours."""
    try:
        with open_bench(Trial(subject, "1.0.0")) as bench:
            running.run(variant, bench)
    except (Finding, NotApplicable, Undecided, PluginError):
        return


@cache
def tried() -> bool:
    """Whether every test is tried with every wrong result."""
    return os.environ.get("CNITEST_MALFORMED") == "all"


def chosen(names: list[str], seed: int) -> Iterator[tuple[str, Malformed]]:
    """Tests with wrong results: all with all, or every seventh test with one each, another one each time."""
    if tried():
        yield from ((name, case) for name in names for case in CHANGES)
        return
    for number, name in enumerate(names[seed % 7 :: 7]):
        yield name, CHANGES[(seed + number * 37) % len(CHANGES)]


@pytest.mark.parametrize("plugin", LISTS)
def test_no_result_breaks_a_test(plugin: str, tmp_path: Path):
    """Whatever is wrong with a result, a test of the suite finds, leaves undecided or passes; it never breaks."""
    changed = Changed(plugin, tmp_path)
    names = applying(changed.subject, "1.0.0")

    for name, case in chosen(names, len(plugin)):
        changed.change(case)
        try:
            held(changed.subject, variants()[name])
        except Exception as error:
            raise AssertionError(f"{name}: {case.words}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize(
    ("name", "path", "how"),
    [
        ("test_neighbours_learn_a_returned_address", ["ips"], "missing"),
        ("test_an_address_of_somebody_else_is_noticed", ["ips"], "missing"),
        ("test_an_older_result_is_read_by_del", ["ips"], "other"),
        ("test_a_route_that_leads_elsewhere_is_noticed", ["routes"], "other"),
    ],
)
def test_what_a_test_needs_may_lack(tmp_path: Path, name: str, path: list[str], how: str):
    """A test that picks one part of a result says so where there is none."""
    changed = Changed("bridge", tmp_path)
    changed.change(next(case for case in CHANGES if case.change["path"] == path and case.change["how"] == how))

    held(changed.subject, variants()[name])


def test_a_first_result_of_any_kind_is_examined(tmp_path: Path):
    """What is learnt from the first ADD needs nothing of its result."""
    changed = Changed("bridge", tmp_path)
    for case in CHANGES[::29]:
        changed.change(case)
        path = (str(tmp_path), *PATH)

        found = examine([source(tmp_path / "net.conflist", path)], path, versions=("1.0.0",))

        assert found[0].plugin == "changed-bridge"
