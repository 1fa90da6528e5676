"""The files of a pipeline, from their templates: one of the CI's, and the script that it calls."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from cnitest.cli.recipes.source import PluginSource

SCRIPT = "cnitest-ci.sh"
# What every template says of itself.
_OURS = "by `cnitest new ci"


class Pipeline(NamedTuple):
    """A CI: its ``template``, the ``file`` that it reads, and ``beside``, what is written where somebody has one."""

    template: str
    file: str
    beside: str = ""


SERVICES: Mapping[str, Pipeline] = {
    "github": Pipeline("github.yml", ".github/workflows/cnitest.yml"),
    "gitlab": Pipeline("gitlab.yml", ".gitlab-ci.yml", "cnitest.gitlab-ci.yml"),
    "kubernetes": Pipeline("kubernetes.yml", "cnitest-job.yaml"),
}
#: The image with what builds a plugin, and Debian's packages.
_IMAGES = {"go": "golang:1.24-bookworm", "rust": "rust:1-bookworm"}
_TOOLCHAINS = {"go": ("      - uses: actions/setup-go@v5", "        with:", "          go-version-file: go.mod")}


class _Template(string.Template):
    """Text in which a shell's and GitHub's own dollars stay what they are."""

    delimiter = "@@"


class OutputFile(NamedTuple):
    """A file to write: its place below the plugin's directory, and its text."""

    name: str
    text: str


def files(service: Pipeline, source: PluginSource, directory: Path) -> tuple[OutputFile, OutputFile]:
    """The pipeline's file and the script; beside somebody else's file where the CI reads one file alone."""
    text = _filled(service.template, source)
    others = service.beside and not _is_ours(directory / service.file)
    return OutputFile(service.beside if others else service.file, text), OutputFile(SCRIPT, _filled(SCRIPT, source))


def _is_ours(file: Path) -> bool:
    """Whether a file is not there, or was written by us."""
    try:
        return _OURS in file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def notes(pipeline: OutputFile) -> Iterator[str]:
    """What has to be done besides writing a pipeline's file."""
    for service in SERVICES.values():
        if pipeline.name == service.beside:
            yield f"{service.file} is there already and stays as it is; add to it:"
            yield f"  include: {{local: {service.beside}}}"
    if pipeline.name == SERVICES["kubernetes"].file:
        yield "set REPOSITORY in it to where the cluster clones the plugin's repository from"


def _filled(template: str, source: PluginSource) -> str:
    text = (resources.files(__package__) / "templates" / template).read_text(encoding="utf-8")
    toolchain = "\n".join(_TOOLCHAINS.get(source.language, ()))
    words = {
        "plugin": source.plugin,
        "build": shlex.quote(source.build),
        "directory": shlex.quote(source.directory),
        "conf": shlex.quote(source.conf),
        "image": _IMAGES.get(source.language, "debian:12"),
        "toolchain": toolchain,
    }
    filled = _Template(text).substitute(words)
    return filled if toolchain else filled.replace("\n\n      - name: Install", "\n      - name: Install")


def blocked(directory: Path, made: tuple[OutputFile, ...]) -> list[str]:
    """Which of the files are there already and have another text."""
    return [each.name for each in made if (file := directory / each.name).exists() and not _is_same(file, each.text)]


def _is_same(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
