"""The attributes that a link of each kind is made with (IFLA_INFO_DATA), packed by hand.

A kind that the kernel makes from its name alone needs no line but its name. Numbers and layouts:
include/uapi/linux/{if_link,if_tunnel}.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from cnitest.kernel.rtnetlink import rtnl
from cnitest.kernel.rtnetlink.netlink import Message, attribute
from cnitest.kernel.rtnetlink.tables import address_bytes

Options = Mapping[str, Any]
_BOND_MODES = {"balance-rr": 0, "active-backup": 1, "balance-xor": 2, "broadcast": 3, "802.3ad": 4}
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_GRE_KEY = 0x2000
#: Kinds whose own data say which link they leave by, not by IFLA_LINK.
_OWN_PARENT = frozenset({"vxlan"})


def add_link(
    kind: str,
    name: str,
    index: int,
    namespace: int,
    options: Options,
    *,
    parent: int | None,
    mac: str | None,
    mtu: int | None,
    what: str,
) -> Message:
    """A link of one of `KINDS`, created down in the namespace of the fd ``namespace``.

    ``options`` have the names that a topology has for them; ``parent`` is an index in the socket's namespace.
    """
    pack = KINDS[kind]
    data = pack({**options, "parent": parent}) if pack else b""
    above = None if kind in _OWN_PARENT else parent
    return rtnl.new_link(kind, data, name, index, namespace, parent=above, mac=mac, mtu=mtu, what=what)


def _ipvlan(options: Options) -> bytes:
    return attribute(1, struct.pack("=H", _IPVLAN_MODES[options["mode"]]))


def _vlan(options: Options) -> bytes:
    return attribute(1, struct.pack("=H", options["id"]))


def _bond(options: Options) -> bytes:
    return attribute(1, bytes([_BOND_MODES[options["mode"]]]))


def _vrf(options: Options) -> bytes:
    return attribute(1, struct.pack("=I", options["table"]))


def _vxlan(options: Options) -> bytes:
    data = attribute(1, struct.pack("=I", options["id"])) + attribute(15, struct.pack(">H", options["port"]))
    data += attribute(7, bytes([options["learning"]]))
    for text, four, six in ((options["remote"], 2, 16), (options["local"], 4, 17)):
        if text:
            data += attribute(six if ":" in text else four, address_bytes(text)[1])
    return data + (attribute(3, struct.pack("=I", options["parent"])) if options["parent"] else b"")


def _gre(options: Options) -> bytes:
    data = attribute(6, address_bytes(options["local"])[1]) + attribute(7, address_bytes(options["remote"])[1])
    data += attribute(8, bytes([options["ttl"]]))
    if options["key"] is not None:
        flags, number = struct.pack(">H", _GRE_KEY), struct.pack(">I", options["key"])
        data += attribute(2, flags) + attribute(3, flags) + attribute(4, number) + attribute(5, number)
    return data


def _ip_in_ip(options: Options) -> bytes:
    """GRE numbers its attributes in another way than ipip and sit."""
    data = attribute(2, address_bytes(options["local"])[1]) + attribute(3, address_bytes(options["remote"])[1])
    return data + attribute(4, bytes([options["ttl"]]))


#: By kind; `cnitest.kernel.features` tries for each whether the kernel has it.
KINDS: Mapping[str, Callable[[Options], bytes] | None] = {
    "ipvlan": _ipvlan,
    "vlan": _vlan,
    "dummy": None,
    "bond": _bond,
    "vrf": _vrf,
    "ifb": None,
    "vxlan": _vxlan,
    "gre": _gre,
    "gretap": _gre,
    "ipip": _ip_in_ip,
    "sit": _ip_in_ip,
    "wireguard": None,
}
