"""One call of one plugin: find it, run it as a runtime does, and read strictly what it said."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cnitest import paths, text
from cnitest.cni import plugins, spec
from cnitest.cni.calls.unstartable import advice
from cnitest.deadline import Deadline, scaled
from cnitest.errors import PluginError, is_ours
from cnitest.kernel.file_events import WRITTEN, file_events
from cnitest.kernel.processes import process
from cnitest.kernel.processes.process import Finished
from cnitest.lab.hosts import Host
from cnitest.lab.place import ENVIRONMENT
from cnitest.typos import did_you_mean

__tracebackhide__ = is_ours

#: Where distributions put plugins; searched when neither an option nor CNI_PATH says otherwise.
DEFAULT_PATH = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
#: Seconds after which a plugin is killed with its whole process group.
TIMEOUT = 30.0
_SHOWN = 2000
_BUSY, _BUSY_AGAIN = 5.0, 0.1


@dataclass(frozen=True)
class Call:
    """One call as it went: what the plugin got, what it gave, how it ended, and how long it took in seconds."""

    plugin: str
    command: str
    host: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: str
    stdout: bytes
    stderr: bytes
    exit_code: int
    seconds: float
    timed_out: bool = False
    cut: tuple[str, ...] = ()
    stdin_refused: bool = False
    held_open: bool = False

    @property
    def verb(self) -> str:
        """The former name of ``command``."""
        return self.command

    @property
    def subject(self) -> str:
        """Who was asked to do what, for the first words of a message."""
        return f"{self.plugin} {self.command}{self.about}"

    @property
    def about(self) -> str:
        """Of which container and interface the call was, in brackets after a blank; nothing where it was of none."""
        names = (("container", "CNI_CONTAINERID"), ("ifname", "CNI_IFNAME"))
        about = ", ".join(f"{name} {self.environment[key]}" for name, key in names if self.environment.get(key))
        return f" ({about})" if about else ""

    def story(self) -> str:
        """The whole call in lines that a person can read and repeat."""
        variables = " ".join(f"{key}={value}" for key, value in self.environment.items() if key.startswith("CNI_"))
        ending = "killed at the deadline" if self.timed_out else f"exit code {self.exit_code}"
        lines = [
            f"{self.subject} on {self.host}: {ending} after {self.seconds * 1000:.1f} ms",
            f"  {variables} {' '.join(self.argv)}",
            f"  stdin:  {text.indented(shown(self.stdin.encode(errors='backslashreplace')), ' ' * 10)}",
        ]
        for name, stream in (("stdout", self.stdout), ("stderr", self.stderr)):
            if stream:
                lines.append(
                    f"  {name}: {text.indented(shown(stream), ' ' * 10)}" + (" (cut)" if name in self.cut else "")
                )
        return text.lines("\n".join(lines))


class Exec(Protocol):
    """What a runtime needs to call plugins; `HostExec` is the real one."""

    def find(self, plugin: str, path: Sequence[str]) -> str:
        """The path of a plugin's binary. Raises PluginError."""
        ...

    def run(self, binary: str, environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        """Run it to its end. Raises OSError when it cannot be started."""
        ...


@dataclass(frozen=True)
class HostExec:
    """Calls plugins on a host: in its namespaces, with nothing of our environment. ``before`` is put before a binary's
    path, for a program that starts it."""

    host: Host
    before: tuple[str, ...] = ()

    def find(self, plugin: str, path: Sequence[str]) -> str:
        """The first file of that name in the search path, as libcni looks for it."""
        if not plugin or "/" in plugin:
            raise PluginError(f"{plugin!r} cannot be a plugin's name: it must be that of a file in CNI_PATH")
        self.host.show(path)
        found: str = self.host.inside(lambda: plugins.find(plugin, path))
        if not found:
            raise PluginError(
                f"failed to find plugin {plugin!r} in path [{' '.join(path)}]{self._advice(plugin, path)}"
            )
        return found

    def _advice(self, plugin: str, path: Sequence[str]) -> str:
        """Plugins of a similar name that are there, else what to do about an empty search path."""
        there: list[str] = self.host.inside(lambda: _files_in(path))
        if advice := did_you_mean(plugin, there, clause=True):
            return advice
        lacking: str = self.host.inside(lambda: missing(path))
        return lacking + ("; name the directories with --cni-path" if not there else "")

    def run(self, binary: str, environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        """Run it inside the host; a binary that is still being written is tried again for a while (RT-23)."""
        return self.run_argv((*self.before, binary), environment, stdin, timeout)

    def run_argv(self, argv: Sequence[str], environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        """Run a whole command line, as `run` does."""
        try:
            started = self.host.spawn(argv, environment)
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                raise
            started = self._once_written(argv, environment, Deadline.after(min(timeout, _BUSY), f"{argv[-1]}'s writer"))
        return process.finish(started, stdin, Deadline.exactly(timeout, argv[-1]))

    def _once_written(self, argv: Sequence[str], environment: Mapping[str, str], busy: Deadline) -> process.Started:
        """Start a program whose file somebody has open for writing, as soon as it is closed. Raises OSError."""

        def started() -> process.Started | None:
            try:
                return self.host.spawn(argv, environment)
            except OSError as error:
                if error.errno != errno.ETXTBSY or busy.expired:
                    raise
                return None

        with file_events() as events:
            self.host.inside(lambda: events.watch(argv[0], WRITTEN))
            found = busy.poll(started, _BUSY_AGAIN, events.wait)
        assert found is not None  # what poll gives holds
        return found


def _files_in(path: Sequence[str]) -> list[str]:
    entries = (entry for directory in path if os.path.isdir(directory) for entry in os.scandir(directory))
    return sorted({entry.name for entry in entries if entry.is_file()})


def search_path(
    given: Sequence[str], *, option: str = "--cni-path", base: str | os.PathLike[str] = ""
) -> tuple[str, ...]:
    """Directories from options that may hold several with colons, else from CNI_PATH, else the distributions' own.

    All are absolute: relative ones count from ``base`` (default: the working directory). Raises ConfigError for what
    an option names and is not there.
    """
    if given:
        return paths.directories(option, given, base)
    variable = os.environ.get("CNI_PATH", "").strip(":")
    return paths.directories("CNI_PATH", [variable], base, there=False) if variable else DEFAULT_PATH


def missing(path: Sequence[str]) -> str:
    """The directories of a search path that are not there, but for the usual ones, for the end of a message."""
    lacking = [each for each in path if each not in DEFAULT_PATH and not os.path.isdir(each)]
    return f"; there is no directory {', '.join(lacking)}" if lacking else ""


def environment(
    command: str, *, container_id: str = "", netns: str = "", ifname: str = "", args: str = "", path: Sequence[str] = ()
) -> dict[str, str]:
    """The environment of a call: all six variables are always set, as libcni does, after a scrubbed rest."""
    return {
        **ENVIRONMENT,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container_id,
        "CNI_NETNS": netns,
        "CNI_ARGS": args,
        "CNI_IFNAME": ifname,
        "CNI_PATH": ":".join(path),
    }


def call(
    executor: Exec,
    plugin: str,
    binary: str,
    variables: Mapping[str, str],
    stdin: Mapping[str, Any] | bytes,
    *,
    host: str = "",
    timeout: float | None = None,
    command: str | None = None,
) -> Call:
    """Call a plugin and record it, whatever the outcome, as a call of ``command`` (default: that of ``variables``).

    Raises PluginError when it cannot be started.
    """
    command = variables.get("CNI_COMMAND", "") if command is None else command
    data = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
    try:
        done = executor.run(binary, variables, data, scaled(TIMEOUT) if timeout is None else timeout)
    except (OSError, ValueError) as error:  # ValueError: a variable or word that no process can be given
        why = getattr(error, "strerror", None) or error
        raise PluginError(f"{plugin} {command}: {binary} cannot be started: {why}{advice(binary, error)}") from error
    sent = data.decode("utf-8", "surrogateescape")
    return Call(
        plugin,
        command,
        host,
        done.argv,
        variables,
        sent,
        done.stdout,
        done.stderr,
        done.exit_code,
        done.seconds,
        done.timed_out,
        done.cut,
        done.stdin_refused,
        done.held_open,
    )


def answer(made: Call) -> Mapping[str, Any]:
    """The one JSON object that a successful call printed. Raises PluginError for everything else."""
    check_exit(made)
    document = _single_document(made)
    if not isinstance(document, dict):
        raise PluginError(f"{made.subject}: exit code 0, but stdout is no JSON object: {shown(made.stdout)}")
    return document


def check_exit(made: Call) -> None:
    """Raise PluginError when a call failed: hung, ended by a signal, was cut off, or said so itself."""
    if made.timed_out:
        raise PluginError(
            f"{made.subject}: killed with its process group after {made.seconds:.1f} s without an end{_said(made)}"
        )
    if "stdout" in made.cut:
        raise PluginError(
            f"{made.subject}: exit code {made.exit_code}, more than 16 MiB on stdout: cut off{_said(made)}"
        )
    if made.exit_code < 0:
        raise PluginError(f"{made.subject}: killed by signal {-made.exit_code}{_said(made)}")
    if made.exit_code:
        raise _rejection(made)


def _rejection(made: Call) -> PluginError:
    """The plugin's own error document in words, or what there is instead."""
    where = f"{made.subject}: exit code {made.exit_code}"
    if not made.stdout.strip():
        return PluginError(f"{where} with no error message on stdout{_said(made)}")
    try:
        document = _single_document(made)
    except PluginError as error:
        return error
    if not isinstance(document, dict) or type(document.get("code")) is not int:
        return PluginError(f"{where}, and stdout is no error document: {shown(made.stdout)}{_said(made, 'stderr')}")
    code, details = document["code"], document.get("details")
    meaning = f" ({spec.ERRORS[code]})" if code in spec.ERRORS else ""
    words = text.lines(f"{document.get('msg', '')}", _SHOWN)
    words += f"; {text.lines(str(details), _SHOWN)}" if details else ""
    return PluginError(f"{where}, code {code}{meaning}: {words}", code)


def _single_document(made: Call) -> Any:
    """The document on stdout; there must be exactly one."""
    where = f"{made.subject}: exit code {made.exit_code}"
    try:
        said = made.stdout.decode()
    except UnicodeDecodeError as error:
        raise PluginError(f"{where}, but stdout is not UTF-8 (at byte {error.start}): {shown(made.stdout)}") from error
    if not said.strip():
        unread = "; it ended before it read its configuration" if made.stdin_refused else ""
        raise PluginError(f"{where}, but nothing on stdout{unread}{_said(made, 'stderr')}")
    try:
        document, end = json.JSONDecoder().raw_decode(said.lstrip())
    except (ValueError, RecursionError) as error:
        raise PluginError(f"{where}, but stdout is not JSON ({error}): {shown(made.stdout)}") from error
    rest = said.lstrip()[end:].strip()
    if rest:
        what = "a second document" if rest[0] in "{[" else "more"
        raise PluginError(f"{where}, but stdout holds {what} after the first document: {shown(made.stdout)}")
    return document


def _said(made: Call, *streams: str) -> str:
    """What a plugin printed, for the end of a message."""
    wanted = streams or ("stdout", "stderr")
    found = [f"{name}: {shown(data)}" for name in wanted if (data := getattr(made, name))]
    return "; " + "; ".join(found) if found else ""


def shown(data: bytes) -> str:
    """Output as text on few lines; what is not text, or steers a terminal, is escaped."""
    said = text.lines(data[:_SHOWN].decode(errors="backslashreplace").strip())
    return said + (f" … ({len(data)} bytes)" if len(data) > _SHOWN else "")
