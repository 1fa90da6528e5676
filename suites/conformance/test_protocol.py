"""How a plugin is called and how it answers: SPEC section 2, and the errors of section 5."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cnitest.cni import spec
from cnitest.conformance.bench.aftermath import Span
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import form, judge, reading
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.observe import mutation

#: The tables of a state that are a network namespace's own.
NETWORK = ("links", "addresses", "routes", "rules", "qdiscs", "ports")
VERBS = ("ADD", "DEL", "CHECK")
BAD_IDENTIFIERS = ("-a", ".a", "_a", "a b", "a/b", "../x", "é", "a\nb")
BAD_IFNAMES = ("sixteen-letters0", ".", "..", "a/b", "a:b", "a b", "a\tb")
BAD_NAMES: tuple[Any, ...] = ("", "-n", "n/m", "a b", "../n")
NOT_JSON = {
    "nothing": b"",
    "an open brace": b"{",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "a null byte": b"\0",
    "text after the object": b'{"name": "n"} trailing',
}


@pytest.mark.requirement("PROTO-01")
@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])
def test_verbs_of_the_version_are_recognised(idle: Bench, verb: str) -> None:
    """No verb that the version defines is answered as unknown."""
    if (verb == "CHECK" and not spec.has_check(idle.version)) or (
        verb in ("GC", "STATUS") and not spec.has_gc(idle.version)
    ):
        idle.not_applicable(f"{verb} is not defined in {idle.version}")
    slot = idle.slot("c9")

    call = idle.raw(verb, slot, changes={"CNI_NETNS": "/run/netns/cnitest-none"} if verb == "ADD" else {})

    idle.demand(not judge.not_defined(call), f"{verb} is not recognised: {judge.words(call)}")


@pytest.mark.requirement("PROTO-02")
@pytest.mark.parametrize("verb", ["FOO", "add", " ADD"])
def test_unknown_verbs_are_refused(idle: Bench, verb: str) -> None:
    """A verb that no version defines is refused with code 4 and the variable's name."""
    call = idle.raw(verb, idle.slot("c9"))

    idle.complain(*judge.refusal(call, {4}, ["CNI_COMMAND"]))


@pytest.mark.requirement("PROTO-03")
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_missing_verb_is_refused(idle: Bench, how: str) -> None:
    """Without CNI_COMMAND, or with an empty one, the call is refused with code 4."""
    call = idle.raw("", idle.slot("c9"), without=["CNI_COMMAND"] if how == "missing" else [])

    idle.complain(*judge.refusal(call, {4}))


@pytest.mark.requirement("PROTO-04")
def test_missing_variables_are_all_named(idle: Bench) -> None:
    """Each required variable that is missing is named, alone and with all others."""
    slot = idle.slot("c9")
    for verb in VERBS:
        if verb == "CHECK" and not spec.has_check(idle.version):
            continue
        for missing in (*((name,) for name in spec.REQUIRED[verb]), spec.REQUIRED[verb]):
            call = idle.raw(verb, slot, without=missing)
            idle.complain(*(f"without {', '.join(missing)}: {fault}" for fault in judge.refusal(call, {4}, missing)))


@pytest.mark.requirement("PROTO-05")
def test_plugins_without_a_delegate_need_no_search_path(bench: Bench) -> None:
    """ADD and DEL work without CNI_PATH when nothing has to be found in it."""
    if bench.subject.ipam:
        bench.not_applicable("it delegates to an IPAM plugin, which it has to find")
    slot = bench.slot()

    call = bench.add(slot, without=["CNI_PATH"])

    bench.complain(*judge.success(call))


