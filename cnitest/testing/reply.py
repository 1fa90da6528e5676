"""How a scripted plugin answers: one reply, and the script of them, checked with every fault at once."""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from cnitest.cni import spec
from cnitest.errors import ConfigError
from cnitest.typos import did_you_mean

Script = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """One answer. Everything left out means: as a well-behaved plugin that does nothing."""

    #: JSON to print; ``cniVersion`` is taken from the request where it has none, unless ``label`` is False.
    result: Any = None
    label: bool = True
    #: The error document to print (code, msg, details); the exit code is 1.
    error: Mapping[str, Any] | None = None
    #: Text, or bytes, to print as they are.
    stdout: str | None = None
    stdout_base64: str | None = None
    stderr: str | None = None
    exit: int | None = None
    #: Seconds before answering.
    delay: float | None = None
    #: Never ends; what else the reply prints comes first.
    hang: bool = False
    #: Ends by this signal after it has printed what the reply says.
    signal: int | None = None
    #: Prints the prevResult of the request.
    prev_result: bool = False
    #: Commands to run first, as lists of words: where the plugin runs, and inside CNI_NETNS.
    run: Sequence[Sequence[str]] = ()
    run_in_netns: Sequence[Sequence[str]] = ()
    #: Another plugin of CNI_PATH, called with the same environment and stdin; its stdout and exit code become ours.
    delegate: str | None = None
    #: Seconds that a child stays behind with our stdout open.
    background: float | None = None
    #: Bytes of noise on stdout, after what else is printed.
    flood: int | None = None
    #: The ``supportedVersions`` that VERSION answers.
    versions: Sequence[str] | None = None


_KEYS = tuple(field.name for field in fields(Reply))
_ANSWERS = ("result", "error", "stdout", "stdout_base64", "prev_result")
_ERROR_KEYS = ("cniVersion", "code", "msg", "details")
_LARGEST_SIGNAL = 64


def normalised(script: Script) -> dict[str, list[dict[str, Any]]]:
    """A script as the plugin reads it: a list of replies for each command. Raises ConfigError with every fault."""
    if not isinstance(script, Mapping):
        raise ConfigError(
            f"a script is a dictionary of commands, such as {{'ADD': {{'result': {{…}}}}}}, not {script!r}"
        )
    faults: list[str] = []
    replies = {str(command): list(_replies(command, answers, faults)) for command, answers in script.items()}
    for command in script:
        if command not in (*spec.REQUIRED, "*"):
            faults.append(
                f"script: {command!r} is no CNI operation; there are {', '.join(spec.REQUIRED)} and '*'{_near(command)}"
            )
    if faults:
        raise ConfigError("\n".join(faults))
    return replies


def _near(command: Any) -> str:
    if command in _KEYS:
        return f"; {command!r} is a key of a reply: write {{'ADD': {{{command!r}: …}}}}"
    return did_you_mean(command, spec.REQUIRED, clause=True)


def _replies(command: Any, answers: Any, faults: list[str]) -> Iterator[dict[str, Any]]:
    many = answers if isinstance(answers, list | tuple) else [answers]
    if not many:
        faults.append(f"script[{command!r}] is an empty list; give one reply, or leave the command out")
    for position, answer in enumerate(many):
        where = f"script[{command!r}]" + (f"[{position}]" if many is answers else "")
        reply = _without_defaults(asdict(answer)) if isinstance(answer, Reply) else answer
        if not isinstance(reply, Mapping):
            faults.append(f"{where} is {reply!r}, not a reply: a mapping of {', '.join(_KEYS)}")
            continue
        faults.extend(f"{where}: {fault}" for fault in _faults(reply, command))
        yield _without_defaults({key: value for key, value in reply.items() if key in _KEYS})


def _without_defaults(reply: Mapping[str, Any]) -> dict[str, Any]:
    """What the plugin looks at: keys that change nothing are left out."""
    nothing = {field.name: field.default for field in fields(Reply)}
    return {key: value for key, value in reply.items() if value is not None and value != nothing[key]}


def _faults(reply: Mapping[str, Any], command: Any) -> Iterator[str]:
    for key, value in reply.items():
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS, clause=True) or f"; there are {', '.join(_KEYS)}"
            yield f"{key!r} is no key of a reply{hint}"
        elif value is not None and not _CHECKS[key][0](value):
            yield f"{key!r} is {value!r}, it must be {_CHECKS[key][1]}"
    given = [key for key in _ANSWERS if reply.get(key) not in (None, False)]
    if len(given) > 1:
        yield f"{' and '.join(map(repr, given))} contradict each other: a call prints one of them"
    if reply.get("versions") is not None and command not in ("VERSION", "*"):
        yield "'versions' is what VERSION answers; move it there"


# ---- what each key takes ----


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _are_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _are_commands(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_are_words(argv) and argv for argv in value)


def _is_base64(value: Any) -> bool:
    try:
        return bool(binascii.a2b_base64(value, strict_mode=True) or not value)
    except (ValueError, TypeError):
        return False


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _is_error(value: Any) -> bool:
    known = isinstance(value, Mapping) and set(value) <= set(_ERROR_KEYS) and _is_json(dict(value))
    return known and type(value.get("code", 0)) is int


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "/" not in value


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "result": (_is_json, "what JSON can write"),
    "label": (_is_bool, "true or false"),
    "error": (_is_error, "a mapping with a whole number 'code', and 'msg' and 'details'"),
    "stdout": (_is_text, "text; 'stdout_base64' takes bytes"),
    "stdout_base64": (_is_base64, "base64"),
    "stderr": (_is_text, "text"),
    "exit": (lambda value: _is_count(value) and value < 256, "0 to 255; 'signal' takes signals"),
    "delay": (_is_number, "a number of seconds"),
    "hang": (_is_bool, "true or false"),
    "signal": (lambda value: _is_count(value) and 1 <= value <= _LARGEST_SIGNAL, "the number of a signal"),
    "prev_result": (_is_bool, "true or false"),
    "run": (_are_commands, "a list of commands, each a list of words"),
    "run_in_netns": (_are_commands, "a list of commands, each a list of words"),
    "delegate": (_is_name, "the name of a plugin in CNI_PATH"),
    "background": (_is_number, "a number of seconds"),
    "flood": (_is_count, "a number of bytes"),
    "versions": (_are_words, "a list of versions"),
}
