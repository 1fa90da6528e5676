"""CHECK: SPEC section 2, defined since 0.4.0."""

from __future__ import annotations

from pathlib import Path

from cnitest.conformance.bench import delegate
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.common import attached, flush, require_check, require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol, space
from cnitest.conformance.observe import tamper

_NODAD: dict[int, tuple[str, ...]] = {4: (), 6: ("nodad",)}


@check("CHK-01")
def check_after_add_succeeds(bench: Bench) -> None:
    """Right after ADD CHECK succeeds and prints nothing."""
    made = bench.attach()

    call = bench.check(made)

    bench.complain(*protocol.success(call, silent=True))


@check("CHK-02")
def check_without_addresses_succeeds(bench: Bench) -> None:
    """CHECK of an attachment made without IPAM succeeds."""
    if "ipam" not in bench.subject.conf:
        bench.not_applicable("it has no IPAM to be left out")
    gone = ("ipam", "isGateway", "isDefaultGateway", "ipMasq")
    conf = {key: value for key, value in bench.subject.conf.items() if key not in gone}
    target = bench.target("c1", conf=conf)
    added = bench.raw("ADD", target)
    result = protocol.result_document(added)
    if result is None:
        bench.not_applicable("it wants addresses: without IPAM it makes nothing")

    call = bench.raw("CHECK", target, previous=result)

    bench.complain(*protocol.success(call, silent=True))


@check("CHK-03")
def check_needs_a_result(bench: Bench) -> None:
    """CHECK without a previous result is rejected."""
    made = bench.attach()

    call = bench.check(made, previous=None)

    bench.complain(*protocol.rejection(call), prefix="without prevResult: ")


@check("CHK-04")
def check_of_an_early_version_is_rejected(shared_bench: Bench) -> None:
    """Before 0.4.0 CHECK is rejected with code 1."""
    call = shared_bench.raw("CHECK", shared_bench.target("c9"))

    shared_bench.complain(*protocol.rejection(call, {1}))


@check("CHK-09")
def what_was_added_later_is_tolerated(bench: Bench) -> None:
    """CHECK succeeds with an address and a route more than the result has."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("nobody adds anything to a loopback")
    made = bench.attach()
    require_check(bench, made)
    link, sandbox = made.target.ifname, made.target.sandbox

    for family in space.families(bench.subject):
        near, beyond = (space.network(bench.subject, family, nth) for nth in (0, 1))
        own = f"{near[9]}/{near.prefixlen}"
        bench.run("ip", f"-{family}", "address", "add", own, "dev", link, *_NODAD[family], at=sandbox)
        way = ("via", str(near[1]), "dev", link, "onlink")
        bench.run("ip", f"-{family}", "route", "add", str(beyond), *way, at=sandbox)
    call = bench.check(made)

    bench.complain(*protocol.success(call))


@check("CHK-14")
def the_delegate_is_asked(bench: Bench, tmp_path: Path) -> None:
    """CHECK calls the IPAM plugin's CHECK, and fails when that does."""
    require_delegate(bench)
    script = {"ADD": {"result": delegate.address(bench)}}
    plugin = delegate.install(bench, tmp_path, script)
    made = bench.attach(delegate.target(bench))
    require_check(bench, made)
    asked = [record.command for record in plugin.records()]
    plugin.program({**script, "CHECK": {"error": {"code": 101, "msg": "the reservation is gone"}}})

    call = bench.check(made)

    bench.demand("CHECK" in asked, delegate.called(f"the delegate was called for {', '.join(asked)}, not for CHECK"))
    bench.complain(*protocol.rejection(call), prefix="the delegate's CHECK fails: ")


@check("CHK-15")
def check_changes_nothing(bench: Bench) -> None:
    """Host and container are the same before and after CHECK, also after one that fails."""
    target = bench.target()
    made = bench.attach(target)
    before = bench.look(target)

    bench.check(made)
    bench.complain(*bench.changed(before, target, strict=True))
    bench.delete(made)
    gone = bench.look(target)
    bench.check(made)

    bench.complain(*bench.changed(gone, target, strict=True), prefix="after DEL: ")


@check("CHK-15")
def check_does_not_repair(bench: Bench) -> None:
    """CHECK of an attachment whose firewall was flushed does not put anything back."""
    made, before, after = attached(bench, "c1")
    if not [way for way in tamper.tamperings(bench, made, before, after) if way.requirement == "CHK-11"]:
        bench.not_applicable("its ADD makes no firewall rules")
    flush(bench)
    flushed = bench.look(made.target)

    bench.check(made)

    bench.complain(*bench.changed(flushed, made.target, strict=True))


@check("CHK-18")
def others_come_and_go(bench: Bench) -> None:
    """CHECK succeeds after three more containers were added and two of them deleted."""
    made = bench.attach()
    require_check(bench, made)

    others = [bench.attach(bench.target(f"c{number}")) for number in (2, 3, 4)]
    call = bench.check(made)
    bench.complain(*protocol.success(call), prefix="after three more ADDs: ")
    for other in others[:2]:
        bench.detach(other)
    call = bench.check(made)

    bench.complain(*protocol.success(call), prefix="after two of them were deleted: ")


@check("CHK-19")
def check_after_del_fails(bench: Bench) -> None:
    """CHECK of what was deleted fails."""
    target = bench.target("c5")
    bench.chain(target)
    before = bench.look(target)
    made = bench.attach(target)
    if not bench.changed(before, target, strict=True):
        bench.not_applicable("its ADD does nothing that DEL could undo")
    bench.detach(made)

    call = bench.check(made)

    bench.complain(*protocol.rejection(call), prefix="after DEL: ")
