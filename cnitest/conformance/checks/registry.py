"""The registry of checks: which function decides which requirement, what it takes, and with which values it runs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, TypeVar

from cnitest import typos
from cnitest.conformance.model import requirement
from cnitest.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., None])

#: What a check can take, by the name of its parameter.
NEEDS = {
    "bench": "a bench in a fresh lab",
    "shared_bench": "a bench for calls that are rejected or change nothing; other checks use its lab too",
    "shared_attachment": "an attachment that is only looked at, on a bench that other checks use too",
    "trial": "the plugin under test, and the version of the specification",
    "tmp_path": "an empty directory",
}
_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Check:
    """What decides a requirement: a function that complains on a bench of what does not hold.

    ``needs`` are those of its parameters that `NEEDS` has, ``parameters`` the others, each with its values.
    """

    requirement: str
    function: Callable[..., None]
    needs: tuple[str, ...]
    parameters: Mapping[str, tuple[Any, ...]]

    @property
    def name(self) -> str:
        """The name of its cases in every report."""
        return f"test_{self.function.__name__}"

    @property
    def topic(self) -> str:
        """The topic of its requirement, one of `requirement.TOPICS`."""
        return requirement.find(self.requirement).topic

    @property
    def says(self) -> str:
        """What has to hold, in a line."""
        return (inspect.getdoc(self.function) or "").replace("\n", " ")

    def variants(self) -> Iterator[Variant]:
        """Itself with each combination of the values of its parameters."""
        for values in product(*self.parameters.values()):
            yield Variant(self, MappingProxyType(dict(zip(self.parameters, values, strict=True))))


@dataclass(frozen=True)
class Variant:
    """A check with a value for each of its parameters."""

    check: Check
    given: Mapping[str, Any]

    @property
    def requirement(self) -> str:
        """The ID of what it decides."""
        return self.check.requirement

    @property
    def name(self) -> str:
        """The name of its case, as every report has it."""
        words = "-".join(str(value) for value in self.given.values())
        return f"{self.check.name}[{words}]" if words else self.check.name


_CHECKS: dict[str, Check] = {}


def check(identifier: str, **parameters: Iterable[Any]) -> Callable[[Function], Function]:
    """Register the function below as a check of a requirement.

    Its parameters are names of `NEEDS`, and a keyword here for each other one: the check runs once for every
    combination of their values. Raises UsageError for a function that takes anything else, has no docstring or the
    name of another, and CnitestError for a requirement that there is not.
    """
    wanted = requirement.find(identifier)

    def register(function: Function) -> Function:
        values = {name: tuple(choices) for name, choices in parameters.items()}
        made = Check(wanted.id, function, _needs(function, values), MappingProxyType(values))
        if not made.says:
            raise UsageError(f"{_place(function)} has no docstring: say in one line what has to hold")
        other = _CHECKS.setdefault(made.name, made)
        if other is not made and _place(other.function) != _place(function):
            raise UsageError(f"{_place(function)} has the name of {_place(other.function)}: give it one of its own")
        return function

    return register


def _needs(function: Callable[..., None], values: Mapping[str, tuple[Any, ...]]) -> tuple[str, ...]:
    """What a function takes besides its own parameters. Raises UsageError where that is not provided."""
    taken, known = tuple(inspect.signature(function).parameters), {**NEEDS, **values}
    for name in taken:
        if name not in known:
            what = f"is neither a keyword of @check nor one of {', '.join(NEEDS)}{_advice(name, known)}"
            raise UsageError(f"{_place(function)} takes {name!r}, which {what}")
    for name in values:
        if name not in taken:
            raise UsageError(f"{_place(function)} takes no {name!r}, of which @check has values{_advice(name, taken)}")
    return tuple(name for name in taken if name not in values)


def _advice(word: str, known: Iterable[str]) -> str:
    close = typos.meant(word, known)
    return f"; did you mean {close!r}?" if close else ""


def _place(function: Callable[..., None]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


@cache
def checks() -> Mapping[str, Check]:
    """All checks by name, in the order of the requirements."""
    package = importlib.import_module(_PACKAGE)
    for found in pkgutil.walk_packages(package.__path__, f"{_PACKAGE}."):
        importlib.import_module(found.name)
    order = {identifier: number for number, identifier in enumerate(requirement.registry())}
    ranked = sorted(_CHECKS.values(), key=lambda one: (order[one.requirement], *_source(one.function)))
    return MappingProxyType({one.name: one for one in ranked})


def _source(function: Callable[..., None]) -> tuple[str, int]:
    return function.__module__, function.__code__.co_firstlineno


def checks_of(identifier: str) -> list[Check]:
    """The checks that decide one requirement."""
    return [one for one in checks().values() if one.requirement == identifier]


@cache
def variants() -> Mapping[str, Variant]:
    """All variants of all checks, by name."""
    return MappingProxyType({one.name: one for each in checks().values() for one in each.variants()})
