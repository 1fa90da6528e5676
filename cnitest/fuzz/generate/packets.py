"""Strategies for probes: which packet, of which size, to which port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from cnitest.lab.place import Place
from cnitest.lab.reach import Reach


@dataclass(frozen=True)
class Packet:
    """A probe of `Place`: ``ping``, ``tcp``, ``udp`` or ``arp``, and its options beside the address."""

    probe: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def send(self, place: Place, address: str) -> Reach:
        """Send it from a place and say what became of it."""
        probe: Any = getattr(place, self.probe)
        reach: Reach = probe(address, **self.options)
        return reach


_sizes = st.one_of(st.sampled_from((56, 0, 1, 1372, 1472, 1473, 8972, 65507)), st.integers(0, 9000))
_ports = st.one_of(st.sampled_from((8080, 80, 53, 1, 65535)), st.integers(1024, 65535))
_pings = st.builds(
    lambda size, df, ttl: Packet("ping", {"size": size, "df": df, "ttl": ttl}),
    _sizes,
    st.booleans(),
    st.sampled_from((None, None, 64, 255, 2, 1)),
)
_connections = st.builds(lambda port: Packet("tcp", {"port": port}), _ports)
_datagrams = st.builds(lambda port, size: Packet("udp", {"port": port, "size": max(size, 16)}), _ports, _sizes)


def packets() -> st.SearchStrategy[Packet]:
    """Probes that a lab can send: small and plain first, then sizes around every MTU, with and without fragments."""
    return st.one_of(_pings, _connections, _datagrams, st.just(Packet("arp")))
