"""Plugins made on the spot: shell scripts that do one thing, in a directory that serves as CNI_PATH."""

from __future__ import annotations

from pathlib import Path

RESULT = '{"cniVersion": "1.0.0", "interfaces": [], "ips": [{"address": "192.0.2.9/24"}], "routes": []}'


def script(directory: Path, name: str, body: str) -> Path:
    """An executable of that name; ``$CNI_COMMAND`` and the others are in its environment."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def recorder(directory: Path, name: str, answer: str = RESULT) -> Path:
    """A plugin that appends its verb and stdin to ``NAME.log`` beside it and answers ADD."""
    log = directory / f"{name}.log"
    note = f'{{ printf "%s " "$CNI_COMMAND"; tr -d "\\n"; echo; }} >> {log}'
    body = f"{note}\n[ $CNI_COMMAND != ADD ] || echo '{answer}'"
    return script(directory, name, body)
