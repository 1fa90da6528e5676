"""``cnitest fuzz`` with real plugins: hosts that are used again, faults that are found, findings that are kept."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.processes import at_work, children, files, interrupted, until
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from cnitest.conformance.model.subject import Subject, Trial
from cnitest.deadline import Deadline
from cnitest.errors import ConfigError
from cnitest.fuzz.execute.executor import ReusingExecutor
from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario, Step
from cnitest.fuzz.model.subjects import subject_of, trial_of
from cnitest.fuzz.model.violation import RULES
from cnitest.fuzz.search import finding_files, kinds
from cnitest.fuzz.search.campaign import Campaign
from cnitest.fuzz.search.hunt import Finding, Hunter
from cnitest.fuzz.search.store import Store, database
from cnitest.fuzz.search.workers import FuzzSettings
from cnitest.testing import ScriptedPlugin

PATH = ("/usr/lib/cni",)
POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}
BRIDGE = {"type": "bridge", "isGateway": True, "ipam": POOL}
MASQUERADING = {**BRIDGE, "ipMasq": True}
CHAIN_BUSY = "CHAIN_DEL"
#: bridge, with a file that each ADD leaves.
LEAKY = """#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || touch "/var/lib/cni/left-$CNI_CONTAINERID"
exec /usr/lib/cni/bridge
"""
#: bridge, but DEL fails.
STUBBORN = """#!/bin/sh
[ "$CNI_COMMAND" != DEL ] || { echo '{"cniVersion": "1.0.0", "code": 100, "msg": "not today"}'; exit 1; }
exec /usr/lib/cni/bridge
"""
#: bridge, but for a name of an interface that the kernel would fill in.
MENDED = """#!/bin/sh
case "$CNI_IFNAME" in
*%*)
    echo '{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_IFNAME has a %"}'
    exit 1
    ;;
esac
exec /usr/lib/cni/bridge
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


