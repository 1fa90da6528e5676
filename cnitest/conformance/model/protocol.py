"""Whether one call of a plugin went as the protocol wants, as a list of complaints; empty when it did."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable

from cnitest.cni import spec
from cnitest.cni.calls.answers import documents, error_document, failed, result_document
from cnitest.cni.calls.invoke import Call, shown
from cnitest.conformance.model.finding import Detail
from cnitest.kernel.confinement import limits
from cnitest.kernel.processes import programs

__all__ = [
    "CallFault",
    "crash",
    "crash_words",
    "documents",
    "ending",
    "error_document",
    "failed",
    "held_open",
    "lacking_programs",
    "not_defined",
    "rejection",
    "result_document",
    "success",
    "unreported",
    "wordless",
    "words",
]

_CRASH = re.compile(
    rb"^(panic: |fatal error: |goroutine \d+ \[|Traceback \(most recent call last\)|thread '.*' panicked)", re.M
)

# What ended a program of Python, behind the frames of its trace: the exception's type, and what it says.
_EXCEPTION = re.compile(rb"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*((?:[A-Za-z_][\w.]*))(.*)$", re.M)

# A program that is not there, as Go, shells and Python's subprocess word it.
_PROGRAM = re.compile(
    r'exec: "([^"]+)": executable file not found'
    r"|\b\d+: ([\w.+-]+): (?:command )?not found"
    r"|subprocess\.py(?s:.*)\[Errno 2\] No such file or directory: '([^'/]+)'"
)


class CallFault(enum.StrEnum):
    """What is wrong with a call, for whoever groups complaints; the words say more."""

    FLOODS = "floods"
    HANGS = "hangs"
    DIES = "dies"
    CRASHES = "crashes"
    FAILS = "fails"
    ACCEPTS = "accepts"
    EMPTY = "without a result"
    HOLDS = "holds its output open"
    REPORTED = "succeeds with an error document"
    CODE = "has the code"
    NAMELESS = "does not name it with"
    WORDLESS = "has no error document"


def complaint(call: Call, words: str, fault: str = "") -> Detail:
    """A complaint about a call."""
    return Detail(f"{call.subject}: {words}", about=call, fault=fault)


def stack_trace(call: Call) -> bytes:
    """What a call printed from the first line of a stack trace on; empty where there is none."""
    found = ((stream, _CRASH.search(stream)) for stream in (call.stderr, call.stdout))
    return next((stream[line.start() :] for stream, line in found if line), b"")


def crash_words(call: Call) -> tuple[str, str]:
    """What a stack trace says that a call came to, and that without its values: of Python its last exception, of others
    the first line, with the next one where the first only says where."""
    trace = stack_trace(call)
    if raised := _EXCEPTION.findall(trace):
        kind, rest = raised[-1]
        return shown(kind + rest), shown(kind)
    first, *others = trace.splitlines()
    words = shown(b" ".join([first, *others[:1]]) if first.startswith(b"thread ") and first.endswith(b":") else first)
    return words, words


def crash(call: Call) -> list[str]:
    """Hangs, signals, floods and stack traces: what is wrong whatever was asked."""
    if "stdout" in call.cut or "stderr" in call.cut:
        return [complaint(call, f"floods {' and '.join(call.cut)}: more than 16 MiB", CallFault.FLOODS)]
    if call.timed_out:
        return [complaint(call, f"hangs: killed after {call.seconds:.1f} s", CallFault.HANGS)]
    if call.exit_code < 0:
        return [complaint(call, f"dies of signal {-call.exit_code}{_limited()}", CallFault.DIES)]
    if stack_trace(call):
        return [complaint(call, f"crashes: {crash_words(call)[0]}{_limited()}", CallFault.CRASHES)]
    return []


def ending(call: Call) -> list[str]:
    """What is wrong with how a call ended, whatever was asked: it crashed, or is an ADD that neither failed nor printed
    anything."""
    if call.command == "ADD" and call.exit_code == 0 and not call.stdout.strip() and not crash(call):
        said = f", and says {shown(call.stderr.strip().splitlines()[-1])}" if call.stderr.strip() else ""
        return [complaint(call, f"ends with exit code 0 without a result{said}", CallFault.EMPTY)]
    return crash(call)


def _limited() -> str:
    """That the caller's limit may be the cause, and not the plugin; nothing where there is none."""
    return f" ({limit})" if (limit := limits.memory()) else ""


