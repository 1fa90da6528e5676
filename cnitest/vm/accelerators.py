"""How the guest's processor is played: by KVM only where a guest was once seen to boot with it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path

from cnitest.deadline import scaled
from cnitest.errors import CnitestError
from cnitest.vm import cache, machine
from cnitest.vm.guest import Ends, Guest
from cnitest.vm.machine import Task
from cnitest.vm.prepared import Prepared

_DEVICE, _PROCESSOR = "/dev/kvm", "/proc/cpuinfo"
#: Seconds for the trial: a guest boots in two with KVM, and hangs where KVM only looks as if it worked.
_TRIAL = 15.0


def chosen(kernel: Prepared, program: str, kept: Path) -> str:
    """The accelerator for this machine. A first guest that does nothing decides; ``kept`` remembers what it found."""
    if not _may_work():
        return machine.TRANSLATED
    note = kept / f"kvm-{_machine(program)}"
    if not note.exists():
        cache.note(note, "works" if _boots(kernel, program) else "does not work")
    return machine.NATIVE if note.read_text() == "works" else machine.TRANSLATED


def _may_work() -> bool:
    """Whether a trial is worth its time: the device can be used, and the processor has what KVM stands on."""
    try:
        flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path(_PROCESSOR).read_text(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and os.access(_DEVICE, os.R_OK | os.W_OK)


def _machine(program: str) -> str:
    """What the answer depends on: kernel, processor, QEMU."""
    model = re.search(r"^model name.*$", Path(_PROCESSOR).read_text(), re.MULTILINE)
    facts = (platform.release(), model[0] if model else "", os.stat(program).st_mtime_ns)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def _boots(kernel: Prepared, program: str) -> bool:
    nothing = Task(["true"], Path("/"), {}, memory="512M")
    try:
        with open(os.devnull, "wb") as sink, _guest(kernel, nothing, program, sink.fileno()) as guest:
            return guest.finish(scaled(_TRIAL)) == 0
    except CnitestError:
        return False


def _guest(kernel: Prepared, task: Task, program: str, sink: int) -> Guest:
    return Guest(kernel, task, program, machine.NATIVE, Ends(None, sink, sink))
