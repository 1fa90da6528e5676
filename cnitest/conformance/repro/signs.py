"""How a script decides: for each complaint the condition that holds while it is so.

A complaint may bring its own. Else what it is about decides: a difference holds while that is there between the same
two looks; a packet while its target does not answer; a sysctl while it has that value; a call while that ends and
answers as it did; a delegate while that was called as it was. Its words are never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.bench.steps import (
    Arrival,
    Ask,
    Complaint,
    DelegateCommands,
    Look,
    NoAnswer,
    NoArrival,
    Saw,
    SourceHidden,
    Step,
    SysctlChange,
)
from cnitest.conformance.model import protocol
from cnitest.conformance.repro import fake
from cnitest.conformance.repro.quote import joined, quoted
from cnitest.conformance.repro.steps import AtOnce, Moved, number_of
from cnitest.conformance.repro.topology import PlaceNames
from cnitest.kernel.rows.records import Address, Filter, Qdisc, Route
from cnitest.lab.snapshot.difference import Difference, difference

_SHOWN = 4000
_RANDOM = ((r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"), (r"veth[0-9a-f]{8}", "VETH"))
_SPECIAL = re.compile(r"([][.*^$+?(){}|\\])")
_ADDRESS = re.compile(r"[0-9]+(?:\\\.[0-9]+){3}|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}")


class Sign(NamedTuple):
    """A condition in shell, and the two looks that it compares or the packet that it is about, when there are."""

    condition: str
    looks: tuple[str, ...] = ()
    packet: AtOnce | None = None


class Signs:
    """Finds the signs of complaints in a record."""

    def __init__(self, steps: Sequence[Step], plugin: str, host: str, machines: PlaceNames) -> None:
        self._steps = steps
        self._plugin = plugin
        self._host = host
        self._machines = machines
        self._moved = Moved(steps)
        self._calls = [step.call for step in steps if isinstance(step, Ask)]
        self._is_killing = any(isinstance(step, Ask) and step.limit is not None for step in steps)

    def of(self, complaint: Complaint) -> Sign:
        """The sign of one complaint."""
        if complaint.witness:
            return Sign(f"holds {quoted(self._moved(complaint.witness))}")
        if complaint.kernel:
            return Sign(f"{self._of_answers(complaint).condition} && {complaint.kernel}")
        match complaint.about:
            case Leftover() as left:
                found = self._of_difference(complaint, left)
            case Call() as call:
                found = self._of_call(complaint, call)
            case None | DelegateCommands():
                found = None
            case NoAnswer() as packet:
                found = self._of_answer(complaint, packet)
            case of_host:
                found = self._of_host(of_host)
        return found or self._of_delegate(complaint) or self._of_answers(complaint)

    def _before(self, complaint: Complaint) -> Sequence[Step]:
        return self._steps[: complaint.after]

    # --- what is there

    def _of_difference(self, complaint: Complaint, left: Leftover) -> Sign | None:
        """The last look has it, and the first one that is not as the last says what it was before."""
        looks = [step for step in self._before(complaint) if isinstance(step, Look)]
        for late in reversed(looks):
            for early in looks[: looks.index(late)]:
                if _shows(left, early, late):
                    item = left.difference
                    how = "came" if item.appeared else "went" if item.vanished else "changed"
                    pattern = quoted(self._loosened(_pattern(left.place, item)))
                    return Sign(f"{how} {early.name} {late.name} {pattern}", (early.name, late.name))
        return None

    def _loosened(self, pattern: str) -> str:
        """Which addresses are left by killed calls is chance."""
        return _ADDRESS.sub("[0-9a-f.:]+", pattern) if self._is_killing else pattern

    # --- packets and sysctls

    def _of_answer(self, complaint: Complaint, packet: NoAnswer) -> Sign:
        """One that had so many seconds is sent the moment the call before it has ended: later it may be answered."""
        place, asked = self._name(packet.sender), [step for step in self._before(complaint) if isinstance(step, Ask)]
        if not packet.seconds or not asked or asked[-1].batch:
            return Sign(f"lost {joined((place, packet.target))}")
        sent = AtOnce(len(asked), place, packet.target, packet.seconds)
        return Sign(f"unanswered {joined((str(sent.call), place, packet.target))}", packet=sent)

    def _of_host(self, about: NoArrival | Arrival | SourceHidden | SysctlChange) -> Sign:
        match about:
            case NoArrival(port=port) | Arrival(port=port):
                stream = (about.protocol, str(port)) if port else ()
                words = joined((self._name(about.sender), about.target, self._name(about.receiver), *stream))
                return Sign(f"{'' if isinstance(about, Arrival) else '! '}arrives {words}")
            case SourceHidden(sender, target, source):
                return Sign(f"hides {joined((self._name(sender), target, source))}")
            case SysctlChange(name, _, after, place):
                where = self._name(place) if place else "-"
                return Sign(f"sysctl_is {where} {quoted(name)} {quoted(after)}")

    def _name(self, place: str) -> str:
        return self._machines.name(place)

    # --- calls

    def _of_call(self, complaint: Complaint, call: Call) -> Sign | None:
        """The call as it went; where calls are killed, one of the same subject that ends so."""
        asked = [step for step in self._before(complaint) if isinstance(step, Ask)]
        if not any(ask.call is call for ask in asked):
            return None
        if self._is_killing:
            alike = [ask.call for ask in asked if ask.limit is None and ask.call.subject == call.subject]
            return Sign(f"one_ended {_code(call)} {self._numbers(alike)}")
        return Sign(self._answered(call))

    def _numbers(self, calls: Sequence[Call]) -> str:
        return " ".join(str(number_of(call, self._calls)) for call in calls)

    def _answered(self, call: Call) -> str:
        number = number_of(call, self._calls)
        if call.timed_out or call.exit_code < 0:
            return f"ended {number} {_code(call)}"
        if protocol.stack_trace(call) and not call.cut:
            return f"crashed {number}"
        said = self._moved(call.stdout[:20000].decode(errors="replace"))
        return f"answered {number} {call.exit_code} {quoted(' '.join(said.split())[:_SHOWN])}"

    def _of_answers(self, complaint: Complaint) -> Sign:
        """All answers of the plugin up to then when they are few, else the last."""
        steps = self._before(complaint)
        calls = [step.call for step in steps if isinstance(step, Ask) and step.call.plugin == self._plugin]
        if not calls:
            return Sign("false")
        return Sign(" && ".join(self._answered(call) for call in (calls if len(calls) <= 3 else calls[-1:])))

    # --- delegates

    def _of_delegate(self, complaint: Complaint) -> Sign | None:
        found = [step for step in self._before(complaint) if isinstance(step, Saw)]
        if not found:
            return None
        by_command = isinstance(complaint.about, DelegateCommands)
        return Sign(" && ".join(self._saw(step, by_command=by_command) for step in _last_of_each(found)))

    def _saw(self, saw: Saw, *, by_command: bool) -> str:
        place = self._moved(joined((saw.directory, saw.name)))
        if by_command:
            commands = "".join(f"{record.command} " for record in saw.records)
            return f"commands {place} {quoted(commands)}"
        return f"calls {place} {quoted(self._moved(fake.seen(saw.records)))}"


def _shows(left: Leftover, early: Look, late: Look) -> bool:
    """Whether a difference is one between two looks."""
    if not {left.place} <= early.picture.keys() & late.picture.keys():
        return False
    return left.difference in difference(early.picture[left.place], late.picture[left.place])


def _code(call: Call) -> int:
    """The exit code of a call as a shell has it: 128 and the signal's number for a plugin that a signal ended."""
    return call.exit_code if call.exit_code >= 0 else 128 - call.exit_code


