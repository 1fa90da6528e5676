"""Runs one peer: ``serve.py NAME ECHO-COMMAND``.

Reads a number of sandboxes a line, answers {"build": ms, "ping": ms, "down": ms} a line. The first line says
{"ready": what it is} or {"missing": why not}; a run that failed answers {"failed": why}.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TextIO

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)

from measure import milliseconds  # noqa: E402
from network import Network  # noqa: E402

from peers import MODULES, Builder  # noqa: E402


def main(name: str, echo: str) -> None:
    """Serves until the other end closes."""
    answers = _own_output()
    try:
        peer = import_module(f"peers.{MODULES[name]}")
        reason = peer.missing()
    except ImportError as error:
        reason = f"cannot import {error.name}: {error}"
    _answer(answers, {"missing": reason} if reason else {"ready": name})
    if not reason:
        for line in sys.stdin:
            _answer(answers, _one_run(peer.Peer(Network(int(line), echo))))


def _own_output() -> TextIO:
    """Keeps the real standard output for the answers; whatever a peer prints goes to standard error."""
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return kept


def _answer(output: TextIO, value: dict[str, object]) -> None:
    print(json.dumps(value), file=output, flush=True)


def _one_run(builder: Builder) -> dict[str, object]:
    try:
        return {
            "build": milliseconds(builder.build),
            "ping": milliseconds(builder.ping),
            "down": milliseconds(builder.down),
        }
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(*sys.argv[1:])
