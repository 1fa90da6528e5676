"""Workers of pytest-xdist on other machines: of a real OpenSSH server on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from cnitest.suites.selftest import openssh
from cnitest.suites.selftest.openssh import Server
from cnitest.suites.selftest.processes import until

pytestmark = pytest.mark.skipif(bool(openssh.lacking()), reason=openssh.lacking() or "-")

TESTS = """\
import pytest

@pytest.mark.parametrize("number", range(6))
def test_reaches(lab, number, worker_id, record_property):
    record_property("worker", worker_id)
    assert lab.host("node").ping("8.8.8.8")

def test_fails(lab):
    assert lab.host("node").ping("192.0.2.1")
"""
KILLED = """\
import os, pathlib, signal
import pytest

@pytest.mark.parametrize("number", range(6))
def test_reaches(lab, number):
    assert lab.host("node").ping("8.8.8.8")

def test_waits(lab):
    lab.host("node").start(["sleep", "1000"])
    part = pathlib.Path({file!r} + ".part")
    part.write_text(str(os.getpid()))
    part.rename({file!r})
    signal.pause()
"""
OPTIONS = """\
import json, pathlib

def test_options(request, network, record_property):
    option = request.config.option
    names = ("cni_path", "cni_conf", "cni_topology", "cni_profile", "cni_runtime", "cni_json")
    record_property("given options", json.dumps({name: getattr(option, name) for name in names}))
"""


class Done(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str


def outside_of_xdist() -> dict[str, str]:
    """Our environment without what a worker of xdist has in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}


class Project:
    """A directory with tests, and a directory that workers have on their machine."""

    def __init__(self, home: Path, server: Server) -> None:
        self.home, self.server, self.there = home, server, server.home / "there"

    def write(self, text: str, directory: str = "checks") -> None:
        """Have a test file in a directory."""
        (self.home / directory).mkdir()
        (self.home / directory / "test_given.py").write_text(text)

    def command(self, *words: str, tx: str = "") -> list[str]:
        """pytest with two workers, or others."""
        given = ["-p", "no:cacheprovider", "-W", "ignore:The --rsyncdir:DeprecationWarning", "-d", "--junitxml=out.xml"]
        tx = tx or self.server.tx(self.there)
        return [sys.executable, "-m", "pytest", *given, "--tx", tx, "--rsyncdir", "checks", *words]

    def run(self, *words: str, tx: str = "", **variables: str) -> Done:
        """Run it to its end."""
        environment = {**outside_of_xdist(), **variables}
        command = self.command(*words, tx=tx)
        done = subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def properties(self, name: str) -> list[str]:
        """What tests recorded."""
        found = ElementTree.parse(self.home / "out.xml").iter("property")
        return [each.attrib["value"] for each in found if each.attrib["name"] == name]


@pytest.fixture(scope="module")
def server():
    """The server; the directory is none of pytest's, which no ordinary user may enter."""
    with tempfile.TemporaryDirectory(prefix="cnitest-ssh-") as home:
        os.chmod(home, 0o755)
        with openssh.serving(Path(home)) as found:
            yield found


@pytest.fixture
def project(server, tmp_path):
    """A project, after which nothing is left of workers."""
    yield Project(tmp_path, server)
    server.wait_until_idle()


def test_results_are_whole(project):
    """Each test once, on either worker, with the network's report of what failed."""
    project.write(TESTS)

    done = project.run("checks")

    assert done.code == 1, done.out + done.err
    assert "1 failed, 6 passed" in done.out
    assert set(project.properties("worker")) == {"gw0", "gw1"}
    assert "192.0.2.1" in done.out