@pytest.mark.requirement("PROTO-06")
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_del_without_a_namespace_is_not_refused(idle: Bench, how: str) -> None:
    """DEL without CNI_NETNS is not answered with code 4."""
    slot = idle.slot("c9")

    if how == "missing":
        call = idle.raw("DEL", slot, without=["CNI_NETNS"])
    else:
        call = idle.raw("DEL", slot, changes={"CNI_NETNS": ""})

    document = judge.error_document(call)
    idle.complain(*judge.crash(call))
    idle.demand(document is None or document["code"] != 4, f"CNI_NETNS {how}: {judge.words(call)}")


@pytest.mark.requirement("PROTO-07")
@pytest.mark.parametrize("verb", ["GC", "STATUS"])
def test_network_verbs_need_no_container(idle: Bench, verb: str) -> None:
    """GC and STATUS without container, namespace and interface name are not refused with code 4."""
    document = {**idle.request(), "cni.dev/valid-attachments": [], "cni.dev/attachments": []}

    call = idle.raw(
        verb,
        stdin=document if verb == "GC" else idle.request(),
        without=["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"],
    )

    error = judge.error_document(call)
    idle.demand(error is None or error["code"] != 4, f"{verb}: {judge.words(call)}")


@pytest.mark.requirement("PROTO-08")
def test_version_needs_only_the_verb(idle: Bench) -> None:
    """VERSION succeeds with no other variable."""
    names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"]

    call = idle.raw("VERSION", without=names, environment={})

    idle.complain(*judge.success(call))


@pytest.mark.requirement("PROTO-09")
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_bad_container_ids_are_refused(idle: Bench, verb: str) -> None:
    """What is no identifier is refused with code 4."""
    slot = idle.slot("c9")
    for identifier in BAD_IDENTIFIERS:
        call = idle.raw(verb, slot, changes={"CNI_CONTAINERID": identifier})
        idle.complain(*(f"CNI_CONTAINERID {identifier!r}: {fault}" for fault in judge.refusal(call, {4})))


@pytest.mark.requirement("PROTO-10")
def test_errors_name_the_invalid_variable(idle: Bench) -> None:
    """An error with code 4 names the variable whose value is wrong."""
    slot = idle.slot("c9")
    for name, value in (("CNI_CONTAINERID", "a/b"), ("CNI_IFNAME", "a/b")):
        call = idle.raw("ADD", slot, changes={name: value})
        document = judge.error_document(call)
        if document is not None and document["code"] == 4:
            idle.complain(*judge.refusal(call, {4}, [name]))


@pytest.mark.requirement("PROTO-11")
def test_unusable_interface_names_are_refused(idle: Bench) -> None:
    """A name that the kernel refuses is refused, and nothing is left."""
    slot = idle.slot("c9")
    before = idle.look(slot)
    for name in BAD_IFNAMES:
        call = idle.raw("ADD", slot, previous=None, changes={"CNI_IFNAME": name})
        idle.complain(*(f"CNI_IFNAME {name!r}: {fault}" for fault in judge.refusal(call)))
    idle.complain(*idle.changed(before, slot))


@pytest.mark.requirement("PROTO-11")
def test_interface_names_are_no_templates(bench: Bench) -> None:
    """'eth%d' is refused without a trace, or it is the interface's name."""
    if bench.subject.kind is not Kind.INTERFACE or bench.setting.ifname == "lo":
        bench.not_applicable("it makes no interface")
    slot = bench.slot()
    before = bench.look(slot)

    call = bench.raw("ADD", slot, changes={"CNI_IFNAME": "eth%d"})
    links = [link.name for link in slot.sandbox.links]
    bench.raw("DEL", slot, changes={"CNI_IFNAME": "eth%d"})

    if call.exit_code == 0:
        bench.demand("eth%d" in links, f"CNI_IFNAME eth%d became {', '.join(links)}")
    bench.complain(*bench.changed(before, slot))


