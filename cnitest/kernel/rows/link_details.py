"""What only one kind of link or port has: the attributes of IFLA_INFO_DATA and IFLA_INFO_SLAVE_DATA by name.

Names are those of ``ip -d link``; numbers: include/uapi/linux/{if_link,if_tunnel,if_bridge}.h. A kind that is not
here shows its attributes by number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cnitest.kernel.rows.readers import (
    Fields,
    Pairs,
    Reader,
    address,
    big,
    bits,
    hexadecimal,
    mac,
    named,
    number,
    pairs,
    plain_hex,
)
from cnitest.kernel.rtnetlink.netlink import attributes

PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_PROTOCOLS = {0x8100: "802.1q", 0x88A8: "802.1ad"}
_BRIDGE_OPTIONS = {1: "no_linklocal_learn", 2: "mcast_vlan_snooping", 4: "mst_enabled", 16: "fdb_local_vlan_0"}
_VLAN_FLAGS = {1: "reorder_hdr", 2: "gvrp", 4: "loose_binding", 8: "mvrp", 16: "bridge_binding"}


def _flag(_: bytes, __: int, ___: int) -> int:
    """An attribute that only is there."""
    return 1


def _identity(data: bytes, start: int, end: int) -> str:
    """A user or a group, which is only there where one was given: 0 is root, and no default that words leave out."""
    return str(number(data, start, end))


def _bits_of(names: Mapping[int, str], width: int) -> Reader:
    """The names of set bits in a number of some bytes; a mask may follow."""

    def read(data: bytes, start: int, _: int) -> str:
        return ",".join(bits(number(data, start, start + width), names))

    return read


def _protocol(data: bytes, start: int, end: int) -> int | str:
    value = big(data, start, end)
    return _PROTOCOLS.get(value, value)


def _range(data: bytes, start: int, _: int) -> str:
    return f"{big(data, start, start + 2)}-{big(data, start + 2, start + 4)}"


def _mapping(data: bytes, start: int, end: int) -> str:
    """VLAN priorities as ``from:to``."""
    found = ((number(data, a, a + 4), number(data, a + 4, a + 8)) for _, a, _ in attributes(data, start, end))
    return ",".join(f"{one}:{other}" for one, other in found)


def _list_of(read: Reader) -> Reader:
    def each(data: bytes, start: int, end: int) -> str:
        return ",".join(str(read(data, a, b)) for _, a, b in attributes(data, start, end))

    return each


def _numbered(names: str, first: int = 1) -> Fields:
    """Numbers that follow one another; a dash is left out."""
    return {first + at: (name, number) for at, name in enumerate(names.split()) if name != "-"}


_MULTICAST = (
    "mcast_router mcast_snooping mcast_query_use_ifaddr mcast_querier mcast_hash_elasticity mcast_hash_max "
    "mcast_last_member_cnt mcast_startup_query_cnt mcast_last_member_intvl mcast_membership_intvl mcast_querier_intvl "
    "mcast_query_intvl mcast_query_response_intvl mcast_startup_query_intvl "
    "nf_call_iptables nf_call_ip6tables nf_call_arptables vlan_default_pvid"
)
_BRIDGE: Fields = {
    **_numbered("forward_delay hello_time max_age ageing_time stp priority vlan_filtering"),
    8: ("vlan_protocol", _protocol),
    9: ("group_fwd_mask", hexadecimal),
    20: ("group_addr", mac),
    **_numbered(_MULTICAST, 22),
    **_numbered("vlan_stats_enabled mcast_stats_enabled mcast_igmp_version mcast_mld_version", 41),
    45: ("vlan_stats_per_port", number),
    46: ("options", _bits_of(_BRIDGE_OPTIONS, 4)),
    49: ("fdb_max_learned", number),
}
_VXLAN_FLAGS = "gbp remcsum_nopartial external label gpe ttl_inherit df vnifilter localbypass label_policy"
_VXLAN: Fields = {
    **_numbered("id - link - ttl tos learning ageing maxaddr"),
    2: ("remote", address),
    4: ("local", address),
    10: ("srcport", _range),
    **_numbered("proxy rsc l2miss l3miss", 11),
    15: ("dstport", big),
    16: ("remote", address),
    17: ("local", address),
    **_numbered("udpcsum udp6zerocsumtx udp6zerocsumrx remcsumtx remcsumrx", 18),
    **_numbered(_VXLAN_FLAGS, 23),
    23: ("gbp", _flag),
    24: ("remcsum_nopartial", _flag),
    26: ("flowlabel", plain_hex),
    27: ("gpe", _flag),
    28: ("ttl_inherit", _flag),
    33: ("reserved_bits", plain_hex),
    34: ("mc_route", number),
}
_GRE: Fields = {
    1: ("link", number),
    2: ("iflags", hexadecimal),
    3: ("oflags", hexadecimal),
    4: ("ikey", big),
    5: ("okey", big),
    6: ("local", address),
    7: ("remote", address),
    **_numbered("ttl tos pmtudisc encaplimit", 8),
    12: ("flowinfo", plain_hex),
    13: ("tunnel_flags", hexadecimal),
    **_numbered("encap_type encap_flags", 14),
    16: ("encap_sport", big),
    17: ("encap_dport", big),
    18: ("external", _flag),
    **_numbered("ignore_df fwmark erspan_index erspan_ver erspan_dir erspan_hwid", 19),
}
_TUNNEL: Fields = {
    1: ("link", number),
    2: ("local", address),
    3: ("remote", address),
    **_numbered("ttl tos encaplimit", 4),
    7: ("flowinfo", plain_hex),
    8: ("tunnel_flags", hexadecimal),
    **_numbered("proto pmtudisc", 9),
    11: ("6rd-prefix", address),
    12: ("6rd-relay_prefix", address),
    **_numbered("6rd-prefixlen 6rd-relay_prefixlen encap_type encap_flags", 13),
    17: ("encap_sport", big),
    18: ("encap_dport", big),
    19: ("external", _flag),
    20: ("fwmark", number),
}
_VTI: Fields = {
    1: ("link", number),
    2: ("ikey", big),
    3: ("okey", big),
    4: ("local", address),
    5: ("remote", address),
    6: ("fwmark", number),
}
_GENEVE: Fields = {
    1: ("id", number),
    2: ("remote", address),
    **_numbered("ttl tos", 3),
    5: ("dstport", big),
    6: ("external", _flag),
    7: ("remote", address),
    **_numbered("udpcsum udp6zerocsumtx udp6zerocsumrx", 8),
    11: ("flowlabel", plain_hex),
    **_numbered("ttl_inherit df", 12),
    14: ("innerprotoinherit", _flag),
}
_BOND_FIRST = "mode active_slave miimon updelay downdelay use_carrier arp_interval"
_BOND_LAST = (
    "arp_validate arp_all_targets primary primary_reselect fail_over_mac xmit_hash_policy resend_igmp num_peer_notif "
    "all_slaves_active min_links lp_interval packets_per_slave lacp_rate ad_select"
)
_BOND: Fields = {
    **_numbered(_BOND_FIRST),
    8: ("arp_ip_target", _list_of(address)),
    **_numbered(_BOND_LAST, 9),
    **_numbered("ad_actor_sys_prio ad_user_port_key", 24),
    26: ("ad_actor_system", mac),
    **_numbered("tlb_dynamic_lb peer_notif_delay lacp_active arp_missed_max", 27),
    31: ("ns_ip6_target", _list_of(address)),
    32: ("coupled_control", number),
}
_MACVLAN: Fields = {
    1: ("mode", named({1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"})),
    2: ("macvlan_flags", _bits_of({1: "nopromisc", 2: "nodst"}, 2)),
    5: ("macaddr", _list_of(mac)),
    6: ("macaddr_count", number),
    7: ("bcqueuelen", number),
    9: ("bclim", number),
}
_VLAN: Fields = {
    1: ("id", number),
    2: ("vlan_flags", _bits_of(_VLAN_FLAGS, 4)),
    3: ("egress-qos-map", _mapping),
    4: ("ingress-qos-map", _mapping),
    5: ("protocol", _protocol),
}
_TUN: Fields = {
    1: ("user", _identity),
    2: ("tun_group", _identity),
    3: ("type", named({1: "tun", 2: "tap"})),
    **_numbered("pi vnet_hdr persist multi_queue", 4),
}
_KINDS: Mapping[str, Fields] = {
    "bridge": _BRIDGE,
    "macvlan": _MACVLAN,
    "macvtap": _MACVLAN,
    "ipvlan": {
        1: ("mode", named({0: "l2", 1: "l3", 2: "l3s"})),
        2: ("ipvlan_flags", _bits_of({1: "private", 2: "vepa"}, 2)),
    },
    "vlan": _VLAN,
    "vrf": {1: ("table", number)},
    "vxlan": _VXLAN,
    **dict.fromkeys(("gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"), _GRE),
    **dict.fromkeys(("ipip", "sit", "ip6tnl"), _TUNNEL),
    **dict.fromkeys(("vti", "vti6"), _VTI),
    "geneve": _GENEVE,
    "bond": _BOND,
    "tun": _TUN,
    "xfrm": {1: ("link", number), 2: ("if_id", hexadecimal), 3: ("external", _flag)},
}
#: Kinds of links that have a forwarding table of their own.
OWN_FDB = frozenset({"vxlan"})
# What the kernel moves by itself: timers, the tree's root, who is active, what is counted.
_PASSING: Mapping[str, frozenset[int]] = {
    "bridge": frozenset((*range(10, 20), 21, 40, 47, 48)),
    "bond": frozenset((2, 23)),
    "macvlan": frozenset((3, 4, 8)),
    "macvtap": frozenset((3, 4, 8)),
    "tun": frozenset((8, 9)),
    "hsr": frozenset((5,)),
}
_PORT: Fields = {
    **_numbered("priority cost", 2),
    **_numbered("guard root_block fastleave learning flood proxy_arp learning_sync", 5),
    12: ("proxy_arp_wifi", number),
    25: ("mcast_router", number),
    **_numbered("mcast_flood mcast_to_unicast vlan_tunnel bcast_flood", 27),
    31: ("group_fwd_mask", hexadecimal),
    32: ("neigh_suppress", number),
    34: ("backup_port", number),
    37: ("mcast_eht_hosts_limit", number),
    **_numbered("locked mab", 39),
    **_numbered("mcast_max_groups neigh_vlan_suppress backup_nhid", 42),
}
_PORT_PASSING = frozenset((1, 4, 33, *range(13, 25), 26, 35, 36, 38, 41))
_SLAVES: Mapping[str, Fields] = {"bond": {6: ("slave-queue_id", number), 9: ("slave-prio", number)}}

#: Values that say nothing of a new link or port: the kernel's own defaults of the details above.
USUAL: Mapping[str, tuple[int | str | None, ...]] = {
    "forward_delay": (1500,),
    "hello_time": (200,),
    "max_age": (2000,),
    "ageing_time": (30000,),
    "priority": (32768, 32),
    "vlan_protocol": ("802.1q",),
    "group_fwd_mask": ("0x0",),
    "group_addr": ("01:80:c2:00:00:00",),
    "vlan_default_pvid": (1,),
    "mcast_router": (1,),
    "mcast_snooping": (1,),
    "mcast_hash_elasticity": (16,),
    "mcast_hash_max": (4096,),
    "mcast_last_member_cnt": (2,),
    "mcast_startup_query_cnt": (2,),
    "mcast_last_member_intvl": (100, 99),
    "mcast_membership_intvl": (26000,),
    "mcast_querier_intvl": (25500,),
    "mcast_query_intvl": (12500,),
    "mcast_query_response_intvl": (1000,),
    "mcast_startup_query_intvl": (3124, 3125),
    "mcast_igmp_version": (2,),
    "mcast_mld_version": (1,),
    "bcqueuelen": (1000,),
    "bclim": (1,),
    "cost": (2, 4, 19, 100),
    "learning": (1,),
    "flood": (1,),
    "mcast_flood": (1,),
    "bcast_flood": (1,),
    "mcast_eht_hosts_limit": (512,),
    "persist": (1,),
    "iflags": ("0x0",),
    "oflags": ("0x0",),
    "tunnel_flags": ("0x0",),
    "vlan_flags": ("reorder_hdr",),
    # One for each processor, of a veth.
    "numtxqueues": (os.cpu_count(),),
    "numrxqueues": (os.cpu_count(),),
    "flowinfo": ("00000000",),
    "flowlabel": ("00000000",),
}


def link_detail(data: bytes, start: int, end: int) -> tuple[str, Pairs]:
    """The kind of a link from IFLA_LINKINFO, and the details its kind has."""
    found = {kind: (begin, stop) for kind, begin, stop in attributes(data, start, end)}
    kind = _text_at(data, found.get(1))
    detail: Pairs = ()
    if 2 in found:
        known = _KINDS.get(kind, {})
        detail = pairs(data, *found[2], known, _PASSING.get(kind, frozenset()))
    slave = _SLAVES.get(_text_at(data, found.get(4)))
    if slave and 5 in found:
        detail += tuple((slave[n][0], slave[n][1](data, a, b)) for n, a, b in attributes(data, *found[5]) if n in slave)
    return kind, detail


def _text_at(data: bytes, where: tuple[int, int] | None) -> str:
    return data[slice(*where)].rstrip(b"\0").decode(errors="replace") if where else ""


def port_detail(data: bytes, start: int, end: int) -> tuple[str, bool, bool, Pairs] | None:
    """(state, hairpin, isolated, the rest) when IFLA_LINKINFO says that the link is a bridge port."""
    found = {kind: (begin, stop) for kind, begin, stop in attributes(data, start, end)}
    if _text_at(data, found.get(4)) != "bridge" or 5 not in found:
        return None
    first = {kind: data[begin] for kind, begin, stop in attributes(data, *found[5]) if stop > begin}
    state = PORT_STATES[first.get(1, 0)]
    return state, bool(first.get(4)), bool(first.get(33)), pairs(data, *found[5], _PORT, _PORT_PASSING)
