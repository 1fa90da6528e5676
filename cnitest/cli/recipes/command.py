"""``cnitest new ci``: writes the pipeline of a plugin, commented, and the script that it calls."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cnitest import paths
from cnitest.cli.output import say
from cnitest.cli.recipes import pipelines
from cnitest.cli.recipes.pipelines import SCRIPT, SERVICES, OutputFile
from cnitest.cli.recipes.source import PluginSource, source
from cnitest.errors import ConfigError
from cnitest.typos import did_you_mean

_WHAT = ("ci",)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.usage = f"cnitest new ci {'|'.join(SERVICES)} [--directory DIR] [--plugin NAME] [--force]"
    parser.description = (
        "Write a commented CI pipeline for a plugin, and one script that it calls, cnitest-ci.sh: the script builds "
        "the plugin, checks the machine, checks the plugin against the specification, fuzzes it, runs your own "
        "tests, and fails on new findings only. Nothing is overwritten without --force."
    )
    parser.add_argument("what", metavar="ci", help="what to write: ci, a pipeline")
    parser.add_argument("service", metavar="|".join(SERVICES), help="whose pipeline")
    parser.add_argument(
        "--directory", metavar="DIR", default=".", help="the plugin's directory, its repository's root (default: here)"
    )
    parser.add_argument("--plugin", metavar="NAME", default="", help="the plugin's name (default: found there)")
    parser.add_argument("--force", action="store_true", help="overwrite files that were written before")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and say what to do next. Raises ConfigError for what cannot be written."""
    _known("file", arguments.what, _WHAT)
    _known("pipeline", arguments.service, tuple(SERVICES))
    directory = Path(next(iter(paths.directories("--directory", [arguments.directory]))))
    found = source(directory, arguments.plugin)
    made = pipelines.files(SERVICES[arguments.service], found, directory)
    there = [] if arguments.force else pipelines.blocked(directory, made)
    if there:
        raise ConfigError(
            f"{', '.join(there)}: in {paths.near(directory)} already; --force overwrites, --directory writes elsewhere"
        )
    for each in made:
        _write(directory, each)
    say("\n".join(_summary(found, made, directory)))
    return 0


def _known(kind: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise ConfigError(
            f"cnitest new writes no {kind} {word!r}; it writes {', '.join(known)}{did_you_mean(word, known)}"
        )


def _write(directory: Path, each: OutputFile) -> None:
    """Write a file whole, or leave what was there. Raises ConfigError."""
    file = directory / each.name
    part = file.with_name(f".{file.name}.part")
    made = [parent for parent in file.parents if not parent.exists()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(each.text, encoding="utf-8")
        if each.name == SCRIPT:
            part.chmod(0o755)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
            for parent in made:
                parent.rmdir()
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error


def _summary(found: PluginSource, made: Sequence[OutputFile], directory: Path) -> Iterator[str]:
    """What was written, what has to be looked at, and what to type next."""
    pipeline, script = made
    how = f"builds {found.plugin} by `{found.build}`" if found.build else f"takes {found.plugin} as it is"
    yield f"wrote {paths.near(directory / pipeline.name)}: the pipeline"
    yield f"wrote {paths.near(directory / script.name)}: what it calls; it {how}, in {found.directory}"
    yield from pipelines.notes(pipeline)
    yield from ["", *_next(found, directory)]


def _next(found: PluginSource, directory: Path) -> Iterator[str]:
    enter = "" if directory == Path.cwd() else f"cd {shlex.quote(paths.near(directory))} && "
    if not found.found:
        yield f"There is no configuration yet: write {found.conf}, one with which {found.plugin} is used. Then:"
    else:
        yield "To try it here, as the pipeline does:"
    yield f"  {enter}sh {SCRIPT}"
    yield "To accept what it finds for now, and fail on new findings only:"
    yield f"  {enter}sh {SCRIPT} baseline && git add cnitest-baseline.yaml"
