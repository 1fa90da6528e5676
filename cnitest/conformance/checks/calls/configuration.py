"""What a plugin reads: JSON, names, versions, keys: SPEC sections 1 and 2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.common import come_and_go, come_and_go_as_ever
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import form, protocol
from cnitest.conformance.observe import mutation

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


@check("PROTO-12")
def bad_network_names_are_rejected(shared_bench: Bench) -> None:
    """A name that is missing or malformed is rejected with code 7, one of another JSON type with 6 or 7."""
    target = shared_bench.target("c9")
    for name in BAD_NAMES:
        call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "name": name})
        shared_bench.complain(*protocol.rejection(call, {7}), prefix=f"name {name!r}: ")
    nameless = {key: value for key, value in shared_bench.request(target).items() if key != "name"}
    shared_bench.complain(*protocol.rejection(shared_bench.raw("ADD", target, stdin=nameless), {7}), prefix="no name: ")
    call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "name": 5})
    shared_bench.complain(*protocol.rejection(call, {6, 7}), prefix="name 5: ")


#: The shortest name, and a long one with all that a name may have.
GOOD_NAMES = ("0", f"A_b.c-9_.-{'n' * 54}")


@check("PROTO-12")
def good_network_names_are_taken(bench: Bench) -> None:
    """ADD and DEL take whatever is a name of a network."""
    come_and_go_as_ever(bench)
    for name in GOOD_NAMES:
        come_and_go(bench, bench.target(network=name), f"name {name!r}")


@check("PROTO-13", what=list(NOT_JSON))
def undecodable_input_is_rejected(shared_bench: Bench, what: str) -> None:
    """What is no JSON object is rejected with code 6."""
    call = shared_bench.raw("ADD", shared_bench.target("c9"), stdin=NOT_JSON[what])

    shared_bench.complain(*protocol.rejection(call, {6}), prefix=f"{what} on standard input: ")


#: Commands besides ADD that read a configuration, by what defines them.
OTHERS = ("DEL", "CHECK", "STATUS", "GC")


def _require_defined(bench: Bench, command: str) -> None:
    defined = {"CHECK": spec.has_check, "STATUS": spec.has_gc, "GC": spec.has_gc}.get(command)
    if defined and not defined(bench.version):
        bench.not_applicable(f"{command} is not defined in {bench.version}")


@check("PROTO-13", command=OTHERS)
def every_command_rejects_undecodable_input(shared_bench: Bench, command: str) -> None:
    """Commands besides ADD, too, reject with code 6 what is no JSON object."""
    _require_defined(shared_bench, command)
    call = shared_bench.raw(command, shared_bench.target("c9"), stdin=NOT_JSON["an open brace"])

    shared_bench.complain(*protocol.rejection(call, {6}), prefix="an open brace on standard input: ")


@check("PROTO-15", command=OTHERS)
def every_command_rejects_unsupported_versions(shared_bench: Bench, command: str) -> None:
    """Commands besides ADD, too, reject with code 1 a cniVersion that the plugin cannot know."""
    _require_defined(shared_bench, command)
    target = shared_bench.target("c9")

    call = shared_bench.raw(command, target, stdin={**shared_bench.request(target), "cniVersion": "99.0.0"})

    shared_bench.complain(*protocol.rejection(call, {1}), prefix="cniVersion '99.0.0': ")


def _escaped(text: str) -> str:
    """The same JSON with the first letter of each text, of names of keys, too, as an escape (RFC 8259, section 7)."""
    return re.sub(r'"([a-zA-Z])((?:[^"\\]|\\.)*")', lambda found: f'"\\u{ord(found[1]):04x}{found[2]}', text)


#: One configuration as different writers of JSON lay it out; the last is longer than a pipe holds (pipe(7)).
LAYOUTS: Mapping[str, Callable[[str], str]] = {
    "in several lines": lambda text: json.dumps(json.loads(text), indent=2),
    "with escaped letters": _escaped,
    "after 70,000 spaces": lambda text: " " * 70_000 + text,
}


@check("PROTO-35", layout=list(LAYOUTS))
def every_layout_is_read(bench: Bench, layout: str) -> None:
    """ADD and DEL succeed with a configuration in another layout."""
    target = bench.target()
    previous, laid_out = bench.chain(target), LAYOUTS[layout]

    added = bench.raw("ADD", target, stdin=laid_out(json.dumps(bench.request(target, previous))).encode())
    bench.complain(*protocol.success(added), prefix=f"a configuration {layout}: ")
    document = protocol.result_document(added) if spec.has_check(bench.version) else None
    deleted = bench.raw("DEL", target, stdin=laid_out(json.dumps(bench.request(target, document))).encode())
    bench.complain(*protocol.success(deleted), prefix=f"a configuration {layout}: ")


@check("PROTO-14")
def unreadable_input_is_rejected(shared_bench: Bench) -> None:
    """A directory as standard input, which cannot be read, is rejected with code 5."""
    call = shared_bench.raw("ADD", shared_bench.target("c9"), stdin=b"", argv=["/bin/sh", "-c", 'exec "$0" </'])

    shared_bench.complain(*protocol.rejection(call, {5}), prefix="standard input is a directory: ")


@check("PROTO-15", version=["99.0.0", "1.0", "garbage"])
def unsupported_versions_are_rejected(shared_bench: Bench, version: str) -> None:
    """A cniVersion that the plugin cannot know is rejected with code 1."""
    target = shared_bench.target("c9")

    call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "cniVersion": version})

    shared_bench.complain(*protocol.rejection(call, {1}), prefix=f"cniVersion {version!r}: ")


@check("PROTO-16")
def versions_of_another_type_are_rejected(shared_bench: Bench) -> None:
    """A number as cniVersion is rejected."""
    target = shared_bench.target("c9")

    call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "cniVersion": 1})

    shared_bench.complain(*protocol.rejection(call, {1, 6, 7}), prefix="cniVersion is a number: ")


@check("PROTO-17")
def no_version_means_the_first(bench: Bench) -> None:
    """Without cniVersion the result is one of 0.1.0."""
    target = bench.target()
    document = {key: value for key, value in bench.request(target).items() if key != "cniVersion"}

    call = bench.raw("ADD", target, stdin=document)

    bench.need(call)
    found = protocol.result_document(call) or {}
    bench.demand(found.get("cniVersion") in (None, "0.1.0"), f"the result is one of {found.get('cniVersion')}")
    bench.complain(*form.of_early_versions(found))


@check("PROTO-20", command=["ADD", "DEL"])
def wrong_configurations_do_not_crash_it(bench: Bench, command: str) -> None:
    """Whatever is wrong with the configuration, a failure is reported in an error document."""
    target = bench.target()
    previous = bench.chain(target)
    for change in mutation.of(bench.request(target, previous)):
        call = bench.raw(command, target, stdin=change.document)
        bench.complain(*protocol.unreported(call), prefix=f"{change.words}: ")
        if command == "ADD" and call.exit_code == 0:
            bench.raw("DEL", target, stdin=change.document)


@check("PROTO-23")
def wrong_configurations_get_their_code(bench: Bench) -> None:
    """A configuration that is rejected for what it says is rejected with 2, 6 or 7."""
    target = bench.target()
    previous = bench.chain(target)
    for change in mutation.wrong_values(bench.request(target, previous)):
        call = bench.raw("ADD", target, stdin=change.document)
        document = protocol.error_document(call)
        if document is not None:
            bench.demand(document["code"] in (2, 6, 7), f"{change.words}: {protocol.words(call)}")
        bench.raw("DEL", target, stdin=change.document if document is None else bench.request(target, previous))


@check("PROTO-28")
def unknown_keys_get_one_answer(bench: Bench) -> None:
    """A configuration with a key of nobody's is accepted by DEL when it is by ADD, and crashes neither."""
    target = bench.target()
    previous = bench.chain(target)
    document = {**bench.request(target, previous), "x-cnitest": {"of": ["nobody"]}}

    added = bench.raw("ADD", target, stdin=document)
    deleted = bench.raw("DEL", target, stdin=document)

    bench.complain(*protocol.crash(added), *protocol.crash(deleted))
    if added.exit_code == 0:
        bench.complain(*protocol.success(deleted))


