"""An ordinary user types nothing more than root does: a user namespace is entered where it is needed, and said."""

from __future__ import annotations

import os

import pytest
from cnitest.suites.selftest import openssh
from cnitest.suites.selftest.ordinary import ANOTHER, ROOT_ALONE, SAID, TESTS, USER, User, below, somebody

OTHERS = "import os\n\ndef test_it():\n    assert os.geteuid() == 65534\n"
_FILTER = ("python", "forbidding.py")
_UNCONFINED = "start the container with --security-opt seccomp=unconfined"
_IN_IT = f"a seccomp filter, as containers have one, forbids what is done in it; {_UNCONFINED}"
_ROOT = 'PATH=$PATH:/usr/sbin:/sbin; cd "$HOME"; here=$PWD; mkdir -p root'
_INTO = 'exec chroot root sh -c \'cd "$0" && exec setpriv --bounding-set=-all --inh-caps=-all "$@"\' "$here" "$@"'
_EACH = 'for d in /*; do [ -d "$d" ] && [ ! -L "$d" ] && mkdir -p "root$d" && mount --rbind "$d" "root$d"; done'
_LINKS = 'for d in /*; do [ ! -L "$d" ] || [ -e "root$d" ] || cp -P "$d" root; done'
#: How user namespaces are forbidden, and what the line says of it.
WAYS = {
    "limit": (
        below("echo 0 >/proc/sys/user/max_user_namespaces"),
        "user.max_user_namespaces allows no more; as root: sysctl -w user.max_user_namespaces=15000",
    ),
    "limit of networks": (
        below("echo 0 >/proc/sys/user/max_net_namespaces", then=ANOTHER),
        "user.max_net_namespaces allows no more; as root: sysctl -w user.max_net_namespaces=15000",
    ),
    "limit of mounts": (
        below("echo 0 >/proc/sys/user/max_mnt_namespaces", then=ANOTHER),
        "user.max_mnt_namespaces allows no more; as root: sysctl -w user.max_mnt_namespaces=15000",
    ),
    "seccomp": ((*_FILTER, "user", "EPERM"), f"a seccomp filter, as containers have one, forbids it; {_UNCONFINED}"),
    "seccomp, no such call": ((*_FILTER, "user", "ENOSYS"), f"as containers have one, forbids it; {_UNCONFINED}"),
    "seccomp of networks": ((*_FILTER, "net", "EPERM"), _IN_IT),
    "seccomp of mounts": ((*_FILTER, "mount", "EPERM"), _IN_IT),
    "chroot": (below(_ROOT, _EACH, _LINKS, _INTO), "this process is in a chroot; enter the chroot by: unshare --user"),
    "chroot of a mount": (
        below(_ROOT, "mount --rbind / root", _INTO),
        "this process is in a chroot, or a policy forbids it; enter the chroot by: unshare --user --map-root-user",
    ),
    "no number": (("unshare", "--user"), "is none of the user namespace that it is in"),
    "root without rights": (below(), "root is not mapped without CAP_SETFCAP; start the container with --cap-add"),
    "read-only /proc": (
        below("mount -o remount,bind,ro /proc"),
        "/proc cannot be written; as root: mount -o remount,rw /proc",
    ),
}
pytestmark = ROOT_ALONE


@pytest.fixture(scope="module")
def user():
    """Somebody without rights."""
    with somebody() as made:
        yield made


def test_the_walkthrough_is_green(user):
    """Without another word, and one line says how."""
    done = user.run("-m", "cnitest.cli", "run", "-k", "by_hand")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count(SAID) == 1
    assert "skipped" not in done.stdout


MISTYPED = {
    ("explain", "bridge-walkthrugh", "ns01", "ns02"): "Did you mean",
    ("explain", "bridge-walkthrough", "ns01", "ns09"): "ns09",
    ("explain", "bridge-walkthrough", "ns01", "ns02", "--after", "ip route"): "name a place before the command",
    ("reach", "bridge-walkthrough", "--from", "nodf"): "nodf",
    ("reach", "bridge-walkthrough", "--probe", "icpm"): "icpm",
    ("fuzz", "brigde"): "brigde",
}


@pytest.mark.parametrize("words", MISTYPED, ids=" ".join)
def test_what_is_mistyped_is_answered_by_one_line(user, words):
    """How the run would have been is not said, for nothing ran."""
    done = user.run("-m", "cnitest.cli", *words)

    assert (done.returncode, done.stdout) == (4, "")
    assert MISTYPED[words] in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_fails_for_lack_of_rights_is_reported_after_how_it_ran(user):
    """A command at a place may fail because this is not the machine's root."""
    done = user.run("-m", "cnitest.cli", "explain", "bridge-walkthrough", "ns01", "ns02", "--after", "node: false")

    assert done.returncode == 4
    assert done.stderr.startswith(SAID)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_pytest_enters_where_tests_use_a_lab(user, workers):
    """In workers of xdist, too, which begin with threads."""
    done = user.pytest(TESTS, *workers)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count(SAID) == 1


def test_tests_of_other_things_stay_outside(user):
    """Whoever has the plugin installed and tests something else is still themselves."""
    done = user.pytest(OTHERS)

    assert done.returncode == 0, done.stdout
    assert SAID not in done.stderr


