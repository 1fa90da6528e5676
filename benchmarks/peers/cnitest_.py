"""cnitest by its public API."""

from __future__ import annotations

import functools

from network import GATEWAY, Network, Sandbox

from cnitest import Lab
from cnitest.topology import Bridge, Host, Route, Topology, Veth, VethEnd
from cnitest.topology import Sandbox as Declared


class Peer:
    """The network as a topology; the laboratory's life is build, one ping and down."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.topology = declared(network)

    def build(self) -> None:
        self.lab = Lab(self.topology)
        self.lab.__enter__()

    def ping(self) -> None:
        reach = self.lab.sandbox(self.network.first.name).ping(self.network.last.address)
        assert reach, reach

    def down(self) -> None:
        self.lab.__exit__(None, None, None)


def missing() -> str | None:
    """Nothing but the kernel's rights is needed, and those everybody needs."""
    return None


@functools.cache
def declared(network: Network) -> Topology:
    """The benchmark's network in cnitest's words, declared once as the other peers' commands are written once."""
    sandbox = Declared(routes=(Route(via=GATEWAY),))
    host = Host(
        bridges={"br01": Bridge(addresses=(f"{GATEWAY}/{network.prefix}",))},
        sandboxes={each.name: sandbox for each in network.sandboxes},
    )
    veths = tuple(_veth(network, each) for each in network.sandboxes)
    return Topology(name="benchmark", hosts={"host": host}, veths=veths)


def _veth(network: Network, sandbox: Sandbox) -> Veth:
    port = VethEnd(at="host", name=sandbox.port, bridge="br01")
    address = f"{sandbox.address}/{network.prefix}"
    return Veth(ends=(port, VethEnd(at=f"host/{sandbox.name}", name=sandbox.link, addresses=(address,))))
