"""DEL: SPEC section 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.conformance.test_add import other_network
from cnitest.suites.conformance.test_check import flush

from cnitest.conformance.bench import aftermath, delegate
from cnitest.conformance.bench.aftermath import Span
from cnitest.conformance.bench.bench import AddResult, Bench, Picture
from cnitest.conformance.bench.leftovers import residue
from cnitest.conformance.model import judge
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import mutation, traffic
from cnitest.conformance.observe.connections import answering, demand_answers
from cnitest.lab.snapshot.difference import difference

#: Keys by which state is found again; DEL may need them.
NEEDED = ("type", "dataDir", "bridge", "master", "device", "socketPath", "daemonSocketPath", "vrfname", "backend")


def _attached(bench: Bench, container: str = "c1") -> tuple[AddResult, Span]:
    """An attachment and what watches over it."""
    slot = bench.slot(container)
    span = Span(bench, slot)
    made = bench.attach(slot)
    span.added()
    return made, span


@pytest.mark.requirement("DEL-01")
def test_del_removes_what_add_made(bench: Bench) -> None:
    """After ADD and DEL host and container are as before, but for what all attachments share."""
    made, span = _attached(bench)

    bench.need(bench.delete(made))

    bench.complain(*span.left())


@pytest.mark.requirement("DEL-01")
def test_del_leaves_nothing_once_all_is_shared(bench: Bench) -> None:
    """With another container attached, ADD and DEL change nothing at all."""
    bench.attach(bench.slot("c2"))
    made, span = _attached(bench)

    bench.need(bench.delete(made))

    bench.complain(*span.left(strict=True))


@pytest.mark.requirement("DEL-02")
def test_del_can_be_repeated(bench: Bench) -> None:
    """A second and a third DEL succeed."""
    made, _ = _attached(bench)
    bench.need(bench.delete(made))

    for which in ("second", "third"):
        bench.complain(*(f"the {which} DEL: {fault}" for fault in judge.success(bench.delete(made))))


@pytest.mark.requirement("DEL-03")
def test_del_of_nothing_succeeds(bench: Bench) -> None:
    """DEL of a container that was never added succeeds, with a namespace and without."""
    slot = bench.slot("c7")

    bench.complain(*judge.success(bench.raw("DEL", slot)))
    call = bench.raw("DEL", slot, changes={"CNI_NETNS": ""})

    bench.complain(*(f"without a namespace: {fault}" for fault in judge.success(call)))


@pytest.mark.requirement("DEL-04")
def test_del_after_the_interface_went(bench: Bench) -> None:
    """When the interface was removed DEL succeeds and frees everything else."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("its interface cannot be removed")
    made, span = _attached(bench)
    bench.run("ip", "link", "del", made.slot.ifname, at=made.slot.sandbox)

    call = bench.delete(made)

    bench.complain(*judge.success(call))
    bench.complain(*span.left(torn=True))


@pytest.mark.requirement("DEL-05")
def test_del_after_the_namespace_went(bench: Bench) -> None:
    """When the namespace is gone DEL succeeds and frees what is left on the host."""
    _without_namespace(bench, lambda netns: {"changes": {"CNI_NETNS": netns}})


@pytest.mark.requirement("DEL-06")
@pytest.mark.parametrize("how", ["empty", "missing"])
def test_del_without_a_namespace(bench: Bench, how: str) -> None:
    """With an empty or missing CNI_NETNS DEL succeeds and frees what is left on the host."""
    _without_namespace(
        bench, lambda _: {"changes": {"CNI_NETNS": ""}} if how == "empty" else {"without": ["CNI_NETNS"]}
    )


def _without_namespace(bench: Bench, options: Any) -> None:
    made, span = _attached(bench)
    netns = made.slot.netns
    bench.lose("c1")

    call = bench.raw("DEL", None, **_of_lost(bench, made, netns, options(netns)))

    bench.complain(*judge.success(call))
    bench.complain(*span.left(lost=True))


