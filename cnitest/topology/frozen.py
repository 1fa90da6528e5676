"""What all data of a topology has in common: a value stays what it was."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, repr=False)
class Frozen:
    """Turns lists into tuples and mappings into read-only ones, so that a value stays what it was.

    It shows itself as any dataclass does: making a ``__repr__`` for each class takes time at import, so they have
    ``repr=False``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, dict):
                object.__setattr__(self, name, MappingProxyType(dict(value)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.repr)
        return f"{type(self).__qualname__}({shown})"
