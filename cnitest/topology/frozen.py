"""What all data of a topology has in common: a value stays what it was."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Turns lists into tuples and mappings into read-only ones, so that a value stays what it was."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, list):
                object.__setattr__(self, item.name, tuple(value))
            elif isinstance(value, dict):
                object.__setattr__(self, item.name, MappingProxyType(dict(value)))
