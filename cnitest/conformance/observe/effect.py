"""What a plugin's own ADD does, and so what it is: not its place in a list, but what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench, open_bench
from cnitest.conformance.model import protocol, reading
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.errors import CnitestError


def kind_alone(subject: Subject) -> Kind | None:
    """What a plugin behind others is when it needs no result of theirs: one that makes an interface, or gives
    addresses. None when it does need one, which is what a chained plugin is.

    It is called behind the others but without their result, then alone: an interface of the name may be there before.
    """
    for tried in (subject, replace(subject, before=())):
        found = _kind_alone(tried)
        if found is not None:
            return found
    return None


def only_addresses(made: AddResult) -> bool:
    """Whether a result has addresses and no interface, as that of an IPAM plugin."""
    result = made.result
    early = reading.is_early(result, spec.VERSIONS[-1])
    return not early and bool(reading.rows(result, "ips")) and not reading.rows(result, "interfaces")


def _kind_alone(subject: Subject) -> Kind | None:
    try:
        with open_bench(Trial(subject, subject.highest)) as bench:
            return _seen(bench)
    except (Undecided, CnitestError):
        return None  # the requirements about ADD will say what is wrong


def _seen(bench: Bench) -> Kind | None:
    target = bench.target()
    bench.chain(target)
    before = {link.name for link in target.sandbox.links}
    call = bench.raw("ADD", target, previous=None)
    result = protocol.result_document(call)
    if result is None:
        return None
    if only_addresses(AddResult(target, call, result, None)):
        return Kind.IPAM
    return Kind.INTERFACE if _is_its_own(target, result, before) else None


def _is_its_own(target: AttachmentTarget, result: Mapping[str, Any], before: set[str]) -> bool:
    """Whether a result names a link of the container that ADD made, or the loopback that it set up."""
    names = {interface.name for interface in reading.interfaces(result)}
    made = {link.name for link in target.sandbox.links} - before
    return bool(names & made) or names == {"lo"}
