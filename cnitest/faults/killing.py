"""Runs a program here and kills it before one of its changes: ``python -m cnitest.faults.killing NUMBER [NAME=VALUE]…
-- ARGUMENTS``, for scripts that show again what a killed call leaves.

It gets our standard input and the given environment alone; its output and exit code are ours.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from cnitest.deadline import Deadline
from cnitest.injection.aim import Aim
from cnitest.kernel.processes import process
from cnitest.kernel.processes.process import Finished
from cnitest.kernel.processes.supervised import Supervised

_LONGEST = 60.0


def killed(number: int, argv: Sequence[str], environment: Mapping[str, str], stdin: bytes) -> Finished:
    """Run a program in the namespaces of this process, killed before its change of a number. Raises OSError,
    FeatureMissing."""
    aim = Aim(way="kill", number=number)
    with Supervised(aim.decide) as tree:
        return process.finish(tree.start(argv, environment, ()), stdin, Deadline.after(_LONGEST, argv[0]))


def main(arguments: Sequence[str]) -> int:
    """Do as the command line says; the exit code as a shell has it."""
    number, *words = arguments
    end = words.index("--")
    environment = dict(word.split("=", 1) for word in words[:end])
    ended = killed(int(number), words[end + 1 :], environment, sys.stdin.buffer.read())
    sys.stdout.buffer.write(ended.stdout)
    sys.stderr.buffer.write(ended.stderr)
    return ended.exit_code if ended.exit_code >= 0 else 128 - ended.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
