"""What a type of the model expects of a file: in words, and as a value for what could not be read."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from cnitest.topology.problem import listed


class TypeHint(NamedTuple):
    """A type of the model taken apart: ``inner`` is it without None, which is allowed where it is ``optional``."""

    inner: Any
    optional: bool
    shape: Literal["record", "list", "mapping", "scalar"]
    #: The type of a list's members, also where a list is one of several types, or of a mapping's values.
    item: Any = None


@cache
def expected(hint: Any) -> TypeHint:
    """What a type of the model wants."""
    inner, optional = without_none(hint)
    if isinstance(inner, type) and is_dataclass(inner):
        return TypeHint(inner, optional, "record")
    if get_origin(inner) is tuple:
        return TypeHint(inner, optional, "list", get_args(inner)[0])
    if get_origin(inner) is Mapping:
        return TypeHint(inner, optional, "mapping", get_args(inner)[1])
    lists = [get_args(each)[0] for each in get_args(inner) if get_origin(each) is tuple]
    return TypeHint(inner, optional, "scalar", *lists[:1])


@cache
def fields_of(cls: Any) -> Mapping[str, Field[Any]]:
    """The fields of a record by name, but the one for the name that it stands under."""
    return {item.name: item for item in fields(cls) if not item.metadata.get("key")}


@cache
def required(cls: Any) -> tuple[str, ...]:
    """The fields that a record cannot be without."""
    return tuple(name for name, item in fields_of(cls).items() if not has_default(item))


@cache
def name_field(cls: Any) -> str:
    """The field of a record for the name that it stands under in a mapping; empty where there is none."""
    named = [item.name for item in fields(cls) if item.metadata.get("key")] if is_dataclass(cls) else []
    return named[0] if named else ""


def stand_in(hint: Any) -> Any:
    """A value of the type ``hint``, for what could not be read."""
    inner, optional = without_none(hint)
    if optional:
        return None
    if isinstance(inner, type) and is_dataclass(inner):
        hints = hints_of(inner)
        return inner(**{item.name: stand_in(hints[item.name]) for item in fields(inner) if not has_default(item)})
    if inner is tuple or get_origin(inner) is tuple:
        return ()
    if inner is Mapping or get_origin(inner) is Mapping:
        return {}
    return {int: 0, bool: False}.get(inner, get_args(inner)[0] if get_origin(inner) is Literal else "")


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    """The types of a class's fields."""
    return get_type_hints(cls)


def without_none(hint: Any) -> tuple[Any, bool]:
    """The type inside ``X | None``, and whether None is allowed; other unions stay whole."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    rest = [each for each in get_args(hint) if each is not type(None)]
    return (rest[0] if len(rest) == 1 else hint), len(rest) < len(get_args(hint))


def has_default(item: Field[Any]) -> bool:
    """Whether a field may be left out."""
    return item.default is not MISSING or item.default_factory is not MISSING


def can_be_empty(hint: Any) -> bool:
    """Whether nothing at all is a value of a type: a mapping, or a record that needs no key."""
    inner, _, shape, _ = expected(hint)
    return shape == "mapping" or (shape == "record" and not required(inner))


def is_text(hint: Any) -> bool:
    """Whether a text is a value of a type: a record that can be written on one line is, too."""
    inner, _, shape, _ = expected(hint)
    return inner is str or str in get_args(inner) or (shape == "record" and hasattr(inner, "NOTATION"))


def said(hint: Any) -> str:
    """What a type expects, in words."""
    inner, _, shape, _ = expected(hint)
    if shape == "record":
        return f"a mapping with {listed(fields_of(inner))}"
    if get_origin(inner) is Literal:
        return f"one of {listed(get_args(inner))}"
    if get_origin(inner) is tuple or inner is tuple:
        return "a list"
    return {str: "text", int: "a whole number", bool: "true or false"}.get(inner, "text or a whole number")