STRANGE: dict[str, dict[str, Any]] = {
    "1 MiB": {"x-cnitest": "x" * (1 << 20)},
    "1000 keys": {f"x-cnitest-{number}": number for number in range(1000)},
    "unicode": {"x-cnitest-é世界🙂": "\u202e\u0000é"},
}


@check("PROTO-32", what=[*STRANGE, "depth", "duplicate keys", "invalid UTF-8", "large numbers"])
def strange_json_does_not_upset_it(shared_bench: Bench, what: str) -> None:
    """Sizes, depths and encodings of JSON neither crash nor hang a call."""
    target = shared_bench.target("c9")
    text = json.dumps({**shared_bench.request(target), **STRANGE.get(what, {})})
    strange = {
        "depth": text[:-1] + ', "x-cnitest": ' + "[" * 20000 + "]" * 20000 + "}",
        "duplicate keys": text[:-1] + ', "name": "again", "name": "' + target.network + '"}',
        "large numbers": text[:-1] + ', "x-cnitest": 1e400, "y-cnitest": 123456789012345678901234567890}',
    }.get(what, text)
    data = strange.encode() if what != "invalid UTF-8" else strange[:-1].encode() + b', "x-cnitest": "\xff\xfe"}'

    call = shared_bench.raw("ADD", target, stdin=data, changes={"CNI_NETNS": "/run/netns/cnitest-none"})

    shared_bench.complain(*protocol.unreported(call), prefix=f"{what}: ")
