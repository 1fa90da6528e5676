"""The command line of QEMU for a guest, and the files that are made for one run of it alone."""

from __future__ import annotations

import os
import resource
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from cnitest.vm import cpio
from cnitest.vm.prepared import Prepared

#: How the processor is played: by translation, which works everywhere, or by the one that there is.
TRANSLATED, NATIVE = "tcg,thread=multi,tb-size=512", "kvm"
#: The translated processor has no fast `rep movsb`: QEMU plays it byte by byte, and a kernel that is told of it copies
#: and clears every page so.
_TRANSLATED_PROCESSOR = "max,erms=off,fsrm=off"
#: What an emulated processor is spared: measuring how fast it loops, its tests of ciphers, and programs at random
#: addresses: QEMU keeps what it translated by address, and would translate a program anew each time it is started.
_TRANSLATED_OPTIONS = ("lpj=10000000", "cryptomgr.notests", "norandmaps")
_KERNEL_OPTIONS = (
    *("console=ttyS0", "quiet", "panic=-1", "mitigations=off", "nokaslr", "audit=0", "selinux=0", "apparmor=0"),
    *("random.trust_cpu=on", "no_timer_check", "tsc=reliable", "rcupdate.rcu_expedited=1"),
)
#: Added to the PATH that a command gets: an ordinary user's lacks them.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class OptionNames(NamedTuple):
    """What a person types to share a directory with a guest, and to give it memory."""

    share: str = "--share"
    memory: str = "--memory"


class Task(NamedTuple):
    """What a guest is to do: ``command`` runs in ``directory`` with ``environment``. ``shared`` directories are really
    written, but for those in them that are ``private``, which are quicker to read. ``terminal`` gives it a terminal in
    place of separate outputs; ``stdin`` says whether it reads ours; ``heeds_interrupts``, whether it ends by itself at
    Ctrl-C; ``names`` are for what is said of it."""

    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    shared: tuple[Path, ...] = ()
    memory: str = "2G"
    terminal: bool = False
    stdin: bool = False
    private: tuple[Path, ...] = ()
    heeds_interrupts: bool = False
    names: OptionNames = OptionNames()

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the guest's ports."""
        outputs = ("tty",) if self.terminal else ("out", "err")
        return ("ctl", *outputs, *(("in",) if self.stdin and not self.terminal else ()))


def arguments(
    program: str, kernel: Prepared, task: Task, initrd: int, ports: Mapping[str, int], accelerator: str
) -> list[str]:
    """The command line: ``initrd`` and ``ports`` are descriptors that QEMU inherits."""
    options = (*_KERNEL_OPTIONS, *(() if accelerator == NATIVE else _TRANSLATED_OPTIONS))
    return [
        program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35"),
        *("-accel", accelerator, "-cpu", "host" if accelerator == NATIVE else _TRANSLATED_PROCESSOR),
        *("-smp", str(max(2, min(4, os.cpu_count() or 1))), "-m", task.memory),
        *("-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{initrd}", "-append", " ".join(options)),
        *("-serial", "stdio", "-monitor", "none", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
        *(word for name, fd in ports.items() for word in _port(name, fd)),
        *_directory("root", Path("/"), ",readonly=on"),
        *(word for tag, path in _tagged(task) for word in _directory(tag, path)),
    ]


def _port(name: str, fd: int) -> tuple[str, ...]:
    kind = "virtconsole" if name == "tty" else "virtserialport"
    return ("-chardev", f"socket,id={name},fd={fd}", "-device", f"{kind},chardev={name},name={name}")


def _directory(tag: str, path: Path, more: str = "") -> tuple[str, ...]:
    doubled = str(path).replace(",", ",,")
    shared = f"local,id={tag},path={doubled},security_model=none,multidevs=remap{more}"
    return ("-fsdev", shared, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}")


def _tagged(task: Task) -> Iterator[tuple[str, Path]]:
    """The shared directories by tag, those that hold others first."""
    for number, path in enumerate(sorted(set(task.shared))):
        yield f"share{number}", path


def memory_file(kernel: Prepared, task: Task) -> int:
    """A descriptor of the first filesystem: the kernel's, and behind it this run's files. No file on disk has it.

    Raises OSError where the kernel's cannot be read.
    """
    parts = kernel.initrd.read_bytes(), cpio.archive(_files(kernel, task))
    fd = os.memfd_create("cnitest-initrd", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.writelines(parts)
    return fd


def _files(kernel: Prepared, task: Task) -> Iterator[cpio.Member]:
    ours = resources.files("cnitest.vm")
    yield cpio.file("init", ours.joinpath("init.sh").read_bytes(), executable=True)
    yield cpio.file("guest.sh", ours.joinpath("guest.sh").read_bytes())
    yield cpio.file("settings.sh", os.fsencode(_settings(kernel, task)))
    yield cpio.file("shares", os.fsencode("".join(f"{tag} {path}\n" for tag, path in _tagged(task))))
    private = [path for path in task.private if any(path.is_relative_to(shared) for shared in task.shared)]
    yield cpio.file("private", os.fsencode("".join(f"{path}\n" for path in private)))
    yield cpio.file("command.sh", os.fsencode(_command(task)))


def _settings(kernel: Prepared, task: Task) -> str:
    settings = {
        "VERSION": kernel.version,
        "MODULES": str(kernel.modules or ""),
        "HOST": socket.gethostname(),
        "FILES": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "TERMINAL": "yes" if task.terminal else "",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def _command(task: Task) -> str:
    """What a shell runs in the guest: nothing but these variables is in the environment."""
    path = ":".join(filter(None, (task.environment.get("PATH"), _PATH)))
    variables = {**task.environment, "PATH": path}
    words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *task.command]
    return f"cd {shlex.quote(str(task.directory))} || exit 126\nexec {shlex.join(words)}\n"
