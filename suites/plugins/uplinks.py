"""A container with a link to each of three uplinks, as networks with and without source based routing."""

from __future__ import annotations

from typing import Any

from cnitest.suites.plugins.lan_networks import chained, macvlan, ready_sandbox

from cnitest import Attachment, Host, Reach, Runtime

#: The client behind all uplinks, and the container's address of each uplink, by family.
CLIENT = {4: "203.0.113.9", 6: "2001:db8:113::9"}
ADDRESS = {4: "10.20.{}.10", 6: "2001:db8:20:{}::10"}
_GATEWAY = {4: "10.20.{}.1", 6: "2001:db8:20:{}::1"}
_PREFIX = {4: "/24", 6: "/64"}
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


def address(number: int, family: int) -> str:
    """The container's address of uplink ``number``."""
    return ADDRESS[family].format(number)


def gateway(number: int, family: int) -> str:
    """The router of uplink ``number``."""
    return _GATEWAY[family].format(number)


def plain(number: int, *, families: tuple[int, ...] = (4, 6), routes: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A macvlan network of uplink ``number`` that has a gateway and, unless ``routes`` says others, default routes.

    With no routes at all it has no gateway either.
    """
    gateways = {family: {} if routes == () else {"gateway": gateway(number, family)} for family in families}
    addresses = [{"address": address(number, family) + _PREFIX[family], **gateways[family]} for family in families]
    wanted = [_DEFAULT[family] for family in families] if routes is None else routes
    section = {"type": "static", "addresses": addresses, "routes": [{"dst": prefix} for prefix in wanted]}
    return {**macvlan(master=f"ens{number}", name=f"uplink{number}"), "ipam": section}


def routed(number: int, *, sbr: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """The same with sbr after it, and the keys that it is given."""
    return chained(plain(number, **keys), {"type": "sbr", **(sbr or {})})


def attached(cni: Runtime, host: Host, *networks: dict[str, Any]) -> list[Attachment]:
    """A container ``c1`` with these networks, the first as ``eth1``, the second as ``eth2`` and so on.

    Where two default routes of IPv6 become one of two next hops, the ports of a flow choose among them: by its
    addresses alone all flows of a test could take the same one, a different one after each boot.
    """
    sandbox = ready_sandbox(host, "c1")
    sandbox.sysctl("net.ipv6.fib_multipath_hash_policy", 1)
    return [cni.add(sandbox, network, f"eth{number}") for number, network in enumerate(networks, 1)]


def answers_by(reach: Reach) -> str:
    """The container's link by which the answer to a probe left; an error of the test when nothing was answered."""
    assert reach, f"{reach.probe} was not answered"
    left = [hop for hop in reach.return_path if hop.startswith("node/c1:")]
    assert len(left) == 1, f"the answer left by {left}"
    return left[0].removeprefix("node/c1:").removesuffix(" out")
