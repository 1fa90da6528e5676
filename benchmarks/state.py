"""Times a full state of a sandbox without firewall dumps; the bar is 1 ms.

python benchmarks/state.py [--runs 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import isolate
from measure import end_within, machine, milliseconds, percentile, quiet, verdict
from network import Network

BAR = 1.0


def main(argv: list[str]) -> None:
    """Takes the state again and again and says how long it took."""
    options = arguments(argv)
    isolate.enter()
    times = state_times(options.runs)
    median, p90 = statistics.median(times), percentile(times, 90)
    if options.json:
        figures = {"median_ms": median, "p90_ms": p90, "machine": machine()}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    verdict(f"a sandbox's state within {BAR} ms: median {median:.3f}, p90 {p90:.3f} ms", median <= BAR)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def state_times(runs: int) -> list[float]:
    """Each taking's ms, once a ping has filled the neighbours and a first state opened the sockets."""
    from peers.cnitest_ import declared

    from cnitest import Lab

    network = Network(2)
    with Lab(declared(network)) as lab:
        sandbox = lab.sandbox(network.first.name)
        assert sandbox.ping(network.last.address)
        sandbox.state(firewall=False)
        quiet()
        return [milliseconds(lambda: sandbox.state(firewall=False)) for _ in range(runs)]


if __name__ == "__main__":
    end_within(5)
    main(sys.argv[1:])
