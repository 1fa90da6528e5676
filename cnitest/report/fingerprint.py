"""What tells the cause of a complaint from others: made from what the complaint is about, without its values.

Two complaints about the same thing have one fingerprint, whatever requirement, place, address or container they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.bench.steps import (
    Arrival,
    DelegateCommands,
    Evidence,
    NoAnswer,
    NoArrival,
    SourceHidden,
    SysctlChange,
)
from cnitest.conformance.model import protocol
from cnitest.conformance.model.protocol import CallFault
from cnitest.fuzz.model.violation import plain
from cnitest.lab.snapshot.difference import Difference
from cnitest.lab.snapshot.firewall_line import FirewallLine

#: Before the fingerprint of what is a cause by itself: two cases that share one share a cause.
ALONE = "!"
#: The operation whose blindness is one cause however many things it does not see.
_SEES = "CHECK"
# The beginning of the requirements about it, and those of them that are about what it is asked.
_SEEN, _ASKED = "CHK-", ("CHK-03", "CHK-04")
# What of a row says which sort of thing it is, rather than which one.
_TRAITS = ("kind", "protocol", "scope")


def fingerprint(about: Evidence | None, fault: str, requirement: str) -> str:
    """The fingerprint of a complaint about something; empty where nothing but its words says what it is about."""
    match about:
        case Leftover(_, item):
            return f"left {_of_difference(item)}"
        case Call() as call:
            return _of_call(call, fault, requirement)
        case NoAnswer(dropped_by=by) | NoArrival(dropped_by=by) if by:
            return f"{ALONE}lost {plain(by)}"
        case NoAnswer() | NoArrival():
            return f"{'unanswered' if isinstance(about, NoAnswer) else 'does not arrive'} {requirement}"
        case Arrival():
            return f"arrives {requirement}"
        case SourceHidden():
            return f"source hidden {requirement}"
        case SysctlChange(name):
            return f"sysctl {plain(name)}"
        case DelegateCommands():
            return f"delegate {requirement}"
    return ""


def _of_difference(item: Difference) -> str:
    sign = "+" if item.appeared else "-" if item.vanished else "~"
    return " ".join((sign, item.table, *_traits(item)))


def _traits(item: Difference) -> Iterator[str]:
    """What sort of row it is: of one that changed the fields that did, of a rule of a firewall the rule."""
    row: Any = item.row
    if isinstance(row, FirewallLine):
        yield plain(row)
    elif isinstance(row, str):
        yield plain(item.key)
    elif item.changed:
        yield from sorted(change.name for change in item.changes)
    else:
        yield from (f"{name}={value}" for name in _TRAITS if (value := getattr(row, name, "")))
        yield from ("default",) if getattr(row, "to", "") == "default" else ()


def _of_call(call: Call, fault: str, requirement: str) -> str:
    match fault:
        case CallFault.ACCEPTS:
            blind = call.command == _SEES and requirement.startswith(_SEEN) and requirement not in _ASKED
            return f"{ALONE}{call.command} accepts" if blind else f"accepts {requirement}"
        case CallFault.FAILS:
            return f"{ALONE}fails {plain(protocol.words(call))}"
        case CallFault.CRASHES:
            return f"{ALONE}crashes {plain(protocol.crash_words(call)[1])}"
        case CallFault.DIES:
            return f"{ALONE}dies of signal {-call.exit_code}"
        case CallFault.HANGS | CallFault.FLOODS | CallFault.REPORTED | CallFault.HOLDS:
            return f"{ALONE}{fault}"
        case CallFault.EMPTY:
            return f"{ALONE}{call.command} {fault}"
        case CallFault.WORDLESS:
            return str(fault)
        case CallFault.CODE | CallFault.NAMELESS:
            code = (protocol.error_document(call) or {}).get("code", call.exit_code)
            return f"{fault} {code} {requirement}"
    return ""
