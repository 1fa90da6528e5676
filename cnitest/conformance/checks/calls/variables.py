"""Commands and variables of a call: SPEC section 2."""

from __future__ import annotations

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.common import come_and_go, come_and_go_as_ever
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.model.requirement import Kind

COMMANDS = ("ADD", "DEL", "CHECK")


BAD_IDENTIFIERS = ("-a", ".a", "_a", "a b", "a/b", "../x", "é", "a\nb")


BAD_IFNAMES = ("sixteen-letters0", ".", "..", "a/b", "a:b", "a b", "a\tb")


@check("PROTO-01", command=["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])
def verbs_of_the_version_are_recognised(shared_bench: Bench, command: str) -> None:
    """No command that the version defines is answered as unknown."""
    if (command == "CHECK" and not spec.has_check(shared_bench.version)) or (
        command in ("GC", "STATUS") and not spec.has_gc(shared_bench.version)
    ):
        shared_bench.not_applicable(f"{command} is not defined in {shared_bench.version}")
    target = shared_bench.target("c9")

    call = shared_bench.raw(
        command, target, changes={"CNI_NETNS": "/run/netns/cnitest-none"} if command == "ADD" else {}
    )

    shared_bench.demand(not protocol.not_defined(call), f"{command} is not recognised: {protocol.words(call)}")


@check("PROTO-02", command=["FOO", "add", " ADD"])
def unknown_verbs_are_rejected(shared_bench: Bench, command: str) -> None:
    """A command that no version defines is rejected with code 4 and the variable's name."""
    call = shared_bench.raw(command, shared_bench.target("c9"))

    shared_bench.complain(*protocol.rejection(call, {4}, ["CNI_COMMAND"]), prefix=f"CNI_COMMAND {command!r}: ")


@check("PROTO-03", how=["missing", "empty"])
def a_missing_verb_is_rejected(shared_bench: Bench, how: str) -> None:
    """Without CNI_COMMAND, or with an empty one, the call is rejected with code 4."""
    call = shared_bench.raw("", shared_bench.target("c9"), without=["CNI_COMMAND"] if how == "missing" else [])

    shared_bench.complain(*protocol.rejection(call, {4}), prefix=f"CNI_COMMAND {how}: ")


@check("PROTO-04")
def missing_variables_are_all_named(shared_bench: Bench) -> None:
    """Each required variable that is missing is named, alone and with all others."""
    target = shared_bench.target("c9")
    for command in COMMANDS:
        if command == "CHECK" and not spec.has_check(shared_bench.version):
            continue
        for missing in (*((name,) for name in spec.REQUIRED[command]), spec.REQUIRED[command]):
            call = shared_bench.raw(command, target, without=missing)
            shared_bench.complain(*protocol.rejection(call, {4}, missing), prefix=f"without {', '.join(missing)}: ")


@check("PROTO-05")
def plugins_without_a_delegate_need_no_search_path(bench: Bench) -> None:
    """ADD and DEL work without CNI_PATH when nothing has to be found in it."""
    if bench.subject.ipam:
        bench.not_applicable("it delegates to an IPAM plugin, which it has to find")
    target = bench.target()

    call = bench.add(target, without=["CNI_PATH"])

    bench.complain(*protocol.success(call))


@check("PROTO-06", how=["missing", "empty"])
def del_without_a_namespace_is_not_rejected(shared_bench: Bench, how: str) -> None:
    """DEL without CNI_NETNS is not answered with code 4."""
    target = shared_bench.target("c9")

    if how == "missing":
        call = shared_bench.raw("DEL", target, without=["CNI_NETNS"])
    else:
        call = shared_bench.raw("DEL", target, changes={"CNI_NETNS": ""})

    document = protocol.error_document(call)
    shared_bench.complain(*protocol.crash(call))
    shared_bench.demand(document is None or document["code"] != 4, f"CNI_NETNS {how}: {protocol.words(call)}")


@check("PROTO-07", command=["GC", "STATUS"])
def network_commands_need_no_container(shared_bench: Bench, command: str) -> None:
    """GC and STATUS without container, namespace and interface name are not rejected with code 4."""
    document = {**shared_bench.request(), "cni.dev/valid-attachments": [], "cni.dev/attachments": []}

    call = shared_bench.raw(
        command,
        stdin=document if command == "GC" else shared_bench.request(),
        without=["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"],
    )

    error = protocol.error_document(call)
    shared_bench.demand(error is None or error["code"] != 4, f"{command}: {protocol.words(call)}")


@check("PROTO-08")
def version_needs_only_the_verb(shared_bench: Bench) -> None:
    """VERSION succeeds with no other variable."""
    names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"]

    call = shared_bench.raw("VERSION", without=names, environment={})

    shared_bench.complain(*protocol.success(call))


@check("PROTO-09", command=["ADD", "DEL"])
def bad_container_ids_are_rejected(shared_bench: Bench, command: str) -> None:
    """What is no identifier is rejected with code 4."""
    target = shared_bench.target("c9")
    for identifier in BAD_IDENTIFIERS:
        call = shared_bench.raw(command, target, changes={"CNI_CONTAINERID": identifier})
        shared_bench.complain(*protocol.rejection(call, {4}), prefix=f"CNI_CONTAINERID {identifier!r}: ")


#: The shortest identifier, one with all that one may have, and one of the length that runtimes make.
GOOD_IDENTIFIERS = ("0", "A_b.c-9_.-", "f" * 64)


@check("PROTO-09")
def good_container_ids_are_taken(bench: Bench) -> None:
    """ADD and DEL take whatever is an identifier."""
    come_and_go_as_ever(bench)
    for identifier in GOOD_IDENTIFIERS:
        come_and_go(bench, bench.target(container_id=identifier), f"CNI_CONTAINERID {identifier!r}")


@check("PROTO-10")
def errors_name_the_invalid_variable(shared_bench: Bench) -> None:
    """An error with code 4 names the variable whose value is wrong."""
    target, seen = shared_bench.target("c9"), 0
    for name, value in (("CNI_CONTAINERID", "a/b"), ("CNI_IFNAME", "a/b")):
        call = shared_bench.raw("ADD", target, changes={name: value})
        document = protocol.error_document(call)
        if document is not None and document["code"] == 4:
            seen += 1
            shared_bench.complain(*protocol.rejection(call, {4}, [name]), prefix=f"{name} {value!r}: ")
    if not seen:
        shared_bench.not_applicable("it never answers with code 4, which PROTO-09 and PROTO-11 are about")


@check("PROTO-11")
def unusable_interface_names_are_rejected(shared_bench: Bench) -> None:
    """A name that the kernel refuses is rejected, and nothing is left."""
    target = shared_bench.target("c9")
    before = shared_bench.look(target)
    for name in BAD_IFNAMES:
        call = shared_bench.raw("ADD", target, previous=None, changes={"CNI_IFNAME": name})
        shared_bench.complain(*protocol.rejection(call), prefix=f"CNI_IFNAME {name!r}: ")
    shared_bench.complain(*shared_bench.changed(before, target))


@check("PROTO-11")
def interface_names_are_no_templates(bench: Bench) -> None:
    """'eth%d' is rejected without a trace, or it is the interface's name."""
    if bench.subject.kind is not Kind.INTERFACE or bench.setting.ifname == "lo":
        bench.not_applicable("it makes no interface")
    target = bench.target()
    before = bench.look(target)
    there = [link.name for link in target.sandbox.links]

    call = bench.raw("ADD", target, changes={"CNI_IFNAME": "eth%d"})
    made = [link.name for link in target.sandbox.links if link.name not in there]
    bench.raw("DEL", target, changes={"CNI_IFNAME": "eth%d"})

    bench.complain(*protocol.ending(call))
    if call.exit_code == 0:
        instead = f"there is {', '.join(made)}" if made else "there is no new link"
        bench.demand("eth%d" in made, f"CNI_IFNAME eth%d: ADD succeeds, and {instead} in the container")
    bench.complain(*bench.changed(before, target))
