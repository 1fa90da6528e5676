"""Other files of YAML than topologies: read by the types of what they say, or plainly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cnitest import paths
from cnitest.errors import ConfigError
from cnitest.topology.compose import UnreadableError, explained, line_of, lines_of, read
from cnitest.topology.decode import Decoder
from cnitest.topology.problem import Problem


def read_file(path: Path, hint: Any, empty: str) -> tuple[Any, Decoder]:
    """A file's value as ``hint``, and the decoder, which has its faults and knows where each part stands.

    ``empty`` says what a file needs that has nothing. Raises ConfigError for one that cannot be read or is no YAML.
    """
    try:
        text = paths.read(path).decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}:{paths.place_of(error)}: {paths.no_text(error)}") from error
    except OSError as error:
        advice = paths.advice(path) if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{advice}") from error
    decoder = Decoder()
    try:
        return read(decoder, text, hint, empty), decoder
    except UnreadableError as fault:
        raise ConfigError(line_of(str(path), fault.place, str(fault))) from None


def table(path: Path, hint: Any, empty: str, more: Callable[[Any], Iterable[Problem]] = lambda _: ()) -> Any:
    """A file's value as ``hint``; ``more`` finds problems that its types do not.

    ``empty`` says what a file needs that has nothing. Raises ConfigError with every fault, one a line:
    ``FILE:LINE:COLUMN: PATH: what is wrong. Did you mean …?``.
    """
    value, decoder = read_file(path, hint, empty)
    found = [*decoder.problems, *((decoder.place(each.path), each) for each in more(value))]
    if found:
        raise ConfigError("\n".join(lines_of(str(path), found)))
    return value


def documents(text: str, source: str) -> list[Mapping[str, Any]]:
    """The mappings in a stream of documents; ``source`` is the file's name in errors. Raises ConfigError."""
    import yaml

    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        fault = explained(error, text)
        raise ConfigError(line_of(source, fault.place, str(fault))) from error
    return [each for each in found if isinstance(each, dict)]


def written(data: Any) -> str:
    """Data as YAML, its keys in the order given, each text on one line, so that two versions compare line by line."""
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1_000_000))


def no_pattern(text: str) -> str:
    """Why a text of such a file is no regular expression; empty when it is one."""
    try:
        re.compile(text)
    except re.error as error:
        return f"is no regular expression: {error}"
    return ""
