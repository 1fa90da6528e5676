"""A plugin after whose ADD those before it in its list cannot add any more: theirs is the error, its the fault."""

from __future__ import annotations

from dataclasses import replace

from cnitest.conformance.bench.bench import AttachmentTarget, Bench, open_bench
from cnitest.conformance.model import protocol
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.subject import Trial
from cnitest.errors import CnitestError


def let_others_add(bench: Bench, first: AttachmentTarget, target: AttachmentTarget) -> None:
    """Have the plugins before ours add another target beside the first one.

    What fails counts against ours where the same ADDs without ours succeed. Raises Finding, Undecided.
    """
    try:
        bench.chain(target)
    except Undecided as error:
        if not _added_without_ours(bench, first, target):
            raise
        bench.complain(f"after its ADD another one of its network fails: {error}; without it in the list it succeeds")
        bench.conclude()


def _added_without_ours(bench: Bench, *targets: AttachmentTarget) -> bool:
    """Whether the plugins before ours add all the targets, one after the other, on a host where ours never was."""
    *rest, last = bench.subject.before
    others = replace(bench.subject, plugin=str(last["type"]), conf=last, before=tuple(rest))
    try:
        with open_bench(Trial(others, bench.version)) as alone:
            return not any(protocol.failed(alone.add(_of_others(alone, target))) for target in targets)
    except (Undecided, CnitestError):
        return False


def _of_others(alone: Bench, target: AttachmentTarget) -> AttachmentTarget:
    """The same target without the last plugin of its list."""
    *rest, last = target.before
    return alone.target(target.sandbox.name, target.ifname, network=target.network, conf=last, before=tuple(rest))
