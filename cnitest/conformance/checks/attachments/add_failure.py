"""A failing ADD: SPEC section 2 for what it leaves, section 4 for its delegates."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.bench.leftovers import settle
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import exhausted, half_exhausted, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol, space
from cnitest.conformance.model.requirement import Kind

FAILING_DELEGATES: dict[str, Any] = {
    "an error": {"error": {"code": 100, "msg": "the range is used up"}},
    "garbage": {"stdout": "this is no JSON"},
    "silence": {"stdout": "", "exit": 1},
    "no address": {"result": {}},
}


TOOLS = ("iptables", "ip6tables", "nft", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")


def _must_leave_nothing(bench: Bench, target: AttachmentTarget, why: str, words: str = "", **options: Any) -> None:
    """ADD into a target, see it fail, and see nothing left; ``why`` says what has to make it fail."""
    previous = bench.chain(target)
    before = bench.look(target)

    call = bench.raw("ADD", target, previous=previous, **options)

    prefix = f"{words}: " if words else ""
    bench.complain(*protocol.ending(call), prefix=prefix)
    if call.exit_code == 0:
        bench.complain(f"{prefix}ADD succeeds, though {why}")
        return
    found = settle(lambda: bench.changed(before, target))
    bench.complain(*found, prefix=prefix)


#: Ways to call ADD that are to be rejected whatever the configuration is, as options of a call beside its document.
REJECTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "an unsupported version": lambda document: {"stdin": {**document, "cniVersion": "99.0.0"}},
    "a version of another type": lambda document: {"stdin": {**document, "cniVersion": 1}},
    "a malformed name": lambda document: {"stdin": {**document, "name": "n/m"}},
    "a name of another type": lambda document: {"stdin": {**document, "name": 5}},
    "no name": lambda document: {"stdin": {key: value for key, value in document.items() if key != "name"}},
    "a cut document": lambda document: {"stdin": json.dumps(document).encode()[:-1]},
    "text after the document": lambda document: {"stdin": json.dumps(document).encode() + b" trailing"},
    "a list": lambda document: {"stdin": json.dumps([document]).encode()},
    "unreadable input": lambda _: {"stdin": b"", "argv": ["/bin/sh", "-c", 'exec "$0" </']},
    "a malformed container ID": lambda document: {"stdin": document, "changes": {"CNI_CONTAINERID": "a/b"}},
    "a malformed interface name": lambda document: {"stdin": document, "changes": {"CNI_IFNAME": "a/b"}},
    "no interface name": lambda document: {"stdin": document, "without": ["CNI_IFNAME"]},
    "no container ID": lambda document: {"stdin": document, "without": ["CNI_CONTAINERID"]},
    "an unknown command": lambda document: {"stdin": document, "changes": {"CNI_COMMAND": "ADDD"}},
}


@check("ADD-04")
def a_rejected_call_leaves_nothing(bench: Bench) -> None:
    """Whatever of a call is wrong, an ADD that is rejected changes neither host nor container."""
    target = bench.target()
    document = bench.request(target, bench.chain(target))
    before = bench.look(target)
    for words, options in REJECTED.items():
        call = bench.raw("ADD", target, **options(document))
        if call.exit_code != 0:
            found = settle(partial(bench.changed, before, target))
            bench.complain(*found, prefix=f"{words}: ")
            if not found:
                continue
        bench.raw("DEL", target, stdin=document)
        before = bench.look(target)  # what DEL leaves is reported elsewhere


@check("ADDF-a")
def a_missing_delegate_leaves_nothing(bench: Bench) -> None:
    """ADD with an IPAM plugin that is not there fails and leaves neither link, address, rule nor file."""
    require_delegate(bench)

    _must_leave_nothing(bench, delegate.target(bench, kind="cnitest-missing"), "its IPAM plugin is not there")


@check("ADDF-b", how=list(FAILING_DELEGATES))
def a_failing_delegate_leaves_nothing(bench: Bench, tmp_path: Path, how: str) -> None:
    """ADD with an IPAM plugin that fails, prints garbage or gives nothing fails and leaves nothing."""
    require_delegate(bench)
    reply = FAILING_DELEGATES[how]
    if how == "no address":
        reply = {"result": {"cniVersion": bench.version}}
    delegate.install(bench, tmp_path, {"ADD": reply})

    _must_leave_nothing(bench, delegate.target(bench), "this is the answer of its IPAM plugin", how)


@check("ADDF-c")
def a_used_up_range_leaves_nothing(bench: Bench) -> None:
    """When every address is taken ADD fails and leaves nothing."""
    _used_up(bench, exhausted(bench))


@check("ADDF-c")
def a_used_up_range_of_the_second_family_leaves_nothing(bench: Bench) -> None:
    """When every address of the second family is taken ADD fails and keeps none of the first."""
    _used_up(bench, half_exhausted(bench))


def _used_up(bench: Bench, conf: dict[str, Any]) -> None:
    taken = bench.attach(bench.target("c1", conf=conf))

    _must_leave_nothing(bench, bench.target("c2", conf=conf), "every address of its range is taken")
    bench.complain(*protocol.success(bench.delete(taken)))


@check("ADDF-d")
def a_taken_name_leaves_both_alone(bench: Bench) -> None:
    """An ADD that fails over a taken name changes neither the host nor the interface that has the name."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("the interface is there before it")
    target = bench.target()
    peer = space.name(bench.subject, "cnitest-peer")
    bench.run("ip", "link", "add", target.ifname, "type", "veth", "peer", "name", peer, at=target.sandbox)

    _must_leave_nothing(bench, target, f"the container has an interface {target.ifname}")


