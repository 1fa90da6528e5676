"""The record of a bench: every step, every complaint, and which calls ran side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.bench.steps import Ask, CommandRun, Complaint, DaemonStart, Look, Step
from cnitest.conformance.model.finding import Detail, Doubt, Finding, visible
from cnitest.lab.snapshot.state import State


class BenchRecord:
    """What was done and what did not hold, in order. Calls may come from several threads.

    ``enough`` says of a complaint whether nothing more is worth knowing after it.
    """

    def __init__(self, enough: Callable[[str], bool] = lambda _: False) -> None:
        self._enough = enough
        self.steps: list[Step] = []
        self.complaints: list[Complaint] = []
        #: What could not be found out; it makes the case undecided where nothing else is wrong.
        self.doubts: list[Doubt] = []
        #: Why there was nothing to try, where there was not; and whether ADD was seen to change something.
        self.not_applicable = ""
        self.effect: bool | None = None
        #: The calls that had to succeed for the rest to mean anything.
        self.needed: list[Call] = []
        self._lock = threading.Lock()
        self._running = 0
        self._batch: list[Ask] = []
        self._batches = 0
        self._looks = 0

    @property
    def violation(self) -> list[str]:
        """What does not hold, a line each."""
        return [complaint.detail for complaint in self.complaints]

    @property
    def calls(self) -> list[Call]:
        """Every call, in the order they ended."""
        return [step.call for step in self.steps if isinstance(step, Ask)]

    @property
    def seconds(self) -> float:
        """How long plugins were waited for; of calls that ran side by side, for the slowest."""
        longest: dict[int, float] = {}
        for ask in (step for step in self.steps if isinstance(step, Ask)):
            key = ask.batch or -len(longest) - 1
            longest[key] = max(longest.get(key, 0.0), ask.call.seconds)
        return sum(longest.values())

    def still_set_up(self) -> BenchRecord:
        """A new record that begins with what still stands: containers, a daemon, the plugins before ours."""
        fresh = BenchRecord(self._enough)
        fresh.steps = [step for step in self.steps if self._stands(step)]
        fresh.needed = [call for call in self.needed if any(call is kept for kept in fresh.calls)]
        return fresh

    def _stands(self, step: Step) -> bool:
        if isinstance(step, Ask):
            return any(step.call is call for call in self.needed)
        return isinstance(step, (CommandRun, DaemonStart))

    def complain(self, details: Sequence[str | Leftover], witness: str = "", prefix: str = "") -> None:
        """Note what does not hold, each thing once, and apart what is in doubt. Raises Finding when that is enough."""
        for detail in details:
            if isinstance(detail, Doubt):
                self.doubts.append(detail.after(prefix))
                continue
            words = visible(f"{prefix}{detail}")
            if words in self.violation:
                continue
            said = detail if isinstance(detail, Detail) else Detail(words)
            about = detail if isinstance(detail, Leftover) else said.about
            self.complaints.append(Complaint(words, len(self.steps), witness, said.kernel, about, said.fault))
            if self._enough(words):
                raise Finding(self.violation)

    def forget_complaints(self) -> None:
        """Forget what did not hold and what was in doubt, for the next test that only looks."""
        self.complaints, self.doubts = [], []

    def look(self, containers: tuple[str, ...], picture: Mapping[str, State]) -> None:
        """Note a picture."""
        self._looks += 1
        self.steps.append(Look(f"look{self._looks}", containers, picture, time.monotonic()))

    @contextmanager
    def calling(self) -> Iterator[Callable[[Call, float | None, int], None]]:
        """Around a call: what is yielded notes how it went, and how it was killed on purpose (see `Ask`). Calls that
        overlap become one batch."""
        with self._lock:
            self._running += 1
        made: list[Ask] = []
        try:
            yield lambda call, limit, change: made.append(Ask(call, limit, change=change))
        finally:
            with self._lock:
                self._running -= 1
                self._batch += made
                if not self._running:
                    self._close_batch()

    def _close_batch(self) -> None:
        together, self._batch = self._batch, []
        self._batches += len(together) > 1
        number = self._batches if len(together) > 1 else 0
        self.steps += [ask._replace(batch=number) for ask in together]
