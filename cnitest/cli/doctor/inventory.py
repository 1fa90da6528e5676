"""What there is on this machine: features of the kernel, programs, plugins, what boots guests."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.cli.doctor.examined import Examined
from cnitest.cni import plugins as cni_plugins
from cnitest.kernel import features
from cnitest.kernel.processes import programs as executables
from cnitest.plugins import files
from cnitest.vm import needs

_NEEDED_KERNEL = ("veth", "bridge", "macvlan", "br_netfilter", "conntrack")
_MODULES = {"br_netfilter": "modprobe br_netfilter", "conntrack": "modprobe nf_conntrack"}
_SKIPPED = "tests that need it are skipped"
_PACKAGED = "install containernetworking-plugins"
_FROM_SOURCE = "Debian's package lacks it: build it (script/plugins-release in the source tree does)"
#: Programs that labs call, and whether they cannot do without.
BINARIES = {"iptables": True, "ip6tables": True, "nft": False, "iptables-legacy": False, "ip": True, "mount": True}


def kernel(forbidden: str) -> Iterator[Examined]:
    """Links and the rest, each made in a scratch namespace."""
    if forbidden or not features.privilege().present:
        yield Examined("kernel", "links and the rest", False, True, "cannot be tried without namespaces", "see above")
        return
    for name in features.names():
        found = features.kernel(name)
        yield Examined("kernel", name, found.present, name in _NEEDED_KERNEL, found.why, _MODULES.get(name, _SKIPPED))
    flushes = features.flush_makes_ready()
    yield Examined(
        "kernel",
        "quick readiness",
        flushes,
        False,
        "" if flushes else "before Linux 6.8 links are waited for by events, which is slower",
        "Linux 6.8 or later",
    )


def programs() -> Iterator[Examined]:
    """Programs, with the packages that bring them."""
    for name, needed in BINARIES.items():
        where = executables.find(name)
        detail = where or executables.absent(name)
        yield Examined("programs", name, bool(where), needed, detail, executables.how_to_get(name))


def plugins(path: tuple[str, ...]) -> Iterator[Examined]:
    """Plugins of a search path."""
    for plugin in files.every():
        name = plugin.name
        found = cni_plugins.find(name, path)
        yield Examined(
            "plugins",
            name,
            bool(found),
            plugin.main_job,
            found or f"not in {':'.join(path)}",
            f"{_PACKAGED if plugin.packaged else _FROM_SOURCE}, or name its directory with --cni-path",
        )


def guests() -> Examined:
    """Whether other kernels can be booted here (`cnitest vm`)."""
    lacking = needs.missing()
    return Examined("guests", "other kernels", not lacking, False, "; ".join(lacking) or needs.emulator())