@pytest.mark.requirement("PROTO-12")
def test_bad_network_names_are_refused(idle: Bench) -> None:
    """A name that is missing or malformed is refused with code 7, one of another JSON type with 6 or 7."""
    slot = idle.slot("c9")
    for name in BAD_NAMES:
        call = idle.raw("ADD", slot, stdin={**idle.request(slot), "name": name})
        idle.complain(*(f"name {name!r}: {fault}" for fault in judge.refusal(call, {7})))
    nameless = {key: value for key, value in idle.request(slot).items() if key != "name"}
    idle.complain(*(f"no name: {fault}" for fault in judge.refusal(idle.raw("ADD", slot, stdin=nameless), {7})))
    call = idle.raw("ADD", slot, stdin={**idle.request(slot), "name": 5})
    idle.complain(*(f"name 5: {fault}" for fault in judge.refusal(call, {6, 7})))


@pytest.mark.requirement("PROTO-13")
@pytest.mark.parametrize("what", list(NOT_JSON))
def test_undecodable_input_is_refused(idle: Bench, what: str) -> None:
    """What is no JSON object is refused with code 6."""
    call = idle.raw("ADD", idle.slot("c9"), stdin=NOT_JSON[what])

    idle.complain(*(f"{what} on standard input: {fault}" for fault in judge.refusal(call, {6})))


@pytest.mark.requirement("PROTO-14")
def test_unreadable_input_is_refused(idle: Bench) -> None:
    """A directory as standard input, which cannot be read, is refused with code 5."""
    call = idle.raw("ADD", idle.slot("c9"), stdin=b"", argv=["/bin/sh", "-c", 'exec "$0" </'])

    idle.complain(*judge.refusal(call, {5}))


@pytest.mark.requirement("PROTO-15")
@pytest.mark.parametrize("version", ["99.0.0", "1.0", "garbage"])
def test_unsupported_versions_are_refused(idle: Bench, version: str) -> None:
    """A cniVersion that the plugin cannot know is refused with code 1."""
    slot = idle.slot("c9")

    call = idle.raw("ADD", slot, stdin={**idle.request(slot), "cniVersion": version})

    idle.complain(*judge.refusal(call, {1}))


@pytest.mark.requirement("PROTO-16")
def test_versions_of_another_type_are_refused(idle: Bench) -> None:
    """A number as cniVersion is refused."""
    slot = idle.slot("c9")

    call = idle.raw("ADD", slot, stdin={**idle.request(slot), "cniVersion": 1})

    idle.complain(*judge.refusal(call, {1, 6, 7}))


@pytest.mark.requirement("PROTO-17")
def test_no_version_means_the_first(bench: Bench) -> None:
    """Without cniVersion the result is one of 0.1.0."""
    slot = bench.slot()
    document = {key: value for key, value in bench.request(slot).items() if key != "cniVersion"}

    call = bench.raw("ADD", slot, stdin=document)

    bench.need(call)
    found = judge.result_document(call) or {}
    bench.demand(found.get("cniVersion") in (None, "0.1.0"), f"the result is one of {found.get('cniVersion')}")
    bench.complain(*form.of_early_versions(found))


@pytest.mark.requirement("PROTO-18")
def test_exit_codes_tell_success(bench: Bench) -> None:
    """An error document goes with an exit code that is not 0, a result with 0."""
    slot = bench.slot()

    calls = [bench.add(slot), bench.raw("ADD", slot, stdin=b"{"), bench.raw("DEL", slot), bench.raw("VERSION")]

    for call in calls:
        error = judge.error_document(call)
        documents = judge.documents(call)
        if error is not None:
            bench.demand(call.exit_code != 0, f"{call.subject}: exit code 0 with error {judge.words(call)}")
        elif len(documents) == 1 and isinstance(documents[0], dict) and "cniVersion" in documents[0]:
            bench.demand(call.exit_code == 0, f"{call.subject}: exit code {call.exit_code} with a result")


