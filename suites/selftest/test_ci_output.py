"""What a run leaves for CI, with workers and without: folders of failures, JUnit, annotations, a summary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cnitest.suites.selftest.ci_runs import Run, pytest_in

TESTS = """
import pytest

NET = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "isDefaultGateway": True,
       "ipam": {"type": "host-local", "subnet": "10.40.80.0/24"}}

@pytest.mark.topology("node-with-uplink")
@pytest.mark.parametrize("name", ["a/../b::c", "a b"])
def test_forwarded(lab, cni, name):
    c1 = lab.host("node").sandbox("c1")
    cni.add(c1, NET)
    lab.host("node").run(["iptables", "-P", "FORWARD", "DROP"])

    assert c1.ping("8.8.8.8")

@pytest.fixture
def teardown(lab):
    yield
    raise RuntimeError("it broke, 100%: see\\nbelow")

def test_teardown(teardown):
    pass

@pytest.fixture
def setup(lab):
    raise RuntimeError("no setup")

def test_setup(setup):
    pass

def test_passes(lab):
    pass

@pytest.mark.parametrize("number", range(3))
def test_skipped(number):
    pytest.skip("no luck")
"""
FILES = {"report.txt", "explanation.txt", "topology.txt", "states.txt", "calls.jsonl", "packets.pcapng", "repro.sh"}
#: What may be inside of what, as the schema of Jenkins' xUnit plugin (junit-10.xsd) has it.
NESTED = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "properties": {"property"},
}


@pytest.fixture(scope="module", params=["0", "2"])
def run(request, tmp_path_factory):
    """One run of all, with workers of pytest-xdist and without."""
    place = tmp_path_factory.mktemp("run")
    (place / "test_it.py").write_text(TESTS)
    reported = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
        "GITHUB_WORKSPACE": str(place),
    }
    (place / "summary.md").write_text("before\n")
    return pytest_in(place, "-n", request.param, "--junitxml", "j.xml", **reported)


@pytest.mark.requires(plugin=["bridge", "host-local"], binary="iptables")
class TestRun:
    """A run with four failures: two by a FORWARD policy, one in setup, one in teardown."""

    def test_each_failure_has_a_folder(self, run):
        """Safe names, one each, and a line at the end."""
        names = {row["folder"] for row in run.index["failures"]}

        assert run.done.returncode == 1
        assert len(names) == 4
        assert {path.name for path in (run.place / "out").iterdir()} == {*names, "index.json", "INDEX.md"}
        assert all(name.isascii() and not set(name) & set('/\\:*?"<>| ') for name in names)
        assert f"artifacts: 4 failures in {run.place}/out\n" in run.done.stdout

    def test_a_folder_tells_what_was_lost_and_why(self, run):
        """The cause, the calls, what changed, the packets."""
        folder = run.folder("a b")
        calls = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
        shown = {name: (folder / name).read_text() for name in FILES - {"packets.pcapng"}}

        assert {path.name for path in folder.iterdir()} == FILES
        assert "ip filter FORWARD policy DROP" in shown["explanation.txt"]
        assert "iptables" in shown["states.txt"]
        assert "┌─ node" in shown["topology.txt"]
        assert "assert <dropped: ping 8.8.8.8" in shown["report.txt"]
        assert "cnitest: why" in shown["report.txt"]
        assert [(call["plugin"], call["command"], call["exit"]) for call in calls] == [("bridge", "ADD", 0)]
        assert json.loads(calls[0]["stdin"])["name"] == "net"
        assert calls[0]["environment"]["CNI_IFNAME"] == "eth0"
        assert (folder / "packets.pcapng").read_bytes()[:4] == b"\n\r\r\n"

    def test_the_script_runs_the_test_again(self, run):
        """Its command names the one test, however odd its name is."""
        script = run.folder("a/../b::c") / "repro.sh"
        bin_directory = str(Path(sys.executable).parent)
        path = f"{bin_directory}:{os.environ['PATH']}"

        done = subprocess.run([script], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})

        assert done.returncode == 1
        assert "1 failed" in done.stdout

    def test_setup_and_teardown_have_folders(self, run):
        """With where it failed, and the picture of a lab that has ended."""
        failed_in = {row["test"].rpartition("::")[2]: row["failed in"] for row in run.index["failures"]}

        assert failed_in["test_setup"] == ["setup"]
        assert failed_in["test_teardown"] == ["teardown"]
        for test in ("test_setup", "test_teardown"):
            assert "┌─ node" in (run.folder(test) / "topology.txt").read_text()

    def test_the_index_is_read_first(self, run):
        """Causes, where, what ran it."""
        page = (run.place / "out" / "INDEX.md").read_text()

        assert page.startswith("# 4 failures\n")
        assert page.count("- cause: `ip filter FORWARD policy DROP`") == 2
        assert "- where: `node:cni0 in, hook FORWARD`" in page
        assert f"- kernel: {os.uname().release}" in page
        assert "- plugin.bridge: " in page

    def test_junit_has_properties(self, run):
        """Of the suite, and of each test."""
        suite = ET.parse(run.place / "j.xml").getroot()[0]
        facts = {one.get("name"): one.get("value") for one in suite.find("properties")}
        cases = {case.get("name"): case for case in suite.iter("testcase")}

        assert facts["kernel"].startswith(os.uname().release)
        assert {"cnitest", "pytest", "python", "user", "plugin.bridge"} <= set(facts)
        assert [one.attrib for one in cases["test_passes"].find("properties")] == [
            {"name": "topology", "value": "node-with-uplink"}
        ]
        assert cases["test_skipped[0]"].find("properties") is None

    def test_github_gets_an_annotation_for_each_cause(self, run):
        """Each on a line of its own, the last of the output, with nothing in it that ends it."""
        lines = run.done.stdout.splitlines()
        commands = [line for line in lines if line.startswith("::")]

        assert lines[-3:] == commands
        assert commands[0].startswith("::error file=test_it.py,line=14,title=test_it.py%3A%3Atest_forwarded[")
        assert "ip filter FORWARD policy DROP%0Alost at node:cni0 in, hook FORWARD%0A" in commands[0]
        assert "the same in 1 other: " in commands[0]
        assert any("RuntimeError: it broke, 100%25: see" in command for command in commands)

    def test_github_gets_a_summary(self, run):
        """Behind what others have written: totals, causes, skips, environment."""
        page = (run.place / "summary.md").read_text()

        assert page.startswith("before\n### cnitest: 2 failed, 2 errors, 2 passed, 3 skipped\n")
        assert "| 2 | ip filter FORWARD policy DROP | node:cni0 in, hook FORWARD |" in page
        assert "- 3: no luck" in page
        assert "- kernel: " in page


def test_a_finding_has_its_script_and_what_it_left(tmp_path):
    """A case of the conformance suite: JUnit says which, and the run's own JSON has no script that nobody asked for."""
    from cnitest.fixtures import faulty

    chosen = [fault for fault in faulty.faults() if fault.name == "wire-leaves-the-link"]
    (profile,) = faulty.install(chosen, tmp_path / "faults")
    command = [sys.executable, "-m", "cnitest.cli", "run", str(profile), "--strict", "--requirement", "ADDF-a"]
    written = ["--artifacts", "out", "--json", "c.json", "--junitxml", "j.xml", "-n", "1"]

    done = subprocess.run([*command, *written], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)

    folder = Run(tmp_path, done).folder("[wire-leaves-the-link-1.1.0]")
    (case,) = ET.parse(tmp_path / "j.xml").getroot().iter("testcase")
    properties = {one.get("name"): one.get("value") for one in case.find("properties")}
    rows = json.loads((tmp_path / "c.json").read_text())["requirements"]
    assert done.returncode == 1
    assert {path.name for path in folder.iterdir()} == FILES - {"explanation.txt", "packets.pcapng"}
    assert "node/c1:\n  + links eth0: " in (folder / "states.txt").read_text()
    assert "# ADDF-a" in (folder / "repro.sh").read_text()
    assert subprocess.run(["bash", "-n", folder / "repro.sh"], check=False).returncode == 0
    assert {each["script"] for row in rows for each in row["cases"]} == {""}
    assert properties == {
        "requirement": "ADDF-a", "topology": "node-with-uplink", "plugin": "wire-leaves-the-link", "version": "1.1.0",
        "verdict": "failed",
    }  # fmt: skip


