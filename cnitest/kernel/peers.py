"""What a link hangs together with in another namespace: a veth's peer, a macvlan's parent."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.netlink import Message, attribute, attributes

_GETNSID = 90
_NETNSA_NSID, _NETNSA_FD = 1, 3
_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_LINK_NETNSID, _INFO_KIND = 3, 5, 18, 37, 1
_LINK_BODY, _NSID_BODY = 32, 20
_int = struct.Struct("=i")


class End(NamedTuple):
    """A link; ``namespace`` and ``other`` are of the link in another namespace that it hangs together with, if any."""

    name: str
    ifindex: int
    kind: str
    namespace: str = ""
    other: int = 0


def ends(namespace: NetworkNamespace, others: Mapping[str, NetworkNamespace]) -> tuple[End, ...]:
    """The links of a namespace, and what they hang together with in the ``others``, by the names these are given."""
    found = []
    identities: dict[int, str] = {}
    left = list(others.items())
    for row in namespace.netlink.dump(rtnl.dump_links()):
        end, identity = _end(row)
        while identity is not None and identity not in identities and left:
            name, other = left.pop()
            identities[_identity(namespace, other)] = name
        found.append(end if identity is None else end._replace(namespace=identities.get(identity, "")))
    return tuple(found)


def _end(row: bytes) -> tuple[End, int | None]:
    """A link, and the number that its namespace gives to the other's; None when both are in this one."""
    name, kind, index, identity = "", "", 0, None
    for number, start, end in attributes(row, _LINK_BODY, len(row)):
        if number == _IFLA_IFNAME:
            name = row[start:end].rstrip(b"\0").decode()
        elif number == _IFLA_LINK:
            index = _int.unpack_from(row, start)[0]
        elif number == _IFLA_LINK_NETNSID:
            identity = _int.unpack_from(row, start)[0]
        elif number == _IFLA_LINKINFO:
            kinds = [row[a:b].rstrip(b"\0").decode() for n, a, b in attributes(row, start, end) if n == _INFO_KIND]
            kind = kinds[0] if kinds else ""
    return End(name, _int.unpack_from(row, _LINK_BODY - 12)[0], kind, other=index), identity


def _identity(namespace: NetworkNamespace, other: NetworkNamespace) -> int:
    """The number that a namespace gives to another one; -1 when it has none for it."""
    body = bytes(4) + attribute(_NETNSA_FD, struct.pack("=I", other.fd))
    try:
        (row,) = namespace.netlink.request(Message(_GETNSID, 0, body, "a namespace's number"))
    except KernelError:
        return -1
    numbers = [
        _int.unpack_from(row, start)[0] for n, start, _ in attributes(row, _NSID_BODY, len(row)) if n == _NETNSA_NSID
    ]
    return int(numbers[0]) if numbers else -1
