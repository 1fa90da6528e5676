"""What is wrong in a configuration that a command is about to use, though it can be used: on stderr, a line each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnitest.cli.output import complain
from cnitest.cni.conf import Network
from cnitest.text import with_short_words


def warn(network: Network, path: Sequence[str], given: Collection[str] = (), knowledge: str = "") -> None:
    """Warn of what `cnitest.conformance.discover.warnings` finds; its arguments are these."""
    from cnitest.conformance.discover import warnings

    for line in warnings.warnings(network, path, given=given, knowledge=knowledge):
        complain(f"warning: {warnings.placed(network.where, with_short_words(line))}")
