"""``cnitest explain``: builds a topology, sends one probe, and says why it was lost."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from cnitest.cli.built import UNPROVEN, address, built, declare_lab, place, run_after
from cnitest.cli.output import say
from cnitest.errors import UsageError
from cnitest.explain.tried import Trial, tried, words

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab
    from cnitest.lab.place import Place
    from cnitest.lab.reach import Reach

_CODES = {"delivered": 0, "dropped": 1, "unproven": UNPROVEN}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.description = (
        "Build a topology, attach sandboxes with plugins, run commands, and send a packet from a place to another "
        "place or an address. Says whether it was delivered, and if not, what dropped it and where. Exit codes: "
        "0 delivered, 1 dropped, 3 unproven, 4 wrong usage."
    )
    declare_lab(parser)
    parser.add_argument("sender", metavar="FROM", help="the place that sends: node, node/ns01, ns01")
    parser.add_argument("receiver", metavar="TO", help="a place, or an IP address")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--tcp", metavar="PORT", type=_port, help="connect to a TCP port")
    kinds.add_argument("--udp", metavar="PORT", type=_port, help="send a UDP datagram")
    kinds.add_argument(
        "--size", metavar="N", type=int, default=56, help="ping with N bytes of data (default: %(default)s)"
    )
    parser.add_argument(
        "--listener",
        metavar="PLACE[:PORT]",
        help="who is to receive what --tcp and --udp send, where the address or port is translated on the way",
    )
    parser.add_argument("--df", action="store_true", help="ping with DF set: routers must not fragment it")
    parser.add_argument(
        "-6",
        dest="six",
        action="store_true",
        help="send to the IPv6 address of the place TO, even if it has an IPv4 address",
    )
    parser.add_argument(
        "--try",
        dest="trying",
        action="store_true",
        help="run in the topology what would let the packet pass, and send another one, until that is delivered or no "
        "further command is known",
    )
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 0 < number < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to 65535)")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Build, probe, explain. Raises UsageError for options that do not go together."""
    if arguments.df and (arguments.tcp or arguments.udp):
        raise UsageError("--df is of pings, not of --tcp and --udp")
    name, port = _listener(arguments)
    named = filter(None, (arguments.sender, arguments.receiver, name))
    with built(arguments, tuple(named), after=False) as lab:
        sender = place(lab, arguments.sender)
        listener = (place(lab, name), port) if name else (None, port)
        destination = _destination(lab, arguments)
        run_after(lab, arguments)
        to = destination or address(lab, arguments.receiver, six=arguments.six)
        reach = _probe(sender, arguments, to, *listener)
        said = shown(reach)
        trials = list(tried(lab, reach, lambda: _probe(sender, arguments, to, *listener))) if arguments.trying else []
    if arguments.json:
        found = document(reach) | ({"tried": [_trial(trial) for trial in trials]} if arguments.trying else {})
        say(json.dumps(found, indent=2))
    else:
        say(said)
        for line in words(trials, shown) if arguments.trying and _CODES[reach.verdict.value] else ():
            say(line)
    return _CODES[reach.verdict.value]


def shown(reach: Reach) -> str:
    """A probe's explanation as a person reads it, with the reason of the verdict where no cause is known."""
    explanation = reach.explanation
    unknown = "" if explanation.cause or reach.verdict.value == "delivered" else f"\n  {reach.reason}"
    return f"{explanation}{unknown}"


def _trial(trial: Trial) -> dict[str, Any]:
    then = None if trial.reach is None else document(trial.reach)
    return {"place": trial.place, "command": trial.command, "failure": trial.failure, "then": then}


def _listener(arguments: argparse.Namespace) -> tuple[str, int | None]:
    """The place and port of --listener; the port that is asked for where only a place is said. Raises UsageError."""
    if arguments.listener is None:
        return "", None
    if not (arguments.tcp or arguments.udp):
        raise UsageError("--listener is of --tcp and --udp: pings have none")
    name, colon, port = arguments.listener.partition(":")
    try:
        return name, _port(port) if colon else None
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--listener {arguments.listener}: {error}; expected PLACE or PLACE:PORT") from None


def _destination(lab: Lab, arguments: argparse.Namespace) -> str:
    """The address of TO, whatever the commands of --after make of it; empty where only they give it one."""
    try:
        return address(lab, arguments.receiver, six=arguments.six)
    except UsageError:
        return ""


def _probe(
    sender: Place, arguments: argparse.Namespace, destination: str, listener: Place | None, port: int | None
) -> Reach:
    if arguments.tcp:
        return sender.tcp(destination, arguments.tcp, listener=listener, listener_port=port, watch="all")
    if arguments.udp:
        return sender.udp(destination, arguments.udp, listener=listener, listener_port=port, watch="all")
    return sender.ping(destination, size=arguments.size, df=arguments.df, watch="all")


def document(reach: Reach) -> dict[str, Any]:
    """A probe's verdict and explanation as JSON has them."""
    explanation, cause = reach.explanation, reach.cause
    return {
        "from": reach.sender,
        "to": reach.destination,
        "transport": reach.transport,
        "port": reach.port,
        "verdict": reach.verdict.value,
        "reason": reach.reason,
        "dropped_by": reach.dropped_by,
        "cause": cause and vars(cause),
        "where": explanation.where,
        "returning": explanation.returning,
        "hops": [hop._asdict() for hop in explanation.hops],
        "evidence": explanation.evidence,
        "ruled_out": explanation.ruled_out,
        "unseen": explanation.unseen,
    }
