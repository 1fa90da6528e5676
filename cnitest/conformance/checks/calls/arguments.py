"""CNI_ARGS, capabilities and runtimeConfig: SPEC sections 2 and 3, CONVENTIONS.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnitest.conformance.bench import first, provision
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench
from cnitest.conformance.bench.span import Span
from cnitest.conformance.checks.common import require_delegate
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import capability, connections
from cnitest.conformance.observe.truth import untruths

KUBERNETES = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-1;K8S_POD_INFRA_CONTAINER_ID=abc"


MALFORMED = ("A", "A=b=c", "A=b;", ";", "=", "IgnoreUnknown=yes", "IgnoreUnknown=1;=;")


@check("ARG-01")
def arguments_are_accepted(bench: Bench) -> None:
    """ADD and DEL take several arguments, those of Kubernetes among them."""
    target = bench.target()

    made = bench.add(target, changes={"CNI_ARGS": KUBERNETES})
    deleted = bench.raw("DEL", target, previous=protocol.result_document(made), changes={"CNI_ARGS": KUBERNETES})

    bench.complain(*protocol.success(made), *protocol.success(deleted))


@check("ARG-01")
def arguments_change_nothing_else(bench: Bench) -> None:
    """With the arguments of Kubernetes ADD makes what its result says, with addresses in the same families."""
    target = bench.target()
    call = bench.add(target, changes={"CNI_ARGS": KUBERNETES})
    document = protocol.result_document(call)
    if protocol.failed(call) or document is None:
        bench.not_applicable(f"ADD fails with them, or has no result: {protocol.words(call)}")

    found = _untruths(bench, AddResult(target, call, document, bench.chain(target)))
    given = _families(bench, document)
    if not found and given >= {":" in ip.address for ip in first.ips(bench)}:
        return
    bench.raw("DEL", target, previous=document)
    bench.unchain(target, document)
    usual = bench.attach(bench.target("c2"))
    if _untruths(bench, usual):
        bench.not_applicable("its result is not true without them, which ADD-08 reports")
    bench.complain(*found, prefix="with CNI_ARGS: ")
    for six in sorted(_families(bench, usual.result) - given):
        bench.complain(f"with CNI_ARGS: there is no IPv{6 if six else 4} address, without them there is")


def _families(bench: Bench, result: Mapping[str, Any]) -> set[bool]:
    """Of which families a result has addresses: whether each is IPv6."""
    return {":" in ip.address for ip in form.ips(result, bench.version)}


def _untruths(bench: Bench, made: AddResult) -> list[str]:
    """What a result says and the kernel has not, or the other way round; an IPAM plugin configures nothing."""
    if bench.subject.kind is Kind.IPAM:
        return []
    target = made.target
    return untruths(made.result, bench.version, bench.node, target.sandbox, target.netns, target.ifname)


@check("ARG-02", word=["1", "true"])
def unknown_arguments_can_be_ignored(bench: Bench, word: str) -> None:
    """With IgnoreUnknown an argument that nobody knows is no error."""
    changes = {"CNI_ARGS": f"CNITEST=unknown;IgnoreUnknown={word}"}

    bench.complain(*protocol.success(bench.add(bench.target(), changes=changes)))


@check("ARG-03", text=MALFORMED)
def malformed_arguments_do_not_upset_it(bench: Bench, text: str) -> None:
    """What is no list of pairs is accepted or rejected, never a crash."""
    target = bench.target()

    call = bench.add(target, changes={"CNI_ARGS": text})

    bench.complain(*protocol.unreported(call), prefix=f"{text!r}: ")


@check("ARG-04", name=["IP", "MAC"])
def arguments_of_the_other_are_not_rejected(bench: Bench, name: str) -> None:
    """IP is for the IPAM plugin and MAC for the interface: neither upsets the other."""
    require_delegate(bench)
    free = [address.partition("/")[0] for address in connections.free_addresses(bench)]
    if bench.subject.known(bench.subject.ipam).allocation == "listed" or not free:
        bench.not_applicable("its addresses cannot be asked for")
    for number, value in enumerate({"IP": free, "MAC": ["02:00:5e:00:53:07"]}[name], start=1):
        call = bench.add(bench.target(f"c{number}", args=f"{name}={value}"))
        bench.complain(*protocol.success(call), prefix=f"CNI_ARGS {name}={value}: ")


@check("CAP-01", name=list(capability.EXERCISES))
def a_capability_takes_effect(bench: Bench, name: str) -> None:
    """What the runtime provides for a declared capability shows, by packets where it is about them."""
    declared = bench.subject.conf.get("capabilities")
    if not isinstance(declared, dict) or declared.get(name) is not True:
        bench.not_applicable(f"its configuration does not declare {name}")
    _exercise(bench, capability.EXERCISES[name](bench))


@check("CAP-01")
def a_port_of_one_address_is_not_on_others(bench: Bench) -> None:
    """With the address of the host in a port mapping, its ``hostIP``, the port of that address alone leads to the
    container, as container runtimes promise who asks for it."""
    declared = bench.subject.conf.get("capabilities")
    if not isinstance(declared, dict) or declared.get("portMappings") is not True:
        bench.not_applicable("its configuration does not declare portMappings")
    _exercise(bench, capability.of_loopback(bench))


def _exercise(bench: Bench, exercise: capability.Exercise) -> None:
    """ADD with what is provided succeeds, and the effect is there."""
    target = _providing(bench, exercise.provided)

    call = bench.add(target)

    bench.complain(*protocol.success(call))
    document = protocol.result_document(call)
    if document is not None:
        bench.complain(*exercise.faults(bench, target, document))


def _providing(bench: Bench, provided: Mapping[str, Any], **changes: Any) -> AttachmentTarget:
    """A target for which the runtime provides something else than it does by default."""
    return bench.target("c1", capabilities={**bench.target("c1").capabilities, **provided}, **changes)


@check("CAP-02")
def the_runtime_wins_over_arguments(bench: Bench) -> None:
    """A MAC that the runtime provides is taken, not the one in CNI_ARGS."""
    declared = bench.subject.conf.get("capabilities")
    if not isinstance(declared, dict) or declared.get("mac") is not True:
        bench.not_applicable("its configuration does not declare mac")
    provided = {"mac": "02:00:5e:00:53:11"}
    target = _providing(bench, provided, args="MAC=02:00:5e:00:53:22;IgnoreUnknown=1")

    bench.need(bench.add(target))

    mac = target.sandbox.link(target.ifname).mac
    bench.demand(mac == provided["mac"], f"the runtime provides {provided['mac']}, the interface has {mac}")


@check("CAP-03")
def no_provision_is_no_error(bench: Bench) -> None:
    """ADD and DEL succeed when the runtime provides nothing for what is declared, and nothing is left."""
    if not bench.subject.conf.get("capabilities"):
        bench.not_applicable("its configuration declares no capability")
    confs = (*bench.subject.before, bench.subject.conf)
    target = bench.target("c1")
    target = bench.target("c1", capabilities=provision.needed(confs, target.capabilities))
    span = Span(bench, target)

    added = bench.add(target)
    bench.complain(*protocol.success(added))
    span.added(may_be_nothing=True)
    bench.complain(*protocol.success(bench.raw("DEL", target, previous=protocol.result_document(added))))

    bench.complain(*span.leftovers())


@check("CAP-05")
def labels_do_not_upset_it(bench: Bench) -> None:
    """Labels in args.cni, as CONVENTIONS.md writes them, are accepted."""
    target = bench.target()
    previous = bench.chain(target)
    given = bench.subject.conf.get("args")
    arguments = {**(given if isinstance(given, dict) else {}), "cni": {"labels": [{"key": "app", "value": "x"}]}}
    document = {**bench.request(target, previous), "args": arguments}

    bench.complain(*protocol.success(bench.raw("ADD", target, stdin=document)))
