"""One ADD in the middle of another: what a lock, or a file that can be made once only, is there for. SPEC section 3."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.checks.attachments.concurrency import addresses_given_twice, delete, gives_addresses_of_its_own
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.errors import FeatureMissing
from cnitest.injection.aim import Aim

#: The most moments at which an ADD is held: more than an IPAM plugin has changes for two families.
HOLDS = 24
#: Seconds that an ADD is held at least while another one, which may wait for the first one's lock, runs; and at most
#: how many times as long as that one usually takes.
_HELD, _TIMES = 0.2, 3


@check("CON-01")
def an_add_in_the_middle_of_another(bench: Bench) -> None:
    """Before each of its changes an ADD is held while another container is added: both get addresses of their own."""
    if bench.subject.kind is Kind.META or bench.subject.ipam:
        bench.not_applicable("it gives no addresses itself")
    bench.require_room(2)
    if not gives_addresses_of_its_own(bench):
        bench.not_applicable("its addresses are fixed")
    held, other = bench.target("c1"), bench.target("c2")
    usual, changes = _usual(bench, held)
    count = min(changes, HOLDS)
    for number in (math.ceil(part * changes / count) for part in range(1, count + 1)):
        aim, calls = _interleaved(bench, held, other, number, max(_HELD, usual * _TIMES))
        what = aim.seen[aim.hit - 1].words if aim.hit else "which it did not come to"
        where = f"while an ADD was held before its change {number} of {changes} ({what}): "
        for call in calls:
            bench.complain(*protocol.success(call), prefix=where)
        bench.complain(*addresses_given_twice(bench, calls), prefix=where)
        for target, call in zip((held, other), calls, strict=True):
            delete(bench, target, call)
        if bench.record.complaints:  # the other moments show the same
            return


def _usual(bench: Bench, target: AttachmentTarget) -> tuple[float, int]:
    """How long an ADD that is not the network's first takes, in seconds, and how many changes it makes."""
    for _ in range(2):
        aim = Aim()
        try:
            call = bench.add(target, aim=aim)
        except FeatureMissing as missing:
            bench.not_applicable(f"its calls to the kernel cannot be watched: {missing}")
        bench.need(call)
        delete(bench, target, call)
    if not aim.seen:
        bench.not_applicable("its ADD changes nothing itself")
    return call.seconds, len(aim.seen)


def _interleaved(
    bench: Bench, held: AttachmentTarget, other: AttachmentTarget, number: int, seconds: float
) -> tuple[Aim, tuple[Call, Call]]:
    """An ADD that is held before its change of that number until another one ended, or for ``seconds`` where that one
    waits for it; both calls."""
    with ThreadPoolExecutor(1) as pool:
        added: list[Future[Call]] = []

        def meanwhile() -> None:
            added.append(pool.submit(partial(bench.add, other)))
            wait_for(added, timeout=seconds)

        aim = Aim(way="hold", number=number, meanwhile=meanwhile)
        call = bench.add(held, aim=aim)
        if not added:  # it took another way this time, and came to fewer changes
            added.append(pool.submit(partial(bench.add, other)))
        return aim, (call, added[0].result())
