"""The suite of bug reports tells plugins that have a bug from those that are free of it, whosever they are."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import cnitest.suites.regressions
import pytest

from cnitest.cni import plugins
from cnitest.cni.calls.invoke import search_path
from cnitest.report.marks import bug_reports

SUITE = Path(cnitest.suites.regressions.__file__).parent
pytestmark = pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local"], binary=["iptables", "ip6tables"])


def cited():
    """The IDs that tests cite, with the docstrings of those tests."""
    for file in SUITE.glob("test_*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                for call in function.decorator_list:
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.regression":
                        yield call.args[0].value, function.name, ast.get_docstring(function)


def test_each_row_has_a_test_and_each_test_a_row():
    """And rows that name a test name one of their own."""
    reports, tests = bug_reports.read(SUITE), list(cited())

    assert {name for name, _, _ in tests} == set(reports)
    for report in reports.values():
        own = {function for name, function, _ in tests if name == report.id}
        assert {has.test for has in report.has if has.test} <= own


def tell(directory, *arguments):
    """``cnitest run --suite regressions`` in a directory, and the reports of its JSON by ID."""
    found = directory / "found.json"
    command = [sys.executable, "-m", "cnitest.cli", "run", "--suite", "regressions", "--json", str(found), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=directory)
    reports = json.loads(found.read_text())["reports"] if found.exists() else []
    return done, {report["id"]: report for report in reports}


@pytest.fixture
def run(tmp_path):
    """Runs the suite with a bridge plugin of its own: the real one, with shell commands after some of its calls."""

    def runner(select, **after):
        real = plugins.find("bridge", search_path([]))
        lines = [f"{command}) {script};;" for command, script in after.items()]
        wrapper = tmp_path / "bridge"
        wrapper.write_text(f'#!/bin/sh\n{real} || exit\ncase "$CNI_COMMAND" in {" ".join(lines)} esac\n')
        wrapper.chmod(0o755)
        return tell(tmp_path, "-k", select, "--cni-path", os.pathsep.join([str(tmp_path), *search_path([])]))

    return runner


LEAK = "test_masquerade_rules_are_gone and iptables"


def test_a_plugin_without_a_bug_is_free_of_it(run):
    """Another author's DEL that removes its rules: nothing is expected of it, and the run is green."""
    remove = "iptables -t nat -F >/dev/null; ip6tables -t nat -F >/dev/null; iptables -t nat -X; ip6tables -t nat -X"
    done, reports = run(LEAK, DEL=remove)

    assert done.returncode == 0, done.stdout
    assert reports["REG-13"]["verdict"] == "free of it"
    assert "free of it: 1" in done.stdout


def test_another_authors_plugin_with_a_known_bug_fails(run):
    """The same bug that is expected of a release of the reference plugins."""
    done, reports = run(LEAK, VERSION=":")

    assert done.returncode == 1
    assert reports["REG-13"]["verdict"] == "has it"
    assert not reports["REG-13"]["expected"]
    assert "https://github.com/containernetworking/plugins/issues/810" in done.stdout


def test_a_bug_that_no_release_has_is_found(run):
    """A rule that masquerades inside the network shows at the peer."""
    add = "iptables -t nat -I POSTROUTING -j MASQUERADE >/dev/null"
    done, reports = run("test_containers_of_a_network_see and iptables and ipv4 and not nftables", ADD=add)

    assert done.returncode == 1
    assert reports["REG-16"]["verdict"] == "has it"
    assert "the peer sees 10.40.80.1" in done.stdout


def test_what_fails_otherwise_is_undecided(run):
    """A DEL that breaks is no symptom of any report."""
    done, reports = run("test_masquerade_rules_do_not_pile_up and iptables", DEL="exit 1")

    assert done.returncode == 1
    assert reports["REG-14"]["verdict"] == "undecided"


def test_without_the_plugins_nothing_applies(tmp_path):
    """Each row has the reason, and the run fails, as nothing was tried."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done, _ = tell(tmp_path, "--cni-path", "empty")

    assert done.returncode == 1
    assert f"does not apply: {len(bug_reports.read(SUITE))}" in done.stdout
    assert "no plugin 'bridge' in " in done.stdout


ROW = '[{id: REG-1, symptom: x, links: ["https://example.com"]}]'


@pytest.mark.parametrize(
    ("table", "mark", "said"),
    [
        (
            '[{id: REG-1, symptom: x, links: ["https://example.com"]}]',
            '"REG-11"',
            "*no row of *reports.yaml has this ID*",
        ),
        (
            '[{id: REG-1, symptom: x, links: ["https://example.com"]}]',
            "",
            "*it takes the ID of one row of reports.yaml",
        ),
        ("[{id: REG-1, symptom: x, links: []}]", '"REG-1"', "*reports.yaml:1:*a report needs the link*"),
        (None, '"REG-1"', "*reports.yaml: cannot be read*"),
    ],
    ids=["no row", "no ID", "a faulty table", "no table"],
)
def test_a_mark_without_its_report_fails_its_test(pytester, table, mark, said):
    """Which says what is wrong; the other tests run, and there is no internal error."""
    if table is not None:
        (pytester.path / "reports.yaml").write_text(table)
    pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.regression({mark})\ndef test_a():\n    pass\n\ndef test_b():\n    pass"
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([said])
