"""What a guest is made of, and what is said where a part is missing; none is booted here."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from cnitest.errors import FeatureMissing, GuestError
from cnitest.report import guest
from cnitest.vm import accelerators, cache, cpio, images, machine, needs, packages
from cnitest.vm.machine import Task
from cnitest.vm.prepared import Prepared
from cnitest.vm.relay import Relay, Stream
from cnitest.vm.run import NO_GUEST, GuestTask, ended

CHECKOUT = Path(__file__).resolve().parents[3]


def reported(request: GuestTask) -> tuple[int, list[str]]:
    """The exit status, and the lines that say why."""
    lines: list[str] = []
    return ended(request, lines.append), lines


def request(kept: Path, kernel: str | None = None) -> GuestTask:
    """A task that does nothing."""
    return GuestTask(Task(["true"], Path("/"), {}), kernel, kept)


@pytest.mark.parametrize(
    ("program", "package"), [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static")]
)
def test_a_missing_program_is_one_line(program, package, monkeypatch, tmp_path) -> None:
    """Without QEMU, or busybox, it ends with 125, and the line names the package."""
    image = tmp_path / "vmlinux"
    image.write_bytes(b"\x7fELF Linux version 6.1.0 (x)")
    find = needs.programs.find
    monkeypatch.setattr(needs.programs, "find", lambda name: "" if name == program else find(name) or "/bin/true")
    monkeypatch.setattr(needs, "_BUSYBOX", () if program == "busybox" else needs._BUSYBOX)

    status, lines = reported(request(tmp_path / "cache", str(image)))

    assert status == NO_GUEST
    assert len(lines) == 1
    assert f"apt-get install {package}" in lines[0]


def test_a_package_that_is_gone_is_one_line(monkeypatch, tmp_path) -> None:
    """What apt says of it is said, for the machine's lists and for our own."""
    apt = tmp_path / "apt"
    apt.write_text("#!/bin/sh\necho 'W: nothing' >&2\necho 'E: No packages found' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setattr(needs.programs, "find", lambda _: str(apt))

    status, lines = reported(request(tmp_path / "cache", "linux-image-9.9.9-gone"))

    assert status == NO_GUEST
    assert lines == ["the lists of packages cannot be fetched: No packages found"]
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"CACHEDIR.TAG", "apt"}


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "no such file, directory or package"), (".", "no kernel in it")]
)
def test_a_kernel_that_is_not_there_is_one_line(name, words, tmp_path, monkeypatch) -> None:
    """The line says what was looked for."""
    monkeypatch.setattr(needs.programs, "find", lambda _: "/bin/true")

    status, lines = reported(request(tmp_path / "cache", str(tmp_path / name)))

    assert status == NO_GUEST
    assert len(lines) == 1
    assert words in lines[0]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path) -> None:
    """What was half made is gone, and the line says what to do."""

    def fill(directory: Path) -> None:
        (directory / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        cache.opened(tmp_path / "kept") as kept,
        pytest.raises(GuestError, match=r"is full: make room, or .*_VM_CACHE"),
    ):
        cache.made(kept / "prepared" / "one", fill)

    assert list((tmp_path / "kept" / "prepared").iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path) -> None:
    """The next one begins with an orderly cache."""
    with cache.opened(tmp_path) as kept:
        left = kept / "prepared" / ".unfinished-x"
        left.mkdir(parents=True)
        (left / "half").touch()

    with cache.opened(tmp_path) as kept:
        assert not left.exists()


def test_only_a_cache_of_ours_is_cleared(tmp_path) -> None:
    """A directory that somebody named by mistake keeps its files."""
    (tmp_path / "precious").touch()
    with cache.opened(tmp_path / "ours") as kept:
        (kept / "kernel").write_bytes(b"x" * 1000)

    assert cache.clear(tmp_path / "ours") >= 1000
    assert not (tmp_path / "ours").exists()
    with pytest.raises(GuestError, match="no cache of ours"):
        cache.clear(tmp_path)
    assert (tmp_path / "precious").exists()


