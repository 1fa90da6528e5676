"""ip(8) in batches: one process for the host and one a sandbox."""

from __future__ import annotations

from network import GATEWAY, Network, Sandbox

from peers import ip
from peers.shell import missing_commands as missing
from peers.shell import run

__all__ = ["Peer", "missing"]


class Peer:
    """The network by ``ip -batch``."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ping = ip.Peer(network).ping

    def build(self) -> None:
        lines = ["ip -batch - <<END", *self._host_commands(), "END"]
        for sandbox in self.network.sandboxes:
            lines += [f"ip -n {sandbox.name} -batch - <<END", *self._sandbox_commands(sandbox), "END"]
        run(lines)

    def _host_commands(self) -> list[str]:
        lines = [f"netns add {sandbox.name}" for sandbox in self.network.sandboxes]
        lines.append("link add br01 type bridge")
        lines.append(f"addr add {GATEWAY}/{self.network.prefix} dev br01")
        lines.append("link set br01 up")
        for sandbox in self.network.sandboxes:
            peer = f"peer name {sandbox.link} netns {sandbox.name}"
            lines.append(f"link add {sandbox.port} master br01 up type veth {peer}")
        return lines

    def _sandbox_commands(self, sandbox: Sandbox) -> list[str]:
        return [
            "link set lo up",
            f"link set {sandbox.link} up",
            f"addr add {sandbox.address}/{self.network.prefix} dev {sandbox.link}",
            f"route add default via {GATEWAY}",
        ]

    def down(self) -> None:
        names = [f"netns del {sandbox.name}" for sandbox in self.network.sandboxes]
        run(["ip -batch - <<END", *names, "link del br01", "END"])