@contextlib.contextmanager
def waiting(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run one of whose tests waits for ever, and the PID of the worker that has it."""
    file = project.home / "pid"
    project.write(KILLED.format(file=str(file)))
    with subprocess.Popen(
        project.command("checks"),
        env=outside_of_xdist(),
        cwd=project.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        until(lambda: file.exists() or process.poll() is not None, 120.0, "the test that waits")
        yield process, int(file.read_text())


def test_a_killed_worker_fails_its_test_alone(project):
    """Another takes its place, and what it had in hand ends."""
    with waiting(project) as (process, worker):
        os.kill(worker, signal.SIGKILL)
        out, _ = process.communicate(timeout=120)

    assert process.returncode == 1, out
    assert "1 failed, 6 passed" in out
    assert "crashed while running 'checks/test_given.py::test_waits'" in out


def test_nothing_is_left_of_a_run_that_is_killed(project):
    """Workers notice that nobody leads them."""
    with waiting(project) as (process, _):
        process.kill()

    project.server.wait_until_idle()


def test_options_arrive(project):
    """Paths in what is copied are those of the copies, whatever way they are typed; others are as they were."""
    project.write(OPTIONS)
    for name in ("own.conflist", "own.yaml"):
        (project.home / "checks" / name).write_text(CONTENT[name])
    (project.home / "checks" / "bin").mkdir()

    words = ["--cni-path", "/usr/lib/cni", "--cni-path=checks/bin", "--cni-conf", "checks/own.conflist"]
    words += ["--cni-topology", "./checks/own.yaml", "--cni-profile", "reference", "--cni-json", "out.json"]
    done = project.run(*words, "--cni-runtime", "libcni", "checks/test_given.py")

    assert done.code == 0, done.out + done.err
    there = str(project.there / "checks")
    assert json.loads(project.properties("given options")[0]) == {
        "cni_path": ["/usr/lib/cni", f"{there}/bin"],
        "cni_conf": [f"{there}/own.conflist"],
        "cni_topology": f"{there}/own.yaml",
        "cni_profile": "reference",
        "cni_runtime": "libcni",
        "cni_json": str(project.home / "out.json"),
    }


def test_the_guide_is_right(project):
    """Its command as it stands; only the address is another."""
    guide = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    command = re.search("## Several machines.*?```sh\n(.*?)```", guide, re.S)[1]
    settings = project.server.config.read_text().replace("Host worker", "Host box-1")
    (project.home / "ssh_config").write_text(settings)
    (project.server.at_home / "venv").symlink_to(sys.prefix)
    project.write(OPTIONS.replace("network, ", ""), "tests")

    done = subprocess.run(
        ["sh", "-c", f"PATH={Path(sys.executable).parent}:$PATH; {command.strip()} --junitxml=out.xml"],
        cwd=project.home,
        env=outside_of_xdist(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    options = json.loads(project.properties("given options")[0])
    there = project.server.at_home / "checks" / "tests" / "plugins"
    assert options["cni_path"] == [str(there), "/usr/lib/cni"]


def test_cni_path_of_the_environment_arrives(project):
    """A variable that no ssh hands over."""
    project.write(OPTIONS.replace("network, ", ""))
    (project.home / "checks" / "bin").mkdir()

    done = project.run("checks", CNI_PATH="checks/bin:/usr/lib/cni")

    assert done.code == 0, done.out + done.err
    options = json.loads(project.properties("given options")[0])
    assert options["cni_path"] == [f"{project.there}/checks/bin", "/usr/lib/cni"]


@pytest.mark.requires(plugin="loopback")
def test_conformance_writes_its_report_where_it_is_led(project):
    """Verdicts of all workers."""
    (project.home / "checks").mkdir()
    words = ["--pyargs", "cnitest.suites.conformance", "--cni-plugin", "loopback", "--cni-requirement", "ADD-01"]

    done = project.run(*words, "--cni-json", "out.json")

    assert done.code == 0, done.out + done.err
    document = json.loads((project.home / "out.json").read_text())
    row = next(row for row in document["requirements"] if row["id"] == "ADD-01")
    assert row["cases"]
    assert row["verdict"] == "passed"


@pytest.mark.requires(plugin=("bridge", "host-local"))
def test_a_baseline_counts_for_what_other_machines_find(project):
    """It is written, and read, where the run is led."""
    (project.home / "checks").mkdir()
    words = ["--pyargs", "cnitest.suites.conformance", "--cni-plugin", "bridge", "--cni-requirement", "CHK-02"]
    words += ["--cni-version", "1.0.0"]

    first = project.run(*words)
    written = project.run(*words, "--cni-write-baseline", "base.yaml")
    again = project.run(*words, "--cni-baseline", "base.yaml")

    assert (first.code, written.code, again.code) == (1, 0, 0), first.out + written.out + again.out + again.err
    assert "requirement: CHK-02" in (project.home / "base.yaml").read_text()
    assert "base.yaml: 1 cause of it found" in again.out


@pytest.mark.parametrize(
    ("host", "python", "line"),
    [
        ("closed", sys.executable, "worker gw0 (ssh=closed) cannot be started: ssh: connect to host 127.0.0.1 port"),
        ("stranger", sys.executable, "worker gw0 (ssh=stranger) cannot be started: "),
        ("worker", "/nowhere/python", "worker gw0 (ssh=worker) cannot be started: '/nowhere/python' does not answer"),
        ("nobody.invalid", sys.executable, "worker gw0 (ssh=nobody.invalid) cannot be started: ssh: Could not resolve"),
    ],
)
def test_a_refusal_is_one_line(project, host, python, line):
    """Which worker, and what ssh says; exit 4."""
    project.write(TESTS)

    done = project.run("checks", tx=project.server.tx(project.there, host=host, python=python))

    assert done.code == 4, done.out + done.err
    reported = [each for each in done.err.splitlines() if each.startswith("ERROR: ")]
    assert len(reported) == 1
    assert line in reported[0]
    assert "Traceback" not in done.out + done.err
    assert len([each for each in done.err.splitlines() if each]) <= 2  # a shell there has its own


def test_a_key_that_is_refused_is_named(project):
    """As ssh says it."""
    project.write(TESTS)

    done = project.run("checks", tx=project.server.tx(project.there, host="stranger"))

    assert "Permission denied (publickey)" in done.err


def test_a_python_without_pytest_ends_the_run(project):
    """It would be started again for ever."""
    project.write(TESTS)

    done = project.run("checks", tx=project.server.tx(project.there, python=f"{sys.executable} -I -S"))

    assert done.code == 4, done.out + done.err
    assert done.err.count("ERROR: ") == 1
    assert "Traceback" not in done.out + done.err


def test_a_path_that_is_not_copied_is_reported(project):
    """With what is copied."""
    project.write(TESTS)
    (project.home / "others").mkdir()

    done = project.run("-v", "others")

    assert done.code == 4
    assert f"others: it is in no directory that is copied to the workers ({project.home}/checks)" in done.err


CONTENT = {
    "own.conflist": '{"cniVersion": "1.0.0", "name": "own", "plugins": [{"type": "loopback"}]}',
    "own.yaml": "name: own\nhosts:\n  node: {}\n",
}
