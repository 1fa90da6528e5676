"""What a plugin prints, and its exit code: SPEC section 2, and the errors of section 5."""

from __future__ import annotations

import json

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol
from cnitest.conformance.observe import mutation


@check("PROTO-18")
def exit_codes_tell_success(bench: Bench) -> None:
    """An error document goes with an exit code that is not 0, a result with 0."""
    target = bench.target()

    calls = [bench.add(target), bench.raw("ADD", target, stdin=b"{"), bench.raw("DEL", target), bench.raw("VERSION")]

    for call in calls:
        error = protocol.error_document(call)
        documents = protocol.documents(call)
        if error is not None:
            bench.demand(
                call.exit_code != 0, protocol.complaint(call, f"exit code 0 with error {protocol.words(call)}")
            )
        elif len(documents) == 1 and isinstance(documents[0], dict) and "cniVersion" in documents[0]:
            bench.demand(call.exit_code == 0, protocol.complaint(call, f"exit code {call.exit_code} with a result"))


@check("PROTO-19")
def stdout_has_one_document(bench: Bench) -> None:
    """ADD, VERSION and a rejection print one JSON object each, and nothing around it."""
    target = bench.target()

    for call in (bench.add(target), bench.raw("VERSION"), bench.raw("ADD", target, stdin=b"{")):
        found = protocol.documents(call)
        whole = len(found) == 1 and isinstance(found[0], dict)
        what = "nothing" if not found else " and ".join(_kind(item) for item in found)
        if not protocol.crash(call):
            bench.demand(whole, protocol.complaint(call, f"exit code {call.exit_code}, stdout holds {what}"))
        else:
            bench.complain(*(protocol.crash(call) if {"stdout", "stderr"} & set(call.cut) else []))


def _kind(item: object) -> str:
    return "an object" if isinstance(item, dict) else f"{json.dumps(item)[:80]}"


@check("PROTO-19")
def the_own_namespace_gets_one_answer(bench: Bench) -> None:
    """An ADD into the plugin's own namespace prints one document, whichever it is."""
    call = bench.raw("ADD", bench.target(), changes={"CNI_NETNS": "/proc/self/ns/net"})

    found = protocol.documents(call)
    bench.demand(len(found) <= 1, f"own namespace: exit code {call.exit_code}, stdout holds {len(found)} documents")


@check("PROTO-20")
def failures_of_every_command_are_reported(bench: Bench) -> None:
    """DEL, CHECK, GC and STATUS that fail, with a live attachment, a deleted one and unreadable input, say so in an
    error document."""
    made = bench.attach()
    commands = ["DEL", *(["CHECK"] if spec.has_check(bench.version) else [])]
    network = ["GC", "STATUS"] if spec.has_gc(bench.version) else []
    calls = [bench.raw(command, made.target, stdin=b"{") for command in (*commands, *network)]
    calls += [
        bench.raw(command, made.target, previous=bench.final(made)) for command in (*network, *reversed(commands))
    ]
    calls += [bench.raw(command, made.target, previous=bench.final(made)) for command in commands]

    for call in calls:
        bench.complain(*protocol.unreported(call))


@check("PROTO-21")
def errors_carry_version_code_and_message(shared_bench: Bench) -> None:
    """An error document has cniVersion, code and msg."""
    call = shared_bench.raw("ADD", shared_bench.target("c9"), changes={"CNI_CONTAINERID": "a/b"})

    document = protocol.error_document(call)
    if document is None:
        shared_bench.not_applicable("it gave no error document, which PROTO-20 reports")
    lacking = [key for key in ("cniVersion", "code", "msg") if key not in document]
    shared_bench.demand(not lacking, f"the error has no {', '.join(lacking)}: {json.dumps(document)}")
    if "msg" in document:
        shared_bench.demand(str(document["msg"] or "").strip(), f"the error's msg is empty: {json.dumps(document)}")
    own = document.get("cniVersion", spec.VERSIONS[0])
    shared_bench.demand(own in spec.VERSIONS, f"the error's cniVersion is {own!r}, which is no published version")


@check("PROTO-22")
def error_codes_mean_what_they_should(shared_bench: Bench) -> None:
    """Every code below 100 is one of the specification's."""
    target = shared_bench.target("c9")
    previous = shared_bench.chain(target)
    for change in mutation.of(shared_bench.request(target, previous)):
        call = shared_bench.raw("ADD", target, stdin=change.document, changes={"CNI_NETNS": "/run/netns/cnitest-none"})
        document = protocol.error_document(call)
        if document is not None:
            known = document["code"] in spec.ERRORS or document["code"] >= 100
            shared_bench.demand(known, f"{change.words}: code {document['code']} means nothing: {protocol.words(call)}")


@check("PROTO-24")
def unsupported_fields_are_named(shared_bench: Bench) -> None:
    """An error with code 2 names the field and its value."""
    target, seen = shared_bench.target("c9"), 0
    for change in mutation.of(shared_bench.request(target)):
        call = shared_bench.raw("ADD", target, stdin=change.document, changes={"CNI_NETNS": "/run/netns/cnitest-none"})
        document = protocol.error_document(call)
        if document is not None and document["code"] == 2:
            seen += 1
            text = f"{document.get('msg')} {document.get('details')}"
            lacking = [part for part in (change.key, str(change.value)) if part not in text]
            shared_bench.demand(not lacking, f"{change.words}: the error does not name {', '.join(lacking)}: {text}")
    if not seen:
        shared_bench.not_applicable("it never answers with code 2")
