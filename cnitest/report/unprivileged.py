"""Runs of ordinary users: pytest enters a user namespace before anything else, where tests of ours are to run.

Only then: an ordinary user's tests of other things are left as they are, though the plugin is installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MODES = ("auto", "always", "never")
# A test of ours asks for one of our fixtures, or names us.
_OURS = re.compile(rb"\bcnitest\b|def\s+test\w*\([^)]*\b(?:lab|cni|network)\b")
_FILES = re.compile(r"(test_.*|.*_test|conftest)\.py")
_SKIPPED = {"node_modules", "__pycache__", "venv"}
_MOST_FILES = 5000
#: Options with which pytest runs no test.
_RUNS_NO_TEST = ("--help", "-h", "--version", "-V", "--markers", "--fixtures", "--collect-only", "--co", "--funcargs")
#: Open files with which there is more to ask; asked at each start of pytest, so nothing is imported for it.
_FEW_FILES = 128
_USERS = ("LOGNAME", "USER", "LNAME", "USERNAME")


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, f"cnitest: {words}\n".encode())


def enter(say: Callable[[str], None] = _say) -> str:
    """Enter a user namespace where this process may not make namespaces as it is, and ``say`` so in one line.

    Returns why that cannot be, with what to do; nothing where all is well.
    """
    from cnitest.kernel.processes import user_namespace

    if user_namespace.may_make_namespaces():
        return ""
    why = user_namespace.enter()
    if not why:
        say("not root: running in a user namespace of its own; what only root can do is skipped")
    return why


def _may_make_labs() -> bool:
    """Whether this process may make namespaces as it is; asked at each start of pytest, so it imports little."""
    from cnitest.kernel.confinement import capabilities

    return capabilities.has("SYS_ADMIN")


def forbidden() -> str:
    """Why neither this process nor a user namespace of its own may make labs; empty where one of them may."""
    from cnitest.kernel import features
    from cnitest.kernel.processes import user_namespace

    return features.privilege().why if user_namespace.may_make_namespaces() else user_namespace.why_not()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting, for whoever wants it otherwise."""
    words = "whether an ordinary user's run enters a user namespace: auto (where tests use labs), always, never"
    parser.addini("cni_userns", words, default="auto")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Iterator[None]:
    """Enter before pytest captures output and anything starts a thread."""
    mode = str(early_config.getini("cni_userns"))
    if mode not in MODES:
        raise pytest.UsageError(f"cni_userns = {mode}: it is one of {', '.join(MODES)}")
    # A guest has a root of its own.
    runs_no_test = any(option in args for option in _RUNS_NO_TEST) or any(arg.startswith("--cni-vm") for arg in args)
    # Workers of xdist begin with threads, inside what their leader has entered.
    may = not runs_no_test and mode != "never" and "PYTEST_XDIST_WORKER" not in os.environ
    elsewhere = _elsewhere(early_config)
    ours = may and (bool(elsewhere) or not _may_make_labs()) and (mode == "always" or is_ours(early_config, args))
    why = "" if runs_no_test else _lacking()
    if why and (ours or is_ours(early_config, args)):
        raise pytest.UsageError(why)
    if elsewhere:
        from cnitest.report.machines import Machines

        early_config.pluginmanager.register(Machines(early_config, enters=ours and elsewhere == "ssh"))
    if ours and elsewhere != "ssh" and not _may_make_labs() and (why := enter()):
        early_config.stash[_FORBIDDEN] = why
        _say(f"{why}; tests that use a lab are skipped")
    if not runs_no_test:
        args += _own_directory(early_config)
    return (yield)


def _own_directory(early_config: pytest.Config) -> list[str]:
    """The option that gives tests a directory of this user's, where he looks like root and nothing else names one."""
    named = any(map(os.environ.get, _USERS)) or early_config.known_args_namespace.basetemp
    return [] if named or not _looks_like_root() else [f"--basetemp={_directory()}"]


def _looks_like_root() -> bool:
    """Whether this is root of a user namespace alone: pytest would want the directory of the machine's root."""
    if os.getuid() != 0:
        return False
    rows = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    return all(row.split()[:2] != ["0", "0"] for row in rows)


_FORBIDDEN = pytest.StashKey[str]()


def ends_with_4(config: pytest.Config) -> bool:
    """Whether this run could not make labs although it tried to; what is said of that has been said."""
    return _FORBIDDEN in config.stash


def _directory() -> str:
    from cnitest.report import temporary

    try:
        return temporary.directory()
    except OSError as error:
        raise pytest.UsageError(f"no directory for temporary files can be made: {error}") from None


def _lacking() -> str:
    """What no test can do without, with what to do; empty where all is there."""
    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _FEW_FILES:
        from cnitest.kernel.confinement.limits import why_too_few_files

        if why := why_too_few_files():
            return why
    try:
        tempfile.gettempdir()
    except OSError:
        from cnitest.kernel.confinement.writable import why_no_temporary_files

        return why_no_temporary_files()
    return ""


def _elsewhere(config: pytest.Config) -> str:
    """Whether workers of xdist have directories of their own (``chdir``), or are on other machines (``ssh``).

    Who leads those enters nothing, for ssh finds a user's keys by who they are; each worker does it by itself.
    """
    parts = [
        part.rpartition("*")[2] for spec in getattr(config.known_args_namespace, "tx", ()) for part in spec.split("//")
    ]
    if any(part.startswith(("ssh=", "vagrant_ssh=", "socket=")) for part in parts):
        return "ssh"
    return "chdir" if any(part.startswith("chdir=") for part in parts) else ""


def is_ours(config: pytest.Config, args: list[str]) -> bool:
    """Whether what is to be run has a test that uses a lab."""
    if any(arg.startswith("--cni-") or "cnitest" in arg for arg in args):
        return True
    asked = [arg.partition("::")[0] for arg in config.known_args_namespace.file_or_dir]
    asked = asked or [str(config.rootpath / path) for path in config.getini("testpaths")]
    here = config.invocation_params.dir
    files = (file for name in asked or [str(here)] for file in _test_files(here / name))
    return any(_OURS.search(_content(file)) for file, _ in zip(files, range(_MOST_FILES), strict=False))


def _test_files(path: Path) -> Iterator[Path]:
    """The files of tests that an argument of pytest names, or has below it; none of one that nobody may look at."""
    if os.path.isfile(path):  # unlike Path's own, it raises for no name that there cannot be
        yield path
        yield from (file for file in [path.parent / "conftest.py"] if os.path.isfile(file))
        return
    for directory, below, names in os.walk(path):
        below[:] = [name for name in below if not name.startswith(".") and name not in _SKIPPED]
        yield from (Path(directory, name) for name in names if _FILES.fullmatch(name))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
