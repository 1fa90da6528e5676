"""pyroute2 as its documentation writes it: one process, one call a change."""

from __future__ import annotations

from network import GATEWAY, Network, Sandbox
from pyroute2 import IPRoute, NetNS, netns

from peers import ip
from peers.shell import missing_commands as missing

__all__ = ["Peer", "missing"]


class Peer:
    """The network by IPRoute, NetNS and netns."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ping = ip.Peer(network).ping

    def build(self) -> None:
        self.host = host = IPRoute()
        host.link("add", ifname="br01", kind="bridge")
        self.bridge = host.link_lookup(ifname="br01")[0]
        host.addr("add", index=self.bridge, address=GATEWAY, prefixlen=self.network.prefix)
        host.link("set", index=self.bridge, state="up")
        for sandbox in self.network.sandboxes:
            self._attach(sandbox)
            self._configure(sandbox)

    def _attach(self, sandbox: Sandbox) -> None:
        netns.create(sandbox.name)
        peer = {"ifname": sandbox.link, "net_ns_fd": sandbox.name}
        self.host.link("add", ifname=sandbox.port, kind="veth", peer=peer)
        port = self.host.link_lookup(ifname=sandbox.port)[0]
        self.host.link("set", index=port, master=self.bridge, state="up")

    def _configure(self, sandbox: Sandbox) -> None:
        with NetNS(sandbox.name) as inside:
            link = inside.link_lookup(ifname=sandbox.link)[0]
            inside.link("set", index=1, state="up")
            inside.addr("add", index=link, address=sandbox.address, prefixlen=self.network.prefix)
            inside.link("set", index=link, state="up")
            inside.route("add", dst="default", gateway=GATEWAY)

    def down(self) -> None:
        for sandbox in self.network.sandboxes:
            netns.remove(sandbox.name)
        self.host.link("del", index=self.bridge)
        self.host.close()
