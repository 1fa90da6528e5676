"""The source of the code as its rules read it: modules, and what they import, by statements and by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]

LOADERS = {"import_module", "__import__", "import_plugin", "importorskip", "resolve_name", "run_module"}
"""Functions that load a module by its name."""

MODULE = re.compile(r"(cnitest|pyroute2|scapy|hypothesis|pytest|_pytest|yaml)(\.\w+)*\.?")


@dataclass(frozen=True)
class Source:
    """One module: its path in the checkout and its syntax tree."""

    path: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its dotted name; fixtures/ and suites/ are subpackages of cnitest in the wheel."""
        dotted = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return dotted if self.path.startswith("cnitest/") else f"cnitest.{dotted}"

    @property
    def package(self) -> str:
        """``kernel`` of ``cnitest.kernel.rtnetlink.netlink``, ``cnitest`` of the package itself."""
        return (*self.module.split("."), "cnitest")[1]

    @property
    def base(self) -> str:
        """What a relative import starts from."""
        return self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported module as written, where, and whether it happens as soon as the importer is imported; or, with
    ``by_name``, a module whose name is written where modules are loaded by their names."""

    name: str
    line: int
    at_once: bool
    by_name: bool = False


Rule = Callable[[Source], Iterator[tuple[int, str]]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Register a rule."""
    RULES.append(function)
    return function


def faults(rule: Rule, sources: list[Source]) -> list[str]:
    """Every place where the rule is broken as ``file:line: what, and what to do``."""
    return [f"{source.path}:{line}: {words}" for source in sources for line, words in rule(source)]


@cache
def tree(*folders: str) -> list[Source]:
    """The modules of these folders of the checkout."""
    paths = sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))
    return [Source(str(path.relative_to(CHECKOUT)), ast.parse(path.read_text())) for path in paths]


@cache
def nodes(source: Source) -> tuple[ast.AST, ...]:
    """All nodes of a module's tree: every rule reads them."""
    return tuple(ast.walk(source.tree))


@cache
def imports(source: Source, *, typed: bool = False) -> tuple[Import, ...]:
    """All imports of a module, with relative ones made absolute, those for type checkers alone only where ``typed``;
    and every name of a module that it has as a text, where it loads any by name."""
    return tuple(_imports(source, typed=typed))


def _imports(source: Source, *, typed: bool) -> Iterator[Import]:
    for node, at_once in _import_nodes(source.tree, at_once=True, typed=typed):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_once) for alias in node.names)
        else:
            yield from (Import(name, node.lineno, at_once) for name in _imported_from(source, node))
    if any(map(_loads_by_name, nodes(source))):
        yield from _named(source)


def _loads_by_name(node: ast.AST) -> bool:
    """Whether this has a module imported of which there is only the name."""
    if isinstance(node, ast.ImportFrom):
        return any(alias.name in LOADERS for alias in node.names)
    if isinstance(node, ast.Assign):
        return any(ast.unparse(target) == "pytest_plugins" for target in node.targets)
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value) == "sys.modules"
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in LOADERS


def _named(source: Source) -> Iterator[Import]:
    """Names of modules among the texts of a module, whole or up to where they go on; words about it are none."""
    for node in nodes(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            yield Import(node.value.rstrip("."), node.lineno, at_once=False, by_name=True)


def _import_nodes(node: ast.AST, at_once: bool, *, typed: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node) if typed else _without_type_checking(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_once
        elif not isinstance(child, ast.expr):  # no statement is in an expression
            inside_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _import_nodes(child, at_once and not inside_function, typed=typed)


def _without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        yield from node.orelse
    else:
        yield from ast.iter_child_nodes(node)


def _imported_from(source: Source, node: ast.ImportFrom) -> Iterator[str]:
    """``from a import b`` may import the module ``a.b``: both are given, dotted."""
    base = node.module or ""
    if node.level:
        parts = source.base.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
    yield from (f"{base}.{alias.name}" for alias in node.names)
