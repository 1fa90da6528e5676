"""Times a plugin call through cnitest against a bare posix_spawn with pipes; the bar is 1.15 times.

Both start the same binary with the same environment and configuration, in turns of random order: ours in the
network, mount and PID namespaces of a host, the bare one where the benchmark is.

python benchmarks/calls.py [--runs 300] [--plugins /usr/lib/cni] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isolate
from measure import end_within, machine, milliseconds, quiet, verdict

BAR = 1.15
STORE = "/run/benchmark"
"""Where host-local keeps its leases: on a tmpfs for both, the host's own and the benchmark's."""


@dataclass(frozen=True)
class Case:
    """One call to time, and the command that undoes it (empty when nothing is left to undo)."""

    plugin: str
    command: str
    undo: str
    configuration: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.plugin} {self.command}"


IPAM = {"type": "host-local", "subnet": "10.40.80.0/24", "dataDir": STORE}
CASES = (
    Case("loopback", "VERSION", "", {"cniVersion": "1.0.0"}),
    Case("host-local", "ADD", "DEL", {"cniVersion": "1.0.0", "name": "benchmark", "type": "x", "ipam": IPAM}),
)
Caller = Callable[[Case, str], None]


def main(argv: list[str]) -> None:
    """Times both ways and says what ours costs."""
    options = arguments(argv)
    isolate.enter()
    medians = measured(options.plugins, options.runs)
    worst = max(pair["cnitest"] / pair["bare"] for pair in medians.values())
    for name, pair in medians.items():
        ratio = pair["cnitest"] / pair["bare"]
        print(f"{name:16} cnitest {pair['cnitest']:.3f} ms, bare {pair['bare']:.3f} ms: {ratio:.3f}x")
    if options.json:
        figures = {"medians_ms": medians, "worst_ratio": worst, "machine": machine()}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    verdict(f"a plugin call costs at most {BAR} of a bare one: {worst:.3f}", worst <= BAR)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--plugins", default="/usr/lib/cni", metavar="DIR")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def measured(plugins: str, runs: int) -> dict[str, dict[str, float]]:
    """Each case's medians in ms, both ways."""
    from cnitest import Lab
    from cnitest.topology import Host, Topology

    with Lab(Topology(name="benchmark", hosts={"node": Host()})) as lab:
        first = milliseconds(lambda: lab.host("node").inside(os.getpid))
        print(f"a host's filesystem, made once for its first program: {first:.2f} ms")
        callers = {"cnitest": through_cnitest(lab.host("node"), plugins), "bare": bare(plugins)}
        times = {case.name: in_turns(case, callers, runs) for case in CASES}
    return {name: {way: statistics.median(taken) for way, taken in ways.items()} for name, ways in times.items()}


def in_turns(case: Case, callers: Mapping[str, Caller], runs: int) -> dict[str, list[float]]:
    """Times of each way, after one call of each to warm up."""
    times: dict[str, list[float]] = {way: [] for way in callers}
    for caller in callers.values():
        timed(case, caller)
    for _ in range(runs):
        for way in random.sample(list(callers), len(callers)):
            quiet(at_most=0.2)
            times[way].append(timed(case, callers[way]))
    return times


def timed(case: Case, caller: Caller) -> float:
    """One call's ms; what it left is undone off the clock."""
    taken = milliseconds(lambda: caller(case, case.command))
    if case.undo:
        caller(case, case.undo)
    return taken


def through_cnitest(host: Any, plugins: str) -> Caller:
    """A call as the runtime makes it: found, run in the host, recorded."""
    from cnitest.cni.calls import invoke

    executor = invoke.HostExec(host)

    def caller(case: Case, command: str) -> None:
        binary = f"{plugins}/{case.plugin}"
        made = invoke.call(executor, case.plugin, binary, variables(command, plugins), case.configuration)
        invoke.check_exit(made)

    return caller


def bare(plugins: str) -> Caller:
    """The least that one can do: spawn, write, read to the end, wait."""

    def caller(case: Case, command: str) -> None:
        binary = f"{plugins}/{case.plugin}"
        code = spawn(binary, variables(command, plugins), json.dumps(case.configuration).encode())
        assert code == 0, f"{case.plugin} {command}: exit code {code}"

    return caller


def variables(command: str, plugins: str) -> dict[str, str]:
    """The environment that both give the plugin."""
    from cnitest.cni.calls import invoke

    return invoke.environment(command, container_id="c1", netns="/none", ifname="eth0", path=[plugins])


def spawn(binary: str, environment: Mapping[str, str], stdin: bytes) -> int:
    """One program with three pipes from start to end: its exit code."""
    theirs_in, ours_in = os.pipe2(os.O_CLOEXEC)
    ours_out, theirs_out = os.pipe2(os.O_CLOEXEC)
    ours_err, theirs_err = os.pipe2(os.O_CLOEXEC)
    theirs = (theirs_in, theirs_out, theirs_err)
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(theirs)]
    process = os.posix_spawn(binary, [binary], environment, file_actions=actions)
    for end in theirs:
        os.close(end)
    with contextlib.suppress(BrokenPipeError):  # a plugin may end without reading it
        os.write(ours_in, stdin)
    os.close(ours_in)
    read_to_the_end(ours_out, ours_err)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def read_to_the_end(*ends: int) -> None:
    """Reads all pipes until their other ends are closed, and closes them."""
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    left = len(ends)
    while left:
        for end, _ in poll.poll():
            if not os.read(end, 1 << 16):
                poll.unregister(end)
                os.close(end)
                left -= 1


if __name__ == "__main__":
    end_within(10)
    main(sys.argv[1:])
