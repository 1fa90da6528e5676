"""ADDs that the conformance suite kills: at moments that the speed of the machine does not move."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.bench.steps import Ask
from cnitest.conformance.checks.attachments import concurrency
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.subject import Trial

PATH = ("/usr/lib/cni",)

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


def test_what_a_killed_add_leaves_is_found_each_time(tmp_path):
    """The first ADD of a network is killed, too, at the same changes in each run: the same calls fail after it."""
    file = tmp_path / "net.conflist"
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]}
    bridge = {"type": "bridge", "isDefaultGateway": True, "ipMasq": True, "ipam": ipam}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [bridge]}))
    subject = examine([source(file, PATH)], PATH, versions=("1.0.0",))[0]

    reported, codes = [], []
    for _ in range(2):
        with open_bench(Trial(subject, "1.0.0")) as bench:
            concurrency.a_killed_call_leaves_no_lock(bench)
            reported.append([complaint.detail for complaint in bench.record.complaints])
            codes.append([step.call.exit_code for step in bench.record.steps if isinstance(step, Ask)])

    assert reported[0]
    assert reported[0] == reported[1]
    assert codes[0] == codes[1]
    assert -9 in codes[0]
    assert all("could not set bridge's mac" in detail for detail in reported[0])


def test_what_any_killed_add_leaves_is_found_each_time(tmp_path):
    """ADD is killed before each of its changes: an address that was taken and not written is left in each run."""
    file = tmp_path / "net.conflist"
    pool = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]}
    plugin = {"type": "macvlan", "master": "ens33", "ipam": pool}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [plugin]}))
    subject = examine([source(file, PATH)], PATH, versions=("1.0.0",))[0]

    reported, codes = [], []
    for _ in range(2):
        with open_bench(Trial(subject, "1.0.0")) as bench:
            concurrency.del_cleans_after_a_killed_add(bench)
            reported.append({str(complaint.about.difference.key) for complaint in bench.record.complaints})
            codes.append([step.call.exit_code for step in bench.record.steps if isinstance(step, Ask)])

    assert {"/var/lib/cni/networks/net/10.20.0.2", "/var/lib/cni/networks/net/2001:db8:20::2"} <= reported[0]
    assert len(reported[0]) == len(reported[1])  # a link that was left has a name by chance
    assert codes[0] == codes[1]
    assert codes[0].count(-9) >= 10


@pytest.mark.parametrize(
    ("number", "code", "made"), [(1, 137, []), (3, 137, ["b"]), (4, 137, ["b", ""]), (5, 0, ["b", "b"])]
)
def test_a_program_is_killed_before_the_change_that_was_asked_for(number, code, made, tmp_path):
    """What comes before that change is done, and nothing from it on; a program without it ends by itself."""
    files = [tmp_path / name for name in ("one", "two")]
    program = "; ".join(f'echo "$A" > {file}' for file in files)
    words = [str(number), "A=b", "--", "/bin/sh", "-c", f"{program}; echo done"]

    ended = subprocess.run([sys.executable, "-m", "cnitest.faults.killing", *words], capture_output=True, text=True)

    assert ended.returncode == code, ended.stderr
    assert [file.read_text().strip() for file in files if file.exists()] == made
    assert ended.stdout == ("" if code else "done\n")


@pytest.mark.requires(binary="unshare")
def test_a_program_is_killed_without_the_right_to_enter_namespaces():
    """Inside a user namespace alone, as an ordinary user has it, the own mount namespace cannot be entered."""
    words = [
        sys.executable,
        "-m",
        "cnitest.faults.killing",
        "1",
        "--",
        "/bin/sh",
        "-c",
        "mkdir nowhere/at/all; echo done",
    ]

    ended = subprocess.run(["unshare", "-Ur", *words], capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (137, ""), ended.stderr
