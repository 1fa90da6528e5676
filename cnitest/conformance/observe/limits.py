"""Whether limits of bandwidth are there: in the direction that they are for, as fast as they say, and in no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cnitest.cni.spec import Document
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.model import form, protocol
from cnitest.conformance.model.finding import Doubt
from cnitest.conformance.observe import traffic
from cnitest.errors import CnitestError
from cnitest.lab.place import Place

#: Bits a second and bits, by direction: two rates, so that it shows which one was taken for which direction.
LIMITS = {
    "ingress": {"ingressRate": 800_000, "ingressBurst": 48_000},
    "egress": {"egressRate": 1_600_000, "egressBurst": 80_000},
}
BOTH = {**LIMITS["ingress"], **LIMITS["egress"]}
_SECONDS = 0.6
# So much more than the faster limit is sent, and what is faster than a limit by so much is not limited by it.
_OFFERED, _FREE = 4 * 1_600_000, 1.5
_BELOW, _ABOVE = 0.7, 1.25
# A busy machine makes what is limited slower, and its clocks late.
_TRIES, _TRIES_OF_SLOW = 3, 6
_DIRECTIONS = {"ingress": "comes into", "egress": "leaves"}


class Way(NamedTuple):
    """A direction, its limit in bits a second (None where there is none), and the least and most that may arrive."""

    direction: str
    rate: int | None
    least: float
    most: float

    def fault(self, found: float, of_all: str) -> str:
        """What is wrong with so many bits a second; empty when nothing is."""
        what = f"with {of_all} what {_DIRECTIONS[self.direction]} the container arrives at {found / 1000:.0f} kbit/s"
        if found > self.most:
            return f"{what}, and {self.direction}Rate is {self.rate} bit/s: not limited to it"
        if found < self.least and self.rate:
            return f"{what}, and {self.direction}Rate is {self.rate} bit/s: slower than that"
        return f"{what}, and there is no limit of it" if found < self.least else ""


def ways(provided: Mapping[str, int]) -> tuple[Way, Way]:
    """What may arrive in each direction with the limits that are provided: egress first, as it is measured."""
    return _way("egress", provided), _way("ingress", provided)


def _way(direction: str, provided: Mapping[str, int]) -> Way:
    own = LIMITS[direction]
    rate, burst = own[f"{direction}Rate"], own[f"{direction}Burst"]
    if f"{direction}Rate" not in provided:
        return Way(direction, None, _FREE * rate, float("inf"))
    # What is left of a burst can fall into the half of the time that counts.
    return Way(direction, rate, _BELOW * rate, _ABOVE * rate + burst / (_SECONDS / 2))


def faults(bench: Bench, target: AttachmentTarget, result: Document) -> list[str]:
    """What is wrong with limits in both directions, in each family, and in one direction alone, in one family."""
    found = [*_measured(bench, target, result, BOTH)]
    if any(f"{direction}Rate" in bench.subject.conf for direction in LIMITS):
        return found  # who has limits of its own may add to them what the runtime provides
    for number, limits in enumerate(LIMITS.values()):
        alone = bench.target(f"c{60 + number}", capabilities={**target.capabilities, "bandwidth": limits})
        document = protocol.result_document(bench.add(alone))
        if document is not None:
            found += _measured(bench, alone, document, limits)
    return found


def _measured(bench: Bench, target: AttachmentTarget, result: Document, provided: Mapping[str, int]) -> Iterator[str]:
    gateways = {6 if ":" in ip.gateway else 4: ip.gateway for ip in form.ips(result, bench.version) if ip.gateway}
    owners = [(each, bench.lab.owner(each, target.sandbox)) for each in gateways.values()]
    found = [(gateway, owner) for gateway, owner in owners if owner]
    if not found:
        bench.not_applicable("there is no gateway here that a limit could be measured by")
    # One direction alone is measured in one family, each in another one where there are two.
    chosen = found if provided == BOTH else found[:1] if "ingressRate" in provided else found[-1:]
    for gateway, owner in chosen:
        port = traffic.free_port(bench.subject, owner)
        if why := judged(target.sandbox, owner, gateway, port, provided):
            yield why


def judged(sandbox: Place, owner: Place, gateway: str, port: int, provided: Mapping[str, int]) -> str:
    """What is wrong with the limits of a container, or a Doubt; empty when they are as they were asked for.

    One measurement that is right is enough: what is wrong for a busy machine's sake is not wrong each time. That too
    little arrives counts only where the gateway's owner sends itself as much as there should be.
    """
    of_all = " and ".join(f"{direction}Rate" for direction in LIMITS if f"{direction}Rate" in provided)
    expected = ways(provided)
    said: list[str] = []
    for number in range(_TRIES_OF_SLOW):
        found = _rates(sandbox, gateway, port)
        if isinstance(found, Doubt):
            return found
        said = [why for way, rate in zip(expected, found, strict=True) if (why := way.fault(rate, of_all))]
        if not said:
            return ""
        too_fast = [why for why in said if why.endswith("not limited to it")]
        if too_fast and number + 1 >= _TRIES:
            return "; ".join(said)
    unlimited = _rates(owner, gateway, port)
    if not isinstance(unlimited, Doubt) and all(rate > _OFFERED / 2 for rate in unlimited):
        return "; ".join(said)
    return Doubt(f"{said[0]}, as slow as what nobody limits: this machine is too busy to measure one")


def _rates(sender: Place, gateway: str, port: int) -> tuple[float, float] | Doubt:
    """Bits a second to a gateway and back."""
    try:
        found = sender.throughput(gateway, _SECONDS, rate=_OFFERED, port=port, protocol="udp")
    except CnitestError as error:
        return Doubt(f"{gateway} is not reached, so no limit can be measured: {error}")
    return found.there, found.back
