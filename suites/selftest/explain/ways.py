"""A client and a server with two routers between them, and what each test of a cause does with that."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from cnitest import Lab, Verdict
from cnitest.deadline import Deadline
from cnitest.kernel.monitor import await_received
from cnitest.lab.place import Place
from cnitest.lab.reach import Reach
from cnitest.topology import loads

WAYS = """
name: two-ways
hosts:
  client:
    routes: [{via: 10.0.1.2}, {via: "2001:db8:1::2"}]
    sysctls: {net.ipv6.conf.all.accept_dad: 0, net.ipv6.conf.default.accept_dad: 0}
  r1:
    role: router
    sysctls: {net.ipv6.conf.all.accept_dad: 0, net.ipv6.conf.default.accept_dad: 0}
    routes: [{to: 10.0.9.9/32, via: 10.0.3.3}, {to: "2001:db8:9::9/128", via: "2001:db8:3::3"}]
  r2:
    role: router
    sysctls: {net.ipv6.conf.all.accept_dad: 0, net.ipv6.conf.default.accept_dad: 0}
    routes:
      - {to: 10.0.9.9/32, via: 10.0.4.3}
      - {to: "2001:db8:9::9/128", via: "2001:db8:4::3"}
      - {to: 10.0.1.0/24, via: 10.0.2.1}
      - {to: "2001:db8:1::/64", via: "2001:db8:2::1"}
  server:
    sysctls: {net.ipv6.conf.all.accept_dad: 0, net.ipv6.conf.default.accept_dad: 0}
    loopback: [10.0.9.9/32, "2001:db8:9::9/128"]
    routes: [{via: 10.0.3.2}, {via: "2001:db8:3::2"}]
veths:
  - ends:
      - {at: client, name: eth1, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
      - {at: r1, name: eth1, addresses: [10.0.1.2/24, "2001:db8:1::2/64"]}
  - ends:
      - {at: client, name: eth2, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
      - {at: r2, name: eth2, addresses: [10.0.2.2/24, "2001:db8:2::2/64"]}
  - ends:
      - {at: r1, name: eth3, addresses: [10.0.3.2/24, "2001:db8:3::2/64"]}
      - {at: server, name: eth3, addresses: [10.0.3.3/24, "2001:db8:3::3/64"]}
  - ends:
      - {at: r2, name: eth4, addresses: [10.0.4.2/24, "2001:db8:4::2/64"]}
      - {at: server, name: eth4, addresses: [10.0.4.3/24, "2001:db8:4::3/64"]}
"""

SERVER = {4: "10.0.9.9", 6: "2001:db8:9::9"}


class Words(NamedTuple):
    """What stands for ``{…}`` in a command: the words of one family."""

    family: int

    def __call__(self, text: str) -> str:
        """``{1.2}`` is host 2 of network 1, ``{S}`` the server, ``{ip}`` ip(8), ``{v}`` ipv4 or ipv6."""
        for network in range(1, 10):
            for host in (0, 1, 2, 3, 9, 77):
                text = text.replace(f"{{{network}.{host}}}", self.address(network, host))
        words = {"ip": "ip" if self.family == 4 else "ip -6", "v": f"ipv{self.family}", "S": SERVER[self.family]}
        words |= {"64": "24" if self.family == 4 else "64", "128": "32" if self.family == 4 else "128"}
        words |= {"t": "iptables" if self.family == 4 else "ip6tables", "6": "" if self.family == 4 else "6"}
        for word, value in words.items():
            text = text.replace(f"{{{word}}}", value)
        return text

    def address(self, network: int, host: int) -> str:
        """The address of a host of a network."""
        text = f"10.0.{network}.{host}" if self.family == 4 else f"2001:db8:{network}::{host}"
        return str(ipaddress.ip_address(text))


class Broken(NamedTuple):
    """One way to break the topology, and what has to be said of it.

    ``does`` are commands as ``place: command``; ``prepares`` are those before, after which all still works. ``probe``
    is a method of the client's, ``options`` what it is called with. ``afterwards`` go with the remedy; an empty
    ``place`` is any.
    """

    cause: str
    does: tuple[str, ...]
    dropped_by: str
    place: str
    remedy: str
    families: tuple[int, ...] = (4, 6)
    prepares: tuple[str, ...] = ()
    probe: str = "ping"
    options: tuple[tuple[str, object], ...] = ()
    to: str = "{S}"
    afterwards: tuple[str, ...] = ()
    works_first: bool = True
    runs_remedy: bool = True

    @property
    def label(self) -> str:
        """What a test of it is called."""
        return f"{self.cause}-{self.dropped_by}-{self.place}-{self.probe}".replace(" ", "-")


def run(lab: Lab, commands: tuple[str, ...], words: Words) -> None:
    """Run ``place: command`` lines; a firewall's are loaded as rules."""
    for line in commands:
        where, _, command = words(line).partition(": ")
        lab.place(where).run(["sh", "-c", command])


def probe(lab: Lab, broken: Broken, words: Words) -> Reach:
    """Send the probe that a break is about."""
    options = {name: words(value) if isinstance(value, str) else value for name, value in broken.options}
    arguments = (words(broken.to),) if broken.probe == "ping" else (words(broken.to), 4711)
    reach: Reach = getattr(lab.place("client"), broken.probe)(*arguments, **{"wait": 0.2, **options})
    return reach


def _await_addresses(place: Place) -> None:
    """Wait until IPv6 addresses that are not checked for duplicates are received: their routes come a little later."""
    links = {link.name: link.ifindex for link in place.links}
    usable = [row for row in place.addresses if ":" in row.ip and not row.tentative and "dadfailed" not in row.flags]
    there = [(links[row.link], row.ip) for row in usable]
    await_received(place.namespace, there, Deadline.after(2, f"the addresses of {place.full_name} to be received"))


def must_be_explained(broken: Broken, family: int, topology: str = WAYS) -> None:
    """What works is delivered; broken, its cause is found with place and remedy; and the remedy makes it work again."""
    words = Words(family)
    with Lab(loads(topology)) as lab:
        run(lab, broken.prepares, words)
        assert not broken.works_first or probe(lab, broken, words)

        run(lab, broken.does, words)
        reach = probe(lab, broken, words)

        assert reach.verdict is not Verdict.DELIVERED
        assert reach.cause is not None, reach.explanation
        said = (reach.cause.id, reach.dropped_by, reach.cause.place if broken.place else "")
        assert said == (broken.cause, broken.dropped_by, broken.place), reach.explanation
        assert reach.cause.remedy == words(broken.remedy) or words(broken.remedy) in reach.cause.remedy
        if broken.runs_remedy and "…" not in reach.cause.remedy:
            lab.place(broken.place).run(["sh", "-c", reach.cause.remedy])
            _await_addresses(lab.place(broken.place))
            run(lab, broken.afterwards, words)
            assert probe(lab, broken, words), reach.cause.remedy
