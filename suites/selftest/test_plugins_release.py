"""``script/plugins-release`` builds what a release has, once, and says what it lacks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cnitest.suites.selftest.plugins import script

CHECKOUT = Path(__file__).resolve().parents[2]
#: Plays Go: a release without dummy, some packages that it rejects, and binaries that are empty files.
GO = """
echo "$*" >> {place}/go.log
case "$1 $2" in
"mod download") mkdir -p {place}/cache/plugins/main/bridge {place}/cache/plugins/ipam/static
  printf '{{\\n\\t"Path": "x",\\n\\t"Dir": "{place}/cache",\\n\\t"Sum": "y"\\n}}\\n';;
*) shift 3
  for package; do
    name=${{package##*/}}
    case "$name" in {rejected}) echo rejected >&2; exit 1;; esac
    touch "$GOBIN/${{name%@*}}"; chmod +x "$GOBIN/${{name%@*}}"
  done;;
esac"""


def build(*arguments, path):
    """Run the script with only these directories of programs."""
    return subprocess.run(
        [CHECKOUT / "script" / "plugins-release", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, env={"PATH": path},
    )  # fmt: skip


@pytest.fixture
def with_go(tmp_path):
    """A search path with something that plays Go."""
    script(tmp_path / "go", "go", GO.format(place=tmp_path, rejected="cni-plugin*|flannel*"))
    return f"{tmp_path / 'go'}:/usr/bin:/bin"


@pytest.fixture
def without_go(tmp_path):
    """A search path with what the script needs, and no Go."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "env", "mkdir"):
        os.symlink(f"/usr/bin/{name}", tmp_path / "bin" / name)
    return str(tmp_path / "bin")


def test_a_release_is_built_whole_and_once(tmp_path, with_go):
    """What the release has is built in one go, what it lacks and flannel's absence are named; again, nothing is."""
    first = build("v1.1.1", tmp_path / "out", path=with_go)
    calls = (tmp_path / "go.log").read_text()
    second = build("v1.1.1", tmp_path / "out", "none", path=with_go)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "v1.1.1 has no dummy host-device ipvlan" in first.stdout
    assert "cni-plugin v1.9.1-flannel1 cannot be built: going on without it" in first.stderr
    assert f"2 plugins in {tmp_path / 'out'}" in second.stdout
    assert "BuildVersion=v1.1.1" in calls
    assert (tmp_path / "go.log").read_text() == calls


def test_flannels_plugin_may_come_from_the_reference_plugins(tmp_path):
    """Where flannel's own module is rejected, the last release of the reference plugins with one has it; that is said,
    and tried again the next time."""
    script(tmp_path / "go", "go", GO.format(place=tmp_path, rejected="cni-plugin*"))
    path = f"{tmp_path / 'go'}:/usr/bin:/bin"

    first, second = (build("v1.9.1", tmp_path / "out", path=path) for _ in range(2))

    said = "cannot be built: flannel is that of github.com/containernetworking/plugins v0.9.1"
    assert (first.returncode, second.returncode) == (0, 0)
    assert said in first.stderr
    assert said in second.stderr
    assert (tmp_path / "out" / "flannel").exists()
    assert "BuildVersion=v0.9.1" in (tmp_path / "go.log").read_text()


def test_another_version_replaces_it(tmp_path, with_go):
    """The stamp is that of a version: another one is built."""
    for version in ("v1.0.1", "v1.9.1"):
        build(version, tmp_path / "out", "none", path=with_go)

    assert "bridge@v1.9.1" in (tmp_path / "go.log").read_text()


def test_a_version_may_be_given_without_its_letter(tmp_path, with_go):
    """``1.9.1`` is v1.9.1; what is no number, as a branch, is left as it is."""
    for version in ("1.9.1", "main"):
        build(version, tmp_path / version, "none", path=with_go)
    calls = (tmp_path / "go.log").read_text()

    assert "bridge@v1.9.1" in calls
    assert "bridge@main" in calls


def test_without_go_it_ends_in_a_line(tmp_path, without_go):
    """Exit 3 says that there is no Go; wrong usage is 4."""
    absent, wrong = build("v1.9.1", tmp_path / "out", path=without_go), build("v1.9.1", path=without_go)

    assert (absent.returncode, wrong.returncode) == (3, 4)
    assert absent.stderr.startswith("script/plugins-release: there is no Go on this machine")
    assert len(absent.stderr.splitlines()) == len(wrong.stderr.splitlines()) == 1
