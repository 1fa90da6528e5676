"""What a verdict costs, and whether it is right: python benchmarks/drops.py [--probes 2000] [--busy 8] [--mode NAME …].

Probes that are dropped, delivered, rejected and late by 50 to 250 ms, mixed at random, with each kind of evidence: the
kernel's trace, a marker that passes where the probe would have, silence, and none at all (``--cni-blind``). A late one
is never dropped, a blind one never anything. Costs are ratios of one run: a positive probe with and without a trace, a
drop with each evidence to one by silence.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import isolate
from measure import end_within, machine, verdict
from order import busy

from cnitest.kernel.tracing import trace
from cnitest.lab.lab import Lab
from cnitest.lab.probe.verdict import watching as marker
from cnitest.lab.reach import Reach
from cnitest.topology.load import find, load

MODES = ("trace", "marker", "silence", "blind")
WAYS = ("drop", "deliver", "reject", "late")
_KINDS = ("ping", "tcp", "udp")
_ADDRESSES = {False: ("10.40.80.11", "10.40.80.12"), True: ("2001:db8:40::11", "2001:db8:40::12")}
# Where a rule sits, and whether it stops the reply.
_SPOTS = (("node/ns02", "INPUT", False), ("node/ns02", "OUTPUT", True), ("node/ns01", "INPUT", True))
# One byte in a millisecond: a datagram of as many bytes keeps what follows it waiting as many milliseconds.
_SLOW = "tbf rate 8kbit burst 200 limit 10000"
_HEADERS = 42
# A bucket, and what a probe itself needs of it, so that it waits 50 to 250 ms.
_FILLED = (190, 330)
_BRIEF = 0.05


class Bucket(NamedTuple):
    """Where packets are kept back: commands that make and remove it, who fills it, whether the reply is kept."""

    place: str
    sender: str
    reply: bool
    made: str
    removed: str


def _redirected(link: str) -> str:
    return (
        f"ip link add ifb9 type ifb; ip link set ifb9 up; tc qdisc add dev ifb9 root {_SLOW}; "
        f"tc qdisc add dev {link} clsact; tc filter add dev {link} ingress protocol all u32 match u32 0 0 "
        "action mirred egress redirect dev ifb9"
    )


def _in_ifb(link: str, sender: str, *, reply: bool) -> Bucket:
    return Bucket("node", sender, reply, _redirected(link), f"tc qdisc del dev {link} clsact; ip link del ifb9")


# On the way out of a link, and behind an ifb that a link's packets are redirected to as plugin bandwidth does.
BUCKETS = (
    Bucket("node", "node", False, f"tc qdisc add dev veth02 root {_SLOW}", "tc qdisc del dev veth02 root"),
    Bucket("node/ns02", "node/ns02", True, f"tc qdisc add dev eth02 root {_SLOW}", "tc qdisc del dev eth02 root"),
    _in_ifb("veth01", "node/ns01", reply=False),
    _in_ifb("veth02", "node/ns02", reply=True),
)


class Asked(NamedTuple):
    """One probe: what becomes of it on its way, its kind, whether by IPv6, which end it happens at."""

    way: str
    kind: str
    six: bool
    spot: tuple[str, str, bool]


def main(argv: list[str]) -> None:
    """Probes, and says what was wrong and what it took."""
    options = arguments(argv)
    if options.one:
        print(json.dumps(one(options)))
        return
    isolate.enter()
    found = {mode: spread(mode, options) for mode in options.mode}
    figures = {**found, "machine": machine()}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    wrong: Counter[str] = Counter()
    for mode, each in found.items():
        wrong.update(
            {f"{mode}: {words}": count for words, count in each["counts"].items() if words.startswith("wrong")}
        )
        print(f"{mode}: {', '.join(f'{words} {count}' for words, count in sorted(each['counts'].items()))}")
    tell_costs(found)
    verdict(f"0 wrong verdicts: {wrong.total()} of {options.probes * len(found)}", not wrong)


def tell_costs(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The medians, each beside that of silence."""
    base = found.get("silence")
    for mode, each in found.items():
        drop, positive = (statistics.median(each[what]) for what in ("drops_ms", "positives_ms"))
        ratios = ""
        if base:
            than = [statistics.median(base[what]) for what in ("drops_ms", "positives_ms")]
            ratios = f": {drop / than[0]:.3f} and {positive / than[1]:.3f} of silence's"
        print(f"{mode}: a drop {drop:.1f} ms, a positive probe {positive:.3f} ms{ratios}")


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--probes", type=int, default=2000, help="for each kind of evidence")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=2, metavar="PROCESSES")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


