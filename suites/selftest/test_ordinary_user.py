"""An ordinary user types nothing more than root does: a user namespace is entered where it is needed, and said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from cnitest.suites.selftest import openssh
from cnitest.suites.selftest.processes import maps_user

import cnitest

USER = openssh.ORDINARY
SAID = "cnitest: not root: running in a user namespace of its own"
TESTS = "from cnitest import load\n\ndef test_it(lab):\n    assert lab.host('node').ping('8.8.8.8')\n"
OTHERS = "import os\n\ndef test_it():\n    assert os.geteuid() == 65534\n"
_DROPPED = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'


#: The same as another user than root.
_ANOTHER = f'exec unshare --user --map-user={USER} --map-group={USER} "$@"'


def below(*words: str, then: str = _DROPPED) -> tuple[str, ...]:
    """A command that runs what follows it below commands of an own user namespace, and without its rights."""
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "; ".join([*words, then]), "sh")


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
        below("echo 0 >/proc/sys/user/max_net_namespaces", then=_ANOTHER),
        "user.max_net_namespaces allows no more; as root: sysctl -w user.max_net_namespaces=15000",
    ),
    "limit of mounts": (
        below("echo 0 >/proc/sys/user/max_mnt_namespaces", then=_ANOTHER),
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
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not maps_user(USER), reason="only the machine's root can become another user"
)


class User:
    """Somebody without rights, in a directory of theirs, with a copy of cnitest and the libraries of this Python."""

    def __init__(self, home: Path, python: str, temporary: Path | None = None) -> None:
        self.home, self.python, self.temporary = home, python, temporary

    @property
    def libraries(self) -> str:
        """Where this user's Python finds cnitest, and what it imports."""
        return os.pathsep.join([str(self.home / "lib"), sysconfig.get_path("purelib")])

    def run(self, *words: str, before: tuple[str, ...] = (), who: int = USER) -> subprocess.CompletedProcess[str]:
        """Run Python with some words, below some command; ``who`` may be root."""
        environment = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": self.libraries}
        if self.temporary:
            environment["TMPDIR"] = str(self.temporary)
        before = tuple(self.python if word == "python" else word for word in before)
        return subprocess.run(
            [*before, self.python, *words],
            cwd=self.home,
            env=environment,
            user=who,
            group=who,
            extra_groups=(),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def pytest(self, text: str, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run pytest over a test file."""
        (self.home / "test_given.py").write_text(text)
        given = ["-m", "pytest", "-p", "no:cacheprovider", "-rs", *words, "test_given.py"]
        return self.run(*given, before=before)


@pytest.fixture(scope="module")
def user():
    """The user; the directory is none of pytest's, which nobody else may enter."""
    home = Path(f"/tmp/cnitest-ordinary-{os.getpid()}")
    source = Path(cnitest.__file__).parent
    home.mkdir(mode=0o755)
    try:
        for name, part in (("cnitest", source), ("cnitest/fixtures", source.parent / "fixtures")):
            shutil.copytree(part, home / "lib" / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        suites = home / "lib" / "cnitest" / "suites"
        shutil.copytree(source.parent / "suites" / "walkthrough", suites / "walkthrough")
        (suites / "__init__.py").touch()
        shutil.copy(Path(__file__).with_name("forbidding.py"), home)
        os.chown(home, USER, USER)
        yield User(home, _python(home))
    finally:
        shutil.rmtree(home)


def _python(home: Path) -> str:
    """A Python of this version that the user may run, with our libraries."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        try:
            done = User(home, python).run("-c", "import pytest, scapy, pyroute2, yaml, xdist, cnitest")
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("no Python of this version, or its libraries, can be used by an ordinary user")


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


def test_what_fails_for_lack_of_rights_is_told_after_how_it_ran(user):
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
    "ordinary": (USER, lambda script: ("unshare", "--pid", "--fork", *below(script, then=_ANOTHER)[1:])),
}


@pytest.mark.requires(binary=["unshare"])
@pytest.mark.parametrize("who", WHO)
class TestBrokenMachine:
    """A full disk, read-only file systems, a /proc that hides: one line where it does not work, for either user."""

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
