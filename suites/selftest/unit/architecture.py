"""What ARCHITECTURE.md says by hand: its sections, and its walks with the names they give."""

from __future__ import annotations

import inspect
import pkgutil
import re
from typing import Any

from cnitest.suites.selftest.unit.sources import CHECKOUT

DOCUMENT = CHECKOUT / "ARCHITECTURE.md"


def section(heading: str) -> str:
    """The text below one heading of the document, up to the next."""
    return DOCUMENT.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def walks() -> list[str]:
    """The walks, a paragraph each."""
    return [part for part in section("Four walks").split("\n\n") if part.lstrip().startswith("**")]


def names(walk: str) -> list[str]:
    """The dotted names of a walk, below ``cnitest.``, in the order of the text, each once."""
    return list(dict.fromkeys(re.findall(r"`([a-z_]+(?:\.\w+)+)`", walk)))


def resolved(dotted: str) -> Any:
    """What a name below ``cnitest.`` stands for, a module or something in one; None when there is no such thing."""
    try:
        return pkgutil.resolve_name(f"cnitest.{dotted}")
    except (ImportError, AttributeError):
        return None


def called(dotted: str) -> tuple[str, str] | None:
    """The module and name under which a call of what a name stands for is seen; None for what is not called, and for
    a class whose constructor Python writes."""
    found = resolved(dotted)
    found = getattr(found, "fget", None) or getattr(found, "func", None) or found
    found = inspect.unwrap(found.__init__ if inspect.isclass(found) else found)
    if not inspect.isfunction(found) or found.__code__.co_qualname != found.__qualname__:
        return None
    return found.__module__, found.__qualname__
