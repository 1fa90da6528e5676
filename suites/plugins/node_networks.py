"""Networks of the plugins bridge and ptp on the node of ``node-with-uplink``, and where to see what came of them."""

from __future__ import annotations

from typing import Any

from cnitest.cni import conf
from cnitest.cni.attachment import Target
from cnitest.cni.calls.caller import Caller
from cnitest.cni.calls.invoke import HostExec
from cnitest.deadline import Deadline

#: What answers beyond the uplink of the topology ``node-with-uplink``, and the uplink's own address, by family.
INTERNET = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
UPLINK = {4: "192.168.80.100", 6: "2001:db8:80::100"}
#: Networks to which a container has no way unless somebody gives it a route.
FURTHER = {4: "192.0.2.0/24", 6: "2001:db8:fff::/48"}
#: What makes a router of a host, by family.
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
RANGES = {4: [{"subnet": "10.22.0.0/24"}], 6: [{"subnet": "2001:db8:22::/64"}]}
OTHER_RANGES = {4: [{"subnet": "10.33.0.0/24"}], 6: [{"subnet": "2001:db8:33::/64"}]}


def pool(*families: int, ranges: dict[int, list[dict[str, str]]] = RANGES, **keys: Any) -> dict[str, Any]:
    """Addresses by host-local, one of each family."""
    return {"type": "host-local", "ranges": [ranges[family] for family in families], **keys}


def two_of(family: int, **keys: Any) -> dict[str, Any]:
    """Two addresses of one family by host-local, of one subnet."""
    subnet = RANGES[family][0]["subnet"]
    begin = subnet.partition("/")[0].removesuffix("0")
    ranges = [[{"subnet": subnet, "rangeStart": f"{begin}{first}0", "rangeEnd": f"{begin}{first}9"}] for first in "12"]
    return {"type": "host-local", "ranges": ranges, **keys}


def network(*families: int, **keys: Any) -> dict[str, Any]:
    """A network on the bridge ``cni0`` with an address of each family; without any it has no IPAM."""
    own = {"ipam": pool(*families)} if families else {}
    return {"cniVersion": "1.0.0", "name": "net", "type": "bridge", **own, **keys}


def other(*families: int, **keys: Any) -> dict[str, Any]:
    """A second network, on a bridge of its own."""
    return network(name="other", bridge="cni1", ipam=pool(*families, ranges=OTHER_RANGES), **keys)


def without_dad(host: Any) -> Any:
    """The host, whose new links use IPv6 addresses at once: a probe has no need to wait for the bridge's own one."""
    host.sysctl("net.ipv6.conf.default.accept_dad", 0)
    return host


def settled(host: Any) -> Any:
    """The place, once its links have their carriers and it uses all its IPv6 addresses: without DAD the kernel still
    takes them up in the background, a moment after the carrier, and masquerades with another one until then. Raises
    DeadlineExceeded."""
    host.lab.settle(six=True)
    ready = Deadline.after(10, f"{host.full_name} to use all its IPv6 addresses")
    ready.poll(lambda: not any(row.tentative for row in host.addresses))
    return host


def address(attachment: Any, family: int) -> str:
    """An attachment's address of one family, without its prefix."""
    return next(str(found) for found in attachment.addresses if (":" in found) == (family == 6))


def gateway(attachment: Any, family: int) -> str:
    """The gateway of the address of one family."""
    ip = next(ip for ip in attachment.result.ips if (":" in ip.address) == (family == 6))
    return str(ip.gateway)


def ptp(*families: int, **keys: Any) -> dict[str, Any]:
    """A network of the ptp plugin with an address of each family."""
    return {"cniVersion": "1.0.0", "name": "net", "type": "ptp", "ipam": pool(*families), **keys}


def host_end(attachment: Any) -> str:
    """The name of the veth's end on the host: what the result names just before the container's own end."""
    interfaces = attachment.result.interfaces
    inside = next((number for number, link in enumerate(interfaces) if link.sandbox), len(interfaces))
    return str(interfaces[inside - 1].name)


def port(attachment: Any) -> Any:
    """The row of the bridge port that belongs to a container."""
    wanted = host_end(attachment)
    return next(row for row in attachment.sandbox.host.state(firewall=False).ports if row.name == wanted)


def rules(place: Any, *words: str) -> list[str]:
    """The firewall's rules and chains at a place, of every backend, that have one of some words."""
    found = [rule for lines in place.state().firewall.values() for rule in lines]
    return [rule for rule in found if any(word in rule for word in words)]


def caller(cni: Any) -> Caller:
    """What calls the runtime's plugins with any target, and does nothing besides."""
    return Caller(cni.lab.journal, cni.path, cni.timeout, HostExec, cni.mode)


def pending(cni: Any, sandbox: Any, wanted: dict[str, Any], ifname: str = "eth0") -> Target:
    """What an ADD of a network would be about, for a call without what a runtime does around it."""
    return Target(conf.network(wanted, cni.mode), sandbox.host, sandbox.name, ifname, sandbox.path)
