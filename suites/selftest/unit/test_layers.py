"""The rules of the code, read off its source: imports go down only, one importer a library, habits."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from cnitest.suites.selftest.unit import habits
from cnitest.suites.selftest.unit.circles import circles, graph, knot
from cnitest.suites.selftest.unit.sources import CHECKOUT, RULES, Rule, Source, faults, imports, rule, tree

LAYERS = {
    "errors": 0,
    "paths": 0,
    "text": 0,
    "typos": 0,
    "deadline": 0,
    "events": 0,
    "interrupts": 0,
    "kernel": 1,
    "vm": 1,
    "topology": 2,
    "lab": 3,
    "cni": 4,
    "plugins": 4,
    "testing": 4,
    "injection": 4,
    "conformance": 5,
    "fuzz": 5,
    "faults": 5,
    "explain": 5,
    "plugin": 6,
    "cli": 6,
    "report": 6,
    "__main__": 6,
    "cnitest": 6,  # the package itself: the names users import
    "fixtures": 7,
    "suites": 7,
}
"""The layer of each package, by the first word after ``cnitest.``; imports go to the same layer or down."""

WITHIN = {
    "explain": ("evidence", "causes"),
    "conformance": ("model", "host", "bench", "repro", "observe", "checks", "discover"),
    "fuzz": ("model", "generate", "oracles", "execute", "search"),
}
"""The packages of a package, lowest first; what lies beside them is above them all."""

IMPORTERS = {
    "pyroute2": ("cnitest/kernel/",),
    "scapy": ("cnitest/lab/frames/packets.py", "cnitest/lab/frames/matching.py", "cnitest/lab/frames/fields.py"),
    "hypothesis": ("cnitest/fuzz/",),
    "pytest": ("cnitest/plugin.py", "cnitest/cli/", "cnitest/report/"),
    "_pytest": (),
    "yaml": ("cnitest/topology/",),
}
"""The only places of cnitest/ that may import a library, at any level of nesting."""

HEAVY = ("scapy", "pyroute2", "pydantic", "yaml", "hypothesis")

MOST = 14
"""The modules of a package."""

BY_NAME = {
    ("cnitest/plugin.py", "cnitest.fixtures.network"): "pytest knows the entry point alone, and loads fixtures by name"
}
"""Modules of a higher layer that may be loaded by their names, and why."""

CIRCLES: dict[str, str] = {}
"""Modules that may be in a circle of imports at run time, in functions included, and why. There are none."""

HANDLES = {
    "cnitest.lab.": "a place starts probes, programs and captures, and each of them names its place in its signatures"
}
"""Packages whose modules may name each other's classes for type checkers alone, and why."""

LATE_MODULES = (*IMPORTERS["scapy"], "cnitest/fuzz/")
"""Modules that are themselves imported only when needed; they may import what is heavy at their top."""

EAGER = (
    "from cnitest import Lab",
    "import cnitest.plugin",
    "import cnitest.topology",
    "import cnitest.lab.lab",
    "import cnitest.cni",
    "from cnitest.testing import ScriptedPlugin",
)
"""What pytest or a user's first line imports; none of it may load anything heavy."""


def imported_package(dotted: str) -> str:
    """The package an imported name lives in: ``cnitest.Lab`` is no package but a name of the package's own."""
    name = (*dotted.split("."), "cnitest")[1]
    return name if name in LAYERS else "cnitest"


# ---- the rules ----


@rule
def imports_go_down(source: Source) -> Iterator[tuple[int, str]]:
    """A module imports its own layer and those below."""
    own = LAYERS.get(source.package, 0)
    for each in imports(source):
        other = LAYERS[imported_package(each.name)]
        if each.by_name and (source.path, each.name) in BY_NAME:
            continue
        if each.name.partition(".")[0] == "cnitest" and other > own:
            step = f"{source.package} (layer {own}) imports {each.name} (layer {other})"
            yield each.line, f"{step}: hand the value in from above, or move what is shared down"


@rule
def packages_within_go_down(source: Source) -> Iterator[tuple[int, str]]:
    """A package of a package imports those that come before it."""
    order = WITHIN.get(source.package, ())
    own = _within(source.module, order)
    for each in imports(source):
        other = _within(each.name, order)
        if each.name.startswith(f"cnitest.{source.package}.") and other > own:
            yield each.line, f"{source.module} imports {each.name}, which WITHIN has above it: move down what is shared"


