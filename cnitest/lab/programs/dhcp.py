"""A DHCP server of a host: dnsmasq on one link, with its leases."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from cnitest.errors import FeatureMissing, UsageError, is_ours
from cnitest.kernel.processes import programs
from cnitest.lab.programs.running import Running

if TYPE_CHECKING:
    from cnitest.lab.hosts import Host

__tracebackhide__ = is_ours


class Lease(NamedTuple):
    """An address that was given out; ``name`` is what the client calls itself, ``client_id`` as dnsmasq writes it."""

    address: str
    mac: str
    name: str
    client_id: str


class DhcpServer:
    """dnsmasq as a DHCP server on a link while the ``with`` block runs; it reads no file of the machine."""

    def __init__(self, host: Host, link: str, first: str | None, last: str | None, options: tuple[str, ...]) -> None:
        if not programs.find("dnsmasq"):
            raise FeatureMissing(f"a DHCP server needs dnsmasq: {programs.absent('dnsmasq')}")
        self.host = host
        self.link = host.link(link).name
        self.first, self.last = _range(host, link, first, last)
        self._options = options
        self._leases = f"/run/dnsmasq-{link}.leases"
        self._running: Running | None = None

    def __enter__(self) -> DhcpServer:
        argv = [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=0"),
            *("--bind-interfaces", f"--interface={self.link}", "--except-interface=lo", "--log-facility=-"),
            *("--log-dhcp", "--dhcp-authoritative", "--no-ping", f"--dhcp-leasefile={self._leases}", "--pid-file="),
            *("--user=root", "--group=", f"--dhcp-range={self.first},{self.last},1h"),
            *(f"--dhcp-option={each}" for each in self._options),
        ]
        self._running = self.host.start(argv, ready=r"DHCP, IP range")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._running.stop()

    @property
    def leases(self) -> tuple[Lease, ...]:
        """The leases that are given out, in the order of the file."""
        text = self.host.run(["cat", self._leases], check=False).stdout
        rows = [line.split() for line in text.splitlines()]
        return tuple(Lease(row[2], row[1], row[3].strip("*"), row[4]) for row in rows if len(row) == 5)

    @property
    def log(self) -> str:
        """What dnsmasq said of each request."""
        return self._running.stderr if self._running else ""


def _range(host: Host, link: str, first: str | None, last: str | None) -> tuple[str, str]:
    """The first and last address to give out; one that is left out is the end of the link's subnet."""
    own = next((a for a in host.addresses if a.link == link and "." in a.address and a.scope == "global"), None)
    if own is None:
        raise UsageError(f"{host.full_name}: {link} has no IPv4 address; a DHCP server needs one there")
    interface = ip_interface(own.address)
    if interface.network.num_addresses < 4:
        raise UsageError(f"{host.full_name}: {own.address} of {link} leaves no addresses to give out")
    for name, text in (("first", first), ("last", last)):
        if text is not None and not _may_be_given(interface, text):
            known = f"{interface.network[1]} to {interface.network[-2]}"
            raise UsageError(f"{host.full_name}: {name} {text!r} is not in the subnet of {link}, which is {known}")
    low, high = interface.network[1], interface.network[-2]
    low = low + 1 if low == interface.ip else low
    found = first or str(low), last or str(high)
    if int(ip_address(found[0])) > int(ip_address(found[1])):
        raise UsageError(f"{host.full_name}: first {found[0]!r} comes after last {found[1]!r}")
    return found


def _may_be_given(interface: IPv4Interface | IPv6Interface, text: str) -> bool:
    """Whether a host of the subnet can have that address."""
    network = interface.network
    return ip_address(text) in network and ip_address(text) not in (network[0], network[-1])
