"""DEL of one of two attachments: SPEC section 2."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest.conformance.bench.bench import AddResult, Bench, Picture
from cnitest.conformance.bench.leftovers import Leftover, appeared, removals
from cnitest.conformance.checks.common import other_network
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import traffic
from cnitest.conformance.observe.connections import answering, demand_answers


@check("DEL-14", which=["first", "second"], other=["other interface", "other container", "other network"])
def del_leaves_others_alone(bench: Bench, other: str, which: str) -> None:
    """Whichever of two attachments is deleted, the other has all its state and reaches what it reached."""
    pair = _pair(bench, other)
    gone, kept = (pair[0], pair[1]) if which == "first" else (pair[1], pair[0])
    flows = answering(bench, kept.made)
    if bench.subject.kind is Kind.META:  # the interface of the other stays, and what goes that way
        flows = [flow for flow in flows if traffic.leaves_by(flow.sender, flow.target) == kept.made.target.ifname]
    if not kept.own:
        bench.not_exercised("ADD made nothing that DEL of another attachment could take away")
    before = bench.look(kept.made.target)

    call = bench.delete(gone.made)

    bench.complain(*protocol.success(call))
    after = bench.look(kept.made.target)
    bench.complain(*kept.missing(before, after, gone), prefix="gone with it: ")
    demand_answers(bench, flows, traffic.AGAIN)


class _Attached:
    """An attachment and what its ADD put where."""

    def __init__(self, made: AddResult, before: Picture, after: Picture, leftover: Sequence[str]) -> None:
        self.made = made
        self._leftover = leftover
        #: What its ADD brought.
        self.own = set(appeared(before, after))

    def missing(self, before: Picture, after: Picture, other: _Attached) -> list[Leftover]:
        """What this one had put there and is gone, but for what both had put there and routes of several hops."""
        own = {_known_by(left) for left in self.own - other.own}
        gone = (left for left in removals(before, after, self._leftover) if left.difference.vanished)
        return [left for left in gone if _known_by(left.undone) in own and not getattr(left.difference.row, "hops", ())]


def _known_by(left: Leftover) -> object:
    """A link by its name, as its values may change while it stays; anything else by all its fields."""
    return (left.place, left.difference.key) if left.difference.table == "links" else left


def _pair(bench: Bench, other: str) -> tuple[_Attached, _Attached]:
    """Two attachments that differ in interface, container or network."""
    if other != "other container" and bench.setting.ifname == "lo":
        bench.not_applicable("its interface is there once only")
    bench.require_room(2)
    name = "eth1" if bench.setting.ifname != "eth1" else "eth2"
    first = bench.target("c1")
    bench.chain(first)
    looks = [bench.look(first)]
    one = bench.attach(first)
    if other == "other interface":
        second = bench.target("c1", ifname=name)
    elif other == "other container":
        second = bench.target("c2")
    else:
        second = other_network(bench, "c1", name)
    looks.append(bench.look(first))
    bench.chain(second)
    looks.append(bench.look(second))
    call = bench.add(second)
    if call.exit_code != 0:
        bench.not_applicable(
            f"there is no second attachment, which ADD-06 and ADD-07 are about: {protocol.words(call)}"
        )
    two = AddResult(second, call, protocol.result_document(call) or {}, bench.chain(second))
    looks.append(bench.look(second))
    leftover = bench.setting.leftover
    return _Attached(one, looks[0], looks[1], leftover), _Attached(two, looks[2], looks[3], leftover)
