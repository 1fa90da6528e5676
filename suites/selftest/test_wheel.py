"""The wheel: built from the tree, complete, and at work in an empty environment outside the checkout."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("cnitest", "fixtures", "suites", "pyproject.toml", "README.md", "LICENSE")
SHIPPED = (
    ("fixtures", "*.py"),
    ("fixtures/topologies", "*.yaml"),
    ("fixtures/honest", "[!_]*"),
    ("fixtures/honest", "_*.py"),
    ("fixtures/faulty", "*.py"),
    ("fixtures/faulty", "*.yaml"),
    ("suites/walkthrough", "*.py"),
    ("suites/fuzz", "*.py"),
    ("cnitest/fuzz", "*.yaml"),
    ("cnitest/plugins", "*.yaml"),
)
FAST_TEST = "arp or neighbour"
LIMIT = 300.0

USER_TEST = '''\
import pytest


@pytest.mark.topology("bridge-walkthrough")
def test_one_reaches_two(lab):
    """A user's own test, with nothing but the plugin installed."""
    assert lab.sandbox("ns01").ping("10.40.80.12")
'''


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree, so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        _copy(CHECKOUT / part, copy / part)
    out = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", *_isolation(), "--wheel-dir", str(out), str(copy))
    (built,) = out.glob("cnitest-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty virtual environment with the wheel and what its metadata asks for."""
    place = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=LIMIT)
    _pip("--python", str(place / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))
    _lend(packages, needed_by(_installed_metadata(packages)))
    return place / "bin"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    elif source.exists():
        shutil.copy2(source, target)


def _isolation() -> list[str]:
    """Without the network where our own setuptools can build wheels; else pip fetches what it takes."""
    try:
        major = int(distribution("setuptools").version.partition(".")[0])
    except PackageNotFoundError:
        major = 0
    return ["--no-build-isolation"] if major >= 71 else []


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, f"pip {' '.join(words)}:\n{done.stdout}{done.stderr}"


def _installed_metadata(packages: Path) -> Distribution:
    (folder,) = packages.glob("cnitest-*.dist-info")
    return Distribution.at(folder)


def needed_by(wanting: Distribution) -> dict[str, Distribution]:
    """What a distribution's metadata asks for, and what that asks for, by name."""
    found: dict[str, Distribution] = {}
    waiting = [wanting]
    while waiting:
        for name in _requirements(waiting.pop()):
            if name not in found:
                found[name] = distribution(name)
                waiting.append(found[name])
    return found


def _requirements(wanting: Distribution) -> Iterator[str]:
    for line in wanting.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name.lower().replace("_", "-")


def _lend(packages: Path, lent: dict[str, Distribution]) -> None:
    """Links these distributions, and nothing else of ours, into another environment."""
    for each in lent.values():
        for top in {file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")}:
            target = packages / top
            if not target.exists() and not top.endswith(".pth"):
                target.symlink_to(Path(str(each.locate_file(top))))


def run(argv: list[str], folder: Path, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """One program outside the checkout, with nothing of this process's Python around it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL"))}
    return subprocess.run(argv, cwd=folder, env=kept, capture_output=True, text=True, timeout=limit)


def fails_here(argv: list[str]) -> bool:
    """Whether this machine refuses a command."""
    return run(argv, Path("/")).returncode != 0


needs_namespaces = pytest.mark.skipif(
    fails_here(["unshare", "-n", "-m", "true"]), reason="makes namespaces: CAP_SYS_ADMIN is missing"
)


def test_wheel_holds_every_module(wheel: Path) -> None:
    """Every module of cnitest/ and every shipped topology and walkthrough test is in the wheel."""
    names = set(zipfile.ZipFile(wheel).namelist())

    absent = [name for name in expected_files() if name not in names]

    assert not absent, f"pyproject.toml: packages or package-data leave out {', '.join(absent)}"


def expected_files() -> Iterator[str]:
    """The tree's files as the wheel should name them."""
    yield "cnitest/py.typed"
    for path in sorted((CHECKOUT / "cnitest").rglob("*.py")):
        yield str(path.relative_to(CHECKOUT))
    for folder, pattern in SHIPPED:
        for path in sorted((CHECKOUT / folder).glob(pattern)):
            inside = path.relative_to(CHECKOUT)
            yield str(inside if inside.parts[0] == "cnitest" else "cnitest" / inside)


def test_honest_plugins_run_from_the_wheel(installed: Path) -> None:
    """The honest plugins are executable where the wheel was installed, and say which versions they speak."""
    (place,) = installed.parent.glob("lib/python*/site-packages/cnitest/fixtures/honest")

    for name in ("wire", "mark", "pool"):
        done = subprocess.run(
            [str(place / name)], env={"CNI_COMMAND": "VERSION"}, input="", capture_output=True, text=True, timeout=LIMIT
        )

        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert '"1.1.0"' in done.stdout


def test_wheel_holds_nothing_else_at_its_top(wheel: Path) -> None:
    """Installing the wheel adds one package and its metadata, no top-level fixtures or suites."""
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"cnitest"}


def test_wheel_has_the_command_and_the_plugin(wheel: Path) -> None:
    """The wheel's entry points are the command ``cnitest`` and the pytest plugin."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]

    points = configparser.ConfigParser()
    points.read_string(archive.read(name).decode())

    assert dict(points["console_scripts"]) == {"cnitest": "cnitest.cli:main"}
    assert dict(points["pytest11"]) == {"cnitest": "cnitest.plugin"}


def test_installed_modules_are_the_wheels(installed: Path, tmp_path: Path) -> None:
    """cnitest, its fixtures and its suites are imported from the new environment, not from the checkout."""
    program = (
        "import importlib\n"
        "for name in ('cnitest', 'cnitest.fixtures', 'cnitest.suites', 'cnitest.suites.walkthrough'):\n"
        "    print(importlib.import_module(name).__path__[0])"
    )

    done = run([str(installed / "python"), "-c", program], tmp_path)

    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(installed.parent)) for line in done.stdout.splitlines()), done.stdout


@needs_namespaces
def test_doctor_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """``cnitest doctor`` says of this machine what the checkout's says."""
    command = "import sys, cnitest.cli; sys.exit(cnitest.cli.main(['doctor']))"
    here = run([sys.executable, "-c", command], CHECKOUT)

    there = run([str(installed / "cnitest"), "doctor"], tmp_path)

    assert there.stdout
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, "")


@needs_namespaces
def test_walkthrough_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """``cnitest run --suite walkthrough`` finds and passes the tests inside the wheel, with no warning."""
    done = run([str(installed / "cnitest"), "run", "--suite", "walkthrough", "-k", FAST_TEST], tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "warning" not in done.stdout, done.stdout


@needs_namespaces
def test_a_users_test_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """A test file of a user's own gets the fixtures by installing the wheel alone."""
    (tmp_path / "test_mine.py").write_text(USER_TEST)

    done = run([str(installed / "python"), "-m", "pytest", "-p", "no:cacheprovider", "test_mine.py"], tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