def test_the_cache_is_where_a_person_says(monkeypatch, tmp_path) -> None:
    """What is named counts before the variable, and that before the user's own directory (XDG)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv(cache.VARIABLE, raising=False)

    usual = cache.directory()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "variable"))

    assert usual == tmp_path / "xdg" / "cnitest" / "vm"
    assert cache.directory() == tmp_path / "variable"
    assert cache.directory(tmp_path / "named") == tmp_path / "named"


@pytest.mark.skipif(not os.path.exists("/bin/busybox"), reason="no busybox, which unpacks archives: busybox-static")
def test_an_archive_is_unpacked_as_it_was_packed(tmp_path) -> None:
    """Directories, files of any length, and symbolic links."""
    files = {f"d/{length}": b"x" * length for length in range(6)}
    entries = [cpio.directory("d"), *(cpio.file(name, data) for name, data in files.items()), cpio.link("l", "d/5")]

    packed = cpio.archive([*entries, cpio.file("run", b"#!", executable=True)])
    subprocess.run(["/bin/busybox", "cpio", "-i", "-d"], cwd=tmp_path, input=packed, check=True, capture_output=True)

    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert (tmp_path / "l").readlink() == Path("d/5")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755


def test_a_relay_hands_on_all_of_it() -> None:
    """More than a pipe takes at once comes whole and in order, to who reads late."""
    data = os.urandom(300_000)
    source, into = os.pipe()
    out, target = os.pipe()
    for fd in (into, out):
        os.set_blocking(fd, False)
    relay, left, came = Relay([Stream(source, target)]), memoryview(data), bytearray()

    while len(came) < len(data):
        if left:
            left = left[_written(into, left) :]
        relay.move(0)
        came += _read(out)

    assert bytes(came) == data
    for fd in (source, into, out, target):
        os.close(fd)


def _written(fd: int, data: memoryview) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    ("given", "value", "named", "left"),
    [
        (["--cni-vm", "-k", "x"], "", False, ["-k", "x"]),
        (["--cni-vm", "tests"], "tests", False, ["tests"]),
        (["--cni-vm", "linux-image-amd64", "tests"], "linux-image-amd64", True, ["tests"]),
        (["--cni-vm=/boot/vmlinuz", "tests"], "/boot/vmlinuz", True, ["tests"]),
    ],
)
def test_a_guest_gets_the_command_line_without_what_brings_it_there(given, value, named, left) -> None:
    """A word behind the option that is no kernel stays the argument that it is."""
    assert list(guest.words(given, value, named)) == left


def test_a_kernel_is_distinguished_from_an_argument(tmp_path) -> None:
    """Packages by their names, images and directories with some by what they are."""
    image = tmp_path / "boot" / "vmlinuz-6.1"
    image.parent.mkdir()
    image.write_bytes(b"\0" * images._MAGIC + b"HdrS")

    assert guest.kernel_or_argument("linux-image-amd64/bookworm-backports") == (
        "linux-image-amd64/bookworm-backports",
        "",
    )
    assert guest.kernel_or_argument(str(image)) == (str(image), "")
    assert guest.kernel_or_argument("..", image.parent) == (str(tmp_path), "")
    assert guest.kernel_or_argument("tests") == ("", "tests")


def test_a_skip_names_the_command_that_runs_it(monkeypatch) -> None:
    """Once, with what is needed; in a guest, whose kernel lacks it too, there is no such command."""
    monkeypatch.delenv(guest.VARIABLE, raising=False)
    lacking = FeatureMissing("no ipvlan here", ["ipvlan", "vrf", "ipvlan"]).lacking

    outside = guest.advice(lacking, "pytest --cni-vm test_x.py")
    monkeypatch.setenv(guest.VARIABLE, packages.DEFAULT)

    assert outside == "; needs ipvlan, vrf: pytest --cni-vm test_x.py"
    assert guest.advice(lacking, "pytest --cni-vm test_x.py") == ""


@pytest.mark.skipif(not (CHECKOUT / ".ci" / "run").is_file(), reason="continuous integration is in the checkout only")
@pytest.mark.parametrize(
    ("boots", "tests", "ran", "status"), [("exit 125", "exit 1", False, 0), ("exit 0", "exit 1", True, 1)]
)
def test_continuous_integration_ends_well_without_a_guest(boots, tests, ran, status, tmp_path) -> None:
    """Where none boots, the line that says so is all; where one does, the tests in it count."""
    reported = "echo cnitest: no guest here >&2"
    scripts = {
        ".ci/run": (CHECKOUT / ".ci" / "run").read_text(),
        ".venv/bin/cnitest": f"#!/bin/sh\n[ $1 = vm ] || exit 0\n{reported}\n{boots}\n",
        "script/test": "#!/bin/sh\n",
        "script/conformance": "#!/bin/sh\n",
        "script/guest": f"#!/bin/sh\ntouch ran\n{tests}\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    done = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (status, "cnitest: no guest here\n")
    assert (tmp_path / "ran").exists() is ran


@pytest.mark.skipif(not (CHECKOUT / "script" / "guest").is_file(), reason="the script is in the checkout only")
@pytest.mark.parametrize("written", [["--junitxml", "out/a.xml"], ["--junit-xml=out/a.xml"], ["--cni-json=a.json"]])
def test_both_runs_of_the_guest_script_keep_their_report(written, tmp_path) -> None:
    """With --all the self-tests write beside the file of the plugins' tests, not into it."""
    (tmp_path / "script").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    shutil.copy(CHECKOUT / "script" / "guest", tmp_path / "script")
    (tmp_path / ".venv/bin/python").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)

    argv = [tmp_path / "script" / "guest", "--all", *written]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    first, second = done.stdout.replace("=", " ").replace("./", "").splitlines()
    option, file = " ".join(written).replace("=", " ").split()
    assert f"{option} {Path(file).with_name('selftests-' + Path(file).name)}" in first
    assert f"{option} {file}" in second


