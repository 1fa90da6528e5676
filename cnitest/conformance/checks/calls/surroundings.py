"""Namespaces, environment and processes around a call: SPEC section 2."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol, reading
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import mutation
from cnitest.lab.place import ENVIRONMENT

#: The tables of a state that are a network namespace's own.
NETWORK = ("links", "addresses", "routes", "rules", "qdiscs", "ports")


@check("PROTO-29", form_of_path=["/var/run/netns/c1", "/run/elsewhere/ns"])
def namespaces_are_found_by_any_path(bench: Bench, form_of_path: str) -> None:
    """ADD works through another path, and the result repeats that path."""
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("it does not enter the namespace")
    target = bench.target()
    previous = bench.chain(target)
    bench.run("mkdir", "-p", "/run/elsewhere")
    bench.run("touch", "/run/elsewhere/ns")
    bench.run("mount", "--bind", target.netns, "/run/elsewhere/ns")
    renamed = mutation.replaced(previous, target.netns, form_of_path)

    call = bench.raw("ADD", target, previous=renamed, changes={"CNI_NETNS": form_of_path})

    bench.complain(*protocol.success(call))
    found = protocol.result_document(call) or {}
    inside = [item["sandbox"] for item in reading.rows(found, "interfaces") if item.get("sandbox")]
    for sandbox in inside:
        bench.demand(sandbox == form_of_path, f"the result says sandbox {sandbox!r} for {form_of_path}")


@check("PROTO-30", what=["missing", "file", "directory"])
def unusable_namespaces_are_rejected(bench: Bench, what: str) -> None:
    """ADD with a path that is no namespace fails with an error document."""
    if bench.subject.kind is not Kind.INTERFACE:
        bench.not_applicable("it need not enter the namespace")
    path = f"/run/netns/cnitest-{what}"
    target = bench.target()
    previous = bench.chain(target)
    if what != "missing":
        bench.run(*(("touch",) if what == "file" else ("mkdir", "-p")), path)

    call = bench.raw("ADD", target, previous=previous, changes={"CNI_NETNS": path})

    bench.complain(*protocol.rejection(call), prefix=f"CNI_NETNS {path}: ")


@check("PROTO-31", command=["ADD", "DEL"])
def the_own_namespace_is_left_alone(bench: Bench, command: str) -> None:
    """A call whose CNI_NETNS is the host's own changes nothing there."""
    target = bench.target()
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("it does not enter the namespace")
    previous = bench.chain(target)
    before = bench.look()

    call = bench.raw(command, target, previous=previous, changes={"CNI_NETNS": "/proc/self/ns/net"})

    found = bench.changed(before)
    if bench.subject.kind is Kind.META:
        found = [left for left in found if left.difference.table in NETWORK]
    bench.complain(*protocol.crash(call), *found)


@check("PROTO-33")
def a_bare_environment_is_enough_to_delete(bench: Bench) -> None:
    """With CNI_* alone DEL succeeds after ADD, and nothing is left."""
    target = bench.target()
    span = Span(bench, target)

    added = bench.add(target, environment={})
    span.added(may_be_nothing=True)
    found = protocol.result_document(added)
    deleted = bench.raw("DEL", target, environment={}, previous=found if spec.has_check(bench.version) else None)

    bench.complain(*protocol.crash(added), *protocol.success(deleted))
    bench.complain(*span.leftovers())


@check("PROTO-33")
def nothing_but_a_path_is_needed(bench: Bench) -> None:
    """With CNI_* and PATH alone, without HOME, ADD and DEL succeed."""
    target, path = bench.target(), {"PATH": ENVIRONMENT["PATH"]}

    added = bench.add(target, environment=path)
    found = protocol.result_document(added)
    deleted = bench.raw("DEL", target, environment=path, previous=found if spec.has_check(bench.version) else None)

    bench.complain(*protocol.success(added), *protocol.success(deleted))


@check("PROTO-34")
def no_process_is_left(bench: Bench) -> None:
    """After VERSION, and ADD and DEL of one interface and of another, no process of the plugin runs, and none held its
    output open."""
    targets = [bench.target()]
    if bench.setting.ifname != "lo":
        targets.append(bench.target("c1", ifname="net1"))
    for target in targets:
        bench.chain(target)
    running = bench.processes()

    calls = [bench.raw("VERSION")]
    calls += [bench.raw(command, target, previous=bench.chain(target)) for target in targets for command in _PAIR]

    for call in calls:
        bench.complain(*protocol.held_open(call))
    _demand_none_left(bench, running)


_PAIR = ("ADD", "DEL")
OTHER_CALLS = ("CHECK", "STATUS", "GC", "an ADD that fails", "DEL without the namespace")


@check("PROTO-34", what=OTHER_CALLS)
def no_other_call_leaves_a_process(bench: Bench, what: str) -> None:
    """After any other command, a failing ADD and a DEL without its namespace no process of the plugin runs."""
    if (what == "CHECK" and not spec.has_check(bench.version)) or (
        what in ("STATUS", "GC") and not spec.has_gc(bench.version)
    ):
        bench.not_applicable(f"{what} is not defined in {bench.version}")
    made = bench.attach()
    running = bench.processes()
    nowhere = {"CNI_NETNS": "/run/netns/cnitest-none"}

    match what:
        case "CHECK":
            call = bench.check(made)
        case "an ADD that fails":
            call = bench.raw("ADD", made.target, previous=made.previous, changes=nowhere)
        case "DEL without the namespace":
            call = bench.delete(made, changes=nowhere)
        case _:
            call = bench.raw(what, stdin={**bench.request(made.target), "cni.dev/valid-attachments": []})

    bench.complain(*protocol.held_open(call))
    _demand_none_left(bench, running)


def _demand_none_left(bench: Bench, running: Sequence[int]) -> None:
    """Complain of processes that did not run before, with their commands."""
    left = sorted(set(bench.processes()) - set(running))
    names = [name for process in left if (name := bench.inside(partial(_command, process)))]
    bench.demand(not names, f"{len(names)} process{'' if len(names) == 1 else 'es'} left: {', '.join(names)}")


def _command(process: int) -> str:
    """The command line of a process; empty where it has ended."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        name = Path(f"/proc/{process}/comm").read_text(errors="replace").strip()  # 15 bytes, in the middle of a letter
    except OSError:
        return ""
    return b" ".join(words).decode(errors="replace").strip()[:80] or name
