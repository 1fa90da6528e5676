"""Delegation to an IPAM plugin, and what such a plugin answers: SPEC section 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.common import other_ifname, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol, reading, space

PASSED_ON = ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH")


DYING: dict[str, dict[str, Any]] = {
    "prints garbage": {"stdout": "this is no JSON"},
    "prints nothing": {"stdout": ""},
    "fails without a document": {"stdout": "", "exit": 1},
    "fails with an error on stderr": {"stdout": "", "stderr": '{"code": 100, "msg": "no"}', "exit": 1},
    "is killed": {"signal": 9},
    "gives an address without prefix": {},
}


@check("DLG-01")
def the_first_delegate_in_the_path_is_taken(bench: Bench, tmp_path: Path) -> None:
    """Of two delegates of a name the one in the first directory of CNI_PATH is called."""
    require_delegate(bench)
    second = delegate.install(bench, tmp_path / "second")
    first = delegate.install(bench, tmp_path / "first")
    bench.use_path(str(tmp_path / "first"), str(tmp_path / "second"))

    bench.need(bench.add(delegate.target(bench)))

    bench.demand(first.records(), delegate.called("the delegate in the first directory was not called"))
    bench.demand(not second.records(), delegate.called("the delegate in the second directory was called"))


@check("DLG-01")
def its_own_delegate_is_sought_in_the_path(bench: Bench, tmp_path: Path) -> None:
    """A program of its IPAM plugin's name that is in the first directory of CNI_PATH is called in that one's place."""
    require_delegate(bench)
    name, target = bench.subject.ipam, bench.target()
    if "/" in name:
        bench.not_applicable("its IPAM plugin is named by a path")
    bench.chain(target)
    plugin = delegate.install(bench, tmp_path, name=name)

    call = bench.add(target)

    how = protocol.words(call) if protocol.failed(call) else "succeeds without it"
    words = f"{name} in the first directory of CNI_PATH was not called, {call.subject}: {how}"
    bench.demand(plugin.records(), delegate.called(words))


@check("DLG-01")
def a_path_is_no_delegate(bench: Bench, tmp_path: Path) -> None:
    """An IPAM type with a slash is rejected, and nothing is called."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path / "outside")
    (tmp_path / "inside").mkdir()
    bench.use_path(str(tmp_path / "inside"))

    path = f"../outside/{delegate.NAME}"
    call = bench.add(delegate.target(bench, kind=path))

    bench.complain(*protocol.rejection(call), prefix=f"ipam.type {path!r}: ")
    bench.demand(not plugin.records(), "a delegate outside the search path was called")


@check("DLG-02")
def the_delegate_gets_the_variables(bench: Bench, tmp_path: Path) -> None:
    """On ADD and DEL every CNI_* variable reaches the delegate as it was, also for a container's other interface and an
    ID in capitals."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    made = bench.attach(delegate.target(bench, args="IgnoreUnknown=1;CNITEST=here"))
    calls = [made.call, bench.delete(made)]
    other = bench.add(delegate.target(bench, "c2", ifname=other_ifname(bench), container_id="Cnitest-C2.X_y"))

    records = list(plugin.records())
    for call in [*calls, other]:
        record = next((r for r in records if r.command == call.command), None)
        if record is None:
            bench.complain(delegate.called(f"{call.command}: the delegate was not called"))
            continue
        records.remove(record)
        for name in PASSED_ON:
            sent, got = call.environment.get(name, ""), record.environment.get(name, "")
            bench.demand(sent == got, f"{call.command}: {name} was {sent!r}, the delegate got {got!r}")


@check("DLG-03")
def the_delegate_gets_the_whole_configuration(bench: Bench, tmp_path: Path) -> None:
    """On ADD and DEL the delegate's standard input is the plugin's own."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    target = delegate.target(bench)
    document = {**bench.request(target), "x-cnitest": {"kept": [1, "two"]}}
    document.setdefault("args", {"cni": {"labels": [{"key": "app", "value": "web"}]}})
    document.setdefault("runtimeConfig", {})

    added = bench.raw("ADD", target, stdin=document)
    bench.need(added)
    bench.raw("DEL", target, stdin=document)

    for command in ("ADD", "DEL"):
        record = next((r for r in plugin.records() if r.command == command), None)
        got = record.request if record else None
        if got is None:
            bench.complain(delegate.called(f"{command}: the delegate was not called with a configuration"))
            continue
        lost = sorted(key for key in document if got.get(key) != document[key])
        bench.demand(not lost, f"{command}: the delegate got other values of, or not at all: {', '.join(lost)}")


