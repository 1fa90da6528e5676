"""Probes every place from every other and makes a matrix of what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cnitest.errors import UsageError, is_ours
from cnitest.lab.explanation import Cause, Explanation
from cnitest.lab.place import Place
from cnitest.lab.probe.batch.proving import prove_all
from cnitest.lab.probe.verdict.inquiry import inquire
from cnitest.lab.reach import Reach, Verdict
from cnitest.lab.reachability.addresses import Addresses, addresses
from cnitest.lab.reachability.grid import Cell
from cnitest.lab.reachability.kinds import DEFAULT, PacketKind, kind
from cnitest.lab.reachability.matrix import Reachability
from cnitest.lab.reachability.truth import matching

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.reachability.measuring import Places

__tracebackhide__ = is_ours

# So many places at a time are probed from so many others: each pair may need entries in neighbour tables.
_BLOCK = 8


class _Task(NamedTuple):
    """A cell that can be probed."""

    cell: Cell
    sender: Place
    receiver: Place
    kind: PacketKind
    address: str


def measure(
    lab: Lab,
    places: Places,
    probes: str | Sequence[str],
    to: Places,
    family: Any,
    chosen: Mapping[Any, Any],
    wait: float | None,
) -> Reachability:
    """The matrix of a lab, see `Measuring.reachability`."""
    kinds = _kinds(probes, family)
    wanted = {_one(lab, place).full_name: _several(words) for place, words in chosen.items()}
    senders = _places(lab, places, "places")
    receivers = _places(lab, to, "to") if to is not None else senders
    everyone = list(dict.fromkeys((*senders, *receivers)))
    found = addresses(everyone, lab.places, wanted)
    if family is None and tuple(probes) == DEFAULT:
        kinds = _in_use(kinds, everyone, found)
    _check_kinds(kinds, everyone, found)
    if places is None:
        senders = _addressed(senders, found, kinds)
    if to is None:
        receivers = senders if places is None else receivers
    _check_pairs(senders, receivers)
    tasks, absent = _tasks(senders, receivers, kinds, found)
    reaches = _reaches(tasks, found, wait)
    matrix = Reachability(
        tuple(place.full_name for place in senders),
        tuple(place.full_name for place in receivers),
        tuple(map(str, kinds)),
        {task.cell: reaches[task.cell] for task in tasks},
        absent,
        lab.journal.note,
    )
    lab.journal.note(matrix)
    return matrix


def _kinds(probes: str | Sequence[str], family: Any) -> list[PacketKind]:
    words = [probes] if isinstance(probes, str) else list(probes)
    try:
        kinds = [kind(word) for word in words]
    except ValueError as error:
        raise UsageError(f"reachability(): probes: {error}") from None
    families = [family] if isinstance(family, int) or family is None else list(family)
    if not words or not families or any(each not in (None, 4, 6) for each in families):
        raise UsageError(
            f"reachability(): probes are one or more, family is 4, 6 or (4, 6), not {probes!r}, {family!r}"
        )
    return list(dict.fromkeys(each.over(one or each.family) for each in kinds for one in families))


def _several(words: Any) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(map(str, words))


def _one(lab: Lab, given: Place | str) -> Place:
    (found,) = _meant(lab, given)
    return found


def _places(lab: Lab, given: Places, what: str) -> list[Place]:
    """The places that are meant, each once. Raises UnknownName."""
    if given is None:
        return [place for place in lab.places if place.role != "switch"]
    several = [given] if isinstance(given, Place | str) else [*given]
    found = list(dict.fromkeys(place for one in several for place in _meant(lab, one)))
    if not found:
        raise UsageError(f"reachability(): {what} are one or more hosts or sandboxes, not {given!r}")
    return found


def _meant(lab: Lab, given: Place | str) -> list[Place]:
    if isinstance(given, Place):
        if lab.place(given.full_name) is not given:
            raise UsageError(f"reachability(): {given!r} is a place of another lab")
        return [given]
    if not isinstance(given, str):
        raise UsageError(f"reachability(): a place is a host, a sandbox, or the name of one, not {given!r}")
    names = matching(given, [place.full_name for place in lab.places])
    return [lab.place(name) for name in names] or [lab.place(given)]


def _addressed(places: Sequence[Place], found: Addresses, kinds: Sequence[PacketKind]) -> list[Place]:
    """The places that can be probed at all."""
    return [place for place in places if any(found.of(place, each.family) for each in kinds)]


def _in_use(kinds: Sequence[PacketKind], everyone: Sequence[Place], found: Addresses) -> list[PacketKind]:
    """The probes over IPv6 where it is the only family that anybody has an address of."""
    return [each.over(6) if _families(everyone, found) == {6} else each for each in kinds]


def _families(everyone: Sequence[Place], found: Addresses) -> set[int]:
    return {family for family in (4, 6) if any(found.of(place, family) for place in everyone)}


def _check_pairs(senders: Sequence[Place], receivers: Sequence[Place]) -> None:
    """Raises UsageError when nobody is left to be probed."""
    if not any(a is not b for a in senders for b in receivers):
        raise UsageError(
            f"reachability(): there are no two places with addresses to probe: from {_listed(senders)} to "
            f"{_listed(receivers)}; name others"
        )


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(place.full_name for place in places) or "nobody"


def _check_kinds(kinds: Sequence[PacketKind], everyone: Sequence[Place], found: Addresses) -> None:
    """Raises UsageError when a whole probe makes no sense: it is the other family that has addresses."""
    has = _families(everyone, found)
    for each in kinds:
        if has and each.family not in has:
            other = each.over(10 - each.family)
            raise UsageError(
                f"reachability(): probe {each}: none of the places has an IPv{each.family} address; write '{other}'"
            )


def _tasks(
    senders: Sequence[Place], receivers: Sequence[Place], kinds: Sequence[PacketKind], found: Addresses
) -> tuple[list[_Task], dict[Cell, str]]:
    tasks, absent = [], {}
    for sender in senders:
        for receiver in receivers:
            for each in kinds if sender is not receiver else ():
                cell = Cell(sender.full_name, receiver.full_name, str(each))
                lacking = [place for place in (sender, receiver) if found.of(place, each.family) is None]
                if lacking:
                    absent[cell] = f"{lacking[0].full_name} has no IPv{each.family} address"
                else:
                    tasks.append(_Task(cell, sender, receiver, each, found.chosen[receiver.full_name, each.family]))
    return tasks, absent


def _reaches(tasks: Sequence[_Task], found: Addresses, wait: float | None) -> dict[Cell, Reach]:
    reaches: dict[Cell, Reach] = {}
    alone = [task for task in tasks if len(found.owners.get(task.address, ())) > 1]
    together = _blocks([task for task in tasks if len(found.owners.get(task.address, ())) <= 1])
    probes = [task.kind.probe(task.sender, task.address, task.receiver) for task in together]
    reaches |= dict(zip((task.cell for task in together), prove_all(probes, wait), strict=True))
    for task in alone:
        reaches[task.cell] = _shared(task, found.owners[task.address], wait)
    return reaches


def _blocks(tasks: Iterable[_Task]) -> list[_Task]:
    """In blocks of few places, each pair there and back: neighbours that it needs are then needed at one time."""
    numbers: dict[Place, int] = {}

    def key(task: _Task) -> tuple[str, int, int, int, int]:
        one, other = (numbers.setdefault(place, len(numbers)) for place in (task.sender, task.receiver))
        low, high = sorted((one, other))
        return str(task.kind), low // _BLOCK, high // _BLOCK, low, high

    return sorted(tasks, key=key)


def _shared(task: _Task, owners: Sequence[str], wait: float | None) -> Reach:
    """The reach to an address that several places have: an answer counts when this one received the probe."""
    reach = inquire(task.kind.probe(task.sender, task.address, task.receiver), wait, "all")
    name = task.receiver.full_name
    if reach.verdict is not Verdict.DELIVERED or any(not frame.out for frame in reach.seen.at(name)):
        return reach
    others = [other for other in owners if other != name and reach.seen.at(other)]
    who = ", ".join(others) or "another place"
    words = f"answered by {who}, which has {task.address}, too"
    cause = Cause("host.shared-address", f"shared address of {who}", words, others[0] if others else "")
    dropped = replace(reach, verdict=Verdict.DROPPED, reason=f"{words}; {name} never received it")
    return replace(dropped, explainer=lambda lost: Explanation(f"{lost.summary}: not delivered to {name}", cause=cause))