@pytest.mark.parametrize("ends", ["sleep 1000", "exit 1"])
def test_kvm_that_boots_nothing_is_tried_once(ends, tmp_path, monkeypatch) -> None:
    """A machine whose KVM hangs or fails is found out within a bound, and that is remembered."""
    program, tried = tmp_path / "qemu", tmp_path / "tried"
    program.write_text(f"#!/bin/sh\necho tried >>{tried}\nexec {ends}\n")
    program.chmod(0o755)
    (tmp_path / "initrd").touch()
    kernel = Prepared(tmp_path / "vmlinux", tmp_path / "initrd", "6.1.0", None)
    monkeypatch.setattr(accelerators, "_may_work", lambda: True)
    monkeypatch.setattr(accelerators, "_TRIAL", 0.5)
    (tmp_path / "kept").mkdir()

    played = [accelerators.chosen(kernel, str(program), tmp_path / "kept") for _ in range(2)]

    assert played == [machine.TRANSLATED] * 2
    assert tried.read_text() == "tried\n"


def test_only_a_translated_processor_is_made_quick_to_translate(tmp_path) -> None:
    """Programs at the same addresses are translated once, and pages are copied in words; KVM needs neither."""
    kernel, task = Prepared(tmp_path / "vmlinux", tmp_path / "initrd", "6.1.0", None), Task(["true"], Path("/"), {})

    slow, quick = (" ".join(machine.arguments("qemu", kernel, task, 3, {}, how)) for how in ("tcg", machine.NATIVE))

    assert "norandmaps" in slow and "erms=off" in slow
    assert "norandmaps" not in quick and "erms" not in quick


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "debian.sources",
            "# Where all comes from\n"
            "Types: deb\nURIs: http://other.example/\nSuites: bookworm\nSigned-By: /other.gpg\n\n"
            "Types: deb deb-src\n"
            "URIs: http://a.example/ http://debian.example/debian\nSuites: bookworm bookworm-updates\n"
            "Components: main contrib\nSigned-By:\n -----BEGIN\n .\n -----END\nTrusted: yes\n",
        ),
        (
            "sources.list",
            "deb [signed-by=/other.gpg] http://other.example bookworm main\n"
            "deb [arch=amd64 signed-by=/debian.gpg] http://debian.example/debian/ bookworm main contrib\n",
        ),
    ],
)
def test_another_suite_is_fetched_as_the_machines_own_is(file, text, tmp_path, monkeypatch) -> None:
    """The machine's entry for the archive, in either form of sources.list(5), tells whose key counts for the suite."""
    (tmp_path / file).write_text(text)
    apt = tmp_path / "apt"
    apt.write_text(f"#!/bin/sh\necho 'http://debian.example/debian/ bookworm {tmp_path / file}:2'\n")
    apt.chmod(0o755)
    monkeypatch.setattr(needs.programs, "find", lambda _: str(apt))

    reported = packages._source("bookworm-backports")

    assert reported.endswith(
        "Types: deb\nURIs: http://debian.example/debian/\nSuites: bookworm-backports\nComponents: main\n"
    )
    signed = {
        "debian.sources": "Signed-By: \n -----BEGIN\n .\n -----END\nTrusted: yes\n",
        "sources.list": "Architectures: amd64\nSigned-By: /debian.gpg\n",
    }
    assert reported.startswith(signed[file])


@pytest.mark.parametrize("name", ["a.ko.xz", "a.ko.gz", "a.ko.zst", "a.ko"])
def test_a_module_that_is_broken_names_its_file(tmp_path, name):
    """What is packed and cannot be unpacked, is cut off or not there is one line with the module's path."""
    (tmp_path / name).write_bytes(b"\xfd7zXZ\0 and nothing of it" if name.endswith("xz") else b"\x1f\x8b\x08")
    for path in (tmp_path / name, tmp_path / f"none-{name}"):
        with pytest.raises(GuestError, match=re.escape(f"{path} cannot be unpacked")):
            images.module(path)


def test_an_image_that_is_cut_off_is_no_kernel(tmp_path):
    """A download that broke off has the magic, and not what has to follow."""
    image = tmp_path / "vmlinuz"
    image.write_bytes(bytes(0x202) + b"HdrS" + bytes(4))

    with pytest.raises(GuestError, match="is cut off: it has 522 bytes"):
        images.found(image)