@check("DLG-04")
def the_delegates_log_is_passed_on(bench: Bench, tmp_path: Path) -> None:
    """What the delegate writes to standard error is on the plugin's."""
    require_delegate(bench)
    delegate.install(bench, tmp_path, {"ADD": {"result": delegate.address(bench), "stderr": "cnitest was here\n"}})

    call = bench.add(delegate.target(bench))

    bench.need(call)
    bench.demand(b"cnitest was here" in call.stderr, "the delegate's standard error is lost")


@check("DLG-05")
def errors_of_the_delegate_are_returned(bench: Bench, tmp_path: Path) -> None:
    """When the delegate's ADD or DEL fails the plugin fails."""
    require_delegate(bench)
    failing = {"error": {"code": 104, "msg": "not today"}}
    plugin = delegate.install(bench, tmp_path, {"ADD": failing})

    bench.complain(*protocol.rejection(bench.add(delegate.target(bench))), prefix="ADD: ")
    plugin.program({"ADD": {"result": delegate.address(bench)}, "DEL": failing})
    made = bench.attach(delegate.target(bench, "c2"))

    bench.complain(*protocol.rejection(bench.delete(made)), prefix="DEL: ")


@check("DLG-06")
def a_failed_delegate_is_called_off(bench: Bench, tmp_path: Path) -> None:
    """When the delegate's ADD fails its DEL is called."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path, {"ADD": {"error": {"code": 105, "msg": "half done"}}})

    bench.add(delegate.target(bench))

    commands = [record.command for record in plugin.records()]
    bench.demand("DEL" in commands, delegate.called(f"the delegate was called for {', '.join(commands)}, not for DEL"))


@check("DLG-07")
def a_delegate_is_called_off_after_a_late_failure(bench: Bench, tmp_path: Path) -> None:
    """When the plugin fails over what the delegate gave, the delegate's DEL is called."""
    require_delegate(bench)
    result = delegate.address(bench, routes=[delegate.stray(bench)])
    plugin = delegate.install(bench, tmp_path, {"ADD": {"result": result}})
    if bench.add(delegate.target(bench)).exit_code == 0:
        bench.not_applicable("its ADD does not fail over a route that the kernel refuses")

    commands = [record.command for record in plugin.records()]

    bench.demand("DEL" in commands, delegate.called(f"the delegate was called for {', '.join(commands)}, not for DEL"))


@check("DLG-08")
def an_ipam_result_knows_no_interfaces(bench: Bench) -> None:
    """The result of an IPAM plugin has no interfaces, and its addresses have no index."""
    made = bench.attach()

    bench.demand(not made.result.get("interfaces"), f"interfaces: {made.result.get('interfaces')}")
    for ip in reading.rows(made.result, "ips"):
        bench.demand(ip.get("interface") is None, f"{ip.get('address')} is on interface {ip.get('interface')}")


@check("DLG-09")
def a_delegate_without_addresses_is_an_error(bench: Bench, tmp_path: Path) -> None:
    """ADD fails when the delegate's result has no addresses."""
    require_delegate(bench)
    delegate.install(bench, tmp_path, {"ADD": {"result": {"cniVersion": bench.version, "ips": []}}})

    bench.complain(*protocol.rejection(bench.add(delegate.target(bench))))