def success(call: Call, *, silent: bool = False) -> list[str]:
    """What speaks against success; ``silent`` also wants an empty stdout."""
    faults = ending(call)
    if faults:
        return faults
    if call.exit_code != 0:
        return [complaint(call, f"fails: exit code {call.exit_code}: {words(call)}", CallFault.FAILS)]
    if error_document(call) is not None:
        return [complaint(call, f"exit code 0 with error {words(call)}", CallFault.REPORTED)]
    if silent and call.stdout.strip():
        return [complaint(call, f"succeeds, but prints {shown(call.stdout)}")]
    return []


def rejection(call: Call, codes: Collection[int] = (), names: Iterable[str] = ()) -> list[str]:
    """What speaks against a proper rejection: a failure, reported by one error document, with a code of ``codes``
    (any, when there are none) and a text that has all of ``names``."""
    faults = ending(call)
    if faults:
        return faults
    if call.exit_code == 0:
        if error_document(call) is not None:
            return [complaint(call, f"exit code 0 with error {words(call)}", CallFault.REPORTED)]
        return [complaint(call, f"succeeds, but should refuse{_output(call)}", CallFault.ACCEPTS)]
    document = error_document(call)
    if document is None:
        return [complaint(call, f"fails {wordless(call)}", CallFault.WORDLESS)]
    code = document["code"]
    if codes and code not in codes:
        wanted = " or ".join(map(str, sorted(codes)))
        return [complaint(call, f"error code {code} instead of {wanted}: {words(call)}", CallFault.CODE)]
    text = f"{document.get('msg', '')} {document.get('details', '')}"
    lacking = [name for name in names if name not in text]
    unnamed = f"the error does not name {', '.join(lacking)}: {words(call)}"
    return [complaint(call, unnamed, CallFault.NAMELESS)] if lacking else []


def unreported(call: Call) -> list[str]:
    """What speaks against the way a call ended, should it have failed: it crashed, or has no error document."""
    faults = crash(call)
    if faults or call.exit_code == 0 or error_document(call) is not None:
        return faults
    return [complaint(call, f"fails {wordless(call)}", CallFault.WORDLESS)]


def held_open(call: Call) -> list[str]:
    """That a process is left which whoever reads what the plugin printed would wait for."""
    return [complaint(call, "a child of it holds its output open", CallFault.HOLDS)] if call.held_open else []


def not_defined(call: Call) -> bool:
    """Whether a plugin answered that it does not know the command."""
    document = error_document(call)
    return document is not None and document["code"] in (1, 4) and "CNI_COMMAND" in str(document.get("msg", ""))


def wordless(call: Call) -> str:
    """How a call failed whose stdout is no error document: it prints several documents, or none that is one."""
    found = documents(call)
    if len(found) > 1 and all(isinstance(document, dict) for document in found):
        return f"and prints {len(found)} documents instead of one error document: {words(call)}"
    return f"without an error document: {words(call)}"


def words(call: Call) -> str:
    """What a failed call said, in one line, with what changes from run to run left in."""
    document = error_document(call)
    if document is not None:
        meaning = spec.ERRORS.get(document["code"])
        about = f"code {document['code']}" + (f" ({meaning})" if meaning else "")
        details = f"; {document['details']}" if document.get("details") else ""
        return shown(f"{about}: {document.get('msg', '')}{details}".encode())
    return shown(call.stdout or call.stderr) or "nothing said"


def lacking_programs(said: str) -> list[str]:
    """The programs that a plugin would have started, and this machine does not have, by what it said."""
    named = ("".join(found) for found in _PROGRAM.findall(said))
    return list(dict.fromkeys(name for name in named if not programs.find(name)))


def _output(call: Call) -> str:
    return f": {shown(call.stdout)}" if call.stdout.strip() else ""