def network(*plugins: dict[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    """A conflist."""
    return {"cniVersion": version, "name": "net", "plugins": list(plugins)}


def scenario(*steps: Step, conf: dict[str, Any] = BRIDGE, **changes: Any) -> Scenario:
    """A scenario with one network of one plugin."""
    return Scenario((Example(network(conf), **changes),), steps or LIFE)


def raw(**variables: str) -> Scenario:
    """One ADD of bridge with other variables."""
    return Scenario((Example(network({"type": "bridge"})),), (), Raw("bridge", variables=variables))


PERCENT = raw(CNI_IFNAME="eth%d")


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Debian's bridge."""
    return subject_of("bridge", PATH)


@pytest.fixture(scope="module")
def trial(subject: Subject) -> Trial:
    """The same, to be tried."""
    return trial_of(subject)


@pytest.fixture
def executor(trial: Trial) -> Iterator[ReusingExecutor]:
    """Where scenarios about it are run."""
    with ReusingExecutor(trial) as made:
        yield made


@pytest.fixture
def mended(tmp_path: Path) -> Path:
    """A directory with a bridge that refuses the names of which Debian's makes something else."""
    return _program(tmp_path / "mended" / "bridge", MENDED).parent


# --- the executor


def test_an_arena_uses_its_host_again(executor: ReusingExecutor):
    """Scenarios that leave nothing share a host, whether they call by hand or have containers."""
    for _ in range(3):
        assert executor.run(scenario()) == []
        assert executor.run(raw(CNI_IFNAME="a/b")) == []

    assert (executor.runs, executor.builds) == (6, 1)


def test_an_arena_builds_anew_after_trouble(executor: ReusingExecutor):
    """What showed something leaves no trace in what comes next."""
    assert executor.run(scenario()) == []
    assert executor.run(PERCENT)
    assert not executor.is_open
    assert executor.run(scenario()) == []

    assert executor.builds == 2


def test_an_arena_builds_anew_after_some_runs(trial: Trial):
    """A host is used so many times and no more."""
    with ReusingExecutor(trial, rebuild=2) as executor:
        for _ in range(5):
            assert executor.run(scenario()) == []

    assert executor.builds == 3


def test_an_arena_builds_anew_after_the_host_was_changed(executor: ReusingExecutor):
    """A host whose firewall somebody else has changed is of no more use."""
    executor.run(scenario(Step("ADD"), Step("FORWARD-DROP"), Step("DEL")))

    assert not executor.is_open


# --- the hunt


def fuzz_settings(subject: Subject, *chosen: str) -> FuzzSettings:
    """What to hunt."""
    return FuzzSettings(subject, chosen, 7, 60.0, 40, "1.1.1")


def hunted(hunter: Hunter, turn: Any, words: str, rounds: int = 6) -> Finding:
    """The finding that has some words, of a few rounds with fixed seeds."""
    found = []
    for seed in range(rounds):
        finding = turn(hunter, seed)
        found += [finding] if finding else []
        if finding and words in finding.scenario.dumps() + " ".join(finding.causes):
            return finding
    raise AssertionError(f"not found: {words}; but {[one.cause for one in found]}")


def test_a_strange_name_is_found_again(executor: ReusingExecutor, subject: Subject):
    """eth%d, of which the kernel makes another name, is found by calls by hand and stays in the smallest scenario."""
    names = kinds.by_hand(fuzz_settings(subject)).filter(lambda one: "CNI_IFNAME" in one.raw.variables)
    hunter = Hunter(executor, deadline=Deadline.after(120.0, "the hunt to end"))

    finding = hunted(hunter, lambda hunter, seed: hunter.round("configs", names, 30, seed), "eth%d")

    assert finding.scenario.raw is not None
    assert dict(finding.scenario.raw.variables) == {"CNI_IFNAME": "eth%d"}
    assert not finding.depends


def test_two_interfaces_with_masquerading_are_found_again(executor: ReusingExecutor):
    """DEL of one of two interfaces with ipMasq fails, for both use one chain; the sequence is as short as it can be."""
    networks = st.just((Example(network(MASQUERADING)),))
    hunter = Hunter(executor, deadline=Deadline.after(120.0, "the hunt to end"))

    finding = hunted(hunter, lambda hunter, seed: hunter.sequences(networks, 30, seed), CHAIN_BUSY)

    operations = [step.operation for step in finding.scenario.steps]
    assert {cause.partition(" ")[0] for cause in finding.causes} & {"delete", "harm", "left"}
    assert len(operations) <= 4
    assert any(operation.startswith("ADD") for operation in operations)


def test_a_seed_draws_the_same_again(trial: Trial, subject: Subject):
    """The same seed draws the same scenarios in the same order, another one others."""
    strategy = kinds.of_configs(fuzz_settings(subject), "invalid")

    def drawn(seed: int) -> list[str]:
        seen: list[str] = []
        with ReusingExecutor(trial) as executor:
            hunter = Hunter(executor, seen=lambda one: seen.append(one.dumps()))
            assert hunter.round("configs", strategy, 12, seed) is None
        return seen

    first, again, other = drawn(5), drawn(5), drawn(6)

    assert len(first) > 5
    assert first == again
    assert first != other


# --- findings


@pytest.fixture(scope="module")
def percent(trial: Trial) -> Finding:
    """The finding that PERCENT is."""
    with ReusingExecutor(trial) as executor:
        (violation, *more) = executor.run(PERCENT)
    return Finding(violation, PERCENT, tuple(one.cause for one in (violation, *more)), "configs", 7, 1.0, 3)


def test_a_finding_is_written(tmp_path: Path, executor: ReusingExecutor, percent: Finding, mended: Path):
    """Its network is JSON, its script sees the fault by itself, and its test fails until the fault is mended."""
    place = finding_files.write(percent, executor, tmp_path / "out", "bridge")

    assert json.loads((place / "network.conflist").read_text()) == percent.scenario.networks[0].network
    assert percent.violation.words in (place / "steps.txt").read_text()
    script = subprocess.run(["/bin/bash", place / "repro.sh"], capture_output=True, text=True, timeout=60, check=False)
    assert script.returncode == 1, script.stdout + script.stderr
    assert _pytest(place, *PATH) == 1
    assert _pytest(place, str(mended), *PATH) == 0


def test_a_script_changes_to_the_other_release(trial: Trial, tmp_path: Path):
    """repro.sh calls the other release's plugins after an UPGRADE; CNI_PATH_NEXT names another one still."""
    upgraded = scenario(Step("ADD", 0, "c1"), Step("UPGRADE"), Step("DEL", 0, "c1"))
    stubborn = _program(tmp_path / "next" / "bridge", STUBBORN)
    with ReusingExecutor(trial, next_path=(str(stubborn.parent),)) as executor:
        (violation,) = (one for one in executor.run(upgraded) if "not today" in one.words)
        finding = Finding(violation, upgraded, (violation.cause,), "sequences", 1, 0.0, 1)
        script = finding_files.write(finding, executor, tmp_path / "out", "bridge") / "repro.sh"

    def code(**environment: str) -> int:
        return subprocess.run(["bash", script], env=os.environ | environment, check=False).returncode

    assert code() == 1
    assert code(CNI_PATH_NEXT="/usr/lib/cni") == 0
    assert code(CNI_PATH_NEXT=f"{tmp_path}/nowhere") == 2


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _pytest(place: Path, *path: str) -> int:
    (file,) = place.glob("test_*.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file.name, "--cni-path", ":".join(path)]
    return subprocess.run(command, cwd=place, capture_output=True, timeout=120, check=False).returncode


def campaign(place: Path, *path: str, **changes: Any) -> Campaign:
    """A campaign of a few examples, with a database and files in a place."""
    usual: dict[str, Any] = {"chosen": ("configs",), "seed": 3, "seconds": 60.0, "examples": 1, "workers": 1}
    fixed: dict[str, Any] = {"release": "1.1.1", "next_path": (), "databases": [str(place / "kept")]}
    return Campaign.begin("bridge", path, **{**usual, **fixed, **changes}, out=place / "out")


def test_what_is_kept_comes_first_and_goes_once_it_is_mended(tmp_path: Path, subject: Subject, mended: Path):
    """A kept scenario is the first finding while it shows something; mended, it is none, and is forgotten."""
    store = Store(DirectoryBasedExampleDatabase(tmp_path / "kept"), f"{subject.name} of {subject.network}")
    store.keep(PERCENT)

    first = next(iter(campaign(tmp_path, *PATH).run()))

    assert first is not None
    assert (first.kind, first.scenario) == ("kept", PERCENT)
    assert store.kept() == [PERCENT]

    run = campaign(tmp_path, str(mended), *PATH)
    list(run.run())

    assert PERCENT not in [finding.scenario for finding in run.findings]
    assert PERCENT not in store.kept()


def test_two_workers_tell_a_finding_once(tmp_path: Path):
    """However many find it, a cause is told once, and all that was found is kept."""
    leaky = _program(tmp_path / "leaky" / "bridge", LEAKY).parent
    run = campaign(tmp_path, str(leaky), *PATH, workers=2, examples=8)

    told = [finding.cause for finding in run.run() if finding is not None]

    assert told
    assert len(told) == len(set(told)) == len(run.findings)
    assert all((place / "repro.sh").is_file() for place in run.places.values())
    assert run.stopped == []


@pytest.mark.parametrize("ready", [children, lambda pid: at_work(pid) == 2], ids=["starting", "at work"])
def test_ctrl_c_ends_a_hunt(ready: Callable[[int], bool], tmp_path: Path):
    """Ctrl-C ends it and its workers, with a summary and exit code 2, however far they are."""
    code, text, seconds = interrupted(["fuzz", "host-local", "-n", "2", "--cni-path", *PATH], tmp_path, ready)

    assert code == 2, text
    assert seconds < 15.0  # less than one on a quiet machine
    assert "(interrupted)" in text
    assert "Traceback" not in text


# --- a shared database


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis server that keeps nothing, at a socket that nobody else can have."""
    # Debian has the same program, which goes by its name, in two packages: one with a service, and one without.
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if program is None:
        pytest.skip("there is no Redis (Debian: apt-get install redis-tools)")
    pytest.importorskip("redis")
    short = Path(tempfile.mkdtemp(prefix="redis-"))  # a socket's path has 107 bytes at most
    at = short / "redis.sock"
    argv = ["redis-server", "--port", "0", "--unixsocket", str(at), "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*argv, "--dir", str(tmp_path)], executable=program, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(at), 20.0, "Redis to answer")
            yield f"unix://{at}?db=0"
        finally:
            process.terminate()
    shutil.rmtree(short)


def test_only_what_is_there_is_chained(tmp_path: Path):
    """Chains and addresses are of plugins in the search path, and a missing IPAM plugin of the network is told."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("bridge", "host-local", "tuning"):
        (bin_ / name).symlink_to(Path(PATH[0], name))

    fuzz_settings = FuzzSettings(subject_of("tuning", (str(bin_),)), ("configs",), 1, 1.0)

    @settings(max_examples=40, derandomize=True, database=None, deadline=None)
    @given(kinds.of_chains(fuzz_settings), kinds.drawn(fuzz_settings, "valid"))
    def every(chain: Scenario, example: Example) -> None:
        types = {conf["type"] for conf in (*chain.networks[0].plugins, *example.plugins)}
        pools = {(conf.get("ipam") or {}).get("type") for conf in (*chain.networks[0].plugins, *example.plugins)}
        assert types <= {"bridge", "tuning"}
        assert pools <= {"host-local", None}

    every()
    (bin_ / "host-local").unlink()
    with pytest.raises(ConfigError, match="failed to find its IPAM plugin 'host-local'"):
        campaign(tmp_path, "bridge", str(bin_))


def _answers(at: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(at)) == 0


def test_findings_are_shared_by_redis(redis: str, tmp_path: Path):
    """What one keeps another one reads and drops, in the same server."""
    one, other = (Store(database([redis], tmp_path), "bridge") for _ in range(2))
    one.keep(PERCENT)
    one.keep(scenario())

    assert other.kept() == [PERCENT, scenario()]

    other.drop(PERCENT)

    assert one.kept() == [scenario()]


# --- each rule can fail

PASSES = {"prev_result": True}
VETH = ["ip", "link", "add", "left0", "type", "veth", "peer", "name", "left1"]
NOBODY = {"interfaces": [{"name": "nobody0", "sandbox": ""}], "ips": []}
PANIC = "panic: runtime error\n\ngoroutine 1 [running]:\nmain.main()\n"
PAIR = kinds.PAIR
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "crash": ({"ADD": {"stderr": PANIC, "exit": 2}}, {}),
    "refused": ({"ADD": {"error": {"code": 7, "msg": "no"}}}, {}),
    "accepted": ({"ADD": PASSES}, {"validity": Validity.INVALID, "why": "a key that is wrong"}),
    "error": ({"ADD": {"stdout": "what?", "exit": 1}}, {}),
    "output": ({"ADD": PASSES, "DEL": {"stdout": "gone"}}, {}),
    "untrue": ({"ADD": {"result": NOBODY}}, {}),
    "silent": ({"ADD": {**PASSES, "run": [["iptables", "-A", "INPUT", "-i", "cni0", "-j", "DROP"]]}}, {}),
    "check": ({"ADD": PASSES, "CHECK": {"error": {"code": 7, "msg": "no"}}}, {}),
    "delete": ({"ADD": PASSES, "DEL": {"error": {"code": 7, "msg": "no"}}}, {}),
    "left": ({"ADD": {**PASSES, "run": [VETH]}}, {}),
    "harm": ({"ADD": PASSES, "DEL": {"run": [["ip", "link", "set", "cni0", "down"]]}}, {"steps": PAIR}),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, subject: Subject) -> Iterator[tuple[Path, ReusingExecutor]]:
    """A directory for plugins with faults, and an executor whose plugins are found there, too."""
    directory = tmp_path_factory.mktemp("faulty")
    ScriptedPlugin.install(directory, "faulty", {"ADD": PASSES})
    with ReusingExecutor(trial_of(subject_of("bridge", (str(directory), *PATH)))) as executor:
        yield directory, executor


def faulty(script: dict[str, Any], directory: Path, steps: tuple[Step, ...] = LIFE, **changes: Any) -> Scenario:
    """A chain of bridge and of a plugin with a script."""
    ScriptedPlugin(directory, "faulty").program(script)
    return Scenario((Example(network(BRIDGE, {"type": "faulty"}), **changes),), steps)


@pytest.mark.parametrize("rule", sorted(FAULTS))
def test_a_fault_is_told_by_its_rule(rule: str, stage: tuple[Path, ReusingExecutor]):
    """A plugin with a fault breaks the rule that it was made for; without it, it breaks none."""
    directory, executor = stage
    script, changes = FAULTS[rule]

    assert rule in {violation.rule for violation in executor.run(faulty(script, directory, **changes))}
    assert executor.run(faulty({"ADD": PASSES}, directory, steps=changes.get("steps", LIFE))) == []


def test_an_address_that_is_given_twice_is_told(stage: tuple[Path, ReusingExecutor]):
    """A pool that gives everybody the same address breaks the rule about addresses."""
    directory, executor = stage
    ScriptedPlugin.install(directory, "pool", {"ADD": {"result": {"ips": [{"address": "10.1.0.2/24"}]}}})

    violations = executor.run(scenario(*PAIR, conf={"type": "bridge", "ipam": {"type": "pool"}}))

    assert "the address 10.1.0.2 is given twice" in [one.words for one in violations if one.rule == "address"]


def test_every_rule_has_its_fault():
    """No rule is without a fault that breaks it; two plugin sets are compared elsewhere."""
    assert {*FAULTS, "address", "differs", "requirement"} == set(RULES)


# --- nothing is leaked


def test_scenarios_leak_nothing(executor: ReusingExecutor):
    """Hundreds of scenarios leave no descriptor, no thread and no namespace open, and hardly any memory."""
    cheap = [raw(CNI_IFNAME="a/b"), raw(CNI_CONTAINERID=""), raw(CNI_NETNS="/nowhere")]
    for number in range(60):
        assert executor.run(cheap[number % 3]) == []
    before = _held()

    for number in range(300):
        assert executor.run(cheap[number % 3]) == []

    after = _held()
    assert executor.builds > 5
    assert {key: after[key] - before[key] for key in before if key != "kilobytes"} == dict.fromkeys(
        ("files", "threads", "namespaces"), 0
    )
    assert after["kilobytes"] - before["kilobytes"] < 30_000


def _held() -> dict[str, int]:
    """Open files, threads, namespaces that files are of, and resident memory in kB."""
    there = files("self")
    (resident,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return {
        "files": len(there),
        "threads": len(os.listdir("/proc/self/task")),
        "namespaces": sum(1 for file in there if file.startswith("net:")),
        "kilobytes": int(resident.split()[1]),
    }
