"""prevResult and lists of plugins: SPEC sections 2 and 3."""

from __future__ import annotations

from typing import Any

from cnitest.cni import result as results
from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.bench import AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol, reading, space
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import handed

STRANGER = {"name": "cnitest-none0", "mac": "02:00:5e:00:53:01"}


DNS = {"domain": "example.com", "search": ["example.com"], "options": ["ndots:5"]}


@check("PREV-01")
def the_result_is_passed_on(bench: Bench) -> None:
    """Addresses, routes, DNS and interfaces of the previous result are in the plugin's own."""
    target = bench.target()
    previous = {**_given(bench, target), "dns": _dns(bench)}
    previous["interfaces"] = [*reading.rows(previous, "interfaces"), _stranger(bench)]
    previous["routes"] = [*reading.rows(previous, "routes"), _foreign_route(bench)]
    before = bench.look(target)

    call = bench.raw("ADD", target, previous=previous)

    bench.need(call)
    bench.complain(*_wrongly_handed(bench, target, call, previous, before))


@check("PREV-02")
def an_interface_plugin_keeps_the_result(bench: Bench) -> None:
    """What a previous result says is in the plugin's own, beside what it made, each address on its interface."""
    target = bench.target()
    base: dict[str, Any] = {"cniVersion": bench.version, "interfaces": [_stranger(bench)], "dns": _dns(bench)}
    base |= {"ips": [_foreign_address(bench)], "routes": [_foreign_route(bench)]}
    before = bench.look(target)

    call = bench.raw("ADD", target, previous=base)

    bench.need(call)
    bench.complain(*_wrongly_handed(bench, target, call, base, before))
    found = protocol.result_document(call) or {}
    own = [ip for ip in reading.rows(found, "ips") if ip.get("address") != base["ips"][0]["address"]]
    bench.complain(*form.indices({**found, "ips": own}, target.netns))


def _stranger(bench: Bench) -> dict[str, Any]:
    """An interface of somebody else's, with all that the version lets it have."""
    later = {"mtu": 1298, "socketPath": "/run/cnitest/none0.sock", "pciID": "0000:00:1f.6"}
    return {**STRANGER, **(later if spec.at_least(bench.version, "1.1.0") else {})}


def _foreign_address(bench: Bench) -> dict[str, Any]:
    """An address of somebody else's, on the previous result's first interface."""
    free = space.network(bench.subject, 4, 5)
    family = {"version": "4"} if spec.labels_families(bench.version) else {}
    return {"address": f"{free[9]}/{free.prefixlen}", "interface": 0, **family}


def _foreign_route(bench: Bench) -> dict[str, Any]:
    """A route of somebody else's, with all that the version lets it have."""
    later = {"mtu": 1298, "advmss": 1200, "priority": 77} if spec.at_least(bench.version, "1.1.0") else {}
    return {"dst": str(space.network(bench.subject, 4, 6)), **later}


def _dns(bench: Bench) -> dict[str, Any]:
    return {"nameservers": [space.address(bench.subject, host=53)], **DNS}


def _given(bench: Bench, target: Any) -> dict[str, Any]:
    previous = bench.chain(target)
    if previous is None:
        bench.not_applicable("there is no plugin before it that makes an interface")
    return dict(previous)


def _wrongly_handed(
    bench: Bench, target: AttachmentTarget, call: Call, previous: dict[str, Any], before: Picture
) -> list[str]:
    """What of a previous result is lost, or handed on against the plugin's own doing."""
    after, found = bench.look(target), protocol.result_document(call) or {}
    inside, host = ((before[place], after[place]) for place in (target.sandbox.full_name, bench.node.full_name))
    return handed.wrongly_handed(previous, found, target.conf, inside, host)


@check("PREV-03")
def add_needs_a_result(bench: Bench) -> None:
    """A chained plugin rejects ADD without a previous result."""
    target = bench.target()
    bench.chain(target)

    call = bench.raw("ADD", target, previous=None)

    bench.complain(*protocol.rejection(call), prefix="without prevResult: ")


