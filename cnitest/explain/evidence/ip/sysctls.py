"""Names of sysctls as a person types them, from paths below /proc/sys/net."""

from __future__ import annotations


def sysctl_name(path: str) -> str:
    """``net.ipv4.conf.eth0.rp_filter``; as a path where a link's name has dots, which sysctl(8) takes, too."""
    return f"net/{path}" if "." in path else f"net.{path.replace('/', '.')}"


def setting(path: str, value: int | str) -> str:
    """A sysctl with its value, as sysctl(8) writes and takes it."""
    return f"{sysctl_name(path)}={value}"


def set_to(value: int | str, *paths: str) -> str:
    """The command that sets one sysctl or several."""
    return f"sysctl -w {' '.join(setting(path, value) for path in paths)}"
