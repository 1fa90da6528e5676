"""What `cnitest new ci` finds in a directory and writes there, and the project's own recipes, by their linters."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cnitest.cli.commands import main
from cnitest.cli.recipes.pipelines import SERVICES
from cnitest.cli.recipes.source import source

CHECKOUT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent
CONF = '{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "tiny"}, {"type": "portmap"}]}'
GO = {"go.mod": "module example.com/acme/tiny/v2\n\ngo 1.21\n"}
KINDS = {
    "go at the root": {**GO, "main.go": "// it\npackage main\n"},
    "go in cmd": {**GO, "cmd/tiny/main.go": "package main\n", "lib.go": "package tiny\n"},
    "cargo": {"Cargo.toml": '[package]\nversion = "1.0"\nname = "tiny"\n'},
    "make": {"Makefile": "all:\n", "10-tiny.conflist": CONF},
    "a script that builds": {"build.sh": "true\n", "conf/a.conflist": CONF},
    "a script": {"tiny": "#!/bin/sh\n", "10-tiny.conflist": CONF},
    "words that a shell would read": {"Makefile": "all:\n", "it's $HOME & co.conflist": CONF},
    "nothing": {},
}
INSTALLED_BY = {"actionlint": "go install github.com/rhysd/actionlint/cmd/actionlint@latest"}
LINTERS = {
    "github": ("actionlint", [], ".github/workflows/cnitest.yml"),
    "github's schema": (
        "check-jsonschema", ["--builtin-schema", "vendor.github-workflows"], ".github/workflows/cnitest.yml",
    ),
    "gitlab": ("check-jsonschema", ["--builtin-schema", "vendor.gitlab-ci"], ".gitlab-ci.yml"),
    "kubernetes": ("kubernetes-validate", ["--strict"], "cnitest-job.yaml"),
    "the script": ("shellcheck", [], "cnitest-ci.sh"),
}  # fmt: skip


def filled(directory: Path, files: dict[str, str]) -> Path:
    """A directory with these files."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def new(directory: Path, service: str, *more: str) -> int:
    """What ``cnitest new ci`` ends with."""
    return main(["new", "ci", service, "--directory", str(directory), *more])


def lint(program: str, *arguments: str) -> None:
    """Run a linter, and fail with what it says; skip where it is not installed."""
    found = shutil.which(program, path=os.pathsep.join([str(TOOLS), *os.get_exec_path()]))
    if found is None:
        pytest.skip(f"{program} is not installed: {INSTALLED_BY.get(program, 'script/setup')}")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("linter", LINTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_lints_clean(tmp_path: Path, kind: str, linter: str) -> None:
    """Each pipeline, and the script that it calls, of each kind of plugin."""
    program, words, file = LINTERS[linter]
    for service in SERVICES:
        new(filled(tmp_path, KINDS[kind]), service)

    lint(program, *words, str(tmp_path / file))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("actionlint", [".github/workflows/cnitest.yml"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.github-workflows", ".github/workflows/cnitest.yml"]),
        ("check-jsonschema", ["--builtin-schema", "vendor.github-actions", "action.yml"]),
    ],
)
def test_the_recipes_of_the_project_lint_clean(program: str, words: list[str]) -> None:
    """The action, and the workflow that uses it."""
    *options, file = words

    lint(program, *options, str(CHECKOUT / file))


@pytest.mark.parametrize("step", range(3))
def test_the_steps_of_the_action_lint_clean(tmp_path: Path, step: int) -> None:
    """The scripts in the action, of which actionlint knows nothing."""
    script = tmp_path / "step.sh"
    script.write_text(yaml.safe_load((CHECKOUT / "action.yml").read_text())["runs"]["steps"][step]["run"])

    lint("shellcheck", "--shell", "bash", str(script))


@pytest.mark.parametrize(
    ("kind", "plugin", "build", "directory"),
    [
        ("go at the root", "tiny", "CGO_ENABLED=0 go build -o bin/tiny .", "bin"),
        ("go in cmd", "tiny", "CGO_ENABLED=0 go build -o bin/tiny ./cmd/tiny", "bin"),
        ("cargo", "tiny", "cargo build --release", "target/release"),
        ("make", "tiny", "make", "bin"),
        ("a script that builds", "tiny", "sh build.sh", "bin"),
        ("a script", "tiny", "", "."),
    ],
)
def test_how_a_plugin_is_built_is_found(tmp_path: Path, kind: str, plugin: str, build: str, directory: str) -> None:
    """By what is in the directory: the name, the command, and where the program is then."""
    found = source(filled(tmp_path, KINDS[kind]))

    assert (found.plugin, found.build, found.directory) == (plugin, build, directory)


def test_the_configuration_is_found(tmp_path: Path) -> None:
    """A profile first, else a configuration; a .conf of something else is passed over; else the name is required."""
    filled(tmp_path, {"nginx.conf": "server {}\n", "conf/10-tiny.conflist": CONF})

    assert source(tmp_path).conf == "conf/10-tiny.conflist"
    filled(tmp_path, {"cnitest.yaml": "conf: conf/10-tiny.conflist\n"})
    assert source(tmp_path).conf == "cnitest.yaml"
    assert source(filled(tmp_path / "empty", {"x": ""}), "abc") == ("abc", "", "bin", "10-abc.conflist", False, "")


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_overwritten(tmp_path: Path, service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was changed stays, and the command ends with 4; the same file again is none; --force overwrites."""
    assert new(tmp_path, service) == new(tmp_path, service) == 0
    file = tmp_path / SERVICES[service].file
    file.write_text(file.read_text() + "# mine\n")

    assert new(tmp_path, service) == 4
    assert "mine" in file.read_text()
    assert f"{SERVICES[service].file}: in {tmp_path} already; --force overwrites" in capsys.readouterr().err
    assert new(tmp_path, service, "--force") == 0
    assert "mine" not in file.read_text()


def test_nothing_is_left_on_a_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and neither a part of a file nor its directories; exit code 4."""

    def full(file: Path, *_: object, **__: object) -> None:
        file.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)

    assert new(tmp_path, "github") == 4
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.endswith("cnitest.yml: cannot be written: No space left on device\n")


def test_a_pipeline_of_gitlab_gets_a_file_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody's own .gitlab-ci.yml stays, with --force, too, and the line to add is printed."""
    filled(tmp_path, {".gitlab-ci.yml": "stages: [test]\n"})

    assert new(tmp_path, "gitlab", "--force") == 0

    assert (tmp_path / ".gitlab-ci.yml").read_text() == "stages: [test]\n"
    assert "include: {local: cnitest.gitlab-ci.yml}" in capsys.readouterr().out
    lint("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(tmp_path / "cnitest.gitlab-ci.yml"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ci", "gitub"], "cnitest new writes no pipeline 'gitub'; it writes github, gitlab, kubernetes. Did you mean"),
        (["cy", "github"], "cnitest new writes no file 'cy'; it writes ci"),
        (["ci", "github", "--plugin", "a/b"], "--plugin 'a/b': is no name of a plugin"),
        (["ci", "github", "--directory", "/nowhere"], "--directory '/nowhere': there is no directory /nowhere"),
    ],
)
def test_what_cannot_be_written_is_reported(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with what was meant; exit code 4."""
    assert main(["new", *words]) == 4

    reported = capsys.readouterr().err
    assert says in reported
    assert reported.count("\n") == 1
