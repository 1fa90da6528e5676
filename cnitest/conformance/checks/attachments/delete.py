"""DEL: SPEC section 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import AddResult, Bench
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import flush, of_lost, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.observe import mutation
from cnitest.lab.snapshot.difference import difference

#: Keys by which state is found again; DEL may need them.
NEEDED = ("type", "dataDir", "bridge", "master", "device", "socketPath", "daemonSocketPath", "vrfname", "backend")


def _attached(bench: Bench) -> tuple[AddResult, Span]:
    """An attachment and what watches over it."""
    target = bench.target()
    span = Span(bench, target)
    made = bench.attach(target)
    span.added()
    return made, span


@check("DEL-01")
def del_removes_what_add_made(bench: Bench) -> None:
    """After ADD and DEL host and container are as before, but for what all attachments share."""
    made, span = _attached(bench)

    bench.need(bench.delete(made))

    bench.complain(*span.leftovers())


@check("DEL-01")
def del_leaves_nothing_once_all_is_shared(bench: Bench) -> None:
    """With another container attached, ADD and DEL change nothing at all."""
    bench.attach(bench.target("c2"))
    made, span = _attached(bench)

    bench.need(bench.delete(made))

    bench.complain(*span.leftovers(strict=True))


@check("DEL-02")
def del_can_be_repeated(bench: Bench) -> None:
    """A second and a third DEL succeed."""
    made, _ = _attached(bench)
    bench.need(bench.delete(made))

    for which in ("second", "third"):
        bench.complain(*protocol.success(bench.delete(made)), prefix=f"the {which} DEL: ")


@check("DEL-03")
def del_of_nothing_succeeds(bench: Bench) -> None:
    """DEL of a container that was never added succeeds, with a namespace and without."""
    target = bench.target("c7")

    bench.complain(*protocol.success(bench.raw("DEL", target)))
    call = bench.raw("DEL", target, changes={"CNI_NETNS": ""})

    bench.complain(*protocol.success(call), prefix="without a namespace: ")


@check("DEL-04")
def del_after_the_interface_went(bench: Bench) -> None:
    """When the interface was removed DEL succeeds and frees everything else."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("its interface cannot be removed")
    made, span = _attached(bench)
    bench.run("ip", "link", "del", made.target.ifname, at=made.target.sandbox)

    call = bench.delete(made)

    bench.complain(*protocol.success(call))
    bench.complain(*span.leftovers(torn=True))


@check("DEL-05")
def del_after_the_namespace_went(bench: Bench) -> None:
    """When the namespace is gone DEL succeeds and frees what is left on the host."""
    _without_namespace(bench, lambda netns: {"changes": {"CNI_NETNS": netns}})


@check("DEL-06", how=["empty", "missing"])
def del_without_a_namespace(bench: Bench, how: str) -> None:
    """With an empty or missing CNI_NETNS DEL succeeds and frees what is left on the host."""
    _without_namespace(
        bench, lambda _: {"changes": {"CNI_NETNS": ""}} if how == "empty" else {"without": ["CNI_NETNS"]}
    )


def _without_namespace(bench: Bench, options: Any) -> None:
    made, span = _attached(bench)
    netns = made.target.netns
    bench.lose("c1")

    call = bench.raw("DEL", None, **of_lost(bench, made, netns, options(netns)))

    bench.complain(*protocol.success(call))
    bench.complain(*span.leftovers(lost=True))


@check("DEL-07")
def del_after_the_state_went(bench: Bench) -> None:
    """When the files that ADD wrote are gone DEL succeeds."""
    target, node = bench.target(), bench.node.full_name
    bench.chain(target)
    before = bench.look()
    made = bench.attach(target)
    files = [
        item.key
        for item in difference(before[node], bench.look()[node])
        if item.table == "files" and item.appeared and item.after.kind == "file"
    ]
    if not files:
        bench.not_applicable("its ADD writes no files")
    bench.run("rm", "-f", *files)

    call = bench.delete(made)

    bench.complain(*protocol.success(call))


@check("DEL-08")
def del_after_the_daemon_went(bench: Bench) -> None:
    """When the daemon was killed DEL succeeds."""
    if bench.daemon is None:
        bench.not_applicable("it talks to no daemon")
    made = bench.attach()
    bench.daemon.kill()

    call = bench.delete(made)

    bench.complain(*protocol.success(call))


@check("DEL-09")
def del_after_the_firewall_was_flushed(bench: Bench) -> None:
    """When every rule and chain was removed by somebody else DEL succeeds."""
    target, node = bench.target(), bench.node.full_name
    bench.chain(target)
    before = bench.look()
    made = bench.attach(target)
    if before[node].firewall == bench.look()[node].firewall:
        bench.not_applicable("its ADD makes no firewall rules")
    flush(bench)

    call = bench.delete(made)

    bench.complain(*protocol.success(call))


