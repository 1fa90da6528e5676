"""mininet in process: its Linux bridge as the switch, no controller."""

from __future__ import annotations

import sys

from measure import need_program
from network import GATEWAY, Network

DEBIAN = "/usr/lib/python3/dist-packages"


def missing() -> str | None:
    """Why mininet cannot run here."""
    try:
        _import_mininet()
    except ImportError as error:
        return f"{error} (apt-get install mininet)"
    return need_program("brctl", "bridge-utils")


def _import_mininet() -> None:
    """Debian's package puts the module where only Debian's own Python looks."""
    sys.path.append(DEBIAN)
    try:
        from mininet.log import setLogLevel
        from mininet.net import Mininet
    finally:
        sys.path.remove(DEBIAN)
    setLogLevel("critical")
    Mininet.inited = True  # or it would raise limits of the whole machine (fs.file-max, kernel.pty.max)


class Peer:
    """The network by Mininet, whose hosts are shells in namespaces."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def build(self) -> None:
        from mininet.net import Mininet
        from mininet.nodelib import LinuxBridge

        self.net = Mininet(switch=LinuxBridge, controller=None)
        switch = self.net.addSwitch("br01")
        for sandbox in self.network.sandboxes:
            address = f"{sandbox.address}/{self.network.prefix}"
            host = self.net.addHost(sandbox.name, ip=address, defaultRoute=f"via {GATEWAY}")
            self.net.addLink(host, switch)
        self.net.start()
        switch.cmd(f"ip addr add {GATEWAY}/{self.network.prefix} dev br01")

    def ping(self) -> None:
        said = self.net[self.network.first.name].cmd(f"{self.network.ping_command} && echo answered")
        assert "answered" in said, said

    def down(self) -> None:
        self.net.stop()
