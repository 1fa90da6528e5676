"""The rules of the code, read off its source: imports go down only, one importer a library, habits."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

LAYERS = {
    "errors": 0,
    "paths": 0,
    "text": 0,
    "typos": 0,
    "deadline": 0,
    "events": 0,
    "interrupts": 0,
    "kernel": 1,
    "topology": 2,
    "lab": 3,
    "cni": 4,
    "testing": 4,
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

IMPORTERS = {
    "pyroute2": ("cnitest/kernel/",),
    "scapy": ("cnitest/lab/frames/packets.py", "cnitest/lab/frames/matching.py", "cnitest/lab/frames/fields.py"),
    "hypothesis": ("cnitest/fuzz/",),
    "pytest": ("cnitest/plugin.py", "cnitest/cli/", "cnitest/report/"),
    "_pytest": (),
    "rich": ("cnitest/cli/", "cnitest/report/", "cnitest/plugin.py"),
    "yaml": ("cnitest/topology/", "cnitest/conformance/model/data.py"),
}
"""The only places of cnitest/ that may import a library, at any level of nesting."""

HEAVY = ("scapy", "pyroute2", "pydantic", "yaml", "rich", "hypothesis")
LATE_MODULES = (*IMPORTERS["scapy"], "cnitest/fuzz/", "cnitest/conformance/model/data.py")
"""Modules that are themselves imported only when needed; they may import what is heavy at their top."""

SLOW = ("fixtures/faulty/", "cnitest/testing/standalone/scripted.py", "cnitest/deadline.py")
"""Where time may pass: in plugins of which being slow is the fault or the script, and in Deadline.poll itself."""

EAGER = (
    "from cnitest import Lab",
    "import cnitest.plugin",
    "import cnitest.topology",
    "import cnitest.lab.lab",
    "import cnitest.cni",
    "from cnitest.testing import ScriptedPlugin",
)
"""What pytest or a user's first line imports; none of it may load anything heavy."""


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
    """One imported module as written, where, and whether it happens as soon as the importer is imported."""

    name: str
    line: int
    at_once: bool


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


def imports(source: Source) -> Iterator[Import]:
    """All imports of a module, with relative ones made absolute, but not those for type checkers alone."""
    for node, at_once in _import_nodes(source.tree, at_once=True):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_once) for alias in node.names)
        else:
            yield from (Import(name, node.lineno, at_once) for name in _imported_from(source, node))


