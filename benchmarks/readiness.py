"""Counts lost first probes: the small topology, built and pinged at once, again and again; the bar is none.

python benchmarks/readiness.py [--builds 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import isolate
from measure import LOST, end_within, machine, verdict
from network import Network


def main(argv: list[str]) -> None:
    """Builds, probes and says how many first probes were lost."""
    options = arguments(argv)
    isolate.enter()
    lost = lost_probes(options.builds)
    figures = {"builds": options.builds, "lost": lost, "rate": lost / options.builds, "machine": machine()}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    verdict(f"0 lost first probes: {lost} of {options.builds} builds ({lost / options.builds:.2%})", not lost)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--builds", type=int, default=2000)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def lost_probes(builds: int) -> int:
    """How many builds' first echo needed a second attempt or came too late to be the first's answer."""
    network = Network(2)
    return sum(first_probe_lost(network) for _ in range(builds))


def first_probe_lost(network: Network) -> bool:
    """One build and one probe, at once."""
    from peers.cnitest_ import declared

    from cnitest import Lab

    with Lab(declared(network)) as lab:
        reach = lab.sandbox(network.first.name).ping(network.last.address)
    assert reach, reach
    return reach.attempts != 1 or reach.rtt is None or reach.rtt * 1e3 > LOST


if __name__ == "__main__":
    end_within(15)
    main(sys.argv[1:])