def _last_of_each(found: Sequence[Saw]) -> Iterator[Saw]:
    yield from {(saw.directory, saw.name): saw for saw in found}.values()


# --- how a look of the script writes what a difference is about


def _pattern(place: str, item: Difference) -> str:
    return f"^{_plain(place)} {_PATTERNS.get(item.table, _of_rule)(item)}"


def _plain(text: str) -> str:
    """Text as a regular expression that matches it, without what changes from run to run."""
    for pattern, word in _RANDOM:
        text = re.sub(pattern, word, text)
    return _SPECIAL.sub(r"\\\1", text)


def _of_link(item: Difference) -> str:
    return f"link {_plain(item.key)} "


def _of_address(item: Difference) -> str:
    address: Address = item.row
    return f"address {_plain(address.link)} {_plain(address.address)}"


def _of_route(item: Difference) -> str:
    route: Route = item.row
    to, way, kind = route.to, route.via or route.link, route.kind
    to = to.removesuffix("/32").removesuffix("/128") if ":" not in to or to.endswith("/128") else to
    head = f"route {'' if kind == 'unicast' else f'{kind} '}{_plain(to)} "
    where = f".*(via|dev) {_plain(way)}( |$)" if way else ".*nexthop"
    return head + where + (f".*table {route.table}( |$)" if route.table not in (254, 255) else "")


def _of_policy(item: Difference) -> str:
    return f"rule {item.row.family} {item.row.priority}: "


def _of_queue(item: Difference) -> str:
    queue: Qdisc = item.row
    return f"qdisc {queue.kind} dev {_plain(queue.link)}"


def _of_nexthop(item: Difference) -> str:
    return f"nexthop {_plain(item.key)} "


def _of_class(item: Difference) -> str:
    return f"{_plain(item.row.link)} class {item.row.kind} {_plain(item.row.handle)} "


def _of_filter(item: Difference) -> str:
    row: Filter = item.row
    return f"{_plain(row.link)} filter .*protocol {row.protocol} pref {row.pref} {row.kind} "


def _of_file(item: Difference) -> str:
    return f"file {_plain(item.key)} "


def _of_rule(item: Difference) -> str:
    return f"{item.table} {_plain(' '.join(str(item.row).split()))}$"


_PATTERNS = {
    "links": _of_link,
    "ports": _of_link,
    "addresses": _of_address,
    "routes": _of_route,
    "rules": _of_policy,
    "qdiscs": _of_queue,
    "nexthops": _of_nexthop,
    "classes": _of_class,
    "filters": _of_filter,
    "files": _of_file,
}
