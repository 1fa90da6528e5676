"""A delegate of our own for the plugin under test: it answers what a test wants and remembers how it was called."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnitest.cni import spec
from cnitest.conformance.bench import first
from cnitest.conformance.bench.bench import AttachmentTarget, Bench
from cnitest.conformance.bench.steps import DelegateCommands, Fake, Forget, Saw
from cnitest.conformance.model import space
from cnitest.conformance.model.finding import Detail
from cnitest.testing import ScriptedPlugin
from cnitest.testing.records import Record
from cnitest.testing.reply import normalised

#: What the delegate is called.
NAME = "cnitest-ipam"


class Delegate:
    """The delegate of a bench; all that is done to it and seen of it becomes part of the bench's record."""

    def __init__(self, bench: Bench, directory: Path, script: Mapping[str, Any], name: str) -> None:
        self._steps = bench.record.steps
        self._plugin = ScriptedPlugin.install(directory, name, script)
        self._place = (str(self._plugin.directory), name)
        self._steps.append(Fake(*self._place, normalised(script)))

    def program(self, script: Mapping[str, Any]) -> None:
        """Replace the script, for the calls that begin from now on."""
        self._plugin.program(script)
        self._steps.append(Fake(*self._place, normalised(script)))

    def records(self) -> tuple[Record, ...]:
        """Every call so far, in the order they came."""
        found = self._plugin.records()
        self._steps.append(Saw(*self._place, found))
        return found

    def forget(self) -> None:
        """Empty the record."""
        self._plugin.forget()
        self._steps.append(Forget(*self._place))


def called(words: str) -> Detail:
    """A complaint about the commands that a delegate was called for."""
    return Detail(words, about=DelegateCommands())


def install(bench: Bench, directory: Path, script: Mapping[str, Any] | None = None, name: str = NAME) -> Delegate:
    """Put the delegate first in the search path. Without a script it gives one fitting address."""
    plugin = Delegate(bench, directory, script or {"ADD": {"result": address(bench)}}, name)
    bench.use_path(str(directory))
    return plugin


def target(bench: Bench, container: str = "c1", kind: str = NAME, **changes: Any) -> AttachmentTarget:
    """A target whose configuration delegates to it."""
    conf = {**bench.subject.conf, "ipam": {"type": kind}}
    return bench.target(container, conf=conf, **changes)


def address(
    bench: Bench, number: int = 77, routes: Sequence[Mapping[str, str]] = (), *, gateway: str = ""
) -> dict[str, Any]:
    """An IPAM result with one address where the subject's own are, in the bench's version; IPv4 where those are of
    both families.

    ``gateway`` replaces the gateway that the subject's first ADD named.
    """
    base, usual = _where(bench)
    interface = ipaddress.ip_interface(base)
    return answer(bench.version, f"{interface.network[number]}/{interface.network.prefixlen}", gateway or usual, routes)


def addresses(bench: Bench, options: Mapping[str, int]) -> dict[str, Any]:
    """An IPAM result with an address of each of the subject's families, and three routes with ``options`` by its
    gateway."""
    found: dict[str, Any] = {}
    for each in space.families(bench.subject):
        base, gateway = _where(bench, each)
        interface = ipaddress.ip_interface(base)
        beyond = space.network(bench.subject, each).subnets(prefixlen_diff=2)
        routes = [{"dst": str(next(beyond)), **options} for _ in range(3)]
        one = answer(bench.version, f"{interface.network[77]}/{interface.network.prefixlen}", gateway, routes)
        for key, value in one.items():
            found[key] = [*found.get(key, ()), *value] if isinstance(value, list) else value
    return found


def another_gateway(bench: Bench) -> str:
    """A gateway for `address` that the subject's first ADD did not name, so that it can only come from its delegate."""
    base, usual = _where(bench)
    lowest = int(ipaddress.ip_interface(base).network.network_address)
    return next(str(found) for step in (2, 3) if str(found := ipaddress.ip_address(lowest + step)) != usual)


def answer(version: str, ip: str, gateway: str, routes: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """An IPAM result in the form of a version."""
    label = "6" if ":" in ip else "4"
    if not spec.has_chaining(version):
        return {"cniVersion": version, f"ip{label}": {"ip": ip, "gateway": gateway, "routes": list(routes)}}
    entry = {"address": ip, "gateway": gateway, **({"version": label} if spec.labels_families(version) else {})}
    return {"cniVersion": version, "ips": [entry], "routes": list(routes)}


def stray(bench: Bench) -> dict[str, str]:
    """A route whose gateway is on no link, which the kernel refuses; of the family of `address`."""
    here = family(bench)
    return {"dst": str(space.network(bench.subject, here, 1)), "gw": space.address(bench.subject, here, 2, 99)}


def family(bench: Bench) -> int:
    """The family of the addresses that it gives."""
    return 6 if ":" in _where(bench)[0] else 4


def _where(bench: Bench, family: int = 0) -> tuple[str, str]:
    """An address and a gateway of the kind that the subject's first ADD gave; of one family where that is given."""
    for ip in sorted(first.ips(bench), key=lambda ip: ":" in ip.address):
        network = ipaddress.ip_interface(ip.address).network
        if network.num_addresses > 128 and family in (0, network.version):
            return ip.address, ip.gateway or str(network[1])
    plain = space.network(bench.subject, family or space.families(bench.subject)[0], 4 if family else 0)
    return f"{plain[77]}/{plain.prefixlen}", str(plain[1])
