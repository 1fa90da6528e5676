"""What the peers made of commands have in common: a line a command, one shell a phase."""

from __future__ import annotations

import subprocess

from measure import need_program


def run(lines: list[str]) -> None:
    """Runs the lines in one shell, which stops at the first that fails."""
    done = subprocess.run(["bash", "-e"], input="\n".join(lines), text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")


def missing_commands() -> str | None:
    """Why commands cannot do it here."""
    return need_program("ip", "iproute2")
