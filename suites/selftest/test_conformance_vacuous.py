"""What shows nothing passes nothing: a GC that fails frees nothing valid, no address is wrong where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest import fixtures

HONEST = Path(next(iter(fixtures.__path__)), "honest")
NETWORK = {
    "cniVersion": "1.1.0",
    "name": "n",
    "type": "wire",
    "bridge": "wire0",
    "ipam": {"type": "pool", "ranges": [[{"subnet": "10.61.0.0/24"}]]},
}

# Makes a tap and nothing that has its other end open; the last letter of a container's ID is that of its address.
TAPPING = """#!/bin/sh
address=10.88.0.1$(printf %s "$CNI_CONTAINERID" | tail -c 1)/24
inside() { nsenter --net="$CNI_NETNS" "$@"; }
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
ADD) inside ip tuntap add "$CNI_IFNAME" mode tap && inside ip link set "$CNI_IFNAME" up &&
    inside ip address add "$address" dev "$CNI_IFNAME" && inside ip route add default dev "$CNI_IFNAME"
    echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}],
        "ips": [{"address": "'"$address"'", "interface": 0, "gateway": "10.88.0.1"}],
        "routes": [{"dst": "0.0.0.0/0"}]}' ;;
DEL) inside ip link delete "$CNI_IFNAME" || true ;;
esac
"""


def run(folder: Path, *requirements: str, **keys: object) -> tuple[dict[str, str], str]:
    """The verdict of each requirement for wire with other keys in its configuration, and what was printed."""
    (folder / "x.conf").write_text(json.dumps({**NETWORK, **keys}))
    command = [sys.executable, "-m", "cnitest.cli", "run", "x.conf", "--cni-path", f"{folder}:{HONEST}", "-n", "0"]
    command += ["--plugin", str(keys.get("type", "wire")), "--json", "out.json"]
    command += [word for name in requirements for word in ("--requirement", name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    rows = json.loads((folder / "out.json").read_text())["requirements"]
    return {row["id"]: row["verdict"] for row in rows if row["id"] in requirements}, done.stdout


def test_a_gc_that_always_fails_keeps_nothing(tmp_path: Path):
    """GC-01 reports it; what GC is to leave alone is undecided, and those MUSTs are named at the end."""
    code = '[ "$CNI_COMMAND" = GC ] && { echo \'{"cniVersion": "1.1.0", "code": 103, "msg": "no"}\'; exit 1; }'
    (tmp_path / "failing").write_text(f'#!/bin/sh\n{code}\nexec "{HONEST}/wire"\n')
    (tmp_path / "failing").chmod(0o755)

    found, printed = run(tmp_path, "GC-01", "GC-05", "GC-08", "GC-09", type="failing")

    assert found == {"GC-01": "failed", "GC-05": "undecided", "GC-08": "undecided", "GC-09": "undecided"}
    assert "MUST    2 undecided, for which the run does not fail: failing GC-05 -09" in printed


@pytest.mark.parametrize(("verdict", "keys"), [("not applicable", {"ipam": {}}), ("passed", {})])
def test_addresses_that_are_not_there_are_not_right(tmp_path: Path, verdict: str, keys: dict[str, object]):
    """ADD-15 and ADD-16 apply to a result that has addresses."""
    found, printed = run(tmp_path, "ADD-15", "ADD-16", **keys)

    assert found == dict.fromkeys(("ADD-15", "ADD-16"), verdict), printed
    assert "MUST    2 undecided" not in printed


def test_a_tap_that_no_program_has_open_is_to_carry_nothing(tmp_path: Path):
    """It has no carrier before one opens it: NET-01 to NET-05 do not apply, whatever its result promises."""
    (tmp_path / "tapping").write_text(TAPPING)
    (tmp_path / "tapping").chmod(0o755)
    names = [f"NET-0{number}" for number in range(1, 6)]

    found, printed = run(tmp_path, *names, type="tapping", cniVersion="1.0.0", ipam={})

    assert found == dict.fromkeys(names, "not applicable"), printed
    assert "a tap, which carries nothing before a program has opened it" in (tmp_path / "out.json").read_text()


@pytest.mark.parametrize("requirement", ["PROTO-02", "PROTO-03", "PROTO-14", "PROTO-15", "PROTO-16", "CHK-03"])
def test_what_should_be_rejected_is_said(tmp_path: Path, requirement: str):
    """Of a plugin that accepts everything each detail begins with what it was given, not with its name."""
    answer = 'echo \'{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"], "interfaces": [{"name": "x"}]}\''
    (tmp_path / "willing").write_text(f'#!/bin/sh\n[ "$CNI_COMMAND" = CHECK ] || {answer}\n')
    (tmp_path / "willing").chmod(0o755)

    found, printed = run(tmp_path, requirement, type="willing", cniVersion="1.0.0", ipam={})

    (row,) = [
        row for row in json.loads((tmp_path / "out.json").read_text())["requirements"] if row["id"] == requirement
    ]
    details = [detail for case in row["cases"] for detail in case.get("details", ()) if "should refuse" in detail]
    assert found[requirement] in ("failed", "warning"), printed
    assert details
    assert not [detail for detail in details if detail.startswith("willing")]
