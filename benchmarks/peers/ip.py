"""ip(8) as one types it: one command, one process."""

from __future__ import annotations

from network import GATEWAY, Network, Sandbox

from peers.shell import missing_commands as missing
from peers.shell import run

__all__ = ["Peer", "missing"]


class Peer:
    """The network by one ``ip`` a command, all of a phase's commands in one shell."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def build(self) -> None:
        lines = [
            *(f"ip netns add {sandbox.name}" for sandbox in self.network.sandboxes),
            "ip link add br01 type bridge",
            f"ip addr add {GATEWAY}/{self.network.prefix} dev br01",
            "ip link set br01 up",
        ]
        for sandbox in self.network.sandboxes:
            lines += self._attach(sandbox)
        run(lines)

    def _attach(self, sandbox: Sandbox) -> list[str]:
        name, link, port = sandbox.name, sandbox.link, sandbox.port
        return [
            f"ip link add {port} type veth peer name {link} netns {name}",
            f"ip link set {port} master br01",
            f"ip link set {port} up",
            f"ip -n {name} link set lo up",
            f"ip -n {name} addr add {sandbox.address}/{self.network.prefix} dev {link}",
            f"ip -n {name} link set {link} up",
            f"ip -n {name} route add default via {GATEWAY}",
        ]

    def ping(self) -> None:
        run([f"ip netns exec {self.network.first.name} {self.network.ping_command}"])

    def down(self) -> None:
        run([*(f"ip netns del {sandbox.name}" for sandbox in self.network.sandboxes), "ip link del br01"])
