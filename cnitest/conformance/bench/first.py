"""What a subject's first ADD gives, for all that is learnt from it: families, ranges, a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnitest.cni import result as results
from cnitest.conformance.bench.bench import Bench, open_bench
from cnitest.conformance.model import form
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import PluginError


def ips(bench: Bench) -> tuple[results.Ip, ...]:
    """The addresses in the result of the newest version; none when ADD fails."""
    return form.ips(bench.subject.result or _result(bench.subject), bench.subject.highest)


def _result(subject: Subject) -> Mapping[str, Any]:
    """What a subject that nobody has tried answers, in a lab of its own."""
    try:
        with open_bench(Trial(subject, subject.highest)) as bench:
            return bench.attach().result
    except (Undecided, PluginError):
        return {}
