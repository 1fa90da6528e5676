"""A plugin that plays a part, as a shell script with the same replies; and what it saw, as that script notes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.repro.quote import joined, quoted
from cnitest.testing.records import Record

_HEAD = """\
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
sent=$(cat)
version=$(grep -aoE '"cniVersion": *"[^"]*"' <<<"$sent" | head -n 1 | cut -d '"' -f 4)
links=$(ip -n "${CNI_NETNS##*/}" -o link 2>/dev/null | sed -E 's/^[0-9]+: ([^:@]+).*/\\1/' | sort | tr '\\n' ,)
echo "$CNI_COMMAND" >>"$home/turns"
echo "$CNI_COMMAND id=$CNI_CONTAINERID netns=$CNI_NETNS ifname=$CNI_IFNAME args=$CNI_ARGS path=$CNI_PATH" \\
  "links=$links stdin=$(tr -d ' \\n\\t' <<<"$sent")" >>"$home/calls"
turn=$(grep -cx -- "$CNI_COMMAND" "$home/turns")
print() { printf '%s\\n' "${1//@VERSION@/${version:-0.1.0}}"; }
"""
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "VERSION": {"result": {"supportedVersions": list(spec.VERSIONS)}},
    "ADD": {"result": {"interfaces": [], "ips": []}},
}
# A reply that says how the call goes wrong prints what it says and no default.
_SILENT = {"exit", "hang", "signal", "flood", "stdout", "stdout_base64", "result", "error"}


def program(replies: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The script, without its first lines."""
    commands = dict.fromkeys([*replies, *_DEFAULTS])
    cases = [line for command in commands for line in _cases(command, replies.get(command) or [{}])]
    return "\n".join([_HEAD + 'case "$CNI_COMMAND $turn" in', *cases, "esac"])


def _cases(command: str, replies: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One for each turn, of which the last repeats."""
    for turn, reply in enumerate(replies, 1):
        pattern = (
            f'"{command} {turn}"' if turn < len(replies) else f"{'' if command == '*' else quoted(command + ' ')}*"
        )
        yield f"  {pattern}) {'; '.join(_actions(command, reply)) or ':'} ;;"


def _actions(command: str, reply: Mapping[str, Any]) -> Iterator[str]:
    for argv in reply.get("run", ()):
        yield joined(argv)
    for argv in reply.get("run_in_netns", ()):
        yield f'ip netns exec "${{CNI_NETNS##*/}}" {joined(argv)}'
    if "delay" in reply:
        yield f"sleep {reply['delay']}"
    if "stderr" in reply:
        yield f"printf %s {quoted(reply['stderr'])} >&2"
    yield from _words(reply if _SILENT & reply.keys() else {**reply, **_DEFAULTS.get(command, {})})
    if "flood" in reply:
        yield f"head -c {reply['flood']} /dev/zero | tr '\\0' x"
    if reply.get("hang"):
        yield "sleep infinity"
    if "signal" in reply:
        yield f"kill -{reply['signal']} $$"
    yield f"exit {reply.get('exit', int('error' in reply))}"


def _words(reply: Mapping[str, Any]) -> Iterator[str]:
    """What it prints."""
    for key in ("result", "error"):
        if key in reply:
            value = reply[key]
            if isinstance(value, dict) and reply.get("label", True):
                value = {"cniVersion": "@VERSION@", **value}
            yield f"print {quoted(json.dumps(value))}"
    if "stdout" in reply:
        yield f"printf %s {quoted(reply['stdout'])}"
    if "stdout_base64" in reply:
        yield f"base64 -d <<<{quoted(reply['stdout_base64'])}"


def seen(records: Sequence[Record]) -> str:
    """What it saw, a line a call."""
    return "\n".join(_line(record) for record in records)


def _line(record: Record) -> str:
    given = {key: record.environment.get(f"CNI_{name}", "") for key, name in _VARIABLES.items()}
    links = "".join(f"{name}," for name in sorted(record.netns_links))
    words = " ".join(f"{key}={value}" for key, value in given.items())
    return f"{record.command} {words} links={links} stdin={record.stdin}"


_VARIABLES = {"id": "CONTAINERID", "netns": "NETNS", "ifname": "IFNAME", "args": "ARGS", "path": "PATH"}
