"""The network that everybody builds: the walkthrough's, with two sandboxes or more."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

GATEWAY = "10.40.80.1"


@dataclass(frozen=True)
class Sandbox:
    """One sandbox: its namespace's name, its link there, the host's end of the veth, its address."""

    name: str
    link: str
    port: str
    address: str


@dataclass(frozen=True)
class Network:
    """A bridge br01 with the gateway's address and ``size`` sandboxes on it, each with a default route.

    ``echo`` is the command that sends one echo, for peers that ping by a command.
    """

    size: int
    echo: str = "ping -c1 -W3 -q"

    @property
    def prefix(self) -> int:
        return 24 if self.size <= 240 else 20

    @property
    def sandboxes(self) -> list[Sandbox]:
        return [_sandbox(number) for number in range(1, self.size + 1)]

    @property
    def first(self) -> Sandbox:
        return _sandbox(1)

    @property
    def last(self) -> Sandbox:
        return _sandbox(self.size)

    @property
    def ping_command(self) -> str:
        """What is run in the first sandbox."""
        return f"{self.echo} {self.last.address}"


def _sandbox(number: int) -> Sandbox:
    address = IPv4Address(GATEWAY) + 10 + number
    return Sandbox(f"ns{number:02}", f"eth{number:02}", f"veth{number:02}", str(address))
