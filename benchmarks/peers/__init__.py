"""Who is measured: one module a peer, each run in a process of its own.

A peer's module has ``missing()``, which says in one line why it cannot run here (or None), and
``Peer(network)`` with ``build()``, ``ping()`` and ``down()``.
"""

from __future__ import annotations

from typing import Protocol

MODULES = {
    "cnitest": "cnitest_",
    "ip": "ip",
    "ip-batch": "batch",
    "pyroute2": "pyroute2_plain",
    "munet": "munet_",
    "mininet": "mininet_",
}
"""The peers in Python; the floor (``c``) is a program of its own that answers the same questions."""

NAMES = ("cnitest", "c", *(name for name in MODULES if name != "cnitest"))


class Builder(Protocol):
    """One network's life."""

    def build(self) -> None: ...
    def ping(self) -> None: ...
    def down(self) -> None: ...
