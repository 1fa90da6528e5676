"""What a guest is refused for is one line, which names what was typed and what is missing."""

from __future__ import annotations

import os
import struct
from contextlib import nullcontext
from pathlib import Path

import pytest

from cnitest.errors import DeadlineExceeded, GuestError
from cnitest.vm import cache, images, machine, modules, packages, run
from cnitest.vm.guest import Ends
from cnitest.vm.machine import OptionNames, Task
from cnitest.vm.prepared import Prepared
from cnitest.vm.run import NO_GUEST, GuestTask, ended

pytest_plugins = ("pytester",)


def image(place: Path, version: str) -> Path:
    """A file that looks like a kernel's image (Documentation/arch/x86/boot.rst)."""
    data = bytearray(0x400)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x100)
    data[0x300 : 0x300 + len(version)] = version.encode()
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"vmlinuz-{version}"
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("names", [OptionNames(), OptionNames("--cni-vm-share", "--cni-vm-memory")])
def test_a_shared_directory_that_is_not_there_is_called_as_it_was_typed(tmp_path, monkeypatch, names):
    """By the option of whoever began the guest."""
    monkeypatch.setattr("cnitest.vm.needs.emulator", lambda: "/bin/true")
    said: list[str] = []
    task = Task(["true"], Path("/"), {}, (tmp_path / "none",), names=names)

    status = ended(GuestTask(task, None, tmp_path, ends=Ends(None)), said.append)

    assert (status, said) == (NO_GUEST, [f"{names.share} {tmp_path}/none: there is no such directory"])


def test_a_shared_directory_of_any_bytes_is_handed_over(tmp_path):
    """A name that is no UTF-8 reaches the guest as it is."""
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff and blanks"))
    prepared = Prepared(tmp_path, tmp_path, "6.1", None)

    files = {each.name: each.data for each in machine._files(prepared, Task(["true"], odd, {}, (odd,)))}

    assert files["shares"] == b"share0 " + os.fsencode(odd) + b"\n"


def test_a_directory_of_modules_without_any_is_none(tmp_path):
    """A kernel with everything built in may have an empty one."""
    image(tmp_path, "6.99.1")
    (tmp_path / "lib/modules/6.99.1").mkdir(parents=True)

    assert images.found(tmp_path).modules is None


def test_modules_without_a_list_of_those_built_in_are_named(tmp_path):
    """The line says which file is missing and what makes it; it is no fault of the cache."""
    tree = tmp_path / "6.99.1"
    tree.mkdir()
    (tree / "modules.dep").write_text("kernel/9p.ko:\n")

    with pytest.raises(GuestError, match=r"6.99.1 has no modules.builtin, .*make modules_install"):
        modules.ordered(tree)


def test_a_note_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    """What a name stood for cannot be remembered where the cache's disk is full, or its file is a directory."""
    monkeypatch.setattr(packages, "_concrete", lambda *_: "linux-image-6.9")
    monkeypatch.setattr(packages, "_file_name", lambda *_: "linux-image-6.9_1_amd64")
    monkeypatch.setattr(packages, "_unpack", lambda *_: None)
    monkeypatch.setattr(packages, "_apt", lambda *_: "")
    (tmp_path / "linux-image-x.resolved").mkdir()

    with pytest.raises(GuestError, match="linux-image-x.resolved cannot be used as a cache of kernels"):
        packages._fetched("linux-image-x", tmp_path, tmp_path / "apt")
    with pytest.raises(GuestError, match="cannot be used as a cache of kernels"):
        cache.directory_in(tmp_path / "linux-image-6.9_1_amd64" / os.fsdecode(b"a" * 300))


class Hanging:
    """A guest whose command ends for nobody: each wait for it ends as it is told."""

    def __init__(self, *ends: BaseException | int) -> None:
        self.started, self.interrupted = True, 0
        self._ends = list(ends)

    def finish(self, _: float | None) -> int:
        """How the next wait ends."""
        end = self._ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end

    def interrupt(self) -> None:
        """Count it."""
        self.interrupted += 1


@pytest.mark.parametrize(
    ("then", "heeds", "status", "interrupted"),
    [
        (2, True, 2, 1),
        (KeyboardInterrupt(), True, None, 1),
        (DeadlineExceeded("too late"), True, None, 1),
        (2, False, None, 0),
    ],
    ids=["it ends", "once more", "it does not end", "it heeds none"],
)
def test_the_first_ctrl_c_is_for_a_command_that_heeds_it(then, heeds, status, interrupted) -> None:
    """It has its time to report. A second one, the end of that time, and the first for any other end the guest."""
    guest, told = Hanging(KeyboardInterrupt(), then), []
    task = Task(["pytest"], Path("/"), {}, heeds_interrupts=heeds)

    with nullcontext() if status is not None else pytest.raises(KeyboardInterrupt):
        assert run._finished(guest, GuestTask(task, None, Path("/")), told.append) == status

    assert (guest.interrupted, len(told)) == (interrupted, interrupted)


@pytest.mark.parametrize(
    "given",
    [["--cni-vm", "tests/test_its.py"], ["--cni-vm=", "gone"], ["test_it.py", "test_its.py::test[a/b]", "--cni-vm"]],
)
def test_a_file_that_is_not_there_needs_no_guest(given, pytester, monkeypatch) -> None:
    """It is named in pytest's words, also where the option took it for a kernel, and nothing is booted."""
    pytester.makepyfile(test_it="def test(): pass")
    monkeypatch.setattr(run, "ended", lambda *_: pytest.fail("a guest is booted"))

    done = pytester.runpytest_inprocess("-p", "cnitest", *given)

    missing = next(word for word in given if "its" in word or "gone" in word)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: file or directory not found: {missing.replace('[', '[[]')}"])
