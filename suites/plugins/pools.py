"""Pools of addresses: host-local called alone, and the files in which it keeps what it gave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cnitest import Attachment, Host, Runtime
from cnitest.topology import loads

#: Where host-local keeps its files unless its configuration says otherwise.
DIRECTORY = "/var/lib/cni/networks"
#: A machine and nothing else: nobody needs links to allocate addresses.
MACHINE = loads("name: one-machine\nhosts: {node: {}}")


def pool(name: str = "pool", version: str = "1.0.0", **keys: Any) -> dict[str, Any]:
    """A network that only allocates: host-local is its one plugin."""
    ipam = {"type": "host-local", **keys}
    return {"cniVersion": version, "name": name, "type": "host-local", "ipam": ipam}


def between(first: int, last: int, subnet: str = "10.1.2.0/24", **keys: Any) -> list[dict[str, Any]]:
    """A set of one range: the addresses of an IPv4 subnet that end in these numbers and those between."""
    begin = subnet.rpartition(".")[0]
    return [{"subnet": subnet, "rangeStart": f"{begin}.{first}", "rangeEnd": f"{begin}.{last}", **keys}]


def leases(host: Host, name: str = "pool", directory: str = DIRECTORY) -> dict[str, str]:
    """The addresses that are kept, each with the lines of its file, joined by ``|``."""
    where = f"{directory}/{name}/"
    own = (file for file in host.files() if file.path.startswith(where))
    found = {file.path.removeprefix(where): file.preview for file in own}
    return {address: said for address, said in found.items() if not address.startswith(("last_reserved", "lock"))}


def owner_of(lease: str) -> str:
    """The container ID of a lease."""
    return lease.partition("|")[0]


def taken(cni: Runtime, host: Host, network: dict[str, Any], names: Iterable[str], **keys: Any) -> list[Attachment]:
    """One ADD for each container of these names, one after the other; all in one namespace, which nobody looks at."""
    sandbox = host.sandbox("any")
    return [cni.add(sandbox, network, container_id=name, **keys) for name in names]


def addresses(attachments: Iterable[Attachment]) -> list[str]:
    """The first address of each."""
    return [attachment.address for attachment in attachments]
