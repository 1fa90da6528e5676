"""``pytest --cni-vm``: the same command line in a guest with another kernel, over the same files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cnitest import interrupts, paths
from cnitest.report import options
from cnitest.report.given import names
from cnitest.vm import cache, images, packages, run
from cnitest.vm.guest import Ends
from cnitest.vm.machine import OptionNames, Task

#: Set in a guest to the kernel that was asked for: what runs there boots no other.
VARIABLE = "CNITEST_VM"
#: Set in a guest to the features of kernels, by name, that the kernel outside lacks, where those alone are asked for.
LACKING = "CNITEST_VM_LACKING"
#: The options of pytest and of widely used plugins that name what a run writes, by their ``dest``.
_WRITTEN = ("xmlpath", "basetemp", "log_file", "report_log", "htmlpath", "json_report_file")
_GUEST_OWN = ("/dev", "/proc", "/sys")
_MEMORY = 4096


def asked(config: pytest.Config) -> bool:
    """Whether this run belongs into a guest, and is not in one."""
    helps = config.option.help or config.option.version
    return config.option.cni_vm is not None and not helps and not os.environ.get(VARIABLE)


def boot(config: pytest.Config) -> int:
    """Run the command line in a guest; its exit status, as `cnitest.vm.run.ended` has it, but pytest's after Ctrl-C.

    Raises pytest.UsageError for a file or directory of the command line that is not there, which needs no guest.
    """
    kernel, argument = kernel_or_argument(config.option.cni_vm, config.invocation_params.dir)
    _find(config, argument)
    named = names(config)
    task = Task(
        [*_program(), *_color(config), *words(config.invocation_params.args, config.option.cni_vm, bool(kernel))],
        Path(config.invocation_params.dir),
        {**os.environ, **_size(), **_lacking(config), VARIABLE: kernel or packages.DEFAULT},
        tuple(dict.fromkeys(_shared(config))),
        config.option.cni_vm_memory or f"{_memory()}M",
        stdin=bool(config.option.usepdb),
        private=(Path(sys.prefix),),
        heeds_interrupts=True,
        names=OptionNames(named("cni_vm_share"), named("cni_vm_memory")),
    )
    ends = Ends(0) if task.stdin else Ends()
    status = run.ended(run.GuestTask(task, kernel or None, cache.directory(), ends=ends), _complain)
    if status != 128 + signal.SIGINT:
        return status
    interrupts.heed_others()
    return interrupts.INTERRUPTED


def kernel_or_argument(given: str, base: str | os.PathLike[str] = "") -> tuple[str, str]:
    """The kernel that was typed behind the option, and the word there that is none but an argument: one is empty."""
    if not given or (packages.is_name(given) and not os.path.exists(paths.absolute(given, base))):
        return given, ""
    path = paths.absolute(given, base)
    return (path, "") if images.there(Path(path)) else ("", given)


def _find(config: pytest.Config, argument: str) -> None:
    """Look for the files of the command line, as pytest does when it collects. Raises pytest.UsageError for none."""
    for given in () if config.option.pyargs else (*config.option.file_or_dir, *filter(None, [argument])):
        file, *_ = given.partition("[")[0].split("::")
        if not os.path.exists(paths.absolute(file, config.invocation_params.dir)):
            raise pytest.UsageError(f"file or directory not found: {given}")


def words(given: Sequence[str], value: str, named: bool) -> Iterator[str]:
    """A command line without the option that brings it into a guest, and without its value where that is a kernel."""
    option, skipped = "--cni-vm", False
    for index, word in enumerate(given):
        before = given[index - 1] if index else ""
        skipped = named and before == option and word == value and not skipped
        if word != option and not word.startswith(f"{option}=") and not skipped:
            yield word


def _lacking(config: pytest.Config) -> dict[str, str]:
    """The features that the kernel lacks on which the guest runs, where those are asked for."""
    if not config.option.cni_vm_only:
        return {}
    from cnitest.kernel import features

    return {LACKING: " ".join(name for name in features.names() if features.kernel(name).why)}


def chosen(items: list[pytest.Item], config: pytest.Config) -> None:
    """Of tests in a guest, keep those that need what the kernel outside lacks. Raises pytest.UsageError outside."""
    if not os.environ.get(VARIABLE):
        named = names(config)
        raise pytest.UsageError(f"{named('cni_vm_only')} chooses among tests in a guest: give {named('cni_vm')}, too")
    lacking = set(os.environ.get(LACKING, "").split())
    kept = [item for item in items if lacking.intersection(_kernel(item))]
    config.hook.pytest_deselected(items=[item for item in items if not lacking.intersection(_kernel(item))])
    items[:] = kept


def _kernel(item: pytest.Item) -> Iterator[str]:
    """The features of the kernel that a test asks for."""
    for mark in item.iter_markers("requires"):
        names = mark.kwargs.get("kernel", ())
        yield from (names,) if isinstance(names, str) else names


def advice(lacking: Sequence[str], command: str) -> str:
    """What to add to a reason for a skip: features that a guest's kernel has, and the command that runs it there."""
    if not lacking or os.environ.get(VARIABLE):
        return ""
    return f"; needs {', '.join(dict.fromkeys(lacking))}: {command}"


def command(item: pytest.Item) -> str:
    """The command that runs the file of a test in a guest."""
    found = importlib.util.find_spec("cnitest.suites")
    suites = [Path(place) for place in (found and found.submodule_search_locations) or ()]
    file = item.path
    suite = next((file.relative_to(root).parts[0] for root in suites if file.is_relative_to(root)), "")
    if suite and suite != "selftest":
        given = "".join(f" --cni-path {paths.near(path)}" for path in item.config.getoption("--cni-path"))
        return f"cnitest run --vm --suite {suite} -k {file.stem}{given}"
    return f"pytest --cni-vm {paths.near(file)}"


def _program() -> list[str]:
    """How pytest was called: by its script, or as a module, which has the working directory among its paths."""
    script = Path(sys.argv[0])
    return [sys.executable, str(script)] if script.name in ("pytest", "py.test") else [sys.executable, "-m", "pytest"]


def _color(config: pytest.Config) -> list[str]:
    return ["--color=yes"] if sys.stdout.isatty() and config.option.color == "auto" else []


def _size() -> dict[str, str]:
    if not sys.stdout.isatty():
        return {}
    size = shutil.get_terminal_size()
    return {"COLUMNS": str(size.columns), "LINES": str(size.lines)}


def _shared(config: pytest.Config) -> Iterator[Path]:
    """Where the run may write: its directories, and those of what it was asked to write."""
    here, given = config.invocation_params.dir, config.option
    files = [getattr(given, name, None) for name in _WRITTEN]
    files += [getattr(given, option.dest, None) for option in options.ALL if option.fills]
    files.append(os.environ.get("GITHUB_STEP_SUMMARY"))
    written = [Path(paths.absolute(file, here)).parent for file in files if file]
    there = [next(place for place in (path, *path.parents) if place.is_dir()) for path in written]
    yield from (path for path in (config.rootpath, Path(here), *there) if not _is_guests_own(path))
    yield from (Path(paths.absolute(directory, here)) for directory in given.cni_vm_share)


def _is_guests_own(path: Path) -> bool:
    """Whether a guest has a directory of its own there."""
    return str(path) == "/" or any(path.is_relative_to(root) for root in _GUEST_OWN)


def _memory() -> int:
    """The megabytes of a guest: 4 GB, but no more than half of what this machine has."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(_MEMORY, pages // 2 // (1 << 20))


def _complain(line: str) -> None:
    sys.stderr.write(f"cnitest: {line}\n")
    sys.stderr.flush()
