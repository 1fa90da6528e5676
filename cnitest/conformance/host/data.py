"""The directories in which a network's plugins keep data, where its configuration names them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_KEY = re.compile(r"(data|state|store|lease|leases|cache)[-_]?dir(ectory)?", re.IGNORECASE)


def data_directories(confs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The absolute paths that configurations of plugins, or sections of them such as ``ipam``, have as ``dataDir`` or
    the like, each once."""
    return tuple(dict.fromkeys(path for conf in confs for path in _named(conf)))


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str) and _KEY.fullmatch(str(key)) and os.path.isabs(inner) and "\0" not in inner:
                yield os.path.normpath(inner)
            yield from _named(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _named(inner)
