"""The scripted plugin: answers as its script says and records what it got."""

from __future__ import annotations

import json
import os

from . import notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Reply = dict[str, Any]

# A reply with one of these may take long, or never end: the call is recorded when it begins and again when it ends.
_SLOW = {"delay", "hang", "run", "run_in_netns", "delegate"}
# A reply that says how the call goes wrong prints what it says and no default.
_SILENT = {"exit", "hang", "signal", "flood"}
_CHUNK = 1 << 16


class Rejected(Exception):
    """The plugin fails with an error document."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.document = {"code": code, "msg": message, "details": details}


def main(home: str) -> NoReturn:
    """One call; ``home`` holds the script and the record."""
    stdin, log = notes.read(0), f"{home}/records.jsonl"
    record, reply = notes.begun(stdin), {}
    try:
        script = _read_script(home)
        reply = _choose(home, script, record["verb"])
        if _SLOW & reply.keys():
            notes.append(log, {**record, **notes.ended()})
        stdout, code = _answer(record["verb"], reply, stdin, script["versions"])
    except Rejected as rejection:
        stdout, code = _document(rejection.document, _version_of(stdin), reply), 1
    except OSError as error:
        stdout, code = _document(_failure(error), _version_of(stdin), reply), 1
    stderr = reply.get("stderr", "").encode("utf-8", "surrogateescape")
    try:
        notes.append(log, {**record, **notes.ended(stdout, stderr, None if "hang" in reply else code)})
    except OSError as error:
        stdout, code = _document(_failure(error), _version_of(stdin), reply), 1
    _say(reply, stdout, stderr)
    _end(reply, code)


def _failure(error: OSError) -> dict[str, Any]:
    return {"code": 5, "msg": f"the scripted plugin cannot use {error.filename}", "details": str(error)}


# ---- the reply ----


def _read_script(home: str) -> dict[str, Any]:
    with open(f"{home}/script.json", "rb") as file:
        script: dict[str, Any] = json.loads(file.read())
    return script


def _choose(home: str, script: dict[str, Any], command: str) -> Reply:
    """The reply to this call: of several the next, of which the last repeats."""
    key = command if command in script["replies"] else "*"
    replies: list[Reply] = script["replies"].get(key, [{}])
    return replies[0] if len(replies) == 1 else replies[min(_turn(home, script["edition"], key), len(replies) - 1)]


def _turn(home: str, edition: str, key: str) -> int:
    """How many calls this edition of the script has answered by that key before; counts this one."""
    import fcntl

    with open(f"{home}/turns.json", "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        turns = json.loads(file.read() or b"{}")
        turn: int = turns.get(key, 0) if turns.get("edition") == edition else 0
        kept = turns if turns.get("edition") == edition else {"edition": edition}
        file.truncate(0)
        file.write(json.dumps({**kept, key: turn + 1}).encode())
    return turn


# ---- what it does before it answers, and the answer ----


def _answer(command: str, reply: Reply, stdin: bytes, versions: list[str]) -> tuple[bytes, int]:
    """Side effects, then what goes to stdout and the exit code, negative for a signal."""
    for argv in reply.get("run", ()):
        _run(argv)
    for argv in reply.get("run_in_netns", ()):
        _run_in_netns(argv)
    said, code = _delegate(reply["delegate"], stdin) if "delegate" in reply else (None, 0)
    if "delay" in reply:
        _wait(reply["delay"])
    own = _own_words(reply, stdin)
    if own is not None:
        said, code = own, int("error" in reply)
    elif said is None:
        said = _default(command, reply, stdin, versions)
    return said, -reply["signal"] if "signal" in reply else reply.get("exit", code)


def _own_words(reply: Reply, stdin: bytes) -> bytes | None:
    """What the reply itself says should be printed; None when it does not."""
    if "stdout" in reply:
        return str(reply["stdout"]).encode("utf-8", "surrogateescape")
    if "stdout_base64" in reply:
        import binascii

        return binascii.a2b_base64(reply["stdout_base64"])
    for key in ("result", "error"):
        if key in reply:
            return _document(reply[key], _version_of(stdin), reply)
    if "prev_result" in reply:
        previous = _request(stdin).get("prevResult")
        if previous is None:
            raise Rejected(7, "prev_result: the request has no prevResult")
        return _document(previous, _version_of(stdin), reply)
    return None


def _default(command: str, reply: Reply, stdin: bytes, versions: list[str]) -> bytes:
    """What a well-behaved plugin that does nothing prints."""
    if _SILENT & reply.keys():
        return b""
    if command == "VERSION":
        version = _version_of(stdin)
        return _document({"cniVersion": version, "supportedVersions": reply.get("versions", versions)}, version, reply)
    if command not in ("ADD", "DEL", "CHECK", "GC", "STATUS"):
        raise Rejected(4, f"unknown CNI_COMMAND: {command}")
    request = _request(stdin)
    if command != "ADD":
        return b""
    lists: Reply = {} if _version_of(stdin) in ("0.1.0", "0.2.0") else {"interfaces": [], "ips": []}
    return _document(request.get("prevResult") or lists, _version_of(stdin), reply)


def _request(stdin: bytes) -> dict[str, Any]:
    try:
        request = json.loads(stdin)
    except (ValueError, RecursionError) as error:
        raise Rejected(6, "failed to decode content", f"stdin is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise Rejected(6, "failed to decode content", "stdin is no JSON object")
    return request


def _version_of(stdin: bytes) -> str:
    """The version the request asks for; a request without one means 0.1.0."""
    try:
        return str(_request(stdin).get("cniVersion") or "0.1.0")
    except Rejected:
        return "0.1.0"


def _document(value: Any, version: str, reply: Reply) -> bytes:
    """JSON, labelled with the version where it is an object without a label."""
    if isinstance(value, dict) and reply.get("label", True):
        value = {"cniVersion": version, **value}
    return json.dumps(value).encode() + b"\n"


# ---- other programs ----


def _run(argv: list[str]) -> None:
    """Run a command to its end. Raises Rejected with its words when it fails."""
    output = os.memfd_create("output")
    try:
        status = _spawn(argv[0], argv, [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *_to(output, 1, 2)])
    except OSError as error:
        raise Rejected(100, f"run: {' '.join(argv)}: cannot be started", str(error)) from None
    if status:
        raise Rejected(100, f"run: {' '.join(argv)}: exit code {status}", _written(output).decode(errors="replace"))
    os.close(output)


def _run_in_netns(argv: list[str]) -> None:
    netns = os.environ.get("CNI_NETNS", "")
    try:
        notes.within(netns, lambda: _run(argv))
    except OSError as error:
        raise Rejected(4, f"run_in_netns: CNI_NETNS {netns!r} cannot be entered", str(error)) from None


def _delegate(name: str, stdin: bytes) -> tuple[bytes, int]:
    """Run another plugin with what we got; its stderr is ours. Raises Rejected when there is none of that name."""
    path = os.environ.get("CNI_PATH", "")
    found = (os.path.join(directory, name) for directory in path.split(":") if directory)
    binary = next((file for file in found if os.path.isfile(file) and not _is_us(file)), None)
    if binary is None:
        raise Rejected(100, f"delegate: failed to find plugin {name!r} in path [{path.replace(':', ' ')}]")
    request, output = os.memfd_create("stdin"), os.memfd_create("stdout")
    notes.write(request, stdin)
    os.lseek(request, 0, os.SEEK_SET)
    try:
        status = _spawn(binary, [binary], [*_to(request, 0), *_to(output, 1)])
    except OSError as error:
        raise Rejected(100, f"delegate: {binary} cannot be started", str(error)) from None
    os.close(request)
    return _written(output), status


def _is_us(file: str) -> bool:
    import sys

    return os.path.samefile(file, sys.argv[0])


def _to(fd: int, *targets: int) -> list[tuple[int, int, int]]:
    return [(os.POSIX_SPAWN_DUP2, fd, target) for target in targets]


def _spawn(program: str, argv: list[str], actions: list[Any]) -> int:
    import signal

    restored = (signal.SIGPIPE, signal.SIGXFSZ)
    pid = os.posix_spawnp(program, argv, notes.environment(), file_actions=actions, setsigdef=restored)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _written(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        return notes.read(fd)
    finally:
        os.close(fd)


# ---- the end ----


def _say(reply: Reply, stdout: bytes, stderr: bytes) -> None:
    """Print everything, as far as anybody reads it."""
    if "background" in reply:
        _leave_a_child(reply["background"])
    for fd, data in ((2, stderr), (1, stdout)):
        try:
            notes.write(fd, data)
        except OSError:
            pass
    left = reply.get("flood", 0)
    try:
        while left > 0:
            left -= os.write(1, b"x" * min(left, _CHUNK))
    except OSError:
        pass


def _leave_a_child(seconds: float) -> None:
    """Leave a child behind that holds stdout, and nothing else of ours, open."""
    if os.fork() == 0:
        for fd in (0, 2):
            os.close(fd)
        _wait(seconds)
        os._exit(0)


def _wait(seconds: float | None) -> None:
    import select

    select.select([], [], [], seconds)


def _end(reply: Reply, code: int) -> NoReturn:
    if "hang" in reply:
        _wait(None)
    if code < 0:
        notes.end_by(-code)
    os._exit(code)