@pytest.mark.parametrize("strict", [False, True])
def test_junit_is_valid_where_a_parser_is_strict(tmp_path, strict):
    """With ``cni_junit_strict`` no test has properties, which the schema of Jenkins' xUnit plugin does not know."""
    (tmp_path / "test_it.py").write_text("def test_it(record_property): record_property('a', 'b')\n")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ncni_junit_strict = {strict}\n")

    pytest_in(tmp_path, "--junitxml", "j.xml")

    nested = {(one.tag, below.tag) for one in ET.parse(tmp_path / "j.xml").iter() for below in one}
    unknown = {(one, below) for one, below in nested if below not in NESTED.get(one, set())}
    assert unknown == (set() if strict else {("testcase", "properties")})


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path):
    """It never fails a run."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")

    run = pytest_in(tmp_path, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path / "none" / "summary"))

    warnings = [line for line in run.done.stdout.splitlines() if line.startswith("warning: ")]
    assert run.done.returncode == 0
    assert warnings == [
        f"warning: the job's summary is not written: {tmp_path}/none/summary: No such file or directory"
    ]


def test_github_gets_nothing_where_it_does_not_run_us(tmp_path):
    """Without its variable, and of tests of other things."""
    (tmp_path / "test_it.py").write_text("def test_it(): assert 0\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    reported = {**clean, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}

    without = pytest_in(tmp_path)
    other = subprocess.run(
        [sys.executable, "-m", "pytest"], capture_output=True, text=True, check=False, cwd=tmp_path, env=reported
    )

    assert "::error" not in without.done.stdout + other.stdout
    assert not (tmp_path / "summary").exists()
