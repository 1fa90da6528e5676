"""Many at once, and killed in the middle: SPEC section 3."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import AttachmentTarget, Bench, open_bench
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import RANGES, other_network, require_second_network
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol
from cnitest.conformance.model.finding import Doubt, Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.errors import FeatureMissing
from cnitest.injection.aim import Aim

MANY = 10


#: The most moments at which ADD is killed: more than reference plugins have changes.
KILLS = 64
#: Seconds that an ADD after killed ones may take on any machine; how many times as long as one takes elsewhere then.
_LONG, _TIMES = 5.0, 4


T = TypeVar("T")


def _at_once(function: Callable[[T], Call], items: Sequence[T]) -> list[Call]:
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


def _targets(bench: Bench, first: int = 1, count: int = MANY) -> list[AttachmentTarget]:
    targets = [bench.target(f"c{number}") for number in range(first, first + count)]
    for target in targets:
        bench.chain(target)
    return targets


def delete(bench: Bench, target: AttachmentTarget, added: Call) -> Call:
    """DEL of what an ADD made, with its result where the version has that."""
    found = protocol.result_document(added)
    return bench.raw("DEL", target, previous=found if spec.has_check(bench.version) else None)


def addresses_given_twice(bench: Bench, calls: Sequence[Call]) -> list[str]:
    """Addresses that more than one container got."""
    seen: dict[str, int] = {}
    for call in calls:
        for ip in form.ips(protocol.result_document(call) or {}, bench.version):
            seen[ip.address] = seen.get(ip.address, 0) + 1
    return [f"{address} was given to {count} containers" for address, count in seen.items() if count > 1]


@check("CON-01")
def many_adds_at_once(bench: Bench) -> None:
    """Ten containers added at once all get a result, and addresses of their own."""
    bench.require_room(MANY)
    targets = _targets(bench)

    calls = _at_once(bench.add, targets)

    for call in calls:
        bench.complain(*protocol.success(call))
    if bench.subject.kind is not Kind.META and gives_addresses_of_its_own(bench):
        bench.complain(*addresses_given_twice(bench, calls))


def gives_addresses_of_its_own(bench: Bench) -> bool:
    """Whether its addresses come from a range that it is configured with, or two containers one after the other get
    different ones: fixed ones are nothing to race for."""
    section = bench.subject.conf.get("ipam")
    if isinstance(section, dict) and RANGES & section.keys():
        return True
    first, second = (bench.attach(bench.target(f"c{number}")) for number in (40, 41))
    return not addresses_given_twice(bench, [first.call, second.call])


@check("CON-02")
def many_dels_at_once(bench: Bench) -> None:
    """Ten containers deleted at once all succeed, and nothing is left."""
    bench.require_room(MANY)
    targets = [bench.target(f"c{number}") for number in range(1, MANY + 1)]
    span = Span(bench, *targets)
    added = [bench.add(target) for target in targets]
    for call in added:
        bench.need(call)
    span.added()

    calls = _at_once(lambda pair: delete(bench, *pair), list(zip(targets, added, strict=True)))

    for call in calls:
        bench.complain(*protocol.success(call))
    bench.complain(*span.leftovers())


@check("CON-03")
def adds_and_dels_at_once(bench: Bench) -> None:
    """While five containers are deleted five others are added, and all succeed."""
    bench.require_room(MANY)
    bench.require_effect()
    going = _targets(bench, 1, MANY // 2)
    added = [bench.add(target) for target in going]
    for call in added:
        bench.need(call)
    coming = _targets(bench, 1 + MANY // 2, MANY // 2)
    jobs: list[Callable[[], Call]] = []
    for target, call, new in zip(going, added, coming, strict=True):
        jobs += [_job(delete, bench, target, call), _job(bench.add, new)]

    calls = _at_once(lambda job: job(), jobs)

    for call in calls:
        bench.complain(*protocol.success(call))


def _job(function: Callable[..., Call], *arguments: object) -> Callable[[], Call]:
    return lambda: function(*arguments)


@check("CON-04")
def two_networks_at_once(bench: Bench) -> None:
    """Containers are added to two networks at the same time, and all succeed."""
    bench.require_room(MANY // 2)
    others = [other_network(bench, f"c{number}") for number in range(21, 21 + MANY // 2)]
    own = _targets(bench, 1, MANY // 2)
    bench.need(bench.add(own[0]))  # first, as in ADD-07: a device that all networks share is then the first one's
    beside = bench.add(others[0])
    require_second_network(bench, beside)
    bench.complain(*protocol.success(beside))
    for target in others:
        bench.chain(target)
    targets = [*own[1:], *others[1:]]

    for call in _at_once(bench.add, targets):
        bench.complain(*protocol.success(call))


@check("CON-05")
def del_cleans_after_a_killed_add(bench: Bench) -> None:
    """ADD is killed before each of its changes, the last first; each time DEL succeeds, and in the end nothing is
    left."""
    bench.require_effect()
    target = bench.target()
    span = Span(bench, target)
    for kill in _kills(bench, target):
        try:
            previous = bench.chain(target)
        except Undecided as error:  # what was left is in the way of the plugins before it
            bench.complain(Doubt(error))
            break
        words = kill.add(bench, target, previous)
        _delete_killed(bench, target, words)

    bench.complain(*span.leftovers())


def _delete_killed(bench: Bench, target: AttachmentTarget, words: str) -> None:
    """DEL after a killed ADD succeeds, or else is tried once more; the plugins before are deleted, too."""
    call = bench.raw("DEL", target)
    bench.complain(*protocol.success(call), prefix=f"{words}: ")
    if call.exit_code != 0:
        bench.raw("DEL", target)
    if bench.subject.before:
        bench.unchain(target)


@check("CON-06")
def a_killed_call_leaves_no_lock(bench: Bench) -> None:
    """After five killed calls, the network's first among them, the next one takes no longer than usual."""
    usual, changes = _watched(bench)
    for number in range(1, 6):
        target = bench.target(f"c{number + 1}")
        kill = _Kill(math.ceil(number / 6 * changes), changes, number / 6 * usual)
        kill.add(bench, target, bench.chain(target), works=True)
        bench.raw("DEL", target)
        bench.unchain(target)

    call = bench.add(bench.target("c9"))

    bench.complain(*protocol.success(call))
    bench.demand(
        not waits(call.seconds, lambda: _longest_elsewhere(bench)),
        f"ADD after killed ones takes {call.seconds:.1f} s, usually {usual:.2f} s",
    )