@pytest.mark.parametrize(("mode", "enters"), [("always", True), ("never", False)])
def test_the_setting_decides(user, mode, enters):
    """``cni_userns`` says when."""
    done = user.pytest(OTHERS if mode == "always" else TESTS, "-o", f"cni_userns={mode}")

    assert (SAID in done.stderr) is enters
    assert ("1 skipped" in done.stdout) is not enters


def test_a_setting_that_is_none_is_refused(user):
    """With those that there are."""
    done = user.pytest(TESTS, "-o", "cni_userns=sometimes")

    assert done.returncode == 4
    assert "cni_userns = sometimes: it is one of auto, always, never" in done.stderr


@pytest.fixture
def secret(user):
    """A directory beside the user's tests that only root may look into."""
    made = user.home / "secret"
    made.mkdir(mode=0o700)
    yield made
    made.rmdir()


@pytest.mark.parametrize("name", ["secret/test_it.py", "x" * 300], ids=["forbidden", "too long"])
def test_a_path_that_cannot_be_looked_at_is_pytests_to_report(user, secret, name):
    """Whether tests of ours are asked for is looked up before pytest knows that there is no such file."""
    done = user.run("-m", "pytest", name)

    assert done.returncode == 4, done.stdout + done.stderr
    assert f"ERROR: file or directory not found: {name}" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_path_that_may_not_be_read_has_no_plugins(user, secret):
    """The file of JUnit has all other facts of the run."""
    done = user.pytest("def test_it():\n    pass\n", "--junitxml", "junit.xml", "--cni-path=secret")

    assert done.returncode == 0, done.stdout + done.stderr
    assert '<property name="kernel"' in (user.home / "junit.xml").read_text()


@pytest.mark.skipif(bool(openssh.lacking()), reason=openssh.lacking() or "-")
def test_workers_on_other_machines_enter_by_themselves(user):
    """Whoever leads them stays who they are, for ssh needs that."""
    home = user.home / "ssh"
    home.mkdir()
    with openssh.serving(home) as server:
        os.chown(home / "user", USER, USER)
        python = f"env PYTHONPATH={user.libraries} {user.python}"
        tx = server.tx(home / "ordinary" / "there", host="ordinary", python=python)
        checks = user.home / "checks"
        checks.mkdir()
        (checks / "test_it.py").write_text(TESTS)
        done = user.run("-m", "pytest", "-p", "no:cacheprovider", "-d", "--tx", tx, "--rsyncdir", "checks", "checks")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.requires(binary=["unshare", "setpriv"])
class TestForbidden:
    """Where user namespaces are forbidden one line says by what, and what allows them."""

    @pytest.mark.parametrize("way", WAYS)
    def test_the_command_ends_with_4(self, user, way):
        """In that line alone."""
        before, line = WAYS[way]

        done = user.run("-m", "cnitest.cli", "explain", "node-with-uplink", "node", "8.8.8.8", before=before)

        assert done.returncode == 4, done.stdout + done.stderr
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("way", ["limit", "seccomp", "chroot", "read-only /proc"])
    def test_doctor_says_so(self, user, way):
        """As a thing that is missing."""
        before, line = WAYS[way]

        done = user.run("-m", "cnitest.cli", "doctor", before=before)

        assert done.returncode == 1
        assert line in done.stdout


@pytest.mark.requires(binary=["unshare", "setpriv"])
class TestForbiddenInPytest:
    """The same where pytest is called."""

    BEFORE, LINE = WAYS["seccomp"]

    def test_a_suite_ends_with_4(self, user):
        """``cnitest run``, before pytest begins."""
        done = user.run("-m", "cnitest.cli", "run", before=self.BEFORE)

        assert done.returncode == 4
        assert self.LINE in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
    def test_a_run_of_nothing_else_ends_with_4(self, user, workers):
        """What uses a lab is skipped with the reason; and it is said once at the beginning."""
        done = user.pytest(TESTS, *workers, before=self.BEFORE)

        assert done.returncode == 4
        assert "1 skipped" in done.stdout
        assert self.LINE in done.stdout
        assert done.stderr.count(self.LINE) == 1

    def test_other_tests_run(self, user):
        """And decide how it ends."""
        done = user.pytest(f"{TESTS}\n\ndef test_other():\n    pass\n", before=self.BEFORE)

        assert done.returncode == 0
        assert "1 passed, 1 skipped" in done.stdout


@pytest.mark.requires(binary=["unshare"])
def test_runs_keep_out_of_each_other(user):
    """Each has a temporary directory of its own; three stay."""
    text = f"{TESTS}\n\ndef test_files(lab, tmp_path):\n    print(tmp_path)\n"
    user = User(user.home, user.python, user.home / "temporary")  # where no other run of theirs is
    user.temporary.mkdir()
    os.chown(user.temporary, USER, USER)
    for _ in range(5):
        done = user.pytest(text, "-k", "files")
        assert done.returncode == 0, done.stdout + done.stderr

    kept = user.run(
        "-c", "import os, tempfile; print(len(os.listdir(f'{tempfile.gettempdir()}/pytest-of-{os.getuid()}')))"
    )
    assert int(kept.stdout) <= 3