@check("DLG-10")
def an_older_delegate_is_understood(bench: Bench, tmp_path: Path) -> None:
    """A delegate that answers in 0.2.0 is understood."""
    require_delegate(bench)
    (there,) = form.ips(delegate.address(bench), bench.version)
    old = delegate.answer("0.2.0", there.address, there.gateway or "")
    delegate.install(bench, tmp_path, {"ADD": {"result": old}})

    call = bench.add(delegate.target(bench))

    bench.complain(*protocol.success(call))
    found = [ip.address for ip in form.ips(protocol.result_document(call) or {}, bench.version)]
    if call.exit_code == 0:
        has = ", ".join(found) or "none"
        bench.demand(there.address in found, f"the delegate gave {there.address}, the result has {has}")


@check("DLG-10")
def a_delegate_of_an_unknown_version_is_rejected(bench: Bench, tmp_path: Path) -> None:
    """ADD fails when the delegate answers in a version that nobody knows."""
    require_delegate(bench)
    result = {**delegate.address(bench), "cniVersion": "99.9.9"}
    delegate.install(bench, tmp_path, {"ADD": {"result": result}})

    bench.complain(*protocol.rejection(bench.add(delegate.target(bench))))


@check("DLG-11", how=list(DYING))
def a_dying_delegate_is_reported(bench: Bench, tmp_path: Path, how: str) -> None:
    """ADD fails with an error document when the delegate breaks down."""
    require_delegate(bench)
    delegate.install(bench, tmp_path, {"ADD": _dying(bench, how)})

    call = bench.add(delegate.target(bench))

    bench.complain(*protocol.rejection(call), prefix=f"the delegate {how}: ")


@check("PROTO-22", how=list(DYING))
def a_dying_delegate_has_a_code(bench: Bench, tmp_path: Path, how: str) -> None:
    """The error about a delegate that breaks down has a code that means something."""
    require_delegate(bench)
    delegate.install(bench, tmp_path, {"ADD": _dying(bench, how)})

    document = protocol.error_document(bench.add(delegate.target(bench)))

    if document is None:
        bench.not_applicable("there is no error document, which DLG-11 reports")
    known = document["code"] in spec.ERRORS or document["code"] >= 100
    bench.demand(known, f"the delegate {how}: code {document['code']} means nothing: {document.get('msg')}")


@check("PROTO-25")
def try_again_is_passed_on(bench: Bench, tmp_path: Path) -> None:
    """Code 11 of the delegate is the plugin's code."""
    require_delegate(bench)
    delegate.install(bench, tmp_path, {"ADD": {"error": {"code": 11, "msg": "try again"}}})

    bench.complain(*protocol.rejection(bench.add(delegate.target(bench)), {11}))


def _dying(bench: Bench, how: str) -> dict[str, Any]:
    if how == "gives an address without prefix":
        free = space.network(bench.subject, delegate.family(bench))
        return {"result": delegate.answer(bench.version, str(free[5]), str(free[1]))}
    return DYING[how]


@check("DLG-12")
def reservations_are_kept_by_interface(bench: Bench) -> None:
    """Two interfaces of a container get two addresses, and DEL of one keeps the other's."""
    bench.require_room(2)
    first, target = bench.attach(bench.target("c1")), bench.target("c1", ifname="eth7")
    bench.chain(target)
    before = bench.look()
    call = bench.add(target)
    bench.complain(*protocol.success(call))
    if call.exit_code != 0:
        return
    second = protocol.result_document(call) or {}

    call = bench.raw("DEL", target, previous=second if spec.has_check(bench.version) else None)

    bench.complain(*protocol.success(call))
    bench.complain(*bench.changed(before, strict=True))
    if spec.has_check(bench.version):
        bench.complain(*protocol.success(bench.check(first)), prefix="CHECK of the other: ")
