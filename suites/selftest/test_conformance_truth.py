"""What a result says is compared with the kernel of a real container: what is wrong is reported, what is right not."""

from __future__ import annotations

from typing import Any

import pytest

from cnitest.conformance.observe.truth import untruths
from cnitest.deadline import Deadline

VERSION = "1.0.0"


@pytest.fixture
def sandbox(lab):
    """A container with a link eth0 to its host's v0, and an address of each family on it."""
    node = lab.host("node")
    made = node.sandbox("c1")
    node.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", _netns(made)])
    node.run(["ip", "link", "set", "v0", "up"])
    for line in (
        "ip link set eth0 up",
        "ip address add 10.9.9.2/24 dev eth0",
        "ip address add fd00:9::2/64 dev eth0 nodad",
    ):
        made.run(line.split())
    return made


def _netns(sandbox: Any) -> str:
    """The name of a container's namespace, which is bound once its path is asked for."""
    return str(sandbox.path).rpartition("/")[2]


def _result(sandbox: Any, gateways: tuple[str, str] = ("", ""), *routes: str) -> dict[str, Any]:
    """A result about the container as it is, with gateways of its addresses and destinations of routes."""
    interface = {"name": "eth0", "mac": sandbox.link("eth0").mac, "sandbox": sandbox.path}
    pairs = zip(("10.9.9.2/24", "fd00:9::2/64"), gateways, strict=True)
    ips = [{"address": ip, "interface": 0, **({"gateway": gateway} if gateway else {})} for ip, gateway in pairs]
    return {"cniVersion": VERSION, "interfaces": [interface], "ips": ips, "routes": [{"dst": dst} for dst in routes]}


def _untruths(sandbox: Any, document: dict[str, Any]) -> list[str]:
    return [str(one) for one in untruths(document, VERSION, sandbox.host, sandbox, sandbox.path, "eth0")]


def test_a_true_result_has_no_untruths(sandbox):
    """Default routes are the result's, however it writes them and their gateways."""
    sandbox.run(["ip", "route", "add", "default", "via", "10.9.9.1"])
    sandbox.run(["ip", "route", "add", "default", "via", "fd00:9::1"])

    found = _untruths(sandbox, _result(sandbox, ("10.9.9.1", "FD00:9:0::1"), "0.0.0.0/0", "0::/0"))

    assert found == []


@pytest.mark.parametrize(
    ("hops", "gateways"),
    [(("10.9.9.1", "10.9.9.3"), ("172.16.0.1", "")), (("fd00:9::1", "fd00:9::3"), ("", "fd00:77::1"))],
    ids=["IPv4", "IPv6"],
)
def test_a_gateway_behind_several_others_is_on_no_link(sandbox, hops, gateways):
    """A default route with several next hops leads to no address directly."""
    ways = [word for hop in hops for word in ("nexthop", "via", hop, "dev", "eth0")]
    sandbox.run(["ip", "route", "add", "default", *ways])

    found = _untruths(sandbox, _result(sandbox, gateways, "0.0.0.0/0" if gateways[0] else "::/0"))

    assert [words for words in found if "is on no link of the container" in words], found


@pytest.mark.parametrize(("family", "gateways"), [("-4", ("", "fd00:77::1")), ("-6", ("172.16.0.1", ""))])
def test_a_default_route_of_one_family_reaches_no_gateway_of_the_other(sandbox, family, gateways):
    """With a default route straight to the link in one family alone a gateway of the other is on no link."""
    sandbox.run(["ip", family, "route", "add", "default", "dev", "eth0"])

    found = _untruths(sandbox, _result(sandbox, gateways, "0.0.0.0/0" if family == "-4" else "::/0"))

    assert [words for words in found if "is on no link of the container" in words], found


def test_what_a_router_advertises_is_not_the_plugins(sandbox):
    """An address and a default route that the kernel makes of a router's advertisement need not be in the result."""
    sandbox.sysctl("net.ipv6.conf.eth0.accept_ra", 2)
    _advertise(sandbox.host)
    there = Deadline.after(10, "the address and the route of a router's advertisement")
    there.poll(lambda: any(one.is_advertised for one in sandbox.addresses) and _has_default(sandbox), 0.1)

    assert _untruths(sandbox, _result(sandbox)) == []


def _has_default(sandbox: Any) -> bool:
    return any(route.to == "default" for route in sandbox.routes)


def _advertise(node: Any) -> None:
    """Have a host advertise itself as a router on its v0, with a prefix."""
    from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
    from scapy.layers.l2 import Ether

    link = node.link("v0")
    local = "fe80::9"
    node.run(["ip", "address", "add", f"{local}/64", "dev", "v0", "nodad"])
    frame = (
        Ether(src=link.mac, dst="33:33:00:00:00:01")
        / IPv6(src=local, dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(routerlifetime=1800)
        / ICMPv6NDOptPrefixInfo(prefix="fd00:88::", prefixlen=64)
    )
    node.send(frame, "v0")
