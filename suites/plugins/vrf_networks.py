"""Networks whose interfaces are put into VRFs, on a host that is their gateway."""

from __future__ import annotations

from typing import Any

from cnitest import Sandbox
from cnitest.topology import loads

#: A host on which each network is a bridge with the network's gateway.
HOST = loads("""
name: vrf-node
hosts:
  node: {role: router, sysctls: {net.ipv6.conf.default.accept_dad: 0}}
""")


def subnet(family: int, number: int) -> tuple[str, str]:
    """The subnet of a network, and its gateway."""
    if family == 4:
        return f"10.{number}.0.0/24", f"10.{number}.0.1"
    return f"2001:db8:{number}::/64", f"2001:db8:{number}::1"


def network(
    number: int = 1,
    family: int = 4,
    *,
    vrf: str = "red",
    table: int | None = None,
    ipam: dict[str, Any] | None = None,
    **keys: Any,
) -> dict[str, Any]:
    """A network on a bridge of its own, whose interfaces are put into a VRF."""
    pool = {"type": "host-local", "ranges": [[{"subnet": subnet(family, number)[0]}]], **(ipam or {})}
    bridge = {"type": "bridge", "bridge": f"br{number}", "isGateway": True, "ipam": pool, **keys}
    own = {"type": "vrf", "vrfname": vrf, **({} if table is None else {"table": table})}
    return {"cniVersion": "1.0.0", "name": f"net{number}", "plugins": [bridge, own]}


def vrfs(sandbox: Sandbox) -> dict[str, Any]:
    """The VRFs of a sandbox with their tables."""
    return {link.name: dict(link.detail)["table"] for link in sandbox.links if link.kind == "vrf"}


def masters(sandbox: Sandbox) -> dict[str, str]:
    """The VRF of each interface that is in one."""
    return {link.name: link.master for link in sandbox.links if link.master}