def waits(seconds: float, elsewhere: Callable[[], float]) -> bool:
    """Whether an ADD that took so many seconds waited for something: it took long, and several times as long as one
    does now where nothing was killed, which only then is measured. A plugin that gives up waiting after some seconds is
    told from a busy machine by that."""
    return seconds >= _LONG and seconds >= _TIMES * elsewhere()


def _longest_elsewhere(bench: Bench) -> float:
    """How long ADD takes now on a host where nothing was killed, in seconds: the longer of two."""
    with open_bench(bench.trial) as other:
        return max(_usual(other, other.target()) for _ in range(2))


class _Kill(NamedTuple):
    """When an ADD is killed: before its change of a ``number``, of ``changes`` in all, or after ``seconds`` where its
    changes cannot be watched (0)."""

    number: int
    changes: int
    seconds: float

    def add(self, bench: Bench, target: AttachmentTarget, previous: Document | None, *, works: bool = False) -> str:
        """Call ADD and kill it; how, in words. One that does not come so far has to succeed where it ``works``."""
        if not self.changes:
            bench.raw("ADD", target, previous=previous, timeout=self.seconds)
            return f"ADD killed after {self.seconds * 1000:.0f} ms"
        aim = Aim(way="kill", number=self.number)
        call = bench.raw("ADD", target, previous=previous, aim=aim)
        if not aim.hit:
            bench.complain(*(protocol.success(call) if works else ()))
            return f"ADD to be killed before its change {self.number} of {self.changes}, which it did not come to"
        return f"ADD killed before its change {self.number} of {self.changes}"


def _kills(bench: Bench, target: AttachmentTarget) -> Iterator[_Kill]:
    """The moments to kill ADD at, the last first: what one leaves, no later one comes to clean. They are those before
    each change that it makes once the network is there, which no machine's speed moves, or else times."""
    try:
        changes = _changes(bench, target)
    except FeatureMissing:
        longest, chance = _usual(bench, target) * 1.1, random.Random(str(bench.trial))
        parts = ((number - chance.random()) / KILLS for number in range(KILLS, 0, -1))
        yield from (_Kill(0, 0, max(longest * part, 0.001)) for part in parts)
        return
    count = min(changes, KILLS)
    yield from (_Kill(math.ceil(number * changes / count), changes, 0) for number in range(count, 0, -1))


def _changes(bench: Bench, target: AttachmentTarget) -> int:
    """How many calls to the kernel of an ADD change something, which is not the network's first. Raises
    FeatureMissing."""
    for _ in range(2):
        aim = Aim()
        bench.raw("ADD", target, previous=bench.chain(target), aim=aim)
        bench.raw("DEL", target)
        bench.unchain(target)
    return len(aim.seen)


def _watched(bench: Bench) -> tuple[float, int]:
    """Of the first ADD on a host of its own: how long it takes, and how many of its calls to the kernel change
    something; 0 where they cannot be watched."""
    aim = Aim()
    with open_bench(bench.trial) as other:
        target = other.target()
        try:
            call = other.raw("ADD", target, previous=other.chain(target), aim=aim)
        except FeatureMissing:
            return _usual(other, target), 0
    return max(call.seconds, 0.005), len(aim.seen)


def _usual(bench: Bench, target: AttachmentTarget) -> float:
    """How long ADD takes now, in seconds: on a busy machine not what it took when it was first called."""
    call = bench.raw("ADD", target, previous=bench.chain(target))
    bench.raw("DEL", target)
    return max(call.seconds, 0.005)
