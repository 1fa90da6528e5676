"""Sysctls of a network namespace; to be called by the thread, inside it."""

from __future__ import annotations

import contextlib
import os
import re

from cnitest.typos import nearest

_GLOBAL = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.proxy_arp",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.default.route_localnet",
    "net.ipv4.conf.default.arp_notify",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.forwarding",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.default.accept_ra",
    "net.ipv6.conf.default.accept_dad",
)
_BRIDGED = (
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-arptables",
)

#: What the kernel changes by itself, and lists of what its modules bring.
_VOLATILE = re.compile(r"count$|stable_secret|tcp_fastopen_key|/neigh/|flush$|idgen_retries|available_")


def path(name: str) -> str:
    """Where a sysctl lies below /proc/sys; ``name`` is dotted, or has slashes where a link's name has dots."""
    return name if "/" in name else name.replace(".", "/")


def write(name: str, value: str) -> None:
    """Set a sysctl. Raises OSError that names it."""
    try:
        fd = os.open(f"/proc/sys/{path(name)}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        near = _nearest(path(name))
        hint = f". Did you mean {near!r}?" if near else ""
        raise OSError(error.errno, f"sysctl {name}: this kernel has none of that name{hint}") from error
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"sysctl {name}={value}: {error.strerror}") from error
    finally:
        os.close(fd)


def _nearest(where: str) -> str:
    """The sysctl most like a path that is not there, in the kernel's own tree: each part as near as there is one."""
    here: list[str] = []
    for part in where.split("/"):
        try:
            there = os.listdir("/proc/sys/" + "/".join(here))
        except OSError:
            return ""
        found = part if part in there else nearest(part, there)
        if not found:
            return ""
        here.append(found)
    return "/".join(here) if any("." in part for part in here) else ".".join(here)


def read(name: str) -> str | None:
    """The value of a sysctl, None when there is none of that name."""
    return _read(path(name))


def everything() -> dict[str, str]:
    """Every sysctl of networking that can be read, but for those that the kernel changes by itself."""
    found: dict[str, str] = {}
    for directory, _, names in os.walk("/proc/sys/net"):
        for name in names:
            where = f"{directory}/{name}".removeprefix("/proc/sys/")
            if not _VOLATILE.search(where):
                with contextlib.suppress(OSError):
                    found[where.replace("/", ".")] = _read(where) or ""
    return found


def _read(where: str) -> str | None:
    try:
        fd = os.open(f"/proc/sys/{where}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)


def of_interest() -> dict[str, str]:
    """The sysctls of no single link that plugins are known to change."""
    names = (*_GLOBAL, *_BRIDGED) if os.path.exists("/proc/sys/net/bridge") else _GLOBAL
    values = ((name, _read(path(name))) for name in names)
    return {name: value for name, value in values if value is not None}
