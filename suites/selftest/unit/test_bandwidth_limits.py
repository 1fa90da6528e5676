"""Whether bandwidth limits are those that were asked for: each way its own, and a slow machine is not one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.conformance.model.finding import Doubt
from cnitest.conformance.observe import limits
from cnitest.errors import DeadlineExceeded

FREE = (6_000_000, 6_000_000)
AS_ASKED = (1_550_000, 780_000)


class Sender:
    """A place that measures these bits a second, there and back, one pair after the other; the last one from then
    on."""

    def __init__(self, *measured: tuple[float, float] | Exception) -> None:
        self.measured = [*measured]

    def throughput(self, *_: object, **__: object) -> SimpleNamespace:
        """What is measured next."""
        found = self.measured.pop(0) if len(self.measured) > 1 else self.measured[0]
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(there=found[0], back=found[1])


def judged(sandbox: Sender, owner: Sender | None = None, provided: dict[str, int] = limits.BOTH) -> str:
    """What is said of the limits of a container."""
    places: Any = (sandbox, owner or Sender(FREE))
    return limits.judged(*places, "fd00::1", 5201, provided)


@pytest.mark.parametrize(
    ("provided", "measured"),
    [
        (limits.BOTH, AS_ASKED),
        (limits.LIMITS["ingress"], (6_000_000, 780_000)),
        (limits.LIMITS["egress"], (1_550_000, 6_000_000)),
    ],
    ids=["both", "ingress", "egress"],
)
def test_limits_that_are_as_asked(provided: dict[str, int], measured: tuple[float, float]):
    """Each direction at its own rate, and free where nothing limits it; on a busy machine at times slower."""
    assert judged(Sender(measured), provided=provided) == ""
    assert judged(Sender((100_000, 100_000), measured), provided=provided) == ""


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (FREE, "egressRate is 1600000 bit/s: not limited to it"),
        ((1_550_000, 6_000_000), "what comes into the container arrives at 6000 kbit/s, and ingressRate is 800000"),
        (AS_ASKED[::-1], "egressRate is 1600000 bit/s: slower than that; with ingressRate and egressRate what comes"),
        ((3_100_000, 1_550_000), "not limited to it"),
        ((775_000, 390_000), "slower than that"),
        ((1_550, 780), "arrives at 2 kbit/s, and egressRate is 1600000 bit/s: slower than that"),
    ],
    ids=["none", "egress alone", "swapped", "twice", "half", "a thousandth"],
)
def test_limits_that_are_not(measured: tuple[float, float], words: str):
    """None, those of the other direction, and other rates are told with what arrived."""
    why = judged(Sender(measured))

    assert words in why
    assert not isinstance(why, Doubt)


def test_a_direction_without_a_limit_is_free():
    """What limits the other direction, too, is told."""
    why = judged(Sender((800_000, 780_000)), provided=limits.LIMITS["ingress"])

    assert why == "with ingressRate what leaves the container arrives at 800 kbit/s, and there is no limit of it"


def test_a_slow_machine_is_not_a_limit():
    """Nothing is said of what is slow, or not reached, where the same without a limit is."""
    slow = judged(Sender((300_000, 300_000)), Sender((300_000, 300_000)))
    lost = judged(Sender(DeadlineExceeded("no answer")))

    assert isinstance(slow, Doubt)
    assert "too busy" in slow
    assert isinstance(lost, Doubt)