def _of_lost(bench: Bench, made: AddResult, netns: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a call for a container that has no namespace any more."""
    slot = made.slot
    changes = {
        "CNI_CONTAINERID": slot.container_id,
        "CNI_IFNAME": slot.ifname,
        "CNI_ARGS": slot.args,
        **options.get("changes", {"CNI_NETNS": netns}),
    }
    stdin = bench.request(slot, bench.final(made))
    return {**options, "changes": changes, "stdin": stdin}


@pytest.mark.requirement("DEL-07")
def test_del_after_the_state_went(bench: Bench) -> None:
    """When the files that ADD wrote are gone DEL succeeds."""
    slot, node = bench.slot(), bench.node.full_name
    bench.chain(slot)
    before = bench.look()
    made = bench.attach(slot)
    files = [
        item.key
        for item in difference(before[node], bench.look()[node])
        if item.table == "files" and not item.before and "kind=file" in item.after
    ]
    if not files:
        bench.not_applicable("its ADD writes no files")
    bench.run("rm", "-f", *files)

    call = bench.delete(made)

    bench.complain(*judge.success(call))


@pytest.mark.requirement("DEL-08")
def test_del_after_the_daemon_went(bench: Bench) -> None:
    """When the daemon was killed DEL succeeds."""
    if bench.daemon is None:
        bench.not_applicable("it talks to no daemon")
    made = bench.attach()
    bench.daemon.kill()

    call = bench.delete(made)

    bench.complain(*judge.success(call))


@pytest.mark.requirement("DEL-09")
def test_del_after_the_firewall_was_flushed(bench: Bench) -> None:
    """When every rule and chain was removed by somebody else DEL succeeds."""
    slot, node = bench.slot(), bench.node.full_name
    bench.chain(slot)
    before = bench.look()
    made = bench.attach(slot)
    if before[node].firewall == bench.look()[node].firewall:
        bench.not_applicable("its ADD makes no firewall rules")
    flush(bench)

    call = bench.delete(made)

    bench.complain(*judge.success(call))


@pytest.mark.requirement("DEL-10")
def test_del_does_not_mind_the_rest(bench: Bench) -> None:
    """DEL succeeds whatever became of settings that only ADD needs."""
    made = bench.attach()
    for change in mutation.wrong_words(bench.request(made.slot, bench.final(made)), NEEDED):
        call = bench.raw("DEL", made.slot, stdin=change.document)
        bench.complain(*(f"{change.words}: {fault}" for fault in judge.success(call)))
    call = bench.delete(made)
    bench.complain(*judge.success(call))


@pytest.mark.requirement("DEL-10")
def test_del_does_not_mind_arguments(bench: Bench) -> None:
    """DEL succeeds with an argument in CNI_ARGS that nobody knows."""
    made = bench.attach()

    call = bench.delete(made, changes={"CNI_ARGS": "CNITEST=unknown"})

    bench.complain(*(f"CNI_ARGS CNITEST=unknown: {fault}" for fault in judge.success(call)))


@pytest.mark.requirement("DEL-11")
def test_the_delegate_is_called_without_a_namespace(bench: Bench, tmp_path: Path) -> None:
    """DEL without a namespace calls the IPAM plugin's DEL."""
    _require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.slot(bench))
    netns = made.slot.netns
    bench.lose("c1")
    plugin.forget()

    bench.raw("DEL", None, **_of_lost(bench, made, netns, {"changes": {"CNI_NETNS": ""}}))

    verbs = [record.verb for record in plugin.records()]
    bench.demand("DEL" in verbs, f"the delegate was called for {', '.join(verbs) or 'nothing'}, not for DEL")


@pytest.mark.requirement("DEL-12")
def test_the_interface_goes_before_the_address(bench: Bench, tmp_path: Path) -> None:
    """When the IPAM plugin's DEL is called the interface is not in the container any more."""
    _require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.slot(bench))
    plugin.forget()

    bench.need(bench.delete(made))

    for record in plugin.records():
        if record.verb == "DEL":
            there = made.slot.ifname in record.netns_links
            bench.demand(not there, f"{made.slot.ifname} was still there when the address was released")


@pytest.mark.requirement("DEL-13")
def test_del_prints_nothing(bench: Bench) -> None:
    """A DEL that succeeds has an empty standard output."""
    made = bench.attach()

    call = bench.delete(made)

    bench.need(call)
    bench.complain(*judge.success(call, silent=True))


@pytest.mark.requirement("DEL-14")
@pytest.mark.parametrize("other", ["other interface", "other container", "other network"])
@pytest.mark.parametrize("which", ["first", "second"])
def test_del_leaves_others_alone(bench: Bench, other: str, which: str) -> None:
    """Whichever of two attachments is deleted, the other has all its state and reaches what it reached."""
    pair = _pair(bench, other)
    gone, kept = (pair[0], pair[1]) if which == "first" else (pair[1], pair[0])
    flows = answering(bench, kept.made)
    if bench.subject.kind is Kind.META:  # the interface of the other stays, and what goes that way
        flows = [flow for flow in flows if traffic.leaves_by(flow.sender, flow.target) == kept.made.slot.ifname]
    if not kept.own:
        bench.not_exercised("ADD made nothing that DEL of another attachment could take away")
    before = bench.look(kept.made.slot)

    call = bench.delete(gone.made)

    bench.complain(*judge.success(call))
    after = bench.look(kept.made.slot)
    bench.complain(*(f"gone with it: {line}" for line in kept.missing(before, after, gone)))
    demand_answers(bench, flows, traffic.AGAIN)


