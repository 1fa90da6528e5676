"""An ordinary user for tests: without rights, with a copy of cnitest, in a directory of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cnitest.suites.selftest import openssh
from cnitest.suites.selftest.processes import maps_user

import cnitest

USER = openssh.ORDINARY
_LIBRARIES = Path(sysconfig.get_path("purelib"))
SAID = "cnitest: not root: running in a user namespace of its own"
TESTS = "from cnitest import load\n\ndef test_it(lab):\n    assert lab.host('node').ping('8.8.8.8')\n"
DROPPED = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
#: The same as another user than root.
ANOTHER = f'exec unshare --user --map-user={USER} --map-group={USER} "$@"'
ROOT_ALONE = pytest.mark.skipif(
    os.geteuid() != 0 or not maps_user(USER), reason="only the machine's root can become another user"
)


def below(*words: str, then: str = DROPPED) -> tuple[str, ...]:
    """A command that runs what follows it below commands of an own user namespace, and without its rights."""
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "; ".join([*words, then]), "sh")


class User:
    """Somebody without rights, in a directory of theirs, with a copy of cnitest and the libraries of this Python."""

    def __init__(self, home: Path, python: str, temporary: Path | None = None) -> None:
        self.home, self.python, self.temporary = home, python, temporary

    @property
    def libraries(self) -> str:
        """Where this user's Python finds cnitest, and what it imports."""
        copied = self.home / "site"
        return os.pathsep.join([str(self.home / "lib"), str(copied if copied.exists() else _LIBRARIES)])

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


@contextmanager
def somebody() -> Iterator[User]:
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
    """A Python of this version that the user may run, with our libraries; what lies where only root may enter (a
    checkout or a Python below /root) is copied to the user."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, f"/usr/bin/{version}"]
    if python := _usable(home, candidates):
        return python
    _copy(_LIBRARIES, home / "site", "__pycache__")
    if python := _usable(home, candidates):
        return python
    if Path(sys.base_prefix) != Path("/usr"):
        _copy(Path(sys.base_prefix), home / "python", "__pycache__", "site-packages", "test")
    if python := _usable(home, [str(home / "python" / "bin" / version)]):
        return python
    pytest.skip(f"an ordinary user can run neither {sys.executable}, nor /usr/bin/{version}, nor a copy of the first")


def _usable(home: Path, candidates: list[str]) -> str:
    """The first of some Pythons that the user can run with our libraries; empty where none is."""
    for python in candidates:
        with suppress(OSError):
            if User(home, python).run("-c", "import pytest, scapy, pyroute2, yaml, xdist, cnitest").returncode == 0:
                return python
    return ""


def _copy(source: Path, copy: Path, *without: str) -> None:
    """Copy a tree by hard links, where the filesystem is the same."""
    shutil.copytree(source, copy, symlinks=True, copy_function=_link_or_copy, ignore=shutil.ignore_patterns(*without))


def _link_or_copy(source: str, copy: str) -> None:
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, copy, follow_symlinks=False)
