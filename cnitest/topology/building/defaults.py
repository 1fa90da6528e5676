"""The sysctls of networking that distributions set at boot, by name of the distribution.

A new namespace takes IPv4's from the machine it is made on, so each word sets all of them. Sources: the kernel's
Documentation/networking/ip-sysctl.rst; systemd's sysctl.d/50-default.conf, which Debian ships since 13 and
Fedora as it is, while Debian 12 has no such file and RHEL keeps rp_filter strict; Ubuntu's procps,
/etc/sysctl.d/10-network-security.conf.
"""

from __future__ import annotations

from collections.abc import Mapping

_KERNEL = {
    "net.ipv4.ip_forward": 0,
    "net.ipv6.conf.all.forwarding": 0,
    "net.ipv6.conf.default.forwarding": 0,
    "net.ipv6.conf.all.accept_ra": 1,
    "net.ipv6.conf.default.accept_ra": 1,
    **{
        f"net.ipv4.conf.{link}.{name}": value
        for link in ("all", "default", "lo")
        for name, value in {
            "rp_filter": 0,
            "arp_ignore": 0,
            "arp_announce": 0,
            "arp_notify": 0,
            "proxy_arp": 0,
            "route_localnet": 0,
            "promote_secondaries": 0,
        }.items()
    },
}
_FILTERS = {"kernel": (0, 0), "debian12": (0, 0), "debian": (0, 2), "fedora": (0, 2), "ubuntu": (2, 2), "rhel": (1, 1)}
_SYSTEMD = ("debian", "fedora", "rhel")


def of(word: str | None) -> Mapping[str, int]:
    """What a word for a distribution sets; nothing for none."""
    if word is None:
        return {}
    everywhere, each = _FILTERS[word]
    found = _KERNEL | {"net.ipv4.conf.all.rp_filter": everywhere}
    for link in ("default", "lo"):
        found[f"net.ipv4.conf.{link}.rp_filter"] = each
        if word in _SYSTEMD:
            found[f"net.ipv4.conf.{link}.promote_secondaries"] = 1
    return found
