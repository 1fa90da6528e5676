"""What would let a lost packet pass, run in the lab that was built for it: one command after another, until it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnitest.errors import CommandError
from cnitest.plural import count

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.reach import Reach

#: So many commands at most: a packet that is then still lost has been led in a circle.
_MOST = 8


class Trial(NamedTuple):
    """A remedy that was run at a place, and what became of the packet then: None where the command itself failed, with
    what it said in ``failure``."""

    place: str
    command: str
    reach: Reach | None
    failure: str = ""

    @property
    def delivered(self) -> bool:
        """Whether the packet passes now."""
        return self.reach is not None and self.reach.verdict.value == "delivered"


def tried(lab: Lab, reach: Reach, send: Callable[[], Reach]) -> Iterator[Trial]:
    """Run the remedy of a lost packet where its cause is, and ``send`` another one; again for what that is lost to, as
    long as there is another command to run."""
    known: set[tuple[str, str]] = set()
    while reach.cause and reach.cause.command and len(known) < _MOST:
        at, command = reach.cause.place, reach.cause.command
        if (at, command) in known:
            return
        known.add((at, command))
        try:
            lab.place(at).run(["sh", "-ec", command])
        except CommandError as error:
            yield Trial(at, command, None, str(error))
            return
        lab.settle()
        reach = send()
        yield Trial(at, command, reach)


def words(trials: Sequence[Trial], shown: Callable[[Reach], str]) -> Iterator[str]:
    """What was tried and what came of it, a line each: each further loss as it is ``shown``, and in the end all
    commands that it takes, each with its place."""
    for trial in trials:
        yield ""
        yield f"tried at {trial.place}: {trial.command}"
        if trial.reach is None:
            yield f"  the command fails: {'; '.join(trial.failure.splitlines())}"
        elif not trial.delivered:
            yield shown(trial.reach)
    if not trials:
        yield "tried: nothing, as no command is known that would let it pass"
    elif trials[-1].delivered:
        yield f"delivered with {count(len(trials), 'command')}:"
        yield from (f"  {trial.place}: {trial.command}" for trial in trials)
    else:
        yield "still lost: no further command is known that would let it pass"
