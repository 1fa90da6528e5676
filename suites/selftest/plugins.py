"""Plugins made on the spot: shell scripts that do one thing, in a directory that serves as CNI_PATH."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

REQUEST = {"cniVersion": "1.0.0", "name": "net", "type": "one"}
RESULT = '{"cniVersion": "1.0.0", "interfaces": [], "ips": [{"address": "192.0.2.9/24"}], "routes": []}'


def script(directory: Path, name: str, body: str) -> Path:
    """An executable of that name; ``$CNI_COMMAND`` and the others are in its environment."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def recorder(directory: Path, name: str, answer: str = RESULT) -> Path:
    """A plugin that appends its command and stdin to ``NAME.log`` beside it and answers ADD."""
    log = directory / f"{name}.log"
    note = f'{{ printf "%s " "$CNI_COMMAND"; tr -d "\\n"; echo; }} >> {log}'
    body = f"{note}\n[ $CNI_COMMAND != ADD ] || echo '{answer}'"
    return script(directory, name, body)


def call(plugin, command="ADD", request=None, **variables) -> subprocess.CompletedProcess[bytes]:
    """Run a scripted plugin as a runtime does, with nothing of our environment."""
    stdin = request if isinstance(request, str) else json.dumps(REQUEST if request is None else request)
    environment = {"CNI_COMMAND": command, "CNI_PATH": str(plugin.directory), "PATH": os.defpath, **variables}
    return subprocess.run(
        [plugin.path], input=stdin.encode(), capture_output=True, check=False, env=environment, timeout=30
    )


def printed(done: subprocess.CompletedProcess[bytes]) -> Any:
    """The one document on its stdout."""
    return json.loads(done.stdout)
