"""Counts first probes of fresh labs whose way, or where they were last seen, is not right; the bar is none.

python benchmarks/order.py [--probes 2000] [--processes 50] [--busy 8] [--json FILE]

A fresh process is where the kernel has yet to begin to stamp frames, so the probes are spread over several; meanwhile
busy processes keep the processors occupied.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import isolate
from measure import end_within, machine, verdict

_SPIN = "while True: pass"
_KINDS = ("ping", "tcp", "udp", "arp")
_ADDRESSES = ("10.40.80.12", "2001:db8:40::12")
_DROP = {
    ("ping", False): "icmp type echo-request drop;",
    ("ping", True): "icmpv6 type echo-request drop;",
    ("arp", False): "ether type arp drop;",
    ("arp", True): "icmpv6 type nd-neighbor-solicit drop;",
    **{(kind, six): f"{kind} dport 80 drop;" for kind in ("tcp", "udp") for six in (False, True)},
}
# Drops take a second each, so there are fewer of them.
_WAYS = ("ends", "all") * 4 + ("drop",)
_THERE = ("node/ns01:eth01 out", "node:veth01 in", "node:veth02 out", "node/ns02:eth02 in")
_BACK = ("node/ns02:eth02 out", "node:veth02 in", "node:veth01 out", "node/ns01:eth01 in")


def main(argv: list[str]) -> None:
    """Probes and says how many were reported in a wrong order."""
    options = arguments(argv)
    if options.one:
        print(json.dumps(first_probes(options.probes)))
        return
    isolate.enter()
    found: Counter[str] = Counter()
    with busy(options.busy):
        for _ in range(options.processes):
            each = [sys.executable, __file__, "--one", "--probes", str(options.probes // options.processes)]
            done = subprocess.run(each, check=True, capture_output=True, text=True)
            found.update(json.loads(done.stdout))
    figures = {**found, "machine": machine()}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    wrong = {words: count for words, count in found.items() if words.startswith("wrong")}
    print(f"{found['again']} of {found['probes']} needed a second attempt")
    verdict(f"0 misordered probes: {sum(wrong.values())} of {found['probes']} {wrong or ''}", not wrong)


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--probes", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--busy", type=int, default=8)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(argv)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can."""
    with contextlib.ExitStack() as undo:
        for _ in range(count):
            spinning = undo.enter_context(subprocess.Popen([sys.executable, "-c", _SPIN]))
            undo.callback(spinning.kill)
        yield


def first_probes(count: int) -> dict[str, int]:
    """One probe in each of so many labs, watched at its ends or everywhere, or dropped at the bridge."""
    found: Counter[str] = Counter()
    turns = cycle([(kind, address, way) for way in _WAYS for kind in _KINDS for address in _ADDRESSES])
    for kind, address, way in islice(turns, count):
        found.update(first_probe(kind, address, way))
    return dict(found)


def first_probe(kind: str, address: str, way: str) -> list[str]:
    """One lab and one probe, at once; what is wrong with the way that it tells."""
    from cnitest import Lab
    from cnitest.topology import find, load

    with Lab(load(find("bridge-walkthrough"))) as lab:
        if way == "drop":
            rule = f"type filter hook forward priority 0; {_DROP[kind, ':' in address]}"
            lab.host("node").load_rules("nft", f"table bridge t {{ chain c {{ {rule} }}; }}")
        options = {"watch": "all"} if way == "all" else {}
        port = (80,) if kind in ("tcp", "udp") else ()
        reach = getattr(lab.sandbox("ns01"), kind)(address, *port, **options)
    found = ["probes"] + ["again"] * (way != "drop" and reach.attempts > 1)
    there, back = _expected(way, reach.attempts)
    hops = [tuple(hop for hop in path if hop in (*_THERE, *_BACK)) for path in (reach.path, reach.return_path)]
    right = hops == [there, back] and reach.path[:1] == _THERE[:1] and reach.reason.endswith(_last_seen(kind, way))
    return found + [f"wrong {kind} {address} {way}: {hops} {reach.reason}"] * (not right)


def _expected(way: str, attempts: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if way == "drop":
        return _THERE[:2], ()
    whole = way == "all" or attempts > 1
    return (_THERE, _BACK) if whole else (_THERE[::3], _BACK[::3])


def _last_seen(kind: str, way: str) -> str:
    """What a drop says; the host itself gets what is for everybody, though the bridge does not hand it on."""
    last = "node:br01 in" if kind == "arp" else _THERE[1]
    return f"last seen at {last}" if way == "drop" else ""


if __name__ == "__main__":
    end_within(30)
    main(sys.argv[1:])
