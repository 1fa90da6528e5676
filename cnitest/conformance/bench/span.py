"""Attachments from before they begin to after they end: what they brought, and what of it they left.

What of the firewall all attachments of a plugin share is found by watching other containers come and go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cnitest.conformance.bench.allowances import RULES
from cnitest.conformance.bench.bench import NO_EFFECT, AttachmentTarget, Bench, Picture, open_bench
from cnitest.conformance.bench.leftovers import AFTER_A_CALL, AFTER_A_NAMESPACE, Leftover, effect, leftovers, settle
from cnitest.conformance.model.capacity import capacity
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.subject import Trial
from cnitest.errors import CnitestError, PluginError


def named_chains(conf: Mapping[str, object]) -> tuple[str, ...]:
    """Patterns of the chains that a configuration itself names, which all its containers share, and the ways there."""
    names = [re.escape(value) for key, value in conf.items() if "chain" in key.lower() and isinstance(value, str)]
    return tuple(
        rf"tables.*(:{name} -$|-A \S+ (?!.*(-s|-d|--dports?) ).*-[jg] {name}$|-A {name} (?!.*(-s|-d|--dports?) ))"
        for name in names
        if name
    )


class Span:
    """Watches one or more attachments from before they begin to after they end, and says what they left.

    Of a plugin in a list only what it brought itself counts, and only once the whole list was deleted: what it put on
    an interface goes with that interface.
    """

    def __init__(self, bench: Bench, *targets: AttachmentTarget) -> None:
        self._bench = bench
        self._targets = targets
        self._start = bench.look(*targets)
        for target in targets:
            bench.chain(target)
        self._chained = bench.look(*targets) if bench.subject.before else self._start
        self._own: set[Leftover] | None = None
        self._names: frozenset[str] = frozenset()

    def added(self, *, may_be_nothing: bool = False) -> None:
        """Take note of what ADD brought. Where that is nothing, nothing is tried, unless it ``may_be_nothing``."""
        there = self._bench.look(*self._targets)
        self._own = set(leftovers(self._chained, there, strict=True))
        self._names = _names_of(self._targets)
        self._bench.record.effect = effect(self._chained, there)
        if not self._bench.record.effect and not may_be_nothing:
            self._bench.not_exercised(NO_EFFECT)

    def leftovers(self, *, lost: bool = False, torn: bool = False, strict: bool = False) -> list[Leftover]:
        """What is left after DEL of our plugin and of those before it. ``lost`` when the containers are gone, ``torn``
        when their interfaces are: what went with those is nobody's fault."""
        bench, there = self._bench, () if lost else self._targets
        for target in self._targets:
            bench.unchain(target)

        def look() -> list[Leftover]:
            allowed = (*bench.setting.leftover, *named_chains(bench.subject.conf))
            found = leftovers(self._start, bench.look(*there), allowed, strict=strict, watched=True)
            if bench.subject.before and self._own is not None:
                return [left for left in found if left in self._own and not left.difference.vanished]
            return [left for left in found if not left.difference.vanished] if lost or torn else found

        found = settle(look, AFTER_A_NAMESPACE if lost else AFTER_A_CALL)
        return found if strict else self._less_shared(found)

    def _less_shared(self, found: list[Leftover]) -> list[Leftover]:
        """What is left, less what of the firewall other containers leave alike."""
        if not any(_is_new_rule(left) for left in found):
            return found
        allowed = (*self._bench.setting.leftover, *named_chains(self._bench.subject.conf))
        return _less_shared(found, _shared(self._bench.trial, allowed), self._names)


def _is_new_rule(left: Leftover) -> bool:
    """Whether something of iptables or nftables came."""
    return left.difference.table in RULES and left.difference.appeared


def _shared(trial: Trial, allowed: Sequence[str] = ()) -> Counter[Leftover]:
    """What one attachment leaves of the firewall in a fresh lab, where two further ones add nothing to it.

    Empty where these leave more: then what the first one left is not shared. Also empty where ADD or DEL fails.
    """
    try:
        with open_bench(trial) as bench:
            start = bench.look()
            once = _left_by(bench, start, ("other1",), allowed)
            more = ("other2", "other3") if capacity(trial.subject) > 1 else ("other2",)
            again = _left_by(bench, start, more, allowed)
    except (Undecided, PluginError, CnitestError):
        return Counter()
    return once if once == again else Counter()


def _left_by(bench: Bench, start: Picture, containers: Iterable[str], allowed: Sequence[str]) -> Counter[Leftover]:
    """What is left of the firewall after some containers were attached together, and deleted."""
    made = [bench.attach(bench.target(container)) for container in containers]
    for each in made:
        bench.need(bench.detach(each))
    return Counter(left for left in leftovers(start, bench.look(), allowed, watched=True) if _is_new_rule(left))


def _names_of(targets: Iterable[AttachmentTarget]) -> frozenset[str]:
    """The words that tell attachments apart: container IDs, addresses in their containers, ports they ask for."""
    found: set[str] = set()
    for target in targets:
        found |= {target.container_id, target.sandbox.name}
        found |= {address.ip for address in target.sandbox.addresses if address.scope == "global"}
        rows = target.capabilities.get("portMappings") or ()
        found |= {str(row["hostPort"]) for row in rows if isinstance(row, dict) and "hostPort" in row}
    return frozenset(found)


def _less_shared(found: Sequence[Leftover], common: Counter[Leftover], names: Iterable[str]) -> list[Leftover]:
    """Leftovers less the rules that all attachments leave alike, and that name nothing of an attachment."""
    named = [re.compile(rf"(?<![\w.:-]){re.escape(name)}(?![\w.:-]|/(?!32|128))") for name in names]
    rest, kept = common.copy(), []
    for left in found:
        if rest[left] > 0 and not any(pattern.search(left.difference.row) for pattern in named):
            rest[left] -= 1
        else:
            kept.append(left)
    return kept