def _within(module: str, order: Sequence[str]) -> int:
    """How high a module stands among the packages beside it; on top of them where it is in none."""
    name = (*module.split("."), "", "")[2]
    return order.index(name) if name in order else len(order)


@rule
def every_package_has_a_layer(source: Source) -> Iterator[tuple[int, str]]:
    """A new package or top-level module says where it belongs."""
    if source.package not in LAYERS:
        yield 1, f"{source.package} has no layer: add it to LAYERS here and to ARCHITECTURE.md"


@rule
def one_importer_each(source: Source) -> Iterator[tuple[int, str]]:
    """A library is imported only by the package that owns it."""
    for each in imports(source) if source.path.startswith("cnitest/") else ():
        library = each.name.partition(".")[0]
        importers = IMPORTERS.get(library, (source.path,))
        if not source.path.startswith(importers):
            yield (
                each.line,
                f"only {' and '.join(importers) or 'nobody'} may import {library}: ask that package for it",
            )


@rule
def nothing_heavy_at_once(source: Source) -> Iterator[tuple[int, str]]:
    """Importing a module does not import the libraries that take long."""
    for each in imports(source) if not source.path.startswith((*LATE_MODULES, "suites/")) else ():
        library = each.name.partition(".")[0]
        if each.at_once and library in HEAVY:
            yield each.line, f"imports {library} at module level: import it in the function that needs it"


def too_full(paths: Iterable[str]) -> list[str]:
    """The packages with too many modules, and what to do."""
    counted = Counter(path.rpartition("/")[0] for path in paths if not path.endswith("__init__.py"))
    remedy = f"{MOST} at most: make a package of those that share an idea"
    return [f"{package}/: {count} modules, {remedy}" for package, count in counted.items() if count > MOST]


# ---- the code keeps them ----


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    """Every module of cnitest/ and fixtures/ keeps the rule."""
    found = faults(rule, tree("cnitest", "fixtures"))

    assert not found, "\n".join(["", *found])


def test_the_rules_see_the_code() -> None:
    """The rules were held against real modules."""
    paths = {source.path for source in tree("cnitest", "fixtures")}

    assert {"cnitest/errors.py", "cnitest/topology/model.py"} <= paths


def test_packages_are_small() -> None:
    """No package of cnitest/ and fixtures/ has more modules than a person keeps in mind."""
    found = too_full(source.path for source in tree("cnitest", "fixtures"))

    assert not found, "\n".join(["", *found])


def test_a_full_package_is_found() -> None:
    """One module more than is allowed is told, with the package; its ``__init__`` is not counted."""
    modules = [f"cnitest/lab/m{number}.py" for number in range(MOST)]

    assert too_full([*modules, "cnitest/lab/__init__.py", "cnitest/lab/probe/m.py"]) == []
    assert too_full([*modules, "cnitest/lab/x.py"])[0].startswith("cnitest/lab/: 15 modules")


def test_exceptions_are_needed() -> None:
    """What may be loaded by name is."""
    loaded = {
        (source.path, each.name) for source in tree("cnitest", "fixtures") for each in imports(source) if each.by_name
    }

    assert set(BY_NAME) <= loaded


def test_no_module_imports_what_imports_it() -> None:
    """No circle of imports at run time, not even of those inside functions, but those with a reason."""
    found = [way for way in circles(graph(tree("cnitest"))) if not set(way) <= CIRCLES.keys()]

    assert not found, "move what both need below them: " + "; ".join(" imports ".join(way) for way in found)


def test_only_handles_name_each_other() -> None:
    """A circle that only type checkers see is within a package of which a reason for it is told."""
    imported = graph(tree("cnitest"), typed=True)
    found = [each for way in circles(imported) if not (each := knot(imported, way[0])) <= CIRCLES.keys()]

    strange = [sorted(each) for each in found if not any(all(map(_in(package), each)) for package in HANDLES)]

    assert not strange, f"name a protocol in the lower module instead: {strange}"


def _in(package: str) -> Callable[[str], bool]:
    return lambda module: module.startswith(package)


@pytest.mark.parametrize("statement", EAGER)
def test_a_first_import_is_light(statement: str) -> None:
    """Importing what pytest or a user's first line imports loads none of the heavy libraries."""
    program = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"

    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"'{statement}' loads {done.stdout.strip()}: import it where it is needed"


