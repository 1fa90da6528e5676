"""Names of sysctls as a person types them, from paths below /proc/sys/net."""

from __future__ import annotations


def sysctl_name(path: str) -> str:
    """``net.ipv4.conf.eth0.rp_filter``; as a path where a link's name has dots, which sysctl(8) takes, too."""
    return f"net/{path}" if "." in path else f"net.{path.replace('/', '.')}"


def set_to(path: str, value: int | str) -> str:
    """The command that sets a sysctl."""
    return f"sysctl -w {sysctl_name(path)}={value}"