@pytest.mark.requirement("PROTO-19")
def test_stdout_has_one_document(bench: Bench) -> None:
    """ADD, VERSION and a refusal print one JSON object each, and nothing around it."""
    slot = bench.slot()

    for call in (bench.add(slot), bench.raw("VERSION"), bench.raw("ADD", slot, stdin=b"{")):
        found = judge.documents(call)
        whole = len(found) == 1 and isinstance(found[0], dict)
        what = "nothing" if not found else " and ".join(_kind(item) for item in found)
        if not judge.crash(call):
            bench.demand(whole, f"{call.subject}: exit code {call.exit_code}, stdout holds {what}")
        else:
            bench.complain(*(fault for fault in judge.crash(call) if "floods" in fault))


def _kind(item: object) -> str:
    return "an object" if isinstance(item, dict) else f"{json.dumps(item)[:80]}"


@pytest.mark.requirement("PROTO-19")
def test_the_own_namespace_gets_one_answer(bench: Bench) -> None:
    """An ADD into the plugin's own namespace prints one document, whichever it is."""
    call = bench.raw("ADD", bench.slot(), changes={"CNI_NETNS": "/proc/self/ns/net"})

    found = judge.documents(call)
    bench.demand(len(found) <= 1, f"own namespace: exit code {call.exit_code}, stdout holds {len(found)} documents")


@pytest.mark.requirement("PROTO-20")
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_wrong_configurations_do_not_crash_it(bench: Bench, verb: str) -> None:
    """Whatever is wrong with the configuration, a failure is told in an error document."""
    slot = bench.slot()
    previous = bench.chain(slot)
    for change in mutation.of(bench.request(slot, previous)):
        call = bench.raw(verb, slot, stdin=change.document)
        faults = judge.crash(call)
        if not faults and call.exit_code != 0 and judge.error_document(call) is None:
            faults = [f"{call.subject}: exit code {call.exit_code} without an error document: {judge.words(call)}"]
        bench.complain(*(f"{change.words}: {fault}" for fault in faults))
        if verb == "ADD" and call.exit_code == 0:
            bench.raw("DEL", slot, stdin=change.document)


@pytest.mark.requirement("PROTO-20")
def test_failures_of_every_verb_are_told(bench: Bench) -> None:
    """DEL, CHECK, GC and STATUS that fail, with a live attachment, a deleted one and unreadable input, say so in an
    error document."""
    made = bench.attach()
    verbs = ["DEL", *(["CHECK"] if spec.has_check(bench.version) else [])]
    network = ["GC", "STATUS"] if spec.has_gc(bench.version) else []
    calls = [bench.raw(verb, made.slot, stdin=b"{") for verb in (*verbs, *network)]
    calls += [bench.raw(verb, made.slot, previous=bench.final(made)) for verb in (*network, *reversed(verbs))]
    calls += [bench.raw(verb, made.slot, previous=bench.final(made)) for verb in verbs]

    for call in calls:
        bench.complain(*judge.crash(call))
        told = call.exit_code == 0 or judge.error_document(call) is not None
        words = f"{call.subject}: exit code {call.exit_code} without an error document: {judge.words(call)}"
        bench.demand(told or judge.crash(call), words)


@pytest.mark.requirement("PROTO-21")
def test_errors_carry_version_code_and_message(idle: Bench) -> None:
    """An error document has cniVersion, code and msg."""
    call = idle.raw("ADD", idle.slot("c9"), changes={"CNI_CONTAINERID": "a/b"})

    document = judge.error_document(call)
    if document is None:
        idle.not_applicable("it gave no error document, which PROTO-20 reports")
    lacking = [key for key in ("cniVersion", "code", "msg") if key not in document]
    idle.demand(not lacking, f"the error has no {', '.join(lacking)}: {json.dumps(document)}")


@pytest.mark.requirement("PROTO-22")
def test_error_codes_mean_what_they_should(idle: Bench) -> None:
    """Every code below 100 is one of the specification's."""
    slot = idle.slot("c9")
    previous = idle.chain(slot)
    for change in mutation.of(idle.request(slot, previous)):
        call = idle.raw("ADD", slot, stdin=change.document, changes={"CNI_NETNS": "/run/netns/cnitest-none"})
        document = judge.error_document(call)
        if document is not None:
            known = document["code"] in spec.ERRORS or document["code"] >= 100
            idle.demand(known, f"{change.words}: code {document['code']} means nothing: {judge.words(call)}")