def _import_nodes(node: ast.AST, at_once: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in _without_type_checking(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_once
        else:
            inside_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _import_nodes(child, at_once and not inside_function)


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
        if each.name.partition(".")[0] == "cnitest" and other > own:
            step = f"{source.package} (layer {own}) imports {each.name} (layer {other})"
            yield each.line, f"{step}: hand the value in from above, or move what is shared down"


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


@rule
def no_sleep(source: Source) -> Iterator[tuple[int, str]]:
    """Waiting is for events."""
    if source.path.startswith(SLOW):
        return
    remedy = "wait for an event with a Deadline, or ask with Deadline.poll"
    for each in imports(source):
        if each.name in ("time.sleep", "asyncio.sleep"):
            yield each.line, f"imports {each.name}: {remedy}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "asyncio.sleep"):
            yield node.lineno, f"{ast.unparse(node)}: {remedy}"
        if isinstance(node, ast.Call) and _waits_for_nothing(node):
            yield node.lineno, f"{ast.unparse(node)} is a sleep: {remedy}"
    for function in (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)):
        yield from ((line, f"{words} is a sleep: {remedy}") for line, words in _waits_of_nobody(function))


def _waits_for_nothing(call: ast.Call) -> bool:
    """Whether a call waits for no descriptor, no signal, or an event that nobody else can set."""
    function = ast.unparse(call.func).rpartition(".")[2]
    if function == "select" and len(call.args) >= 3:
        return all(isinstance(each, ast.List | ast.Tuple) and not each.elts for each in call.args[:3])
    if function == "sigtimedwait" and call.args:
        return ast.unparse(call.args[0]) in ("[]", "()", "set()")
    made = call.func.value if isinstance(call.func, ast.Attribute) else None
    return function in ("wait", "poll", "wait_for") and isinstance(made, ast.Call) and _makes_a_wait(made)


def _makes_a_wait(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in ("Event", "Condition", "poll", "epoll")


def _waits_of_nobody(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Waits for a local event or poll object of which the function does nothing but wait."""
    makes = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    for made in makes:
        target = made.targets[0]
        if isinstance(target, ast.Name) and _makes_a_wait(made.value):  # type: ignore[arg-type]
            waits = [f"{target.id}.wait", f"{target.id}.poll"]
            used = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == target.id]
            waiting = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
            waiting = [node for node in waiting if ast.unparse(node) in waits]
            if waiting and len(used) == len(waiting) + 1:
                yield waiting[0].lineno, ast.unparse(waiting[0])


@rule
def no_shell(source: Source) -> Iterator[tuple[int, str]]:
    """Commands are lists of words."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            yield node.value.lineno, "shell=...: give the command as a list of words"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.system", "os.popen"):
            yield node.lineno, f"{ast.unparse(node)}: give the command as a list of words to the host's run()"


@rule
def environment_stays(source: Source) -> Iterator[tuple[int, str]]:
    """The process's environment is read, never changed: another thread may be starting a program."""
    if source.path.startswith("fixtures/faulty/"):
        return  # a program of its own
    changing = {f"os.environ.{name}" for name in ("update", "setdefault", "pop", "popitem", "clear")}
    for node in ast.walk(source.tree):
        words = ast.unparse(node) if isinstance(node, ast.Subscript | ast.Attribute) else ""
        written = words.startswith("os.environ[") and not isinstance(getattr(node, "ctx", None), ast.Load)
        if written or words in changing | {"os.putenv", "os.unsetenv"}:
            yield getattr(node, "lineno", 1), f"{words} changes the environment: pass env= to what needs it"


@rule
def no_bare_except(source: Source) -> Iterator[tuple[int, str]]:
    """Who catches says what."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare except: name the exception, or BaseException and raise it again"


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


@pytest.mark.parametrize("statement", EAGER)
def test_a_first_import_is_light(statement: str) -> None:
    """Importing what pytest or a user's first line imports loads none of the heavy libraries."""
    program = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"

    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"'{statement}' loads {done.stdout.strip()}: import it where it is needed"


# ---- each rule can fail ----

BROKEN = [
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
    (every_package_has_a_layer, "cnitest/unknown/x.py", "", "unknown has no layer"),
    (one_importer_each, "cnitest/lab/x.py", "def f():\n    from pyroute2 import IPRoute", "only cnitest/kernel/"),
    (one_importer_each, "cnitest/lab/probe.py", "import scapy.all", "cnitest/lab/frames/fields.py may import scapy"),
    (one_importer_each, "cnitest/plugin.py", "from _pytest import nodes", "only nobody may import _pytest"),
    (nothing_heavy_at_once, "cnitest/kernel/x.py", "from pyroute2 import IPRoute", "at module level"),
    (nothing_heavy_at_once, "fixtures/x.py", "try:\n    import yaml\nfinally:\n    pass", "imports yaml"),
    (nothing_heavy_at_once, "cnitest/cli/x.py", "class A:\n    import rich", "imports rich"),
    (no_sleep, "cnitest/lab/x.py", "import time\ntime.sleep(1)", "time.sleep"),
    (no_sleep, "cnitest/lab/x.py", "from time import sleep", "imports time.sleep"),
    (no_sleep, "cnitest/lab/x.py", "select.select([], [], [], STEP)", "select.select([], [], [], STEP) is a sleep"),
    (no_sleep, "fixtures/honest/x.py", "from select import select\nselect((), (), (), 1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "threading.Event().wait(1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "select.poll().poll(10)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "signal.sigtimedwait([], 1)", "is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    watch = select.poll()\n    watch.poll(10)", "watch.poll is a sleep"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    never = Event()\n    never.wait(10)", "never.wait is a sleep"),
    (no_shell, "cnitest/lab/x.py", "run('ls', shell=True)", "list of words"),
    (no_shell, "cnitest/lab/x.py", "os.system('ls')", "os.system"),
    (environment_stays, "fixtures/x.py", "os.environ['A'] = 'b'", "os.environ['A'] changes"),
    (environment_stays, "fixtures/x.py", "del os.environ['A']", "os.environ['A'] changes"),
    (environment_stays, "fixtures/x.py", "os.environ.update(a='b')", "os.environ.update changes"),
    (environment_stays, "fixtures/x.py", "os.putenv('A', 'b')", "os.putenv changes"),
    (no_bare_except, "cnitest/lab/x.py", "try:\n    pass\nexcept:\n    pass", "bare except"),
]

KEPT = [
    (imports_go_down, "cnitest/lab/x.py", "from cnitest.kernel.rtnetlink import netlink\nfrom . import build"),
    (imports_go_down, "cnitest/cli/x.py", "from cnitest import Lab, report"),
    (imports_go_down, "cnitest/kernel/x.py", "if TYPE_CHECKING:\n    from cnitest.lab import Lab"),
    (imports_go_down, "suites/walkthrough/x.py", "from cnitest import Lab\nfrom cnitest.fixtures import confs"),
    (one_importer_each, "cnitest/kernel/x.py", "def f():\n    import pyroute2"),
    (one_importer_each, "suites/walkthrough/x.py", "from scapy.layers.l2 import ARP"),
    (nothing_heavy_at_once, "cnitest/kernel/x.py", "def f():\n    from pyroute2 import IPRoute"),
    (nothing_heavy_at_once, "cnitest/topology/x.py", "if TYPE_CHECKING:\n    import yaml"),
    (no_sleep, "fixtures/faulty/of_x.py", "import time\ntime.sleep(1)"),
    (no_sleep, "cnitest/lab/x.py", "select.select([fd], [], [], 1)\nevent.wait(1)"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    watch = poll()\n    watch.register(fd)\n    watch.poll(10)"),
    (no_sleep, "cnitest/lab/x.py", "def f():\n    done = Event()\n    start(done)\n    done.wait(1)"),
    (environment_stays, "cnitest/cni/x.py", "a = os.environ['A']\nb = os.environ.get('B')"),
    (no_shell, "cnitest/cni/x.py", "run(['ls'], shell=False)"),
    (no_bare_except, "cnitest/cni/x.py", "try:\n    pass\nexcept OSError:\n    pass"),
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
