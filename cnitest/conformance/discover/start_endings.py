"""Why a network's first ADD failed, by what the call itself shows: a value that its reader rejected, its end, its code.

They are asked after those of `start_causes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice

from cnitest.cni import spec
from cnitest.conformance.discover import start_host as start_host  # its causes are asked, too
from cnitest.conformance.discover import start_settings
from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.start_causes import CAUSES, LINK_KEYS, cause, values_of
from cnitest.kernel.confinement import limits
from cnitest.text import quoted

_LONGEST_NAME = 15
#: Keys of which a result has one at least.
_RESULT = frozenset({"interfaces", "ips", "ip4", "ip6"})
_MOST_TRIED = 100
_FIELD = re.compile(
    r"cannot unmarshal (\w+(?: [\d.e+-]+)?) into Go (?:struct field|value) (?:\S*\.)?(\w+) of type (\S+)"
)

_LIBRARY = re.compile(r"error while loading shared libraries: ([^\s:]+): cannot open")
_SYMBOLS = re.compile(r"version `(\w+_[\d.]+)' not found")
_INTERPRETER = re.compile(r"\benv: [‘'\"]?([^\s‘’'\":]+)[’'\"]?: No such file or directory")
_STATIC = "build it static (CGO_ENABLED=0 where it is Go)"
_GO_TYPES = (
    (r"bool", "true or false, without quotes"),
    (r"u?int\d*", "a whole number, without quotes, that fits in it"),
    (r"float\d+", "a number, without quotes"),
    (r"string", "text between double quotes"),
    (r"\[\].*", "a list, [ … ]"),
    (r"map\[.*|struct", "an object, { … }"),
)
#: What Go calls values of JSON, where it is not JSON's word.
_OF_JSON = {"array": "a list", "object": "an object", "bool": "a boolean"}


def causes(failure: StartFailure) -> list[str]:
    """The likely causes of a failure, the likeliest first; empty where none is known. Of a result with something before
    it, which no error is about, that alone."""
    return [*_before_result(failure)] or list(dict.fromkeys(words for each in CAUSES for words in each(failure)))


def _before_result(failure: StartFailure) -> Iterator[str]:
    """A plugin that succeeded, and printed something before its result."""
    call = failure.call
    before = _before_document(call.stdout) if call and call.exit_code == 0 else ""
    if before and not failure.error:
        yield (
            f"stdout has {quoted(before)} before the result: only the result may be there (SPEC section 5, Success); "
            "what is for people belongs on stderr"
        )


@cause
def other_value_not_accepted(failure: StartFailure) -> Iterator[str]:
    """A value that is not accepted, whatever the error is about."""
    yield from map(str, values_of(failure))


@cause
def wrong_type(failure: StartFailure) -> Iterator[str]:
    """A key with a value of another JSON type."""
    named = {word for fault in values_of(failure) for word in re.split(r"[.\[\]]+", fault.path.lower())}
    for given, field, wanted in dict.fromkeys(_FIELD.findall(failure.text)):
        if field.lower() not in named:
            was = _OF_JSON.get(given) or (f"a {given}" if given.isalpha() else f"the {given}")
            yield f"the key {field!r} is {was} in the configuration, and {failure.plugin} reads {_in_words(wanted)}"


def _in_words(kind: str) -> str:
    """A type of Go, as JSON has it."""
    for pattern, words in _GO_TYPES:
        if re.fullmatch(pattern, kind):
            return words
    return kind


@cause
def name_is_too_long(failure: StartFailure) -> Iterator[str]:
    """A link's name of more than fifteen letters."""
    named = [fault.key for fault in values_of(failure)]
    for key in ("bridge", "vrfname", *LINK_KEYS):
        name = failure.conf.get(key)
        if isinstance(name, str) and len(name) > _LONGEST_NAME and key not in named:
            yield f"{key} is {name!r}: {len(name)} letters; a link's name has at most {_LONGEST_NAME}"


