#!/usr/bin/env python3
"""Writes the list of packages and modules at the end of ARCHITECTURE.md from their docstrings. A test compares it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
TARGET = CHECKOUT / "ARCHITECTURE.md"
MARK = "<!-- What follows is written by script/architecture.py from the docstrings: change those. -->\n"


def page() -> str:
    """The whole document: the part that is written by hand as it is, the list of packages anew.

    Raises ValueError where the document lacks the line between the two.
    """
    by_hand, mark, _ = TARGET.read_text().partition(MARK)
    if not mark:
        raise ValueError(f"{TARGET.name} has no line {MARK.strip()!r}")
    return by_hand + MARK + "".join(_package(folder) for folder in _packages())


def _packages() -> list[Path]:
    """The package itself and all below it, by their names."""
    top = CHECKOUT / "cnitest"
    return [top, *sorted(path.parent for path in top.rglob("*/__init__.py"))]


def _package(folder: Path) -> str:
    heading = f"\n### `{folder.relative_to(CHECKOUT)}/`\n\n{ast.get_docstring(_tree(folder / '__init__.py'))}\n\n"
    return heading + "".join(_line(path) for path in _modules(folder))


def _modules(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py")


def _line(path: Path) -> str:
    """A module and the first paragraph of its docstring."""
    words = (ast.get_docstring(_tree(path)) or "").partition("\n\n")[0]
    return f"- `{path.relative_to(CHECKOUT / 'cnitest')}`: {' '.join(words.split())}\n"


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


if __name__ == "__main__":
    TARGET.write_text(page())
