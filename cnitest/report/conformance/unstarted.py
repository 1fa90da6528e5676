"""A network that cannot start, in words: the call, the plugin's error, the host, the likely cause, what to do."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from cnitest import paths
from cnitest.cni import spec
from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.start_endings import causes
from cnitest.report.given import Names, of_command
from cnitest.text import line, quoted, with_short_words

#: A network that cannot start is reported in so many lines at most.
MOST_LINES = 40
_WIDTH = 118
_LABEL = 10
_MOST = {"configuration": 4, "msg": 5, "details": 4, "printed": 5, "log": 3, "links": 3, "container": 2, "plugins": 3}
# Of a log file the end is told: so many letters of it.
_LOG_LETTERS = 240
# Of a long output on stderr so many letters from its beginning, which says what it was about, and from its end: why.
_WHOLE_LETTERS, _FIRST_LETTERS, _LAST_LETTERS = 500, 180, 300
_MOST_CAUSES, _LINES_A_CAUSE = 4, 3


def lines(failure: StartFailure, named: Names = of_command, *, stops: bool = True) -> list[str]:
    """At most `MOST_LINES` lines of at most 118 columns, with options as they are ``named``. ``stops`` says that
    nothing else is tried."""
    parts = [*_headline(failure), *_call(failure), *_error(failure), *_host(failure), *_causes(failure)]
    end = list(_advice(stops, named))
    return [*parts[: MOST_LINES - len(end)], *end]


def _headline(failure: StartFailure) -> Iterator[str]:
    subject = failure.subject
    which = " + ".join(failure.members)
    yield f"cnitest: the network {quoted(subject.network)} ({paths.near(subject.source)}) cannot start."
    yield f"Its first ADD fails: {which} in version {failure.version}"[:_WIDTH]
    yield ""


def _call(failure: StartFailure) -> Iterator[str]:
    call = failure.call
    if call is None:
        return
    ending = "killed at its deadline" if call.timed_out else f"exit code {call.exit_code}"
    yield from _field("call", f"{call.subject} on {call.host}: {ending} after {call.seconds * 1000:.0f} ms")
    yield from _field("", f"configuration {json.dumps(failure.conf)}", _MOST["configuration"])


def _error(failure: StartFailure) -> Iterator[str]:
    code = failure.error.get("code")
    if code is not None:
        meaning = f" ({spec.ERRORS[code]})" if code in spec.ERRORS else ""
        yield from _field("error", f"code {code}{meaning}")
        for key in ("msg", "details"):
            if failure.error.get(key):
                yield from _field(key, str(failure.error[key]), _MOST[key])
    elif failure.call is not None:
        if failure.call.stdout:
            yield from _field("stdout", failure.call.stdout[:2000].decode(errors="backslashreplace"), _MOST["printed"])
        if failure.call.stderr:
            yield from _field("stderr", _both_ends(failure.call.stderr), _MOST["printed"])
        if not (failure.call.stdout or failure.call.stderr):
            yield from _field("error", "it printed nothing at all")
    else:
        yield from _field("error", failure.words, _MOST["printed"])
    for path, end in failure.logs:
        words = " ".join(end.split())
        last = words if len(words) <= _LOG_LETTERS else f"… {words[-_LOG_LETTERS:].partition(' ')[2]}"
        yield from _field("log", f"{path}: {last}", _MOST["log"])


def _both_ends(stream: bytes) -> str:
    """What a plugin printed on stderr; of much the beginning and the end."""
    words = " ".join(stream.decode(errors="backslashreplace").split())
    if len(words) <= _WHOLE_LETTERS:
        return words
    return f"{words[:_FIRST_LETTERS].rpartition(' ')[0]} … {words[-_LAST_LETTERS:].partition(' ')[2]}"


def _host(failure: StartFailure) -> Iterator[str]:
    """What there is on the host, and where."""
    setting = failure.subject.setting
    yield ""
    yield from _field("host", f"{setting.host} of the topology {setting.topology}, which has")
    if failure.links:
        yield from _field("links", "; ".join(f"{name} ({about})" for name, about in failure.links.items()), 3)
    if failure.inside:
        inside = "; ".join(f"{name} ({about})" for name, about in failure.inside.items())
        yield from _field("container", inside, _MOST["container"])
    plugins = f"{', '.join(failure.plugins) or 'none'} (in {':'.join(failure.subject.path)})"
    yield from _field("plugins", plugins, _MOST["plugins"])
    there = [path for path in failure.programs.values() if path]
    lacking = [name for name, path in failure.programs.items() if not path]
    yield from _field("programs", f"{', '.join(there) or 'none'}{'; not ' + ', '.join(lacking) if lacking else ''}")


def _causes(failure: StartFailure) -> Iterator[str]:
    found = causes(failure)[:_MOST_CAUSES]
    yield ""
    for number, words in enumerate(found):
        label = ("likely" if len(found) == 1 else "likely, the first of these") if number == 0 else "or"
        yield from _field(label if len(label) < _LABEL else "likely", words, _LINES_A_CAUSE)
    if not found:
        yield from _field("likely", "unknown; see the plugin's own words")


def _advice(stops: bool, named: Names) -> Iterator[str]:
    topology, keep_going = named("cni_topology"), named("cni_keep_going")
    yield ""
    yield from _field("to do", "fix the configuration, or give its host what it needs:")
    yield from _field("", f"{topology} NAME|FILE builds another network around it (`cnitest draw NAME` shows one),")
    yield from _field("", "a cnitest.yaml beside the configuration has host, host_setup, mounts, capabilities, daemon")
    yield from _field("", '(docs/conformance.md, "A plugin\'s own profile").')
    if stops:
        yield from _field("", f"Nothing else was tried; {keep_going} tries every requirement all the same.")


def _field(label: str, text: str, most: int = 2) -> Iterator[str]:
    """A labelled text on a few lines."""
    whole = line(with_short_words(" ".join(text.split())))
    wrapped = textwrap.wrap(whole, _WIDTH - _LABEL - 2, break_on_hyphens=False) or [""]
    if len(wrapped) > most:
        wrapped = [*wrapped[: most - 1], wrapped[most - 1][: _WIDTH - _LABEL - 4] + " …"]
    for number, words in enumerate(wrapped):
        yield f"  {(label if number == 0 else ''):{_LABEL}}{words}"
