"""The rules of the code, read off its source: imports go down only, one importer a library, habits."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from cnitest.suites.selftest.unit import habits, layers
from cnitest.suites.selftest.unit.circles import circles, graph, knot
from cnitest.suites.selftest.unit.sources import CHECKOUT, RULES, Rule, Source, faults, imports, tree

MOST = 14
"""The modules of a package."""

EVERYWHERE = (habits.modules_are_short, habits.no_bare_except)
"""The rules that tests, benchmarks and scripts keep, too."""

CIRCLES: dict[str, str] = {}
"""Modules that may be in a circle of imports at run time, in functions included, and why. There are none."""

HANDLES = {
    "cnitest.lab.": "a place starts probes, programs and captures, and each of them names its place in its signatures"
}
"""Packages whose modules may name each other's classes for type checkers alone, and why."""

AT_START = re.compile(
    r"cnitest\.(errors|paths|text|typos|plugin|report(\.\w+){0,2}|fixtures(\.network)?"
    r"|kernel(\.confinement(\.(proc|capabilities))?)?)"
)
"""What may be imported when pytest starts."""

EAGER = (
    "from cnitest import Lab",
    "import cnitest.plugin",
    "import cnitest.topology",
    "import cnitest.lab.lab",
    "import cnitest.cni",
    "from cnitest.testing import ScriptedPlugin",
)
"""What pytest or a user's first line imports; none of it may load anything heavy."""


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


@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.__name__)
def test_tests_and_tools_keep_the_rule(rule: Rule) -> None:
    """Tests, benchmarks and scripts are read in one go, too, and start programs by words."""
    found = faults(rule, tree("suites", "benchmarks", "script"))

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
    """One module more than is allowed is reported, with the package; its ``__init__`` is not counted."""
    modules = [f"cnitest/lab/m{number}.py" for number in range(MOST)]

    assert too_full([*modules, "cnitest/lab/__init__.py", "cnitest/lab/probe/m.py"]) == []
    assert too_full([*modules, "cnitest/lab/x.py"])[0].startswith("cnitest/lab/: 15 modules")


def test_exceptions_are_needed() -> None:
    """What may be loaded by name is."""
    loaded = {
        (source.path, each.name) for source in tree("cnitest", "fixtures") for each in imports(source) if each.by_name
    }

    assert set(layers.BY_NAME) <= loaded


def test_no_module_imports_what_imports_it() -> None:
    """No circle of imports at run time, not even of those inside functions, but those with a reason."""
    found = [way for way in circles(graph(tree("cnitest"))) if not set(way) <= CIRCLES.keys()]

    assert not found, "move what both need below them: " + "; ".join(" imports ".join(way) for way in found)


def test_only_handles_name_each_other() -> None:
    """A circle that only type checkers see is within a package of which a reason for it is written."""
    imported = graph(tree("cnitest"), typed=True)
    found = [each for way in circles(imported) if not (each := knot(imported, way[0])) <= CIRCLES.keys()]

    strange = [sorted(each) for each in found if not any(all(map(_in(package), each)) for package in HANDLES)]

    assert not strange, f"name a protocol in the lower module instead: {strange}"


def _in(package: str) -> Callable[[str], bool]:
    return lambda module: module.startswith(package)


@pytest.mark.parametrize("statement", EAGER)
def test_a_first_import_is_light(statement: str) -> None:
    """Importing what pytest or a user's first line imports loads none of the heavy libraries."""
    program = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({layers.HEAVY!r})))"

    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"'{statement}' loads {done.stdout.strip()}: import it where it is needed"


def test_a_lab_loads_no_reader_of_states() -> None:
    """What reads links, routes and firewalls is imported when somebody asks for them: a tenth of a first import."""
    program = "import sys; from cnitest import Lab; print(*[n for n in sys.modules if n.startswith('cnitest.')])"

    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)

    readers = ("cnitest.kernel.rows", "cnitest.lab.snapshot", "cnitest.kernel.processes.user_namespace")
    assert "cnitest.lab.lab" in done.stdout, done.stderr
    assert not [name for name in done.stdout.split() if name.startswith(readers)]


def test_a_start_of_pytest_is_light(tmp_path: Path) -> None:
    """Where no test is ours, pytest imports our options and hooks, and nothing of topologies, labs or plugins."""
    program = "import pytest, sys; pytest.main(['-q', '-p', 'no:cacheprovider']); "
    program += "print(*[name for name in sys.modules if name.startswith('cnitest.')])"

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    imported = done.stdout.splitlines()[-1].split()
    assert "cnitest.plugin" in imported, done.stderr
    assert not [name for name in imported if not AT_START.fullmatch(name)]


# ---- each rule can fail ----

BROKEN = [*habits.BROKEN, *layers.BROKEN]
KEPT = [*habits.KEPT, *layers.KEPT]
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
    """A circle is found by way of others, at the top of modules and in functions, and listed in order."""
    sources = [Source(path, ast.parse(code)) for path, code in {**AROUND, "cnitest/kernel/c.py": last}.items()]

    found = circles(graph(sources, typed=typed))

    assert found == ([[f"cnitest.kernel.{letter}" for letter in way]] if way else [])


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
