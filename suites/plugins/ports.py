"""Networks with the portmap plugin: a container whose ports are ports of its host."""

from __future__ import annotations

from typing import Any

import pytest
from cnitest.suites.plugins.lan_networks import chained
from cnitest.suites.plugins.node_networks import network, other

#: The port of the host, and that of the container behind it.
HOST_PORT, PORT = 8080, 80
#: The backends, each as the keys that choose it; what releases before 1.6 have is the default.
BACKENDS = [
    pytest.param({}, id="default"),
    pytest.param({"backend": "iptables"}, id="iptables", marks=pytest.mark.requires(plugin="portmap>=1.6")),
    pytest.param(
        {"backend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="portmap>=1.6", binary="nft")
    ),
]


def published(
    *families: int, second: bool = False, bridge: dict[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """A bridge network with portmap and its ``keys``; ``second`` has another name, and a bridge of its own."""
    own = {"isDefaultGateway": True, "hairpinMode": True, **(bridge or {})}
    first = (other if second else network)(*families, **own)
    return chained(first, {"type": "portmap", "capabilities": {"portMappings": True}, **keys})


def mapping(port: int = HOST_PORT, to: int = PORT, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    """One port, as a runtime asks for it."""
    return {"hostPort": port, "containerPort": to, "protocol": protocol, **more}


def asked(*mappings: dict[str, Any]) -> dict[str, Any]:
    """The capability arguments of an ADD; without mappings one port of TCP and of UDP."""
    return {"portMappings": list(mappings or (mapping(), mapping(protocol="udp")))}