def spread(mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """All probes with one kind of evidence, in several processes."""
    share = str(max(1, options.probes // options.processes))
    found: dict[str, Any] = {"counts": Counter(), "drops_ms": [], "positives_ms": []}
    with busy(options.busy):
        for batch in range(0, options.processes, options.at_once):
            seeds = [
                str(options.seed + number) for number in range(batch, min(options.processes, batch + options.at_once))
            ]
            commands = [
                [sys.executable, __file__, "--one", "--mode", mode, "--probes", share, "--seed", seed] for seed in seeds
            ]
            running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
            for process in running:
                result = json.loads(process.communicate()[0])
                found["counts"].update(result["counts"])
                found["drops_ms"] += result["drops_ms"]
                found["positives_ms"] += result["positives_ms"]
    return found


def one(options: argparse.Namespace) -> dict[str, Any]:
    """A process's share."""
    (mode,) = options.mode
    evidence(mode)
    random_ = random.Random(options.seed)
    counts: Counter[str] = Counter()
    times: dict[str, list[float]] = {"drop": [], "deliver": [], "reject": [], "late": []}
    with Lab(load(find("bridge-walkthrough")), blind=mode == "blind") as lab:
        lab.place("node/ns01").ping("10.40.80.12")
        for _ in range(options.probes):
            asked = Asked(random_.choice(WAYS), random_.choice(_KINDS), random_.random() < 0.5, random_.choice(_SPOTS))
            reach, took = tried(lab, asked, random_)
            times[asked.way].append(took * 1e3)
            counts[reported(asked, reach, mode)] += 1
    return {"counts": counts, "drops_ms": times["drop"], "positives_ms": times["deliver"]}


def evidence(mode: str) -> None:
    """Leave only one kind of evidence; the trace is armed beforehand."""
    if mode == "trace":
        if trace.await_armed() is None:
            raise SystemExit(f"drops.py: {trace.why()}: leave out --mode trace")
        return
    trace.begin = trace.armed = lambda: None
    if mode != "marker":
        marker.nothing_waits = lambda *_: False


def tried(lab: Lab, asked: Asked, random_: random.Random) -> tuple[Reach, float]:
    """The probe, on a way that was prepared for it; and the seconds that it took."""
    probe = lab.place("node/ns01")
    address = _ADDRESSES[asked.six][1]
    with prepared(lab, asked, random_):
        wait = {"wait": _BRIEF} if asked.way == "late" and random_.random() < 0.25 else {}
        began = time.perf_counter()
        port = () if asked.kind == "ping" else (80,)
        reach = getattr(probe, asked.kind)(address, *port, **wait)
        return reach, time.perf_counter() - began


@contextlib.contextmanager
def prepared(lab: Lab, asked: Asked, random_: random.Random) -> Iterator[None]:
    """What happens to a probe meanwhile."""
    where, chain, reply = asked.spot
    place = lab.place(where)
    if asked.way in ("drop", "reject"):
        program = "ip6tables" if asked.six else "iptables"
        target = "REJECT" if asked.way == "reject" else "DROP"
        if asked.way == "reject":
            place, chain, reply = lab.place("node/ns02"), "INPUT", False
        place.run([program, "-A", chain, *packets(asked, reply), "-j", target])
        yield
        place.run([program, "-F", chain])
    elif asked.way == "late":
        slow = random_.choice([one for one in BUCKETS if one.reply == reply])
        lab.place(slow.place).run(["sh", "-ec", slow.made])
        fill(lab, slow.sender, _ADDRESSES[False][0 if reply else 1], random_.randint(*_FILLED))
        yield
        lab.place(slow.place).run(["sh", "-ec", slow.removed])
    else:
        yield


def packets(asked: Asked, reply: bool) -> list[str]:
    """How a rule knows the packets of a probe, or of the reply."""
    if asked.kind == "ping" and asked.six:
        return ["-p", "icmpv6", "--icmpv6-type", "echo-reply" if reply else "echo-request"]
    if asked.kind == "ping":
        return ["-p", "icmp", "--icmp-type", "echo-reply" if reply else "echo-request"]
    return ["-p", asked.kind, "--sport" if reply else "--dport", "80"]


def fill(lab: Lab, sender: str, address: str, octets: int) -> None:
    """Use up the bucket, and queue what is more."""
    with lab.place(sender).namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as filler:
        while octets > _HEADERS:
            size = min(octets, 190)
            filler.sendto(bytes(size - _HEADERS), (address, 9))
            octets -= size


def reported(asked: Asked, reach: Reach, mode: str) -> str:
    """What was said of a probe; ``wrong …`` where that is not what became of it."""
    said = reach.verdict.value
    if mode == "blind":
        right = said == "unproven" or asked.way == "reject"
    elif asked.way == "late":
        right = said != "dropped"
    else:
        right = said == ("delivered" if asked.way == "deliver" else "dropped")
    return (
        f"{asked.way} {said}"
        if right
        else f"wrong {asked.way} {asked.kind} {'IPv6' if asked.six else 'IPv4'}: {reach!r}"
    )


if __name__ == "__main__":
    end_within(60)
    main(sys.argv[1:])
