"""STATUS: SPEC section 2, defined since 1.1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.checks.common import exhausted, half_exhausted, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol

NOT_READY = {50, 51}


def _status(bench: Bench, target: AttachmentTarget | None = None) -> Call:
    names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]
    return bench.raw("STATUS", stdin=bench.request(target), without=names)


@check("STA-01")
def a_ready_plugin_says_so(bench: Bench) -> None:
    """STATUS succeeds silently before the first ADD and while attachments stand."""
    bench.complain(*protocol.success(_status(bench), silent=True))
    bench.attach()

    bench.complain(*protocol.success(_status(bench), silent=True), prefix="after ADD: ")


@check("STA-02")
def a_missing_delegate_is_reported(bench: Bench) -> None:
    """STATUS fails with 50 or 51 when the IPAM plugin is not there."""
    require_delegate(bench)

    call = _status(bench, delegate.target(bench, kind="cnitest-missing"))

    bench.complain(*protocol.rejection(call, NOT_READY), prefix="the delegate is missing: ")


@check("STA-02")
def a_used_up_range_is_reported(bench: Bench) -> None:
    """STATUS fails with 50 or 51 when every address is taken, and succeeds again when one is free."""
    _demand_told(bench, exhausted(bench))


@check("STA-02")
def a_used_up_range_of_the_second_family_is_told(bench: Bench) -> None:
    """Of two families one that is used up is enough: STATUS fails, and succeeds again when an address is free."""
    _demand_told(bench, half_exhausted(bench))


def _demand_told(bench: Bench, conf: dict[str, Any]) -> None:
    target = bench.target("c1", conf=conf)
    made = bench.attach(target)

    call = _status(bench, target)
    bench.complain(*protocol.rejection(call, NOT_READY), prefix="the range is used up: ")
    bench.need(bench.delete(made))

    bench.complain(*protocol.success(_status(bench, target), silent=True), prefix="the range is free again: ")


@check("STA-02")
def a_dead_daemon_is_reported(bench: Bench) -> None:
    """STATUS fails with 50 or 51 when the daemon was killed."""
    if bench.daemon is None:
        bench.not_applicable("it talks to no daemon")
    bench.daemon.kill()

    bench.complain(*protocol.rejection(_status(bench), NOT_READY), prefix="the daemon is dead: ")


@check("STA-03")
def the_delegate_is_asked_for_its_status(bench: Bench, tmp_path: Path) -> None:
    """STATUS calls the IPAM plugin's STATUS, and fails when that does."""
    require_delegate(bench)
    plugin = delegate.install(bench, tmp_path)
    target = delegate.target(bench)

    ready = _status(bench, target)
    commands = [record.command for record in plugin.records()]
    plugin.program({"STATUS": {"error": {"code": 50, "msg": "no addresses today"}}})
    call = _status(bench, target)

    bench.complain(*protocol.success(ready))
    bench.demand(
        "STATUS" in commands,
        delegate.called(f"the delegate was called for {', '.join(commands) or 'nothing'}, not for STATUS"),
    )
    bench.complain(*protocol.rejection(call), prefix="the delegate is not ready: ")


@check("STA-04")
def add_does_not_wait_for_status(bench: Bench) -> None:
    """ADD and DEL succeed where STATUS was never called; what fails does not succeed after it."""
    target = bench.target()
    first = bench.add(target)
    if protocol.failed(first):
        _status(bench)
        again = bench.add(target)
        bench.demand(protocol.failed(again), f"only after STATUS ADD succeeds, before it: {protocol.words(first)}")
        bench.conclude()
    bench.need(first)

    previous = protocol.result_document(first)

    bench.complain(*protocol.success(bench.raw("DEL", target, previous=previous)))


@check("STA-05")
def status_of_an_early_version_is_rejected(shared_bench: Bench) -> None:
    """Before 1.1.0 STATUS is rejected."""
    call = _status(shared_bench)

    shared_bench.complain(*protocol.rejection(call))


@check("STA-06")
def status_changes_nothing(bench: Bench) -> None:
    """Host and container are the same before and after STATUS."""
    made = bench.attach()
    before = bench.look(made.target)

    _status(bench)

    bench.complain(*bench.changed(before, made.target, strict=True))
