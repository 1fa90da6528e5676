"""Runs of pytest that write artifacts, for the tests of what a run leaves for CI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """A run that has ended, and the directory that it was in."""

    place: Path
    done: subprocess.CompletedProcess[str]

    @property
    def index(self):
        """The index of its artifacts."""
        return json.loads((self.place / "out" / "index.json").read_text())

    def folder(self, test):
        """The folder of a test's failure."""
        rows = [row for row in self.index["failures"] if test in row["test"]]
        return self.place / "out" / rows[0]["folder"]


def pytest_in(place, *arguments, **variables):
    """A run of pytest in a directory."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--cni-artifacts", "out", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=place, env={**clean, **variables}, timeout=300
    )
    return Run(place, done)
