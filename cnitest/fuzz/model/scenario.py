"""What is done with generated networks, as data: it can be stored, shrunk, done again, and read by a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from cnitest.fuzz.model.example import Example, Validity


class Step(NamedTuple):
    """One step: one of `operations.OPERATIONS` for a container's interface in a network, given by its position."""

    operation: str
    network: int = 0
    container: str = "c1"
    ifname: str = ""

    @property
    def words(self) -> str:
        """The step in a few words."""
        about = f" {self.container}" if self.container else ""
        return f"{self.operation}{about}{f' {self.ifname}' if self.ifname else ''}"


#: What is done with a single configuration: the life of one container, with DEL once more.
LIFE = (Step("ADD"), Step("CHECK"), Step("DEL"), Step("DEL"))


@dataclass(frozen=True)
class Raw:
    """One call of a plugin that no runtime would make: other bytes on stdin, other variables.

    ``valid`` is what has to come of it: True success, False a rejection, None one or the other; a rejection has one of
    some ``codes``, if there are any, and its text has all ``names``.
    """

    plugin: str
    command: str = "ADD"
    stdin: bytes | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    valid: bool | None = None
    codes: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The call in a few words."""
        given = " ".join(f"{name}={value!r}" for name, value in self.variables.items())
        return f"{self.plugin} {self.command} by hand{f' with {given}' if given else ''}"


@dataclass(frozen=True)
class Scenario:
    """Networks and the steps with them; or, with ``raw``, one raw call about the first network; or, with ``held``, the
    name of a test of the conformance suite to hold it to."""

    networks: tuple[Example, ...]
    steps: tuple[Step, ...] = LIFE
    raw: Raw | None = None
    held: str = ""

    @property
    def weight(self) -> tuple[int, int, int]:
        """Its size, to compare: steps, networks, text."""
        return len(self.steps), len(self.networks), len(self.dumps())

    @property
    def words(self) -> str:
        """The steps in one line."""
        if self.raw:
            return self.raw.words
        if self.held:
            return self.held
        many = len(self.networks) > 1
        return ", ".join(step.words + (f" (network {step.network + 1})" if many else "") for step in self.steps)

    @property
    def upgrades(self) -> bool:
        """Whether it changes to another release of the plugins."""
        return any(step.operation == "UPGRADE" for step in self.steps)

    def dumps(self) -> str:
        """As JSON text."""
        data: dict[str, Any] = {
            "networks": [{**asdict(example), "validity": example.validity.value} for example in self.networks],
            "steps": [list(step) for step in self.steps],
        }
        if self.raw:
            raw = asdict(self.raw)
            raw["verb"] = raw.pop("command")
            raw["stdin"] = None if self.raw.stdin is None else self.raw.stdin.decode("latin-1")
            data["raw"] = raw
        if self.held:
            data["held"] = self.held
        return json.dumps(data, sort_keys=True)


def loads(text: str) -> Scenario:
    """The scenario that `Scenario.dumps` wrote. Raises ValueError for anything else."""
    try:
        data = json.loads(text)
        networks = tuple(_example(row) for row in data["networks"])
        raw = data.get("raw")
        if raw:
            raw["command"] = raw.pop("verb")
        if raw and raw["stdin"] is not None:
            raw["stdin"] = raw["stdin"].encode("latin-1")
        for key in {"codes", "names"} & (raw or {}).keys():
            raw[key] = tuple(raw[key])
        steps = tuple(Step(*row) for row in data["steps"])
        return Scenario(networks, steps, Raw(**raw) if raw else None, data.get("held", ""))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no scenario of cnitest's: {error}") from error


def _example(row: Mapping[str, Any]) -> Example:
    return Example(**{**row, "validity": Validity(row["validity"]), "wrong": tuple(row.get("wrong", ()))})