@check("DEL-10")
def del_does_not_mind_the_rest(bench: Bench) -> None:
    """DEL succeeds whatever became of settings that only ADD needs."""
    made = bench.attach()
    for change in mutation.wrong_words(bench.request(made.target, bench.final(made)), NEEDED):
        call = bench.raw("DEL", made.target, stdin=change.document)
        bench.complain(*protocol.success(call), prefix=f"{change.words}: ")
    call = bench.delete(made)
    bench.complain(*protocol.success(call))


@check("DEL-10")
def del_does_not_mind_arguments(bench: Bench) -> None:
    """DEL succeeds with an argument in CNI_ARGS that nobody knows."""
    made = bench.attach()

    call = bench.delete(made, changes={"CNI_ARGS": "CNITEST=unknown"})

    bench.complain(*protocol.success(call), prefix="CNI_ARGS CNITEST=unknown: ")


@check("DEL-11")
def the_delegate_is_called_without_a_namespace(bench: Bench, tmp_path: Path) -> None:
    """DEL without a namespace calls the IPAM plugin's DEL."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.target(bench))
    netns = made.target.netns
    bench.lose("c1")
    plugin.forget()

    bench.raw("DEL", None, **of_lost(bench, made, netns, {"changes": {"CNI_NETNS": ""}}))

    commands = [record.command for record in plugin.records()]
    bench.demand(
        "DEL" in commands,
        delegate.called(f"the delegate was called for {', '.join(commands) or 'nothing'}, not for DEL"),
    )


@check("DEL-12")
def the_interface_goes_before_the_address(bench: Bench, tmp_path: Path) -> None:
    """When the IPAM plugin's DEL is called the interface is not in the container any more."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.target(bench))
    plugin.forget()

    bench.need(bench.delete(made))

    released = [record for record in plugin.records() if record.command == "DEL"]
    if not released:
        bench.not_applicable("its DEL does not call the IPAM plugin's, which DLG-02 reports")
    for record in released:
        there = made.target.ifname in record.netns_links
        bench.demand(not there, f"{made.target.ifname} was still there when the address was released")


@check("DEL-13")
def del_prints_nothing(bench: Bench) -> None:
    """A DEL that succeeds has an empty standard output."""
    made = bench.attach()

    call = bench.delete(made)

    bench.need(call)
    bench.complain(*protocol.success(call, silent=True))


@check("DEL-15")
def del_creates_no_files(bench: Bench) -> None:
    """DEL of a container whose namespace is gone leaves no file that was not there."""
    target = bench.target("c8")
    before = bench.look()

    bench.raw("DEL", target, changes={"CNI_NETNS": "/run/netns/cnitest-none"})

    changed = bench.changed(before)
    bench.complain(*(left for left in changed if left.difference.table == "files" and left.difference.appeared))


@check("DEL-16", how=["the delegate fails", "a route is refused"])
def del_cleans_after_a_failed_add(bench: Bench, tmp_path: Path, how: str) -> None:
    """After an ADD that failed DEL succeeds and leaves nothing."""
    require_delegate(bench)
    reply: dict[str, Any] = {"error": {"code": 100, "msg": "no address"}}
    if how == "a route is refused":
        reply = {"result": delegate.address(bench, routes=[delegate.stray(bench)])}
    delegate.install(bench, tmp_path, {"ADD": reply})
    target = delegate.target(bench)
    previous = bench.chain(target)
    before = bench.look(target)
    if bench.raw("ADD", target, previous=previous).exit_code == 0:
        bench.not_applicable("its ADD did not fail, which ADDF-b and ADDF-f are about")

    call = bench.raw("DEL", target)

    bench.complain(*protocol.success(call))
    bench.complain(*bench.changed(before, target))


@check("DEL-17")
def a_failing_delegate_does_not_stop_the_cleaning(bench: Bench, tmp_path: Path) -> None:
    """When the IPAM plugin's DEL fails DEL fails too; repeated once it works again, nothing is left."""
    require_delegate(bench)
    script = {"ADD": {"result": delegate.address(bench)}}
    plugin = delegate.install(bench, tmp_path, script)
    target = delegate.target(bench)
    bench.chain(target)
    before = bench.look(target)
    made = bench.attach(target)
    plugin.program({**script, "DEL": {"error": {"code": 102, "msg": "the lease cannot be released"}}})

    failing = bench.delete(made)
    plugin.program(script)
    again = bench.delete(made)

    bench.demand(failing.exit_code != 0, "the IPAM plugin's DEL fails, and DEL succeeds")
    bench.complain(*protocol.success(again), prefix="repeated: ")
    bench.complain(*bench.changed(before, target))
