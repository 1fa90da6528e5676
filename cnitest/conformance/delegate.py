"""A delegate of our own for the plugin under test: it answers what a test wants and remembers how it was called."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.conformance import form
from cnitest.conformance.bench import Bench, Slot
from cnitest.testing import ScriptedPlugin

#: What the delegate is called.
NAME = "cnitest-ipam"
_PLAIN = ("10.99.0.77/24", "10.99.0.1")


def install(bench: Bench, directory: Path, script: Mapping[str, Any] | None = None) -> ScriptedPlugin:
    """Put the delegate first in the search path. Without a script it gives one fitting address."""
    plugin = ScriptedPlugin.install(directory, NAME, script or {"ADD": {"result": address(bench)}})
    bench.use_path(str(directory))
    return plugin


def slot(bench: Bench, container: str = "c1", kind: str = NAME, **changes: Any) -> Slot:
    """A slot whose configuration delegates to it."""
    conf = {**bench.subject.conf, "ipam": {"type": kind}}
    return bench.slot(container, conf=conf, **changes)


def address(bench: Bench, number: int = 77, routes: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """An IPAM result with one IPv4 address where the subject's own are, in the bench's version."""
    base, gateway = _where(bench)
    interface = ipaddress.ip_interface(base)
    host = ipaddress.ip_address(int(interface.network.network_address) + number)
    return answer(bench.version, f"{host}/{interface.network.prefixlen}", gateway, routes)


def answer(version: str, ip: str, gateway: str, routes: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """An IPAM result in the form of a version."""
    if not spec.has_chaining(version):
        return {"cniVersion": version, "ip4": {"ip": ip, "gateway": gateway, "routes": list(routes)}}
    entry = {"address": ip, "gateway": gateway, **({"version": "4"} if spec.labels_families(version) else {})}
    return {"cniVersion": version, "ips": [entry], "routes": list(routes)}


def _where(bench: Bench) -> tuple[str, str]:
    """An address and a gateway of the kind that the subject's first ADD gave."""
    for ip in form.ips(bench.subject.result, bench.subject.highest):
        if ":" not in ip.address:
            network = ipaddress.ip_interface(ip.address).network
            first = str(ipaddress.ip_address(int(network.network_address) + 1))
            if network.num_addresses > 128:
                return ip.address, ip.gateway or first
    return _PLAIN