class _Attached:
    """An attachment and what its ADD put where."""

    def __init__(self, made: AddResult, before: Picture, after: Picture, leftover: Sequence[str]) -> None:
        self.made = made
        self._leftover = leftover
        #: What its ADD brought, a line each.
        self.own = set(_lines(before, after))

    def missing(self, before: Picture, after: Picture, other: _Attached) -> list[str]:
        """What this one had put there and is gone, but for what both had put there."""
        gone = set(aftermath.removals(before, after, self._leftover))
        own = {_key(line) for line in self.own - other.own}
        return sorted(line for line in gone if _key(line) in own and " hops=" not in line)


def _key(line: str) -> str:
    """A difference without the values that may change while it stays, whether it came or went."""
    return line.partition(": ifindex=")[0].replace(": - ", ": + ", 1)


def _lines(before: Picture, after: Picture) -> list[str]:
    return [line for line in residue(before, after, strict=True) if ": + " in line]


def _pair(bench: Bench, other: str) -> tuple[_Attached, _Attached]:
    """Two attachments that differ in interface, container or network."""
    if other != "other container" and bench.setting.ifname == "lo":
        bench.not_applicable("its interface is there once only")
    bench.require_room(2)
    name = "eth1" if bench.setting.ifname != "eth1" else "eth2"
    first = bench.slot("c1")
    bench.chain(first)
    looks = [bench.look(first)]
    one = bench.attach(first)
    if other == "other interface":
        second = bench.slot("c1", ifname=name)
    elif other == "other container":
        second = bench.slot("c2")
    else:
        second = other_network(bench, "c1", name)
    looks.append(bench.look(first))
    bench.chain(second)
    looks.append(bench.look(second))
    call = bench.add(second)
    if call.exit_code != 0:
        bench.not_applicable(f"there is no second attachment, which ADD-06 and ADD-07 are about: {judge.words(call)}")
    two = AddResult(second, call, judge.result_document(call) or {}, bench.chain(second))
    looks.append(bench.look(second))
    leftover = bench.setting.leftover
    return _Attached(one, looks[0], looks[1], leftover), _Attached(two, looks[2], looks[3], leftover)


@pytest.mark.requirement("DEL-15")
def test_del_creates_no_files(bench: Bench) -> None:
    """DEL of a container whose namespace is gone leaves no file that was not there."""
    slot = bench.slot("c8")
    before = bench.look()

    bench.raw("DEL", slot, changes={"CNI_NETNS": "/run/netns/cnitest-none"})

    found = [line for line in bench.changed(before) if ": + files " in line]
    there = bench.run("ls", "/run/netns").split()
    bench.complain(*found)
    bench.demand("cnitest-none" not in there, "there is a file /run/netns/cnitest-none now")


@pytest.mark.requirement("DEL-16")
@pytest.mark.parametrize("how", ["the delegate fails", "a route is refused"])
def test_del_cleans_after_a_failed_add(bench: Bench, tmp_path: Path, how: str) -> None:
    """After an ADD that failed DEL succeeds and leaves nothing."""
    _require_delegate(bench)
    reply: dict[str, Any] = {"error": {"code": 100, "msg": "no address"}}
    if how == "a route is refused":
        reply = {"result": delegate.address(bench, routes=[delegate.stray(bench)])}
    delegate.install(bench, tmp_path, {"ADD": reply})
    slot = delegate.slot(bench)
    previous = bench.chain(slot)
    before = bench.look(slot)
    if bench.raw("ADD", slot, previous=previous).exit_code == 0:
        bench.not_applicable("its ADD did not fail, which ADDF-b and ADDF-f are about")

    call = bench.raw("DEL", slot)

    bench.complain(*judge.success(call))
    bench.complain(*bench.changed(before, slot))


@pytest.mark.requirement("DEL-17")
def test_a_failing_delegate_does_not_stop_the_cleaning(bench: Bench, tmp_path: Path) -> None:
    """When the IPAM plugin's DEL fails DEL fails too; repeated once it works again, nothing is left."""
    _require_delegate(bench)
    script = {"ADD": {"result": delegate.address(bench)}}
    plugin = delegate.install(bench, tmp_path, script)
    slot = delegate.slot(bench)
    bench.chain(slot)
    before = bench.look(slot)
    made = bench.attach(slot)
    plugin.program({**script, "DEL": {"error": {"code": 102, "msg": "the lease cannot be released"}}})

    failing = bench.delete(made)
    plugin.program(script)
    again = bench.delete(made)

    bench.demand(failing.exit_code != 0, "the IPAM plugin's DEL fails, and DEL succeeds")
    bench.complain(*(f"repeated: {fault}" for fault in judge.success(again)))
    bench.complain(*bench.changed(before, slot))


def _require_delegate(bench: Bench) -> None:
    if not bench.subject.ipam:
        bench.not_applicable("it delegates to no IPAM plugin")
