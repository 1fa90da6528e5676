"""A full disk, read-only file systems, a /proc that hides: one line where it does not work, for root and for others."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.ordinary import ANOTHER, ROOT_ALONE, SAID, TESTS, USER, below, somebody

pytestmark = ROOT_ALONE
#: What ends a command before it begins anything, in a directory that cannot be written to.
WRITES = {
    "fuzz": ("fuzz", "loopback", "--examples", "1", "--out", "work/findings"),
    "run": ("run", "--junitxml", "work/out.xml"),
}
UNWRITABLE = {
    "full": ("mount -t tmpfs -o size=64k none work; head -c 200k /dev/zero >work/full 2>&-", "no space left on device"),
    "read-only": ("mount -t tmpfs -o ro none work", "read-only file system"),
}
#: How each runs a command where something was mounted.
WHO = {
    "root": (0, lambda script: ("unshare", "--mount", "--pid", "--fork", "sh", "-c", f'{script}; exec "$@"', "sh")),
    "ordinary": (USER, lambda script: ("unshare", "--pid", "--fork", *below(script, then=ANOTHER)[1:])),
}


@pytest.fixture(scope="module")
def user():
    """Somebody without rights."""
    with somebody() as made:
        yield made


@pytest.mark.requires(binary=["unshare"])
@pytest.mark.parametrize("who", WHO)
class TestBrokenMachine:
    """What a machine may lack is reported before anything begins."""

    @pytest.mark.parametrize("state", UNWRITABLE)
    @pytest.mark.parametrize("command", WRITES)
    def test_a_place_for_reports_is_tried_first(self, user, who, state, command):
        """Exit 4."""
        (user.home / "work").mkdir(exist_ok=True)
        script, words = UNWRITABLE[state]
        number, before = WHO[who]

        done = user.run("-m", "cnitest.cli", *WRITES[command], before=before(script), who=number)

        assert done.returncode == 4, done.stdout + done.stderr
        (said,) = (line for line in done.stderr.splitlines() if SAID not in line)
        assert words in said

    def test_pytest_needs_a_temporary_directory(self, user, who):
        """Exit 4, before pytest fails by itself."""
        (user.home / "test_given.py").write_text(TESTS)
        number, before = WHO[who]
        places = (f"mount --bind {place} {place}; mount -o remount,bind,ro {place}" for place in ("/tmp", "/var/tmp"))

        done = user.run("-m", "pytest", "test_given.py", before=before("; ".join(places)), who=number)

        assert done.returncode == 4, done.stdout + done.stderr
        assert "ERROR: no temporary file can be written in /tmp (Read-only file system)" in done.stderr
        assert len([line for line in done.stderr.splitlines() if line]) == 1

    def test_hidden_processes_do_not_matter(self, user, who):
        """``hidepid=2``."""
        number, before = WHO[who]
        words = ("explain", "node-with-uplink", "node", "8.8.8.8")

        done = user.run("-m", "cnitest.cli", *words, before=before("mount -t proc -o hidepid=2 proc /proc"), who=number)

        assert done.returncode == 0, done.stdout + done.stderr
        assert "delivered" in done.stdout
