"""The only module of this room that reads YAML: our own tables, and the profiles that users write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cnitest import paths
from cnitest.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Where the tables of this room lie.
HERE = Path(__file__).parent


class Text(str):
    """A key of a file, which knows its line."""

    line: int = 0


def load(path: Path) -> Any:
    """The value of a YAML file, all scalars but null, true and false as text; keys know their lines (see `Text`).

    Raises ConfigError with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        advice = paths.advice(path) if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{advice}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _value(loader, node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error


def _value(loader: Any, node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {_key(loader, key): _value(loader, value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item) for item in node.value]
    return _scalar(loader, node)


def _key(loader: Any, node: Any) -> Text:
    key = Text(node.value if isinstance(node, yaml.ScalarNode) else loader.construct_object(node))
    key.line = node.start_mark.line + 1
    return key


def _scalar(loader: Any, node: Any) -> Any:
    """Booleans, null and whole numbers as such; everything else stays as it is written ('1.0.0', '1e3', 0x10)."""
    if node.tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool"):
        return loader.construct_object(node)
    if node.tag == "tag:yaml.org,2002:int" and node.value.lstrip("-").isdecimal():
        return int(node.value)
    return node.value
