"""What a link hangs together with in another namespace: a veth's peer, a macvlan's parent."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.netlink import Message, attribute, attributes

_GETNSID = 90
_NETNSA_NSID, _NETNSA_FD = 1, 3
_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_LINK_NETNSID, _INFO_KIND = 3, 5, 18, 37, 1
_LINK_BODY, _NSID_BODY = 32, 20
_VETH = "veth"
_int = struct.Struct("=i")


class PeerLink(NamedTuple):
    """A link; ``namespace`` and ``other`` are of the link in another namespace that it hangs together with, if any.

    ``outside`` says that this is none of the namespaces that were asked about.
    """

    name: str
    ifindex: int
    kind: str
    namespace: str = ""
    other: int = 0
    outside: bool = False


def ends(namespaces: Mapping[str, NetworkNamespace]) -> dict[str, tuple[PeerLink, ...]]:
    """The links of namespaces, by the names these are given, and what they hang together with in each other."""
    links = {name: [_end(row) for row in one.netlink.dump(rtnl.dump_links())] for name, one in namespaces.items()}
    return _Pairing(namespaces, links).ends()


class _Pairing:
    """Finds out which links hang together, with few questions: who can be the other end is seen by the indexes."""

    def __init__(
        self, namespaces: Mapping[str, NetworkNamespace], links: Mapping[str, Sequence[tuple[PeerLink, int | None]]]
    ) -> None:
        self._namespaces, self._links = namespaces, links
        self._with_index: dict[int, dict[str, PeerLink]] = {}
        for name, found in links.items():
            for end, _ in found:
                self._with_index.setdefault(end.ifindex, {})[name] = end
        self._numbers: dict[tuple[str, str], int] = {}
        # By namespace and index: a veth's peer is found with it.
        self._known: dict[tuple[str, int], str] = {}

    def ends(self) -> dict[str, tuple[PeerLink, ...]]:
        """All links."""
        return {
            name: tuple(self._paired(name, end, identity) for end, identity in found)
            for name, found in self._links.items()
        }

    def _paired(self, name: str, end: PeerLink, identity: int | None) -> PeerLink:
        if identity is None:
            return end
        other = self._known.get((name, end.ifindex)) or self._other(name, end, identity)
        if other and end.kind == _VETH:
            self._known[other, end.other] = name
        return end._replace(namespace=other, outside=not other)

    def _other(self, name: str, end: PeerLink, identity: int) -> str:
        """The namespace that has the number ``identity`` where the link is, empty when it is none of these."""
        for other, candidate in self._with_index.get(end.other, {}).items():
            paired = end.kind != _VETH or (candidate.kind == _VETH and candidate.other == end.ifindex)
            if other != name and paired and self._number(name, other) == identity:
                return other
        return ""

    def _number(self, name: str, other: str) -> int:
        if (name, other) not in self._numbers:
            self._numbers[name, other] = _identity(self._namespaces[name], self._namespaces[other])
        return self._numbers[name, other]


def _end(row: bytes) -> tuple[PeerLink, int | None]:
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
    return PeerLink(name, _int.unpack_from(row, _LINK_BODY - 12)[0], kind, other=index), identity


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
