"""Other files of YAML than topologies, read plainly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnitest.errors import ConfigError


def documents(text: str, source: str) -> list[Mapping[str, Any]]:
    """The mappings in a stream of documents; ``source`` is the file's name in errors. Raises ConfigError."""
    import yaml

    try:
        found = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    return [each for each in found if isinstance(each, dict)]
