"""Python for a worker on another machine: an ordinary user's enters a user namespace before its first thread begins.

``python -m cnitest.report.worker_python ARGUMENTS`` goes on as ``python ARGUMENTS``.
"""

from __future__ import annotations

import os
import sys

from cnitest.kernel.processes import user_namespace

if __name__ == "__main__":
    if not user_namespace.may_make_namespaces() and (why := user_namespace.enter()):
        print(f"cnitest: {why}; tests that use a lab are skipped", file=sys.stderr, flush=True)  # noqa: T201
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
