"""GC: SPEC section 2, defined since 1.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover, appeared, settle
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import other_network, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.connections import answering, demand_answers

VALID, LEGACY = "cni.dev/valid-attachments", "cni.dev/attachments"


def _gc(bench: Bench, target: AttachmentTarget, keep: Sequence[AddResult], **keys: Any) -> Call:
    """GC of a target's network with the attachments to keep under both keys; ``keys`` replaces them."""
    kept = [{"containerID": made.target.container_id, "ifname": made.target.ifname} for made in keep]
    document = {**bench.request(target), **(keys or {VALID: kept, LEGACY: kept})}
    return bench.raw("GC", stdin=document, without=["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"])


def _pair(bench: Bench) -> tuple[AddResult, AddResult, Picture, Picture]:
    """An attachment to keep and one to free, with pictures around the second's ADD."""
    kept = bench.attach(bench.target("c1"))
    target = bench.target("c2")
    bench.chain(target)
    before = bench.look(target)
    freed = bench.attach(target)
    return kept, freed, before, bench.look(target)


def _still(bench: Bench, before: Picture, after: Picture, *, files: bool | None = None) -> list[Leftover]:
    """What is there of what came between two pictures, but for what all share; of ``files`` alone, or of all else."""
    own = set(appeared(before, after))
    found = [left for left in bench.changed(before) if left in own]
    return [left for left in found if files in (None, left.difference.table == "files")]


def _touched(
    bench: Bench, seen: Picture, before: Picture, after: Picture, *targets: AttachmentTarget
) -> list[Leftover]:
    """What changed since a picture, but for what an attachment made between two others had left, which GC may free."""
    own = set(appeared(before, after))
    return [left for left in bench.changed(seen, *targets, strict=True) if not {left, left.undone} & own]


@check("GC-01")
def gc_with_all_valid_succeeds(bench: Bench) -> None:
    """GC whose list has every attachment succeeds and prints nothing."""
    made = bench.attach()

    bench.complain(*protocol.success(_gc(bench, made.target, [made]), silent=True))


@check("GC-02")
def gc_frees_reservations(bench: Bench) -> None:
    """The files of an attachment that is not valid are gone after GC."""
    kept, _, before, after = _pair(bench)
    if not _still(bench, before, after, files=True):
        bench.not_applicable("its ADD writes no files")
    bench.lose("c2")

    call = _gc(bench, kept.target, [kept])

    bench.complain(*protocol.success(call))
    bench.complain(*_still(bench, before, after, files=True))


@check("GC-02")
def gc_frees_all_reservations(bench: Bench) -> None:
    """Of several attachments that are not valid the files of all are gone after one GC."""
    bench.require_room(2)
    targets = [bench.target(name) for name in ("c1", "c2")]
    for target in targets:
        bench.chain(target)
    before = bench.look(*targets)
    for target in targets:
        bench.attach(target)
    after = bench.look(*targets)
    if not _still(bench, before, after, files=True):
        bench.not_applicable("its ADD writes no files")
    for target in targets:
        bench.lose(target.sandbox.name)

    call = _gc(bench, targets[0], [])

    bench.complain(*protocol.success(call))
    bench.complain(*_still(bench, before, after, files=True))


