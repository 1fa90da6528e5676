"""The plugins of one network, called one after the other as each command wants it (SPEC section 3).

Whoever calls them says how one call is made and how its answer is read. A runtime is strict: a failure is an error.
Who tries plugins is lenient: a failure ends the command, and the calls so far are what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cnitest.cni.calls import answers
from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.errors import PluginError, is_ours

__tracebackhide__ = is_ours

#: Makes one call: the command, the plugin's position in its list, the previous result. Raises PluginError.
Ask = Callable[[str, int, Document | None], Call]


class AnswerReader(Protocol):
    """How answers are read; a strict one raises PluginError for a failure."""

    def result(self, position: int, call: Call) -> Document | None:
        """What an ADD hands to the next plugin; None where it failed."""
        ...

    def fails(self, position: int, call: Call) -> bool:
        """Whether a call without a result failed."""
        ...


class Lenient:
    """Takes any one object for a result, and any end but success for a failure."""

    def result(self, _: int, call: Call) -> Document | None:
        """The one object on stdout of a successful call."""
        return answers.result_document(call)

    def fails(self, _: int, call: Call) -> bool:
        """Whether the call ended in any failure."""
        return answers.failed(call)


@dataclass(frozen=True)
class PluginChain:
    """A list of ``length`` plugins, and how they are called and read."""

    length: int
    ask: Ask
    reader: AnswerReader

    def add(self) -> tuple[list[Call], Document | None]:
        """ADD down the list, each result handed to the next (RT-01), until one fails; the calls, and the result of the
        last when all have succeeded."""
        calls: list[Call] = []
        previous: Document | None = None
        for position in range(self.length):
            calls.append(self.ask("ADD", position, previous))
            previous = self.reader.result(position, calls[-1])
            if previous is None:
                break
        return calls, previous

    def check(self, previous: Document | None) -> list[Call]:
        """CHECK down the list with the result of ADD (RT-08), until one fails (RT-03)."""
        return self._each("CHECK", range(self.length), previous)

    def delete(self, previous: Document | None, *, stop: bool = True) -> list[Call]:
        """DEL up the list with the result of ADD (RT-02), until one fails (RT-03); without ``stop`` of every one."""
        return self._each("DEL", reversed(range(self.length)), previous, stop=stop)

    def status(self, *, stop: bool = True) -> list[Call]:
        """STATUS down the list, until one fails (RT-09); without ``stop`` of every one."""
        return self._each("STATUS", range(self.length), stop=stop)

    def gc(self) -> tuple[list[Call], list[PluginError]]:
        """GC down the list, whatever fails (RT-03): the calls, and the errors that were raised."""
        calls: list[Call] = []
        failures: list[PluginError] = []
        for position in range(self.length):
            try:
                calls += self._each("GC", (position,))
            except PluginError as error:
                failures.append(error)
        return calls, failures

    def _each(
        self, command: str, positions: Iterable[int], previous: Document | None = None, *, stop: bool = True
    ) -> list[Call]:
        calls: list[Call] = []
        for position in positions:
            calls.append(self.ask(command, position, previous))
            if self.reader.fails(position, calls[-1]) and stop:
                break
        return calls
