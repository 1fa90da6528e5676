"""munet in process: its own parser, bridges and nodes."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from typing import Any

from munet.base import Bridge
from munet.native import L3NodeMixin
from munet.parser import async_build_topology
from network import GATEWAY, Network

from peers.shell import missing_commands as missing

__all__ = ["Peer", "missing"]
logging.disable(logging.CRITICAL)


class Peer:
    """The network by munet, whose nodes are processes in namespaces."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def build(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="munet-")
        self.loop.run_until_complete(self._build())

    async def _build(self) -> None:
        # its own PID namespace at the top needs /proc/1/ns, which not every init lets root read
        self.munet = await async_build_topology(
            config=_configuration(self.network), rundir=self.folder, unshare_inline=False, top_level_pidns=False
        )
        self.tasks = await self.munet.run()

    def ping(self) -> None:
        self.munet.hosts[self.network.first.name].cmd_raises(self.network.ping_command)

    def down(self) -> None:
        self.loop.run_until_complete(self.munet.async_delete())
        for task in self.tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        L3NodeMixin.next_ord = Bridge.next_ord = 1


def _configuration(network: Network) -> dict[str, Any]:
    prefix = network.prefix
    nodes = [
        {
            "name": sandbox.name,
            "connections": [{"to": "br01", "name": sandbox.link, "ip": f"{sandbox.address}/{prefix}"}],
        }
        for sandbox in network.sandboxes
    ]
    topology = {"networks": [{"name": "br01", "ip": f"{GATEWAY}/{prefix}"}], "nodes": nodes}
    return {"version": 1, "config_pathname": "./munet.yaml", "topology": topology}
