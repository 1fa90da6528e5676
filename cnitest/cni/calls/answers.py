"""What a plugin answered, read leniently: whatever is there, in whatever state; `invoke.answer` is the strict way."""

from __future__ import annotations

import json
from typing import Any

from cnitest.cni.calls.invoke import Call


def failed(call: Call) -> bool:
    """Whether a call ended in any failure."""
    return call.exit_code != 0 or call.timed_out


def error_document(call: Call) -> dict[str, Any] | None:
    """The error document on stdout, None when there is not exactly one."""
    found = documents(call)
    if len(found) != 1 or not isinstance(found[0], dict) or type(found[0].get("code")) is not int:
        return None
    return found[0]


def result_document(call: Call) -> dict[str, Any] | None:
    """The one object on stdout of a successful call, None when there is none."""
    if failed(call):
        return None
    found = documents(call)
    return found[0] if len(found) == 1 and isinstance(found[0], dict) else None


def documents(call: Call) -> list[Any]:
    """The JSON values on stdout, up to what is none; then the rest as text."""
    text = call.stdout.decode(errors="replace").strip()
    found: list[Any] = []
    decoder = json.JSONDecoder()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            return [*found, text]
        found.append(value)
        text = text[end:].strip()
    return found