@check("ADDF-e")
def a_missing_namespace_leaves_nothing(bench: Bench) -> None:
    """ADD for a namespace that is gone fails and leaves nothing on the host."""
    if bench.subject.kind is not Kind.INTERFACE:
        bench.not_applicable("it need not enter the namespace")
    target = bench.target()

    nowhere = "/run/netns/cnitest-none"
    _must_leave_nothing(bench, target, f"there is no namespace {nowhere}", changes={"CNI_NETNS": nowhere})


@check("ADDF-f")
def a_late_failure_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    """An ADD that fails over a route that the kernel refuses leaves nothing."""
    require_delegate(bench)
    stray = delegate.stray(bench)
    delegate.install(bench, tmp_path, {"ADD": {"result": delegate.address(bench, routes=[stray])}})

    route = f"{stray['dst']} via {stray['gw']}"
    _must_leave_nothing(bench, delegate.target(bench), f"the kernel refuses the route {route} that IPAM gave it")


@check("ADDF-g")
def failing_firewall_tools_leave_nothing(bench: Bench, tmp_path: Path) -> None:
    """When iptables and nft fail, an ADD that needs them is undone by the DEL that follows."""
    for name in TOOLS:
        text = f'#!/bin/sh\necho "$0 $*" >>{tmp_path}/called\necho "{name} is out of order" >&2\nexit 1\n'
        bench.program(tmp_path / name, text)
    target = bench.target()
    span = Span(bench, target)
    broken = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}

    added = bench.add(target, environment=broken)
    if not (tmp_path / "called").exists():
        bench.not_applicable("it calls no firewall tool")
    deleted = bench.raw("DEL", target)

    bench.complain(*protocol.crash(added))
    bench.complain(*protocol.success(deleted), prefix="after the tools work again: ")
    bench.complain(*span.leftovers())


@check("ADDF-h")
def del_without_a_result_after_a_later_failure_leaves_nothing(bench: Bench) -> None:
    """After ADD a DEL without any previous result removes everything."""
    target = bench.target()
    span = Span(bench, target)
    made = bench.attach(target)
    span.added()

    call = bench.delete(made, previous=None)

    bench.complain(*protocol.success(call))
    bench.complain(*span.leftovers())