@pytest.mark.requirement("PROTO-23")
def test_wrong_configurations_get_their_code(bench: Bench) -> None:
    """A configuration that is refused for what it says is refused with 2, 6 or 7."""
    slot = bench.slot()
    previous = bench.chain(slot)
    for change in mutation.wrong_values(bench.request(slot, previous)):
        call = bench.raw("ADD", slot, stdin=change.document)
        document = judge.error_document(call)
        if document is not None:
            bench.demand(document["code"] in (2, 6, 7), f"{change.words}: {judge.words(call)}")
        bench.raw("DEL", slot, stdin=change.document if document is None else bench.request(slot, previous))


@pytest.mark.requirement("PROTO-24")
def test_unsupported_fields_are_named(idle: Bench) -> None:
    """An error with code 2 names the field and its value."""
    slot, seen = idle.slot("c9"), 0
    for change in mutation.of(idle.request(slot)):
        call = idle.raw("ADD", slot, stdin=change.document, changes={"CNI_NETNS": "/run/netns/cnitest-none"})
        document = judge.error_document(call)
        if document is not None and document["code"] == 2:
            seen += 1
            text = f"{document.get('msg')} {document.get('details')}"
            lacking = [part for part in (change.key, str(change.value)) if part not in text]
            idle.demand(not lacking, f"{change.words}: the error does not name {', '.join(lacking)}: {text}")
    if not seen:
        idle.not_applicable("it never answers with code 2")


@pytest.mark.requirement("PROTO-28")
def test_unknown_keys_get_one_answer(bench: Bench) -> None:
    """A configuration with a key of nobody's is accepted by DEL when it is by ADD, and crashes neither."""
    slot = bench.slot()
    previous = bench.chain(slot)
    document = {**bench.request(slot, previous), "x-cnitest": {"of": ["nobody"]}}

    added = bench.raw("ADD", slot, stdin=document)
    deleted = bench.raw("DEL", slot, stdin=document)

    bench.complain(*judge.crash(added), *judge.crash(deleted))
    if added.exit_code == 0:
        bench.complain(*judge.success(deleted))


@pytest.mark.requirement("PROTO-29")
@pytest.mark.parametrize("form_of_path", ["/var/run/netns/c1", "/run/elsewhere/ns"])
def test_namespaces_are_found_by_any_path(bench: Bench, form_of_path: str) -> None:
    """ADD works through another path, and the result repeats that path."""
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("it does not enter the namespace")
    slot = bench.slot()
    previous = bench.chain(slot)
    bench.run("mkdir", "-p", "/run/elsewhere")
    bench.run("touch", "/run/elsewhere/ns")
    bench.run("mount", "--bind", slot.netns, "/run/elsewhere/ns")
    told = mutation.replaced(previous, slot.netns, form_of_path)

    call = bench.raw("ADD", slot, previous=told, changes={"CNI_NETNS": form_of_path})

    bench.complain(*judge.success(call))
    found = judge.result_document(call) or {}
    inside = [item["sandbox"] for item in reading.rows(found, "interfaces") if item.get("sandbox")]
    for sandbox in inside:
        bench.demand(sandbox == form_of_path, f"the result says sandbox {sandbox!r} for {form_of_path}")


