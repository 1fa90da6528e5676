"""What calls of a plugin have in common: how they crash, fail, and say so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.selftest.unit.made_cases import FILE, about, failed, found, left, subject

from cnitest.conformance.model import protocol
from cnitest.conformance.model.protocol import CallFault
from cnitest.report.conformance import choice
from cnitest.report.fingerprint import fingerprint

TRACE = b"""Traceback (most recent call last):
  File "/x/mine", line 9, in <module>
    main()
KeyError: 'container'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/mine", line 12, in <module>
    {command}
    ^^^^
subprocess.CalledProcessError: Command 'ip link' returned non-zero exit status {code}.
"""


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (TRACE, "subprocess.CalledProcessError: Command 'ip link' returned non-zero exit status {code}."),
        (b'a log\nTraceback (most recent call last):\n  File "x"\nKeyboardInterrupt\nbye', "KeyboardInterrupt"),
        (b"panic: runtime error: no\n\ngoroutine 1 [running]:\nmain.main()", "panic: runtime error: no"),
        (
            b"thread 'main' panicked at src/main.rs:2:5:\nno link\nnote: x",
            "thread 'main' panicked at src/main.rs:2:5: no link",
        ),
        (b"Traceback (most recent call last):\n  File", "Traceback (most recent call last):"),
    ],
)
def test_a_crash_is_told_by_what_it_came_to(stderr: bytes, words: str):
    """Of Python by its last exception, of Go and Rust by the panic."""
    call = replace(failed("ADD", ""), stdout=b"", stderr=stderr)

    assert protocol.crash(call) == [f"{call.subject}: crashes: {words}"]


def test_crashes_of_one_exception_are_one_cause():
    """What else an exception says does not count, its type does."""
    call = replace(failed("ADD", ""), stdout=b"", stderr=TRACE)
    again = replace(call, stderr=TRACE.replace(b"ip link", b"ip route"))
    other = replace(call, stderr=TRACE.replace(b"subprocess.CalledProcessError", b"ValueError"))
    one, same, third = (
        about(name, "it crashes", each, CallFault.CRASHES)
        for name, each in (("ADD-03", call), ("ADD-04", again), ("ADD-05", other))
    )

    assert found(one, same, third) == [("bridge", ("ADD-03", "ADD-04")), ("bridge", ("ADD-05",))]


def test_failures_without_a_document_are_one_cause():
    """Whatever is asked, and whatever the plugin prints instead; a leftover beside it is another cause."""
    kept = left("files", None, FILE)
    calls = {"PROTO-04": ("ADD", "no link"), "PROTO-13": ("DEL", "parse error"), "ADD-04": ("ADD", "no link")}
    bare = [
        about(name, f"{name}: it fails", replace(failed(command, ""), stdout=said.encode()), CallFault.WORDLESS)
        for name, (command, said) in calls.items()
    ]
    signs = (fingerprint(kept, "", "ADD-04"), *bare[2].fingerprints)
    both = replace(bare[2], details=("a file is left", "it fails"), fingerprints=signs)

    assert found(*bare[:2], both) == [("bridge", ("PROTO-04", "PROTO-13")), ("bridge", ("ADD-04",))]


def test_errors_with_exit_code_0_are_one_cause():
    """A document of an error with exit code 0 is the same for every requirement and command; a wrong code is not."""
    call = replace(failed("ADD", "no link"), exit_code=0)
    named = [(detail,) for detail in (*protocol.success(call), *protocol.rejection(call))]
    zero = [about(name, *words, call, words[0].fault) for name, words in zip(("ADD-03", "ADD-04"), named, strict=True)]
    zero.append(about("STA-05", "exit code 0", replace(call, command="STATUS"), zero[0].details[0].fault))
    wrong = [about(name, "code 999", failed("ADD", "x"), CallFault.CODE) for name in ("PROTO-03", "PROTO-23")]

    assert found(*zero, *wrong) == [
        ("bridge", ("PROTO-03",)),
        ("bridge", ("PROTO-23",)),
        ("bridge", ("ADD-03", "STA-05", "ADD-04")),
    ]


def test_one_requirement_for_several_commands_is_one_cause():
    """The same error with the wrong code, or without a name, for ADD and for DEL."""
    both = [
        about("PROTO-10", f"{name}: it is not named", failed(name, "x"), CallFault.NAMELESS) for name in ("ADD", "DEL")
    ]

    assert found(*both) == [("bridge", ("PROTO-10",))]


def test_one_requirement_that_several_commands_ignore_is_one_cause():
    """What ADD and DEL accept is one cause; a CHECK that accepts it, or no prevResult, is not one that sees nothing."""
    ignored = [
        about("PROTO-13", f"{name} accepts it", replace(failed(name, ""), exit_code=0), CallFault.ACCEPTS)
        for name in ("ADD", "DEL", "CHECK")
    ]
    asked, blind = (
        about(name, name, replace(failed("CHECK", ""), exit_code=0), CallFault.ACCEPTS) for name in ("CHK-03", "CHK-08")
    )

    assert found(*ignored, asked, blind) == [("bridge", (name,)) for name in ("PROTO-13", "CHK-03", "CHK-08")]


@pytest.mark.parametrize(
    ("named", "first"), [((), ("mine",)), (("bridge",), ("bridge", "mine")), (("mine",), ("mine",))]
)
def test_who_has_a_plugin_of_their_own_reads_of_it_first(tmp_path, named: tuple[str, ...], first: tuple[str, ...]):
    """Beside the reference plugins in one directory the others come first, after what was asked for by name."""
    for name in ("bridge", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    both = [subject(name, path=(str(tmp_path),)) for name in ("bridge", "mine")]

    assert choice.own(both, named) == first
    assert choice.own(both[:1], ()) == ("bridge",)


def test_a_child_that_holds_the_output_is_one_cause():
    """Whichever call left it, and what else is left with it."""
    call = replace(failed("ADD", ""), exit_code=0, held_open=True)
    (detail,) = protocol.held_open(call)
    two = replace(call, command="DEL")
    first = about("PROTO-34", detail, call, detail.fault)
    second = about("PROTO-34", detail, two, detail.fault)
    second = replace(second, details=(detail, "sleep 20"), fingerprints=(*second.fingerprints, ""))

    assert found(first, second) == [("bridge", ("PROTO-34",))]
    assert protocol.held_open(replace(call, held_open=False)) == []
