"""Calls by hand of which the specification says what has to come of them: success, or a rejection with a certain code.

Sources: SPEC section 2 (parameters, VERSION, STATUS, GC), section 5 (error codes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.conformance.model import protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.fuzz.model.scenario import Raw

_SEMANTIC = re.compile(r"\d+\.\d+\.\d+")
_COMMANDS = ("ADD", "DEL", "CHECK")
_CONTAINER, _IFNAME, _COMMAND = "CNI_CONTAINERID", "CNI_IFNAME", "CNI_COMMAND"


def demands(subject: Subject, request: Document) -> list[tuple[str, Raw]]:
    """What is asked, in words, and the call; ``request`` is what its plugin usually gets."""
    found = [*_variables(subject), *_input(request), *_versions(subject, request), *_version(request)]
    found += [*_unknown_commands(subject.versions, request), *_unlinked(subject, request), *_check(request)]
    return [*found, *_ignored(subject, request)]


def _variables(subject: Subject) -> Iterator[tuple[str, Raw]]:
    """What a plugin has to reject with code 4, naming what is wrong."""
    plugin = subject.plugin
    for names in ((_CONTAINER,), (_IFNAME,), (_CONTAINER, _IFNAME)):
        nothing = dict.fromkeys(names, "")
        yield f"a call without {' and '.join(names)}", Raw(plugin, "ADD", None, nothing, False, (4,), names)
    for value in ("../x", "-a", "a b"):
        wrong = {_CONTAINER: value}
        named = () if subject.skel else (_CONTAINER,)  # Go's library says it in other words
        yield f"a container ID {value!r}", Raw(plugin, "ADD", None, wrong, False, (4,), named)
    yield "a command that there is not", Raw(plugin, "ADD", None, {_COMMAND: "FETCH"}, False, (4,), (_COMMAND,))
    if not subject.skel:
        yield "a call without a command", Raw(plugin, "ADD", None, {_COMMAND: ""}, False, (4,))


def _input(request: Document) -> Iterator[tuple[str, Raw]]:
    """What is no configuration is rejected with code 6, a name that is none with code 7."""
    plugin, text = str(request["type"]), json.dumps(request)
    for what, data in (("half a document", text[:-2]), ("text after the document", text + " x"), ("nothing", "")):
        for command in _COMMANDS:
            yield f"{what} on standard input", Raw(plugin, command, data.encode(), {}, False, (6,))
    for name in ("_net", "a/b", ""):
        yield f"a network's name {name!r}", _changed(request, "ADD", (7,), name=name)
    yield "a name that is no text", _changed(request, "ADD", (6, 7), name=5)


def _versions(subject: Subject, request: Document) -> Iterator[tuple[str, Raw]]:
    """A version that the plugin does not speak is rejected with code 1."""
    unspoken = [v for v in spec.VERSIONS if subject.advertised and v not in subject.advertised]
    for version in ("99.0.0", *unspoken):
        yield f"the version {version}", _changed(request, "ADD", (1,), cniVersion=version)
    yield "a version that is no text", _changed(request, "ADD", (1, 6, 7), cniVersion=1)


def _version(request: Document) -> Iterator[tuple[str, Raw]]:
    """VERSION is answered, whatever else is there."""
    plugin = str(request["type"])
    asked = json.dumps({"cniVersion": request.get("cniVersion")}).encode()
    for words, variables in (("", {}), (" without CNI_PATH", {"CNI_PATH": ""}), (" without a container", _NOBODY)):
        yield f"VERSION{words}", Raw(plugin, "VERSION", asked, variables, True)
    yield "VERSION without input", Raw(plugin, "VERSION", b"", {}, True)


_NOBODY = {_CONTAINER: "", _IFNAME: "", "CNI_NETNS": ""}


def _unknown_commands(versions: Collection[str], request: Document) -> Iterator[tuple[str, Raw]]:
    """A command is rejected in versions that do not have it."""
    commands = {"CHECK": spec.has_check, "GC": spec.has_gc, "STATUS": spec.has_gc}
    for command, is_in in commands.items():
        for version in versions:
            if not is_in(version):
                yield (
                    f"a call in version {version}, which does not have it",
                    _changed(request, command, (), cniVersion=version),
                )


def _unlinked(subject: Subject, request: Document) -> Iterator[tuple[str, Raw]]:
    """STATUS of a plugin that works succeeds, and needs no container."""
    if spec.has_gc(subject.highest):
        data = json.dumps({**request, "cniVersion": subject.highest}).encode()
        yield "STATUS", Raw(subject.plugin, "STATUS", data, {}, True)
        yield "STATUS without a container", Raw(subject.plugin, "STATUS", data, _NOBODY, True)


def _check(request: Document) -> Iterator[tuple[str, Raw]]:
    """CHECK needs a previous result."""
    if spec.has_check(str(request.get("cniVersion"))):
        yield "a call without a previous result", _changed(request, "CHECK", ())


def _ignored(subject: Subject, request: Document) -> Iterator[tuple[str, Raw]]:
    """What a plugin has to overlook (CONVENTIONS.md); one that is chained is not called by itself."""
    if subject.kind is Kind.META:
        return
    plugin, text = subject.plugin, json.dumps(request)
    own = [f"{key}={value}" for key, value in subject.setting.args.items()]
    unknown = {"CNI_ARGS": ";".join([*own, "IgnoreUnknown=1", "K8S_POD_NAMESPACE=web", "K8S_POD_NAME=web-0"])}
    yield "arguments that are to be ignored", Raw(plugin, "ADD", text.encode(), unknown, True)
    yield "arguments that are no pairs", Raw(plugin, "ADD", text.encode(), {"CNI_ARGS": "K8S"})
    labelled = {**request, "args": {"cni": {"labels": [{"key": "app", "value": "web"}]}}}
    yield "labels", Raw(plugin, "ADD", json.dumps(labelled).encode(), {}, True)


def _changed(request: Document, command: str, codes: tuple[int, ...], **changes: Any) -> Raw:
    data = json.dumps({**request, **changes}).encode()
    return Raw(str(request["type"]), command, data, {}, False, codes)


def misanswered(call: Call, subject: Subject) -> list[str]:
    """What is wrong with the answer to VERSION (SPEC section 5)."""
    document = protocol.result_document(call)
    if document is None:
        return ["there is no document"]
    listed = document.get("supportedVersions")
    if not isinstance(listed, list) or not listed or not all(_SEMANTIC.fullmatch(str(version)) for version in listed):
        return [f"supportedVersions is {listed!r}, not a list of versions"]
    rising = listed == sorted(set(listed), key=spec.order)
    found = [] if rising else [f"supportedVersions do not rise: {', '.join(listed)}"]
    asked = json.loads(call.stdin or "{}").get("cniVersion")
    if asked and not subject.skel and document.get("cniVersion") != asked:  # Go's library answers in its own
        found.append(f"cniVersion is {document.get('cniVersion')!r}, asked in {asked!r}")
    return found
