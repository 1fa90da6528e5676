"""The rules of which module may import which, with code that breaks and code that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnitest.suites.selftest.unit.sources import Source, imports, rule

LAYERS = {
    "errors": 0,
    "paths": 0,
    "text": 0,
    "plural": 0,
    "typos": 0,
    "deadline": 0,
    "events": 0,
    "interrupts": 0,
    "outputs": 0,
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

BY_NAME = {
    ("cnitest/plugin.py", "cnitest.fixtures.network"): "pytest knows the entry point alone, and loads fixtures by name"
}
"""Modules of a higher layer that may be loaded by their names, and why."""

LATE_MODULES = (*IMPORTERS["scapy"], "cnitest/fuzz/")
"""Modules that are themselves imported only when needed; they may import what is heavy at their top."""


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
    (
        packages_within_go_down,
        "cnitest/fuzz/model/x.py",
        "from cnitest.fuzz.search import searcher",
        "WITHIN has above it",
    ),
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
