"""The registry of causes: which function recognises which, and at which points of a packet's path it can."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from cnitest.errors import UsageError
from cnitest.explain.evidence import resolution
from cnitest.explain.evidence.ip import carriers
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.lab.explanation import Cause

_PACKAGE = __name__.rpartition(".")[0]
# What can be the matter with an ARP request or a solicitation as with any frame.
_OF_QUESTIONS = frozenset({"l2", "limits", "firewall", "nftables", "rates", "sets"})


class Found(NamedTuple):
    """What a function recognised; the fields of `Cause` but for its id. ``place`` is where the packet was last seen
    unless another one is named."""

    dropped_by: str
    words: str
    hook: str = ""
    evidence: tuple[str, ...] = ()
    remedy: str = ""
    place: str = ""


Function = Callable[[Loss], "Found | None"]


@dataclass(frozen=True)
class Recogniser:
    """A cause that can be recognised. ``stages`` are where it strikes; ``reasons`` those of the kernel's trace that go
    with it (empty: any), ``order`` its turn among the causes of a stage."""

    id: str
    function: Function
    stages: frozenset[Stage]
    reasons: frozenset[str]
    order: int = 0

    @property
    def says(self) -> str:
        """What it is, in a line."""
        return (inspect.getdoc(self.function) or "").partition("\n\n")[0].replace("\n", " ")

    @property
    def family(self) -> str:
        """The module or package that it stands in: ``routing``."""
        return self.function.__module__.removeprefix(f"{_PACKAGE}.").partition(".")[0]

    def fits(self, reasons: frozenset[str]) -> bool:
        """Whether the kernel's own reasons, where it gave some, leave this cause possible."""
        return not reasons or not self.reasons or bool(reasons & self.reasons)


_CAUSES: dict[str, Recogniser] = {}


def cause(
    identifier: str, *stages: Stage, reasons: Iterable[str] = (), order: int = 0
) -> Callable[[Function], Function]:
    """Register the function below as what recognises a cause at some stages; a lower ``order`` comes first at a stage.

    It gets the loss and returns `Found`, or None where the evidence does not show its cause. Its docstring's first
    paragraph is the cause's line in docs/explain.md. Raises UsageError without one, without stages, and for an id that
    another function has.
    """

    def register(function: Function) -> Function:
        made = Recogniser(identifier, function, frozenset(stages), frozenset(reasons), order)
        if not made.says or not stages:
            raise UsageError(f"{function.__module__}.{function.__qualname__}: a cause has a docstring and stages")
        other = _CAUSES.setdefault(identifier, made)
        if other is not made and other.function.__qualname__ != function.__qualname__:
            raise UsageError(f"{function.__module__}.{function.__qualname__}: {identifier} is another function's")
        return function

    return register


@cache
def causes() -> Mapping[str, Recogniser]:
    """All causes by id, a family after the other, each in the order of its module."""
    package = importlib.import_module(_PACKAGE)
    for found in pkgutil.walk_packages(package.__path__, f"{_PACKAGE}."):
        importlib.import_module(found.name)
    ranked = sorted(_CAUSES.values(), key=lambda one: (one.function.__module__, one.function.__code__.co_firstlineno))
    return MappingProxyType({one.id: one for one in ranked})


class Recognised(NamedTuple):
    """A cause, and the packet that it ended: the one that was last seen, or the answer to it that never left."""

    cause: Cause
    loss: Loss


def recognised(loss: Loss) -> Recognised | None:
    """The first cause, in the order in which the packet comes to where they strike, that the evidence shows."""
    return next(_recognised(loss), None)


def _recognised(loss: Loss) -> Iterator[Recognised]:
    known = sorted(causes().values(), key=lambda one: one.order)
    yield from (Recognised(found, loss) for found in _at(loss, Stage.TRACED, known))
    if loss.answer:
        yield from (Recognised(found, loss.answer) for found in _at(loss.answer, Stage.TRACED, known))
    for packet in filter(None, (loss, loss.answer)):
        yield from (Recognised(found, packet) for found in _by_stages(packet, packet.stages, known, known))


def _by_stages(
    packet: Loss, stages: Iterable[Stage], own: Iterable[Recogniser], known: Iterable[Recogniser]
) -> Iterator[Cause]:
    """The causes at the points of a packet's path: its ``own``, and all that are ``known`` of what was to carry it."""
    for stage in stages:
        yield from _at(packet, stage, own)
        if stage is Stage.NEIGHBOUR:
            yield from _unanswered(packet, known)
        carrier = packet.once(carriers.around) if stage is Stage.TUNNEL else None
        if carrier:
            yield from _by_stages(carrier, carrier.stages, known, known)


def _at(packet: Loss, stage: Stage, known: Iterable[Recogniser]) -> Iterator[Cause]:
    """The causes at one point of the packet's path."""
    for one in known:
        if stage in one.stages and one.fits(packet.reasons):
            found = one.function(packet)
            if found is not None:
                place, remedy = found.place or packet.place.full_name, _for_a_shell(packet, found.remedy)
                yield Cause(one.id, **{**found._asdict(), "place": place, "remedy": remedy})


def _for_a_shell(packet: Loss, remedy: str) -> str:
    """A command whose links a shell reads as they are called: a name may hold ``;``, ``$`` and the like."""
    odd = {at.link for at in packet.wiring.links if remedy and shlex.quote(at.link) != at.link}
    for name in odd:
        word = rf"(?<!\S)(?![\"'])\S*{re.escape(name)}\S*"
        remedy = re.sub(word, lambda found: shlex.quote(found[0]), remedy)
    return remedy


def _unanswered(packet: Loss, known: Iterable[Recogniser]) -> Iterator[Cause]:
    """Why nobody answers who is asked for the next hop's MAC, where that is what holds the packet up."""
    asked = packet.once(resolution.asked)
    if asked is None:
        return
    question = f"who has {asked.probe.destination} on {asked.probe.link}"
    said = f"{asked.probe.sender.full_name} gets no answer when it asks {question}"
    fitting = [one for one in known if one.family in _OF_QUESTIONS]
    for found in _by_stages(asked, (Stage.TRACED, *asked.stages), fitting, known):
        yield replace(found, evidence=(said, *found.evidence))