@cause
def mtu_is_wrong(failure: StartFailure) -> Iterator[str]:
    """An MTU that the kind of link, or the link below, does not take."""
    mtu = failure.conf.get("mtu")
    named = [fault.key for fault in values_of(failure)]
    if (
        isinstance(mtu, int)
        and "mtu" not in named
        and re.search(r"(?<![\w-])mtu|invalid argument|numerical result", failure.text, re.I)
    ):
        yield f"the MTU {mtu} may be more than the link below has, or than its kind allows (68 to 65535)"


@cause
def no_key(failure: StartFailure) -> Iterator[str]:
    """A key that the plugin wants and that is not there."""
    found = re.search(r'"?(\w+)"? (?:field is required|is required|is missing|must be (?:set|specified))', failure.text)
    if found and found[1] not in failure.conf:
        yield f"{failure.plugin} wants the key {found[1]!r}"
    else:
        yield from start_settings.missing_keys(failure)


@cause
def lacks_what_it_starts_with(failure: StartFailure) -> Iterator[str]:
    """A library, or an interpreter that env(1) looks for, that this machine does not have."""
    said = failure.call.stderr.decode(errors="replace") if failure.call and failure.call.exit_code else ""
    if found := _LIBRARY.search(said):
        yield f"it is linked to the library {found[1]}, which is not on this machine: install it, or {_STATIC}"
    if found := _SYMBOLS.search(said):
        yield f"it is built for a newer C library, with {found[1]}, than this machine has: {_STATIC}, or build it here"
    if found := _INTERPRETER.search(said):
        yield f"its first line has env(1) start {found[1]!r}, which is not on this machine: install it"


@cause
def ended_badly(failure: StartFailure) -> Iterator[str]:
    """A plugin that hung, crashed, or ended well without a result."""
    call = failure.call
    if call is None:
        yield "a command of the profile failed before any plugin was called: see host_setup, container_setup, daemon"
    elif call.timed_out:
        yield f"it did not end within {call.seconds:.0f} s and was killed: what does it wait for?"
    elif call.exit_code < 0:
        yield limits.memory() or f"it was ended by signal {-call.exit_code}: a fault of the plugin's own"
    elif b"panic:" in call.stderr or b"goroutine " in call.stderr or b"Traceback (most" in call.stderr:
        yield limits.memory() or "it crashed, see its stack trace: a fault of the plugin's own"
    elif call.exit_code == 0:
        yield "it ended with exit code 0, but stdout is not one result document (SPEC section 5, Success)"
    elif _is_a_result(call.stdout):
        yield f"stdout has a result, and the exit code is {call.exit_code}: that of a success is 0 (SPEC section 2)"
    elif not failure.error and not [*lacks_what_it_starts_with(failure)]:
        yield (
            limits.memory()
            or "it failed without an error document on stdout (SPEC section 5, Error): what it printed is all there is"
        )


def _is_a_result(stdout: bytes) -> bool:
    """Whether a plugin's stdout is one result document."""
    try:
        document = json.loads(stdout)
    except ValueError:
        return False
    return isinstance(document, dict) and "code" not in document and bool(_RESULT & document.keys())


def _before_document(stdout: bytes) -> str:
    """The text in front of the last JSON object of a plugin's stdout; empty where there is none, or nothing before."""
    text = stdout.decode(errors="replace").strip()
    for start in (found.start() for found in islice(re.finditer(r"\{", text), _MOST_TRIED)):
        try:
            document = json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
        return text[:start].strip() if isinstance(document, dict) else ""
    return ""


@cause
def own_code(failure: StartFailure) -> Iterator[str]:
    """What the error's code means, where nothing better is known."""
    code = failure.error.get("code")
    if isinstance(code, int) and code in spec.ERRORS and code not in (1, 100, 999):
        yield f"code {code} means: {spec.ERRORS[code]}"
