"""Workers of pytest-xdist on other machines (``--tx ssh=…``): our options arrive there, and what fails says where.

What is copied there (``--rsyncdir``) lies below a worker's working directory, and paths in it are handed over as they
are there; any other path is the same on each machine. Registered only by runs that name such workers.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from cnitest.report import options
from cnitest.report.given import HERE, SENT, plugin_path, resolve_paths

#: Enters a user namespace before execnet begins its first thread.
_ENTERED = "-m cnitest.report.worker_python"
#: What xdist needs where the run is led, and no worker does.
_LEADERS = ("--tx", "--px", "--rsyncdir", "--rsyncignore")
#: Options of pytest whose values look like names of files now and then.
_VALUED = ("-k", "-m", "-p", "-o", "-W", "-r")


class Machines:
    """Where a run is led whose workers are on other machines; ``enters`` has them enter a user namespace at need."""

    def __init__(self, config: pytest.Config, *, enters: bool) -> None:
        self._config, self._enters = config, enters
        self._begun: list[Any] = []
        self._specs: list[Any] = []
        self._log = _Log()

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Generator[None]:
        """Say in one line which worker cannot be started. Raises UsageError."""
        with self._errors_explained():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """The same of a worker that is to replace another."""
        with self._errors_explained():
            return (yield)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Have workers enter a user namespace at need, and the command line as xdist can hand it over."""
        self._specs = list(specs)
        for spec in specs:
            spec.called = f"worker {spec.id} ({f'ssh={spec.ssh}' if spec.ssh else spec})"
            if self._enters and (spec.ssh or spec.popen):
                spec.python = f"{spec.python or _default_python(spec)} {_ENTERED}"
            if spec.ssh:
                spec.ssh = f"-E {self._log.path} {spec.ssh}"
        asked = self._config.invocation_params
        words = [*map(str, asked.args), *_named_by_configuration(self._config)]
        self._config.invocation_params = pytest.Config.InvocationParams(
            args=handed_over(words, asked.dir, _roots(self._config)), plugins=asked.plugins, dir=asked.dir
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        """One more worker answers."""
        self._begun.append(gateway.spec)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the values of our options, as they are where it works."""
        resolve_paths(self._config)
        spec = node.gateway.spec
        roots = () if spec.popen and not spec.chdir else _roots(self._config)
        node.workerinput[SENT] = json.dumps(dict(values(self._config, roots)))

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """End the run where a worker never began, for xdist would start it again for ever. Raises UsageError."""
        spec = node.gateway.spec
        if error and not hasattr(node, "workerinfo"):
            raise pytest.UsageError(f"{spec.called} does not begin: {_last_line(error)}")
        self._begun, self._specs = [], [spec]  # what is started next replaces it

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not _is_of_xdist(error.__traceback__):
                raise
            spec = self._specs[min(len(self._begun), len(self._specs) - 1)]
            raise pytest.UsageError(f"{spec.called} cannot be started: {self._why(error, spec)}") from None

    def _why(self, error: Exception, spec: Any) -> str:
        if isinstance(error, FileNotFoundError):
            return f"there is no program {error.filename!r} here"
        said = self._log.last_line()
        if type(error).__name__ == "HostNotFound":
            return said or "ssh ended with 255"
        if type(error).__name__ == "RemoteError":
            return _last_line(error)
        python = (spec.python or "python").removesuffix(f" {_ENTERED}")
        return said or f"{python!r} does not answer there; name one that has pytest-xdist and cnitest by //python="


class _Log:
    """What ssh has to say, in memory: it is part of our line, and nothing is left of it."""

    def __init__(self) -> None:
        self._file = os.memfd_create("ssh-log", os.MFD_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self._file}"

    def last_line(self) -> str:
        """The last line, empty where there is none."""
        return _last_line(os.pread(self._file, 65536, 0).decode(errors="replace"))


def _last_line(said: object) -> str:
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _is_of_xdist(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "execnet":
            return True
        traceback = traceback.tb_next
    return False


def _default_python(spec: Any) -> str:
    return shlex.quote(sys.executable) if spec.popen else "python"


def _roots(config: pytest.Config) -> tuple[Path, ...]:
    """The directories that are copied to workers, from where pytest was called."""
    here = config.invocation_params.dir
    return tuple((here / root).resolve() for root in (*config.option.rsyncdir, *config.getini("rsyncdirs")))


def _named_by_configuration(config: pytest.Config) -> list[str]:
    """What ``testpaths`` names, which workers without that configuration would not know."""
    named = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return [str(config.rootpath / path) for path in config.args] if named else []


def handed_over(words: Sequence[str], base: Path, roots: Sequence[Path]) -> list[str]:
    """pytest's command line as xdist can make it one of a worker's: whatever looks like a path is one below a root.

    Raises UsageError for one that is not.
    """
    taken: list[str] = []
    for word in words:
        before = taken[-1] if taken else ""
        if before in _LEADERS:
            taken.pop()
        elif before in _VALUED:
            taken[-1] += word
        elif word.startswith("-") or not _is_there(path := base / word.partition("::")[0]):
            taken.append(word)
        elif any(root in (path.resolve(), *path.resolve().parents) for root in roots):
            taken.append(str(path.resolve()) + word[len(word.partition("::")[0]) :])
        elif before.startswith("--") and "=" not in before:
            taken[-1] += f"={path}"
        else:
            copied = ", ".join(map(str, roots)) or "none is"
            raise pytest.UsageError(
                f"{word}: it is in no directory that is copied to the workers ({copied}): --rsyncdir"
            )
    return taken


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long a name, mostly an expression
        return False


def values(config: pytest.Config, roots: Sequence[Path]) -> Iterator[tuple[str, object]]:
    """The values of our options for a worker; a path in a directory that is copied begins with `HERE`."""
    for option in options.ALL:
        value = getattr(config.option, option.dest, None)
        if option is options.PLUGIN_PATH and not value and "CNI_PATH" in os.environ:
            value = list(plugin_path(config))
        yield option.dest, value if option.fills else _there(value, roots)


def _there(value: object, roots: Sequence[Path]) -> object:
    if isinstance(value, list):
        return [_there(each, roots) for each in value]
    if isinstance(value, str) and value.startswith("/"):
        path = Path(value).resolve()
        for root in roots:
            if root in (path, *path.parents):
                return f"{HERE}{root.name}/{path.relative_to(root)}"
    return value
