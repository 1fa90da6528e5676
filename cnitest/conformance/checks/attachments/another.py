"""A container's second interface and a second container: what holds of the first attachment holds of them.

The second interface's name is as long as the kernel lets one be.
"""

from __future__ import annotations

from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench
from cnitest.conformance.bench.shared_attachment import SharedAttachment
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import other_ifname, require_check
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import connections
from cnitest.conformance.observe.truth import untruths

#: 15 characters, the most that a link's name can have (IFNAMSIZ in linux/if.h, less the byte at its end).
LONG_NAME = "net15-long-name"


def _second(bench: Bench, which: str) -> AttachmentTarget:
    """The target of a second attachment: of the same container's second interface, or of a second container."""
    if which == "interface" and (bench.setting.ifname == "lo" or bench.subject.kind is Kind.IPAM):
        bench.not_applicable("it makes no interface of a name that could be chosen")
    bench.require_room(2)
    return bench.target(ifname=_name(bench)) if which == "interface" else bench.target("c2")


def _name(bench: Bench) -> str:
    """The second interface's name: a short one where the profile makes other names of it."""
    commands = " ".join(word for argv in bench.setting.container_setup for word in argv)
    if "{ifname}" not in commands:
        return LONG_NAME
    return other_ifname(bench)


def _added(bench: Bench, target: AttachmentTarget) -> AddResult:
    """The second attachment. Raises NotApplicable where there can be none."""
    call = bench.add(target)
    document = protocol.result_document(call)
    if protocol.failed(call) or document is None:
        words = protocol.words(call)
        bench.not_applicable(f"there is no second attachment, which ADD-01, ADD-02 and ADD-06 are about: {words}")
    return AddResult(target, call, document, bench.chain(target))


@check("ADD-01")
def the_longest_name_is_taken(bench: Bench) -> None:
    """A second interface gets a name of 15 characters, whole."""
    if bench.subject.kind is not Kind.INTERFACE:
        bench.not_applicable("it makes no interface")
    target = _second(bench, "interface")
    if target.ifname != LONG_NAME:
        bench.not_applicable("its profile's commands for containers make other names of the interface's")
    if protocol.failed(bench.add(bench.target())):
        bench.not_applicable("its ADD fails whatever the name is, which ADD-02 reports")

    call = bench.add(target)

    if protocol.failed(call) and _rejects_a_second(bench):
        bench.not_applicable(f"a container can be attached once only, which ADD-06 is about: {protocol.words(call)}")
    bench.complain(*protocol.success(call), prefix=f"CNI_IFNAME {LONG_NAME}: ")
    links = [link.name for link in target.sandbox.links]
    if not protocol.failed(call):
        bench.demand(LONG_NAME in links, f"asked for {LONG_NAME}, the container has {', '.join(links)}")


def _rejects_a_second(bench: Bench) -> bool:
    """Whether a second interface is rejected under a short name, too."""
    return protocol.failed(bench.add(bench.target(ifname=other_ifname(bench))))


@check("ADD-08", which=["interface", "container"])
def the_result_of_a_second_attachment_is_true(bench: Bench, which: str) -> None:
    """The result of a second interface, and of a second container, says what the kernel has."""
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("an IPAM plugin configures nothing")
    bench.attach()
    target = _second(bench, which)

    made = _added(bench, target)

    alone = which == "container"
    found = untruths(made.result, bench.version, bench.node, target.sandbox, target.netns, target.ifname, alone=alone)
    bench.complain(*found)
    bench.complain(*form.indices(made.result, target.netns))


@check("CHK-05")
def a_missing_second_interface_is_noticed(bench: Bench) -> None:
    """CHECK of a second interface fails when that was removed."""
    if bench.subject.kind is not Kind.INTERFACE:
        bench.not_applicable("it makes no interface")
    bench.attach()
    made = _added(bench, _second(bench, "interface"))
    require_check(bench, made)
    name = made.target.ifname
    bench.run("ip", "link", "del", name, at=made.target.sandbox)

    call = bench.check(made)

    bench.complain(*protocol.rejection(call), prefix=f"the interface {name} removed: ")


@check("CHK-19")
def check_fails_after_del_of_a_second_interface(bench: Bench) -> None:
    """CHECK of a second interface that was deleted fails, though the container's first one is there."""
    if bench.setting.ifname == "lo":
        bench.not_applicable("its interface is there once only")
    bench.require_room(2)
    bench.attach()
    target = bench.target(ifname=_name(bench))
    bench.chain(target)
    before = bench.look(target)
    made = _added(bench, target)
    require_check(bench, made)
    if not bench.changed(before, target, strict=True):
        bench.not_applicable("its ADD does nothing that DEL could undo")
    bench.detach(made)

    call = bench.check(made)

    bench.complain(*protocol.rejection(call), prefix=f"of {target.ifname}, beside {bench.setting.ifname}: ")


@check("DEL-01")
def del_of_a_second_interface_leaves_nothing(bench: Bench) -> None:
    """With a first interface attached, ADD and DEL of a second one change nothing at all."""
    bench.attach()
    target = _second(bench, "interface")
    span = Span(bench, target)
    made = _added(bench, target)
    span.added()

    call = bench.delete(made)

    if protocol.failed(call):
        bench.not_applicable(f"DEL fails, which DEL-14 is about: {protocol.words(call)}")
    bench.complain(*span.leftovers(strict=True))


@check("NET-03")
def the_outside_answers_a_second_container(shared_attachment: SharedAttachment) -> None:
    """Where the internet answers the first container, it answers a second one."""
    bench, made = shared_attachment.bench, shared_attachment.made
    if not connections.outside(bench, made):
        bench.not_applicable("there is no default route, or no way back from the internet of this topology")

    flows = connections.outside(bench, shared_attachment.second())

    connections.demand_answers(bench, flows)