# ---- each rule can fail ----

AROUND = {"cnitest/kernel/a.py": "from cnitest.kernel import b", "cnitest/kernel/b.py": "import cnitest.kernel.c"}


@pytest.mark.parametrize(
    ("last", "typed", "way"),
    [
        ("from cnitest.kernel.a import x", False, "abca"),
        ("def f():\n    from . import a", False, "abca"),
        ("if TYPE_CHECKING:\n    from cnitest.kernel.a import x", True, "abca"),
        ("if TYPE_CHECKING:\n    from cnitest.kernel.a import x", False, ""),
        ("from cnitest.kernel import c, d", False, ""),
    ],
)
def test_a_circle_is_found(last: str, typed: bool, way: str) -> None:
    """A circle is found by way of others, at the top of modules and in functions, and told in order."""
    sources = [Source(path, ast.parse(code)) for path, code in {**AROUND, "cnitest/kernel/c.py": last}.items()]

    found = circles(graph(sources, typed=typed))

    assert found == ([[f"cnitest.kernel.{letter}" for letter in way]] if way else [])


BROKEN = [
    *habits.BROKEN,
    (imports_go_down, "cnitest/kernel/x.py", "import cnitest.lab.build", "kernel (layer 1) imports"),
    (imports_go_down, "cnitest/kernel/x.py", "from cnitest import lab", "cnitest.lab (layer 3)"),
    (imports_go_down, "cnitest/lab/x.py", "from cnitest import Lab", "cnitest.Lab (layer 6)"),
    (imports_go_down, "cnitest/lab/x.py", "from ..cni import spec", "cnitest.cni.spec (layer 4)"),
    (imports_go_down, "cnitest/lab/__init__.py", "from ..cni import spec", "cnitest.cni.spec (layer 4)"),
    (
        imports_go_down,
        "cnitest/errors.py",
        "def f():\n    from cnitest.kernel import netlink",
        "kernel.netlink (layer 1)",
    ),
    (imports_go_down, "cnitest/plugin.py", "from cnitest.fixtures import lab", "cnitest.fixtures.lab (layer 7)"),
    (
        imports_go_down,
        "cnitest/fuzz/x.py",
        'importlib.import_module("cnitest.suites.conformance")',
        "suites.conformance",
    ),
    (
        imports_go_down,
        "cnitest/fuzz/x.py",
        'S = "cnitest.suites"\nimport_module(f"{S}.x")',
        "x.py:1: fuzz (layer 5) imports",
    ),
    (imports_go_down, "cnitest/fuzz/x.py", 'import_module(f"cnitest.suites.{x}")', "cnitest.suites (layer 7)"),
    (
        imports_go_down,
        "cnitest/fuzz/x.py",
        'for n in ("cnitest.cli.run",):\n    __import__(n)',
        "cnitest.cli.run (layer 6)",
    ),
    (imports_go_down, "cnitest/lab/x.py", 'resolve_name("cnitest." + name)', "cnitest (layer 6)"),
    (
        imports_go_down,
        "cnitest/lab/x.py",
        'from importlib import import_module as i\ni("cnitest.cni")',
        "cnitest.cni (layer 4)",
    ),
    (imports_go_down, "cnitest/plugin.py", 'pytest_plugins = ["cnitest.suites.x"]', "cnitest.suites.x (layer 7)"),
    (imports_go_down, "cnitest/lab/x.py", 'sys.modules["cnitest.cli"]', "cnitest.cli (layer 6)"),
    (packages_within_go_down, "cnitest/fuzz/model/x.py", "from cnitest.fuzz.search import hunt", "WITHIN has above it"),
    (
        packages_within_go_down,
        "cnitest/fuzz/search/x.py",
        "from cnitest.fuzz import replay",
        "fuzz.replay, which WITHIN",
    ),
    (packages_within_go_down, "cnitest/conformance/bench/x.py", "from ..checks import registry", "conformance.checks"),
    (every_package_has_a_layer, "cnitest/unknown/x.py", "", "unknown has no layer"),
    (one_importer_each, "cnitest/lab/x.py", "def f():\n    from pyroute2 import IPRoute", "only cnitest/kernel/"),
    (one_importer_each, "cnitest/lab/probe.py", "import scapy.all", "cnitest/lab/frames/fields.py may import scapy"),
    (one_importer_each, "cnitest/lab/x.py", 'importlib.import_module("pyroute2.netlink")', "only cnitest/kernel/"),
    (one_importer_each, "cnitest/plugin.py", "from _pytest import nodes", "only nobody may import _pytest"),
    (nothing_heavy_at_once, "cnitest/kernel/x.py", "from pyroute2 import IPRoute", "at module level"),
    (nothing_heavy_at_once, "fixtures/x.py", "try:\n    import yaml\nfinally:\n    pass", "imports yaml"),
    (nothing_heavy_at_once, "cnitest/cli/x.py", "class A:\n    import yaml", "imports yaml"),
]

