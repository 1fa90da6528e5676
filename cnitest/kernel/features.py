"""What this machine can do, found by trying it in a scratch namespace: module lists lie, and a container's
privileges show only when used."""

from __future__ import annotations

import errno
import functools
import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel import mounts, sysctl
from cnitest.kernel.confinement import capabilities, container
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rtnetlink import link_data, rtnl
from cnitest.kernel.rtnetlink.netlink import NETFILTER, Message, attribute
from cnitest.typos import nearest

_LINK_KINDS = ("veth", "bridge", "macvlan", *link_data.KINDS)
_FLUSH_SINCE = (6, 8)
_RENAME_SINCE = (6, 2)
_UNKNOWN_KIND = (errno.EOPNOTSUPP, errno.ENODEV)


class Feature(NamedTuple):
    """Whether a thing is there; ``why`` is the one-line reason when it is not."""

    name: str
    present: bool
    why: str = ""


def release() -> tuple[int, int]:
    """The kernel's version, major and minor."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def flush_makes_ready() -> bool:
    """Whether asking for a link makes the kernel catch up with its carrier and bridge port at once."""
    return release() >= _FLUSH_SINCE


def renames_while_up() -> bool:
    """Whether the kernel lets a link be renamed that is up; before Linux 6.2 it is busy."""
    return release() >= _RENAME_SINCE


def link_kind(kind: str) -> Feature:
    """Whether the kernel can make links of a kind."""
    return kernel(kind)


@functools.cache
def kernel(name: str) -> Feature:
    """One kernel feature by name: a kind of link, or one of the names in `names`."""
    check = _CHECKS.get(name)
    if check is None:
        return Feature(name, False, unknown(name))
    denied = privilege()
    if not denied.present:
        return Feature(name, False, denied.why)
    why = _in_scratch(check)
    return Feature(name, not why, why)


def names() -> tuple[str, ...]:
    """All kernel features that can be asked for."""
    return tuple(_CHECKS)


def unknown(name: str) -> str:
    """What is wrong with a name that is no feature's, with the nearest that is; empty for one that is."""
    if name in _CHECKS:
        return ""
    close = nearest(name, _CHECKS)
    advice = f"did you mean {close!r}? " if close else ""
    return f"{name!r} is an unknown kernel feature; {advice}known are {', '.join(names())}"


@functools.cache
def privilege() -> Feature:
    """Whether labs can be made at all: namespaces, with the capabilities and the /proc that they take."""
    thread = NamespaceThread()
    try:
        namespace = NetworkNamespace.make(thread)
        try:
            namespace.run(lambda: None)
        finally:
            namespace.close()
        return _capabilities() or _mounts(thread) or Feature("namespaces", True)
    except OSError as error:
        from cnitest.kernel.processes import user_namespace

        remedy = user_namespace.why_not() or "run as root, or inside unshare -Ur"
        words = f"network namespaces cannot be made here ({os.strerror(error.errno or 0)}); {remedy}"
        return Feature("namespaces", False, words)
    finally:
        thread.end()


def _capabilities() -> Feature | None:
    """Which capabilities are missing, where some are."""
    lacking = capabilities.missing()
    if not lacking:
        return None
    words = f"this process lacks {', '.join(lacking)}; start the container with {container.rights()}"
    return Feature("capabilities", False, words)


def _mounts(thread: NamespaceThread) -> Feature | None:
    """Why nothing can be mounted, where nothing can be; in a user namespace that is found when it is entered."""
    if not container.in_first_user_namespace():
        return None
    try:
        thread.run(mounts.own_proc)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        return Feature("mounts", False, f"nothing can be mounted for a lab ({why}); {container.open_proc()}")
    return None


def _in_scratch(check: Callable[[NetworkNamespace], str]) -> str:
    thread = NamespaceThread()
    try:
        namespace = NetworkNamespace.make(thread)
        try:
            return check(namespace)
        finally:
            namespace.close()
    finally:
        thread.end()


def _kind_check(kind: str) -> Callable[[NetworkNamespace], str]:
    """A kernel that knows the kind makes it, or complains of what is missing; else it says it is not supported."""

    def check(namespace: NetworkNamespace) -> str:
        try:
            namespace.netlink.batch([rtnl.add_plain(kind, "x", 0, mac=None, mtu=None, what=kind)])
        except KernelError as error:
            if error.errno in _UNKNOWN_KIND:
                return f"this kernel has no links of kind {kind}"
        return ""

    return check


def _tap(namespace: NetworkNamespace) -> str:
    try:
        os.close(namespace.run(lambda: os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)))
    except OSError as error:
        return f"tap links need /dev/net/tun ({error.strerror})"
    return ""


def _vlan_filtering(namespace: NetworkNamespace) -> str:
    bridge = rtnl.add_bridge("x", 20, mac=None, mtu=None, stp=False, up=False, what="bridge")
    data = attribute(1, b"bridge\0") + attribute(2, attribute(7, b"\1"))
    body = rtnl.set_link(20).body + attribute(18, data)
    try:
        namespace.netlink.batch([bridge, Message(rtnl.NEWLINK, 0, body, "vlan_filtering")])
    except KernelError as error:
        return f"this kernel's bridges cannot filter VLANs ({os.strerror(error.errno)})"
    return ""


def _br_netfilter(namespace: NetworkNamespace) -> str:
    if namespace.run(lambda: sysctl.read("net.bridge.bridge-nf-call-iptables")) is None:
        return "this kernel has no br_netfilter: bridged traffic does not pass iptables"
    return ""


def _netfilter(namespace: NetworkNamespace) -> str:
    try:
        namespace.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)).close()
    except OSError as error:
        return f"this kernel has no nfnetlink ({error.strerror})"
    return ""


def _conntrack(namespace: NetworkNamespace) -> str:
    if namespace.run(lambda: sysctl.read("net.netfilter.nf_conntrack_max")) is None:
        return "this kernel tracks no connections (nf_conntrack)"
    return ""


def _sctp(namespace: NetworkNamespace) -> str:
    try:
        namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)).close()
    except OSError as error:
        return f"this kernel has no SCTP ({error.strerror})"
    return ""


def _netem(namespace: NetworkNamespace) -> str:
    from cnitest.kernel.rtnetlink.rtnl_pyroute2 import add_qdisc

    try:
        namespace.netlink.batch([add_qdisc("netem", 1)])
    except KernelError as error:
        return f"this kernel has no netem ({os.strerror(error.errno)})"
    return ""


_CHECKS: Mapping[str, Callable[[NetworkNamespace], str]] = {
    **{kind: _kind_check(kind) for kind in _LINK_KINDS},
    "tap": _tap,
    "vlan_filtering": _vlan_filtering,
    "br_netfilter": _br_netfilter,
    "nfnetlink": _netfilter,
    "conntrack": _conntrack,
    "netem": _netem,
    "sctp": _sctp,
}
