"""What of the firewall all attachments of a subject share, found by watching other containers come and go."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture, open_bench
from cnitest.conformance.bench.leftovers import residue
from cnitest.conformance.model.capacity import room
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.subject import Trial
from cnitest.errors import CnitestError, PluginError

_RULES = re.compile(r"^[^:]+: \+ (nft|ip6?tables(-legacy)?) ")


def is_rule(line: str) -> bool:
    """Whether a line of residue says that something of iptables or nftables came."""
    return _RULES.search(line) is not None


def shared(trial: Trial, allowed: Sequence[str] = ()) -> Counter[str]:
    """What one attachment leaves of the firewall in a fresh lab, by line, where two further ones add nothing to it.

    Empty where these leave more: then what the first one left is not shared. Also empty where ADD or DEL fails.
    """
    try:
        with open_bench(trial) as bench:
            start = bench.look()
            once = _left_by(bench, start, ("other1",), allowed)
            more = ("other2", "other3") if room(trial.subject) > 1 else ("other2",)
            again = _left_by(bench, start, more, allowed)
    except (Undecided, PluginError, CnitestError):
        return Counter()
    return once if once == again else Counter()


def _left_by(bench: Bench, start: Picture, containers: Iterable[str], allowed: Sequence[str]) -> Counter[str]:
    """The firewall's residue after some containers were attached together, and deleted."""
    made = [bench.attach(bench.slot(container)) for container in containers]
    for each in made:
        bench.need(bench.detach(each))
    return Counter(line for line in residue(start, bench.look(), allowed) if is_rule(line))


def names_of(slots: Iterable[AttachmentTarget]) -> frozenset[str]:
    """The words that tell attachments apart: container IDs, addresses in their containers, ports they ask for."""
    found: set[str] = set()
    for slot in slots:
        found |= {slot.container_id, slot.sandbox.name}
        found |= {address.ip for address in slot.sandbox.addresses if address.scope == "global"}
        rows = slot.capabilities.get("portMappings") or ()
        found |= {str(row["hostPort"]) for row in rows if isinstance(row, dict) and "hostPort" in row}
    return frozenset(found)


def less_shared(found: Sequence[str], common: Counter[str], names: Iterable[str]) -> list[str]:
    """Lines of residue less those that all attachments leave alike, and that name nothing of an attachment."""
    left, named = common.copy(), [rf"(?<![\w.:-]){re.escape(name)}(?![\w.:-]|/(?!32|128))" for name in names]
    kept = []
    for line in found:
        if left[line] > 0 and not any(re.search(pattern, line) for pattern in named):
            left[line] -= 1
        else:
            kept.append(line)
    return kept