KEPT = [
    *habits.KEPT,
    (imports_go_down, "cnitest/lab/x.py", "from cnitest.kernel.rtnetlink import netlink\nfrom . import build"),
    (imports_go_down, "cnitest/cli/x.py", "from cnitest import Lab, report"),
    (imports_go_down, "cnitest/kernel/x.py", "if TYPE_CHECKING:\n    from cnitest.lab import Lab"),
    (imports_go_down, "suites/walkthrough/x.py", "from cnitest import Lab\nfrom cnitest.fixtures import confs"),
    (imports_go_down, "cnitest/__init__.py", 'importlib.import_module({"Lab": "cnitest.lab.lab"}[name])'),
    (imports_go_down, "cnitest/cli/x.py", 'WORDS = "cnitest.suites.conformance"'),
    (imports_go_down, "cnitest/lab/x.py", '"""As cnitest.cli does."""\nimportlib.import_module("cnitest.kernel")'),
    (imports_go_down, "cnitest/plugin.py", 'pytest_plugins = ["cnitest.fixtures.network"]'),
    (
        packages_within_go_down,
        "cnitest/fuzz/search/x.py",
        "from cnitest.fuzz.model import example\nimport cnitest.cli.run",
    ),
    (packages_within_go_down, "cnitest/fuzz/replay.py", "from cnitest.fuzz.execute import executor"),
    (one_importer_each, "cnitest/kernel/x.py", "def f():\n    import pyroute2"),
    (one_importer_each, "suites/walkthrough/x.py", "from scapy.layers.l2 import ARP"),
    (nothing_heavy_at_once, "cnitest/kernel/x.py", "def f():\n    from pyroute2 import IPRoute"),
    (nothing_heavy_at_once, "cnitest/topology/x.py", "if TYPE_CHECKING:\n    import yaml"),
]


@pytest.mark.parametrize(("rule", "path", "code", "words"), BROKEN)
def test_a_broken_rule_is_found(rule: Rule, path: str, code: str, words: str) -> None:
    """Each rule fires on code that breaks it, with file, line and a remedy."""
    found = faults(rule, [Source(path, ast.parse(code))])

    assert found
    assert found[0].startswith(f"{path}:")
    assert words in found[0]


@pytest.mark.parametrize(("rule", "path", "code"), KEPT)
def test_code_that_keeps_a_rule_is_left_alone(rule: Rule, path: str, code: str) -> None:
    """No rule fires on code that keeps it."""
    found = faults(rule, [Source(path, ast.parse(code))])

    assert found == []


def test_every_rule_was_seen_to_fail() -> None:
    """A rule that has never been seen to fire is no rule."""
    proven = {rule for rule, *_ in BROKEN}

    assert set(RULES) == proven


# ---- the map ----


def test_architecture_names_nothing_that_is_gone() -> None:
    """Every module that ARCHITECTURE.md names exists."""
    text = (CHECKOUT / "ARCHITECTURE.md").read_text()

    named = set(re.findall(r"(?<![\w./-])([\w-]+(?:/[\w-]+)*\.py)\b", text))

    gone = [name for name in sorted(named) if not any(CHECKOUT.rglob(name))]
    assert not gone, f"ARCHITECTURE.md names what does not exist: {', '.join(gone)}"


def test_the_wheel_has_every_package() -> None:
    """pyproject.toml lists each package of cnitest/, so that an installed cnitest is whole."""
    listed = set(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {".".join(path.parent.relative_to(CHECKOUT).parts) for path in (CHECKOUT / "cnitest").rglob("__init__.py")}

    assert not there - listed, f"pyproject.toml: add to packages: {', '.join(sorted(there - listed))}"
    assert not {name for name in listed - there if not name.startswith(("cnitest.fixtures", "cnitest.suites"))}
