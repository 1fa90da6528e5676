"""What `before.py` times, by public names that every version has: one task, again and again, in one process.

python benchmarks/tasks.py TASK RUNS    # prints the least user and system ms of a run, by what it did
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import isolate
from network import Network

PLUGINS = "/usr/lib/cni"
Times = dict[str, float]
Clock = Callable[[str], contextlib.AbstractContextManager[None]]


def main(argv: list[str]) -> None:
    """Runs the task and prints its figures."""
    task, runs = argv
    isolate.enter()
    best: Times = {}

    @contextlib.contextmanager
    def clock(name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        best[name] = min(best.get(name, 1e9), (time.process_time() - start) * 1e3)

    gc.disable()
    TASKS[task](clock, int(runs))
    print(json.dumps(best))


def loading(clock: Clock, runs: int) -> None:
    """Each shipped topology from its file to a lab that could be entered."""
    from cnitest import Lab, load
    from cnitest.topology import find, shipped

    for name in shipped():
        path = find(name)
        for _ in range(runs):
            with clock(f"load {name}"):
                Lab(load(path))
        gc.collect()


def planning(clock: Clock, runs: int) -> None:
    """A topology that was made in Python, validated and planned."""
    from peers.cnitest_ import declared

    from cnitest import Lab

    for size in (2, 50):
        for _ in range(runs):
            fresh = replace(declared(Network(size)))
            with clock(f"plan {size} sandboxes"):
                Lab(fresh)
        gc.collect()


def life(clock: Clock, runs: int) -> None:
    """The benchmark's network: build, pings, states, the end."""
    from peers.cnitest_ import declared

    from cnitest import Lab

    network = Network(2)
    for _ in range(runs):
        with clock("build 2 sandboxes"):
            lab = Lab(declared(network))
            lab.__enter__()
        sandbox, address = lab.sandbox(network.first.name), network.last.address
        with clock("first ping"):
            assert sandbox.ping(address)
        asked(clock, sandbox, address)
        with clock("end"):
            lab.__exit__(None, None, None)


def asked(clock: Clock, sandbox: Any, address: str) -> None:
    """What is asked of a lab that stands, several times each."""
    questions: dict[str, Callable[[], object]] = {
        "further ping": lambda: sandbox.ping(address),
        "state of a sandbox": lambda: sandbox.state(firewall=False),
        "routes": lambda: sandbox.routes,
    }
    for name, question in questions.items():
        for _ in range(5):
            with clock(name):
                answer = question()
            assert answer, name


def calling(clock: Clock, runs: int) -> None:
    """A plugin's VERSION through the runtime, and a program in a host; what they do themselves is not counted."""
    from cnitest import Lab, Runtime
    from cnitest.topology import Host, Topology

    with Lab(Topology(name="benchmark", hosts={"node": Host()})) as lab:
        runtime, node = Runtime(lab, [PLUGINS]), lab.host("node")
        for _ in range(runs):
            with clock("call of a plugin"):
                runtime.version("loopback")
            with clock("program in a host"):
                node.execute(["true"])
            with clock("state of a host"):
                node.state()


def probing(clock: Clock, runs: int) -> None:
    """Probes that are answered, in both families, on the walkthrough's bridge."""
    from cnitest import Lab, load
    from cnitest.topology import find

    with Lab(load(find("bridge-walkthrough"))) as lab:
        sandbox = lab.place("node/ns01")
        for family, address in (("IPv4", "10.40.80.12"), ("IPv6", "2001:db8:40::12")):
            probes: dict[str, Callable[[], object]] = {
                "ping": partial(sandbox.ping, address),
                "tcp": partial(sandbox.tcp, address, 80),
                "udp": partial(sandbox.udp, address, 53),
            }
            for name, probe in probes.items():
                assert probe(), name
                for _ in range(runs):
                    with clock(f"{name} {family}"):
                        probe()


TASKS: dict[str, Callable[[Clock, int], None]] = {
    "loading": loading,
    "planning": planning,
    "life": life,
    "probing": probing,
    "calling": calling,
}

if __name__ == "__main__":
    main(sys.argv[1:])