@check("GC-03")
def gc_is_handed_on(bench: Bench, tmp_path: Path) -> None:
    """GC calls the IPAM plugin's GC with the same list."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.target(bench))

    bench.need(_gc(bench, made.target, [made]))

    calls = [record for record in plugin.records() if record.command == "GC"]
    bench.demand(calls, delegate.called("the delegate was not called for GC"))
    for record in calls:
        passed = (record.request or {}).get(VALID)
        wanted = [{"containerID": made.target.container_id, "ifname": made.target.ifname}]
        bench.demand(passed == wanted, f"the delegate was given {passed}, not {wanted}")


@check("GC-04")
def gc_frees_the_host(bench: Bench) -> None:
    """Links, routes and rules that a dead container left on the host are gone after GC."""
    kept, _, before, after = _pair(bench)
    bench.lose("c2")
    settle(lambda: _still(bench, before, after, files=False), 0.5)
    if not _still(bench, before, after, files=False):
        bench.not_applicable("nothing but files outlives its container")

    call = _gc(bench, kept.target, [kept])

    bench.complain(*protocol.success(call))
    bench.complain(*_still(bench, before, after, files=False))


@check("GC-05")
def gc_keeps_what_is_valid(bench: Bench) -> None:
    """GC changes nothing of the attachments in its list, and they reach what they reached."""
    bench.require_effect()
    kept, freed, before, after = _pair(bench)
    flows = answering(bench, kept)
    bench.detach(freed)
    seen = bench.look(kept.target)

    call = _gc(bench, kept.target, [kept])

    bench.complain(*_touched(bench, seen, before, after, kept.target))
    demand_answers(bench, flows, traffic.AGAIN)
    bench.need(call)


@check("GC-05")
def gc_keeps_all_that_is_valid(bench: Bench) -> None:
    """GC changes nothing of any attachment in a list of several, whatever its place there."""
    bench.require_effect()
    bench.require_room(3)
    kept = [bench.attach(bench.target(name)) for name in ("c1", "c2", "c3")]
    targets = [made.target for made in kept]
    before = bench.look(*targets)

    call = _gc(bench, targets[0], kept)

    bench.complain(*bench.changed(before, *targets, strict=True))
    bench.need(call)


@check("GC-06")
def an_empty_list_frees_everything(bench: Bench) -> None:
    """GC with an empty list frees what dead containers left."""
    target = bench.target("c2")
    bench.chain(target)
    before = bench.look(target)
    bench.attach(target)
    after = bench.look(target)
    bench.lose("c2")
    settle(lambda: _still(bench, before, after), 0.3)
    if not _still(bench, before, after):
        bench.not_applicable("nothing of its own outlives its container")

    call = _gc(bench, target, [])

    bench.complain(*protocol.success(call))
    bench.complain(*_still(bench, before, after))


@check("GC-06", how=["absent", "null"])
def no_list_frees_nothing(bench: Bench, how: str) -> None:
    """GC without a list, or with null for one, is rejected or frees nothing."""
    bench.require_effect()
    made = bench.attach()
    before = bench.look(made.target)

    call = _gc(bench, made.target, [], **({VALID: None} if how == "null" else {"x-cnitest": 1}))

    bench.complain(*protocol.crash(call), *bench.changed(before, made.target, strict=True))


@check("GC-07")
def gc_goes_on_after_an_error(bench: Bench, tmp_path: Path) -> None:
    """When the IPAM plugin's GC fails the error is returned, and the plugin's own state is freed all the same."""
    require_delegate(bench)
    script = {"ADD": {"result": delegate.address(bench)}}
    plugin = delegate.install(bench, tmp_path, script)
    target = delegate.target(bench, "c2")
    span = Span(bench, target)
    bench.attach(target)
    plugin.program({**script, "GC": {"error": {"code": 103, "msg": "a lease cannot be freed"}}})
    bench.lose("c2")

    call = _gc(bench, target, [])

    bench.demand(call.exit_code != 0, "the IPAM plugin's GC fails, and GC succeeds")
    bench.complain(*span.leftovers(lost=True))


@check("GC-08")
def gc_leaves_other_networks_alone(bench: Bench) -> None:
    """GC of one network with an empty list changes nothing of another's attachment."""
    own = bench.target("c1")
    bench.chain(own)
    before = bench.look(own)
    first = bench.attach(own)
    after = bench.look(own)
    target = other_network(bench, "c2")
    bench.chain(target)
    call = bench.add(target)
    if call.exit_code != 0:
        bench.not_applicable(f"no second network could be derived from its configuration: {protocol.words(call)}")
    bench.detach(first)
    seen = bench.look(target)

    call = _gc(bench, first.target, [])

    bench.complain(*_touched(bench, seen, before, after, target))
    bench.need(call)


@check("GC-09")
def gc_reads_the_new_key(bench: Bench) -> None:
    """What valid-attachments has is kept, though the key's old name has an empty list."""
    bench.require_effect()
    made = bench.attach()
    before = bench.look(made.target)
    kept = [{"containerID": made.target.container_id, "ifname": made.target.ifname}]

    call = _gc(bench, made.target, [], **{VALID: kept, LEGACY: []})

    bench.complain(*bench.changed(before, made.target, strict=True))
    bench.need(call)


@check("GC-10")
def gc_of_an_early_version_is_rejected(shared_bench: Bench) -> None:
    """Before 1.1.0 GC is rejected."""
    call = _gc(shared_bench, shared_bench.target("c9"), [])

    shared_bench.complain(*protocol.rejection(call))
