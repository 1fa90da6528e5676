"""Networks with the bandwidth plugin, and what it made: the two limits of a container on its host."""

from __future__ import annotations

from typing import Any

from cnitest.suites.plugins.lan_networks import chained
from cnitest.suites.plugins.node_networks import host_end, network, other

from cnitest.kernel.rows.records import Class, Qdisc

#: Bits a second that are tried.
RATES = (1_000_000, 4_000_000, 16_000_000)


def burst(rate: int) -> int:
    """A burst, in bits, that is used up long before a measurement of some rate ends."""
    return max(rate // 20, 48_000)


def ingress(rate: int) -> dict[str, int]:
    """A limit of what comes into the container, as a configuration has it."""
    return {"ingressRate": rate, "ingressBurst": burst(rate)}


def egress(rate: int) -> dict[str, int]:
    """A limit of what leaves the container."""
    return {"egressRate": rate, "egressBurst": burst(rate)}


def limited(*families: int, second: bool = False, **keys: Any) -> dict[str, Any]:
    """A bridge network with the plugin and its ``keys``; ``second`` has another name, and a bridge of its own."""
    first = (other if second else network)(*(families or (4,)), isDefaultGateway=True)
    return chained(first, {"type": "bandwidth", **keys})


def by_runtime(*families: int, **keys: Any) -> dict[str, Any]:
    """The same with the capability, for limits that the runtime gives."""
    return limited(*families, capabilities={"bandwidth": True}, **keys)


def shapers(attachment: Any) -> dict[str, Qdisc | Class]:
    """What limits a container by direction, ``ingress`` and ``egress``: that of the veth's end on the host, and that
    of the link to which what comes from there is redirected.

    It is a token bucket; releases 1.5.0 and 1.5.1 make a hierarchy of them, of which the default class counts.
    """
    state = attachment.sandbox.host.state(firewall=False)
    ends = {host_end(attachment): "ingress", **dict.fromkeys(ifbs(attachment.sandbox.host), "egress")}
    buckets: list[Qdisc | Class] = [row for row in state.qdiscs if row.kind == "tbf"]
    default = {(row.link, f"{row.handle}{dict(row.options)['defcls']:x}") for row in state.qdiscs if row.kind == "htb"}
    buckets += [row for row in state.classes if (row.link, row.handle) in default]
    return {ends[row.link]: row for row in buckets if row.link in ends}


def ifbs(host: Any) -> list[str]:
    """The host's links to which packets are redirected."""
    return [link.name for link in host.links if link.kind == "ifb"]
