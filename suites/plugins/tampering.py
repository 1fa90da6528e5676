"""What somebody changes behind the back of a plugin that made a veth: functions of its attachment, to test CHECK."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnitest.suites.plugins.node_networks import FORWARDING, address, gateway, host_end

from cnitest import Attachment

Tampering = Callable[[Attachment], object]


def inside(*argv: str) -> Tampering:
    """Run a command in the container."""
    return lambda attachment: attachment.sandbox.run([*argv])


def outside(*argv: str) -> Tampering:
    """Run a command on the host. VETH is the veth's end there, IPV4 and IPV6 are the container's addresses, GATEWAY4
    and GATEWAY6 its gateways, as addresses of that host alone."""

    def tamper(attachment: Attachment) -> None:
        words = {"VETH": host_end, "IPV4": _own(4), "IPV6": _own(6), "GATEWAY4": _gateway(4), "GATEWAY6": _gateway(6)}
        attachment.sandbox.host.run([words[word](attachment) if word in words else word for word in argv])

    return tamper


def _own(family: int) -> Callable[[Attachment], str]:
    return lambda attachment: address(attachment, family)


def _gateway(family: int) -> Callable[[Attachment], str]:
    return lambda attachment: f"{gateway(attachment, family)}/{32 if family == 4 else 128}"


def no_address(family: int) -> Tampering:
    """Take an address from the container."""

    def tamper(attachment: Attachment) -> None:
        own = next(ip.address for ip in attachment.result.ips if (":" in ip.address) == (family == 6))
        attachment.sandbox.run(["ip", "address", "del", own, "dev", "eth0"])

    return tamper


def no_forwarding(family: int) -> Tampering:
    """Have the host forward nothing."""
    return lambda attachment: attachment.sandbox.host.sysctl(FORWARDING[family], 0)


def no_lease(*families: int) -> Tampering:
    """Remove what host-local keeps of the container's addresses."""

    def tamper(attachment: Attachment) -> None:
        files = [f"/var/lib/cni/networks/net/{address(attachment, family)}" for family in families]
        attachment.sandbox.host.run(["rm", *files])

    return tamper


#: Before Linux 6.2 no link is renamed that is up.
_RENAMED = "ip link set eth0 down && ip link set eth0 name eth9 && ip link set eth9 up"

#: What a plugin that makes a veth with addresses of both families, default routes and masquerading has to notice.
OF_ANY_VETH: Mapping[str, Tampering] = {
    "container-link-gone": inside("ip", "link", "del", "eth0"),
    "container-link-down": inside("ip", "link", "set", "eth0", "down"),
    "container-link-renamed": inside("sh", "-c", _RENAMED),
    "container-mac": inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99"),
    "container-mtu": inside("ip", "link", "set", "eth0", "mtu", "1280"),
    "container-address-ipv4": no_address(4),
    "container-address-ipv6": no_address(6),
    "default-route-ipv4": inside("ip", "route", "del", "default"),
    "default-route-ipv6": inside("ip", "-6", "route", "del", "default"),
    "subnet-route-ipv4": inside("ip", "route", "del", "10.22.0.0/24"),
    "subnet-route-ipv6": inside("ip", "-6", "route", "del", "2001:db8:22::/64", "dev", "eth0"),
    "host-link-down": outside("ip", "link", "set", "VETH", "down"),
    "host-link-mtu": outside("ip", "link", "set", "VETH", "mtu", "1280"),
    "forwarding-ipv4": no_forwarding(4),
    "forwarding-ipv6": no_forwarding(6),
    "masquerade-ipv4": outside("iptables", "-t", "nat", "-F"),
    "masquerade-ipv6": outside("ip6tables", "-t", "nat", "-F"),
    "leases": no_lease(4, 6),
}
