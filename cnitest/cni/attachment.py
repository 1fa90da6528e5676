"""A container attached to a network: its names, and what a runtime rejects before it calls any plugin."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cnitest.cni.conf import IDENTIFIER, Network
from cnitest.cni.result import Result
from cnitest.errors import ConfigError, is_ours
from cnitest.lab.hosts import Host, Sandbox

__tracebackhide__ = is_ours

_IFNAME_FORBIDDEN = re.compile(r"[/:\s\0]")


@dataclass(frozen=True)
class Target:
    """What a call is about: a network on a host and, but for GC and STATUS, one attachment."""

    network: Network
    host: Host
    container_id: str = ""
    ifname: str = ""
    netns: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Who and where, for a message."""
        about = f"{self.network.name} on {self.host.full_name}"
        return f"{about} (container {self.container_id}, ifname {self.ifname})" if self.container_id else about

    @property
    def pair(self) -> tuple[str, str]:
        """What tells it from other attachments of its network."""
        return self.container_id, self.ifname


@dataclass(frozen=True)
class Attachment:
    """A container attached to a network: what ADD made, and all that DEL needs."""

    network: Network
    sandbox: Sandbox
    container_id: str
    ifname: str
    result: Result
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The container's addresses, without their prefixes."""
        return tuple(ip.address.partition("/")[0] for ip in self.result.ips)

    @property
    def address(self) -> str:
        """The first address, without its prefix. Raises LookupError when the network gave none."""
        if not self.addresses:
            raise LookupError(f"{self.network.name}: {self.sandbox.full_name} got no address")
        return self.addresses[0]

    @property
    def gateway(self) -> str | None:
        """The gateway of the first address that has one."""
        return next((ip.gateway for ip in self.result.ips if ip.gateway), None)

    @property
    def pair(self) -> tuple[str, str]:
        """What tells it from other attachments of its network: container ID and interface name."""
        return self.container_id, self.ifname

    @property
    def target(self) -> Target:
        """What calls for it are about."""
        return Target(
            self.network,
            self.sandbox.host,
            self.container_id,
            self.ifname,
            self.sandbox.path,
            self.args,
            self.capabilities,
        )

    def is_at(self, host: Host, network: Network) -> bool:
        """Whether it is an attachment to a network of that name on that host."""
        return self.sandbox.host is host and self.network.name == network.name


def default_container_id(sandbox: Sandbox) -> str:
    """The container ID of a sandbox: its name, with a letter before it where the specification wants one."""
    identifier = re.sub(r"[^a-zA-Z0-9_.-]", "-", sandbox.name)
    return identifier if IDENTIFIER.fullmatch(identifier) else f"c{identifier}"


def cnitool_container_id(netns: str) -> str:
    """The container ID that cnitool gives to the namespace at an absolute path (RT-32)."""
    digest = hashlib.sha512(posixpath.normpath(netns).encode()).digest()
    return f"cnitool-{digest[:10].hex()}"


def validate(container_id: str, ifname: str, args: Mapping[str, str], *, pairs: bool = True) -> None:
    """Reject what no call may be made with (RT-19, SPEC section 2). Raises ConfigError that says which and why.

    ``pairs`` asks of CNI_ARGS that a plugin can take them apart again.
    """
    for key, value in args.items():
        if not f"{key}{value}".isprintable():
            raise ConfigError(f"CNI_ARGS {key}={value!r}: an environment takes printable text only")
        if pairs and (not key or any(mark in f"{key}{value}" for mark in ";=")):
            raise ConfigError(f"CNI_ARGS {key}={value!r}: ';' and '=' are what separates pairs, and a key has a name")
    if not IDENTIFIER.fullmatch(container_id):
        raise ConfigError(
            f"container ID {container_id!r} must begin with a letter or digit and go on with those, '_', '.', '-'"
        )
    if not ifname or len(ifname.encode()) > 15 or ifname in (".", "..") or _IFNAME_FORBIDDEN.search(ifname):
        raise ConfigError(f"interface name {ifname!r} must be 1 to 15 bytes without '/', ':' and white space")