@check("PREV-04")
def null_is_no_result(bench: Bench) -> None:
    """ADD with a prevResult of null gets the same answer as without one."""
    target = bench.target()
    bench.chain(target)

    for _ in range(2 if bench.setting.container_setup else 1):  # what that prepares may serve one ADD alone
        without = bench.raw("ADD", target, previous=None)
        if without.exit_code == 0:
            bench.raw("DEL", target)
    call = bench.raw("ADD", target, stdin={**bench.request(target), "prevResult": None})

    same = protocol.failed(without) == protocol.failed(call)
    bench.complain(*protocol.crash(call))
    bench.demand(
        same, f"without prevResult exit code {without.exit_code}, with null {call.exit_code}: {protocol.words(call)}"
    )


@check("PREV-05", what=["ips is a text", "an address is none", "it is a list"])
def a_malformed_result_is_rejected(bench: Bench, what: str) -> None:
    """ADD with a previous result that cannot be read is rejected with code 6 or 7."""
    target = bench.target()
    previous = _given(bench, target)
    wrong: Any = {
        "ips is a text": {**previous, "ips": "x"},
        "an address is none": {**previous, "ips": [{"address": "not-an-address", "interface": 0}]},
        "it is a list": [previous],
    }[what]

    call = bench.raw("ADD", target, stdin={**bench.request(target), "prevResult": wrong})

    bench.complain(*protocol.rejection(call, {6, 7}), prefix=f"{what}: ")


@check("PREV-06")
def a_result_without_version_is_read(bench: Bench) -> None:
    """DEL, and ADD of a chained plugin, take a previous result without cniVersion for one of the configuration's."""
    target = bench.target()
    if bench.subject.kind is Kind.META:
        previous = {key: value for key, value in _given(bench, target).items() if key != "cniVersion"}
        call = bench.raw("ADD", target, previous=previous)
        bench.complain(*protocol.success(call), prefix="ADD: ")
        if call.exit_code != 0:
            return
        result = protocol.result_document(call) or {}
    else:
        result = dict(bench.attach(target).result)

    unlabelled = {key: value for key, value in result.items() if key != "cniVersion"}
    call = bench.raw("DEL", target, previous=unlabelled)

    bench.complain(*protocol.success(call), prefix="DEL: ")


@check("PREV-07")
def an_older_result_is_read_by_del(bench: Bench) -> None:
    """DEL with a previous result of 0.4.0 succeeds and leaves nothing."""
    target = bench.target()
    span = Span(bench, target)
    made = bench.attach(target)
    span.added()
    try:
        older = results.relabelled(made.result, "0.4.0")
    except ValueError as error:
        raise Undecided(f"the result cannot be read, which ADD-02 reports: {error}") from error

    call = bench.delete(made, previous=older)

    bench.complain(*protocol.success(call))
    bench.complain(*span.leftovers())


@check("PREV-08")
def a_newer_result_does_not_upset_it(bench: Bench) -> None:
    """A previous result labelled with a newer version is read or rejected, on DEL and on ADD of a chained plugin."""
    made = bench.attach()
    newer = {**made.result, "cniVersion": spec.VERSIONS[-1]}

    call = bench.delete(made, previous=newer)

    bench.complain(*protocol.unreported(call))


@check("PREV-09")
def del_without_a_result_succeeds(bench: Bench) -> None:
    """DEL of a live attachment without a previous result succeeds."""
    bench.require_effect()
    made = bench.attach()

    call = bench.delete(made, previous=None)

    bench.complain(*protocol.success(call))


@check("PREV-11", what=["an index out of range", "no index", "interfaces that do not exist"])
def a_careless_result_does_not_upset_it(bench: Bench, what: str) -> None:
    """ADD of a chained plugin succeeds or fails cleanly with a previous result that is not true."""
    target = bench.target()
    previous = _given(bench, target)
    if what == "an index out of range":
        previous["ips"] = [{**ip, "interface": 99} for ip in reading.rows(previous, "ips")]
    elif what == "no index":
        rows = reading.rows(previous, "ips")
        previous["ips"] = [{key: value for key, value in ip.items() if key != "interface"} for ip in rows]
    else:
        renamed = ({**item, "name": "nil7"} for item in reading.rows(previous, "interfaces"))
        previous["interfaces"] = [STRANGER, *renamed]

    call = bench.raw("ADD", target, previous=previous)

    bench.complain(*protocol.unreported(call), prefix=f"{what}: ")
