"""What arrives at a container and from it in a second, and whether the machine is fast enough to judge by it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

#: So often is measured what is less than a limit lets through: a sender that waits for a processor sends too little.
TRIES = 5
#: The router of the topology ``node-with-uplink``, to which a link without plugins leads.
ROUTER = "192.168.80.2"
#: A machine is fast enough where that link carries so many times what is wanted.
SPARE = 1.25


class Rates(NamedTuple):
    """Bits a second that arrived, each way: over all the time, of which a burst is a small part."""

    there: float
    back: float

    def reach(self, least: Rates, times: float = 1.0) -> bool:
        """Whether each way is at least as much as another's, so many times."""
        return self.there >= times * least.there and self.back >= times * least.back


def measured(
    attachment: Any,
    least: Rates,
    *,
    rate: int | None = 8_000_000,
    to: str = "",
    seconds: float = 0.8,
    protocol: str = "udp",
) -> Rates:
    """What arrives at the container's gateway (or ``to``), and back, when ``rate`` is sent, or as much as fits.

    Less than ``least`` is measured again, and the most that arrived each way counts. Skips where the machine carries no
    more at that time by a link without plugins, as an emulated processor may not, or a busy one.
    """
    best = Rates(0.0, 0.0)
    for _ in range(TRIES):
        best = Rates(*map(max, best, _once(attachment.sandbox, to or attachment.gateway, seconds, rate, protocol)))
        if best.reach(least):
            break
        free = _once(attachment.sandbox.host, ROUTER, seconds, rate, protocol)
        if not free.reach(least, SPARE):
            pytest.skip(
                f"too slow here to judge limits by {_mbits(least)}: {_mbits(free)} by a link without plugins,"
                f" {_mbits(best)} by the container's"
            )
    return best


def _once(place: Any, to: str, seconds: float, rate: int | None, protocol: str) -> Rates:
    found = place.throughput(to, seconds, rate=rate, protocol=protocol)
    return Rates(*(size * 8 / max(took, seconds) for size, took in zip(found.received, found.elapsed, strict=True)))


def _mbits(rates: Rates) -> str:
    return f"{rates.there / 1e6:.1f} and {rates.back / 1e6:.1f} Mbit/s"
