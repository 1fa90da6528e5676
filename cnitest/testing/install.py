"""Puts a stand-alone program where a runtime finds it: a launcher, and beside it in a folder what it needs."""

from __future__ import annotations

import functools
import os
import py_compile
import sys
import tempfile
from pathlib import Path

_SOURCES = Path(__file__).parent / "standalone"
_SHEBANG_LIMIT = 120

_LAUNCHER = """\
import sys
from os.path import dirname, realpath

home = dirname(realpath(__file__)) + {folder!r}
sys.path.insert(0, home)
from standalone import {module}

{module}.main({arguments})
"""


def furnish(folder: Path, *modules: str) -> None:
    """Copy stand-alone modules into a folder, compiled, so that starting them compiles nothing. Raises OSError."""
    package = folder / "standalone"
    (package / "__pycache__").mkdir(parents=True, exist_ok=True)
    for name in ("__init__", "notes", *modules):
        source = _SOURCES / f"{name}.py"
        replace_file(package / source.name, source.read_bytes())
        cached, code = _compiled(source)
        replace_file(package / "__pycache__" / cached, code)


def launch(path: Path, folder: str, module: str, arguments: str) -> None:
    """Write the executable that runs ``module.main(arguments)`` out of a folder beside it. Raises OSError."""
    program = _LAUNCHER.format(folder=f"/{folder}", module=module, arguments=arguments)
    replace_file(path, f"{_first_lines()}{program}".encode(), executable=True)


def replace_file(path: Path, content: bytes, *, executable: bool = False) -> None:
    """Write a file that others may be reading: they see the old one or the new one, and never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(name, 0o755 if executable else 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@functools.cache
def _compiled(source: Path) -> tuple[str, bytes]:
    """The name that Python looks for, and the code."""
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        py_compile.compile(str(source), str(target), doraise=True, invalidation_mode=_UNCHECKED)
        return target.name, target.read_bytes()


_UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def _first_lines() -> str:
    """How the kernel finds this Python: itself, outside any virtual environment, by way of sh where its path is odd."""
    python = os.path.realpath(sys.executable)
    if len(python) < _SHEBANG_LIMIT and not any(character.isspace() for character in python):
        return f"#!{python} -ISE\n"
    quoted = "'" + python.replace("'", "'\"'\"'") + "'"
    return f"#!/bin/sh\n'''exec' {quoted} -ISE \"$0\" \"$@\"\n' '''\n"