@pytest.mark.requirement("PROTO-30")
@pytest.mark.parametrize("what", ["missing", "file", "directory"])
def test_unusable_namespaces_are_refused(bench: Bench, what: str) -> None:
    """ADD with a path that is no namespace fails with an error document."""
    if bench.subject.kind is not Kind.INTERFACE:
        bench.not_applicable("it need not enter the namespace")
    path = f"/run/netns/cnitest-{what}"
    slot = bench.slot()
    previous = bench.chain(slot)
    if what != "missing":
        bench.run(*(("touch",) if what == "file" else ("mkdir", "-p")), path)

    call = bench.raw("ADD", slot, previous=previous, changes={"CNI_NETNS": path})

    bench.complain(*judge.refusal(call))


@pytest.mark.requirement("PROTO-31")
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_the_own_namespace_is_left_alone(bench: Bench, verb: str) -> None:
    """A call whose CNI_NETNS is the host's own changes nothing there."""
    slot = bench.slot()
    if bench.subject.kind is Kind.IPAM:
        bench.not_applicable("it does not enter the namespace")
    previous = bench.chain(slot)
    before = bench.look()

    call = bench.raw(verb, slot, previous=previous, changes={"CNI_NETNS": "/proc/self/ns/net"})

    found = bench.changed(before)
    if bench.subject.kind is Kind.META:
        found = [line for line in found if line.partition(": ")[2][2:].startswith(NETWORK)]
    bench.complain(*judge.crash(call), *found)


STRANGE = {
    "1 MiB": {"x-cnitest": "x" * (1 << 20)},
    "1000 keys": {f"x-cnitest-{number}": number for number in range(1000)},
    "unicode": {"x-cnitest-é世界🙂": "\u202e\u0000é"},
}


@pytest.mark.requirement("PROTO-32")
@pytest.mark.parametrize("what", [*STRANGE, "depth", "duplicate keys", "invalid UTF-8", "large numbers"])
def test_strange_json_does_not_upset_it(idle: Bench, what: str) -> None:
    """Sizes, depths and encodings of JSON neither crash nor hang a call."""
    slot = idle.slot("c9")
    text = json.dumps({**idle.request(slot), **STRANGE.get(what, {})})
    strange = {
        "depth": text[:-1] + ', "x-cnitest": ' + "[" * 20000 + "]" * 20000 + "}",
        "duplicate keys": text[:-1] + ', "name": "again", "name": "' + slot.network + '"}',
        "large numbers": text[:-1] + ', "x-cnitest": 1e400, "y-cnitest": 123456789012345678901234567890}',
    }.get(what, text)
    data = strange.encode() if what != "invalid UTF-8" else strange[:-1].encode() + b', "x-cnitest": "\xff\xfe"}'

    call = idle.raw("ADD", slot, stdin=data, changes={"CNI_NETNS": "/run/netns/cnitest-none"})

    idle.complain(*judge.crash(call))
    if call.exit_code != 0 and not judge.crash(call):
        idle.demand(judge.error_document(call) is not None, f"{what}: fails without an error: {judge.words(call)}")


@pytest.mark.requirement("PROTO-33")
def test_a_bare_environment_is_enough_to_delete(bench: Bench) -> None:
    """With CNI_* alone DEL succeeds after ADD, and nothing is left."""
    slot = bench.slot()
    span = Span(bench, slot)

    added = bench.add(slot, environment={})
    span.added(idle=True)
    found = judge.result_document(added)
    deleted = bench.raw("DEL", slot, environment={}, previous=found if spec.has_check(bench.version) else None)

    bench.complain(*judge.crash(added), *judge.success(deleted))
    bench.complain(*span.left())


@pytest.mark.requirement("PROTO-34")
def test_no_process_is_left(bench: Bench) -> None:
    """After ADD, DEL and VERSION no process of the plugin runs, and none held its output open."""
    slot = bench.slot()
    bench.chain(slot)
    running = bench.processes()

    calls = [bench.raw("VERSION"), bench.add(slot), bench.raw("DEL", slot)]

    for call in calls:
        bench.demand(not call.held_open, f"{call.subject}: a child of it holds its output open")
    left = sorted(set(bench.processes()) - set(running))
    bench.demand(not left, f"{len(left)} processes are left")
