"""Reads queueing disciplines, their classes, filters and chains into rows, as tc(8) names them.

Classes and filters are asked for only where there can be some. Options of disciplines and classes are pyroute2's to
decode, those of filters are read here: what of them counts packets or time is left out, what has no name here shows
in hexadecimal. Numbers: include/uapi/linux/{pkt_sched,pkt_cls}.h, linux/tc_act.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.rows.link_rows import LinkNames, LinkTable
from cnitest.kernel.rows.readers import MAIN_HEADER, Fields, Pairs, hexadecimal, named, number, pairs, plain_hex, text
from cnitest.kernel.rows.records import Chain, Class, Filter, Qdisc
from cnitest.kernel.rtnetlink import rtnl_pyroute2
from cnitest.kernel.rtnetlink.netlink import Message, attribute, attributes

Dump = Callable[[Message], list[bytes]]

_tcmsg = struct.Struct("=BxxxiIII")
_GETQDISC, _GETCLASS, _GETFILTER, _GETCHAIN = 38, 42, 46, 102
_ROOT = 0xFFFFFFFF
_HOOKS = {0xFFFFFFF1: "ingress", 0xFFFFFFF2: "ingress", 0xFFFFFFF3: "egress", 0xFFFF0000: "ingress"}
_CLASSFUL = frozenset(("htb", "hfsc", "drr", "qfq", "cbq", "ets", "atm"))
_FILTERED = _CLASSFUL | {"prio", "multiq", "sfq", "fq_codel", "sfb", "dsmark", "cake", "ingress", "clsact"}
_FIFOS = frozenset(("pfifo", "bfifo", "pfifo_head_drop"))
_ETHERTYPES = {3: "all", 0x800: "ip", 0x806: "arp", 0x86DD: "ipv6", 0x8100: "802.1q", 0x88A8: "802.1ad"}
_VERDICTS = {0xFFFFFFFF: "continue", 0: "ok", 1: "reclassify", 2: "drop", 3: "pipe", 4: "stolen", 7: "redirect"}
_MIRRED = {1: "egress redirect", 2: "egress mirror", 3: "ingress redirect", 4: "ingress mirror"}
# TCA_…
_KIND, _OPTIONS, _STATS2, _CHAIN, _INGRESS_BLOCK, _EGRESS_BLOCK = 1, 2, 7, 11, 13, 14
# In TCA_STATS2 and TCA_ACT_STATS (gen_stats.h): the queue's numbers, the third of which are its drops.
_STATS_QUEUE, _DROPS_AT, _ACTION_STATS = 3, 8, 4
# An action's times (struct tcf_t) move with each packet.
_TIMES_LENGTH = 32
_ACTION_KIND, _ACTION_OPTIONS, _ACTION_PARAMETERS = 1, 2, {"gact": 2, "mirred": 2}


class TrafficControl(NamedTuple):
    """What tc(8) shows of one namespace."""

    qdiscs: tuple[Qdisc, ...]
    classes: tuple[Class, ...]
    filters: tuple[Filter, ...]
    chains: tuple[Chain, ...]


class Dropper(NamedTuple):
    """What can drop a packet: a queueing discipline, or with ``pref`` the filters of that order at ``parent``
    (``ingress``, ``egress``, or a discipline's handle); ``kind`` as tc(8) calls it."""

    link: str
    kind: str
    parent: str
    handle: str = ""
    pref: int = 0


class _Row(NamedTuple):
    """One answer, whatever it is about."""

    ifindex: int
    handle: int
    parent: int
    info: int
    kind: str
    found: dict[int, bytes]

    @property
    def options(self) -> bytes:
        """What its kind was given."""
        return self.found.get(_OPTIONS, b"")

    def number(self, key: int) -> int:
        """An attribute that is a number; 0 when there is none."""
        return number(self.found.get(key, b""), 0, 4)


def _row(row: bytes) -> _Row:
    _, index, handle, parent, info = _tcmsg.unpack_from(row, MAIN_HEADER)
    found = {kind: row[a:b] for kind, a, b in attributes(row, MAIN_HEADER + _tcmsg.size, len(row))}
    return _Row(index, handle, parent, info, text(found.get(_KIND, b""), 0, 64), found)


def _ask(kind: int, index: int, parent: int, what: str) -> Message:
    return Message(kind, 0, _tcmsg.pack(0, index, 0, parent, 0), what)


def handle_words(value: int) -> str:
    """``1:``, ``1:30`` or ``root``."""
    if value == _ROOT:
        return "root"
    return f"{value >> 16:x}:{value & 0xFFFF:x}" if value & 0xFFFF else f"{value >> 16:x}:"


def read(dump: Dump, links: LinkTable) -> TrafficControl:
    """Everything that tc(8) shows of the links of a namespace."""
    rows = [_row(row) for row in dump(_ask(_GETQDISC, 0, 0, "qdiscs"))]
    return TrafficControl(
        tuple(_qdisc(row, links) for row in rows),
        tuple(_classes(dump, rows, links)),
        *_filters_and_chains(dump, [row for row in rows if row.kind in _FILTERED and row.handle], links),
    )


def drops(dump: Dump, links: LinkNames) -> Mapping[Dropper, int]:
    """How many packets each discipline, and the actions of filters together, have dropped so far."""
    rows = [_row(row) for row in dump(_ask(_GETQDISC, 0, 0, "qdiscs"))]
    found = {
        Dropper(links.name(row.ifindex), row.kind, handle_words(row.parent), handle_words(row.handle)): _dropped(
            row.found.get(_STATS2, b"")
        )
        for row in rows
    }
    for index, parent in dict.fromkeys(_places(row for row in rows if row.kind in _FILTERED and row.handle)):
        name = f"block {parent}" if index < 0 else links.name(index)
        for row in _rows(dump, _ask(_GETFILTER, index, parent, "filters")):
            filters = Dropper(name, row.kind, _hook(index, parent), pref=row.info >> 16)
            found[filters] = found.get(filters, 0) + sum(map(_dropped, _action_stats(row)))
    return found


def _hook(index: int, parent: int) -> str:
    return "" if index < 0 else _HOOKS.get(parent, handle_words(parent))


def _dropped(stats: bytes) -> int:
    queue = {kind: (a, b) for kind, a, b in attributes(stats, 0, len(stats))}.get(_STATS_QUEUE)
    return number(stats, queue[0] + _DROPS_AT, queue[0] + _DROPS_AT + 4) if queue else 0


def _action_stats(row: _Row) -> Iterator[bytes]:
    """What is counted of the actions of a filter."""
    known = _KINDS.get(row.kind, _Kind())
    for kind, start, end in attributes(row.options, 0, len(row.options)):
        for _, a, b in attributes(row.options, start, end) if kind in known.actions else ():
            yield from (row.options[x:y] for inner, x, y in attributes(row.options, a, b) if inner == _ACTION_STATS)


def _qdisc(row: _Row, links: LinkTable) -> Qdisc:
    blocks = (("ingress_block", row.number(_INGRESS_BLOCK)), ("egress_block", row.number(_EGRESS_BLOCK)))
    options = (*_decoded(row.kind, row.options), *(pair for pair in blocks if pair[1]))
    return Qdisc(links.name(row.ifindex), row.kind, handle_words(row.handle), handle_words(row.parent), options)


@functools.lru_cache(maxsize=1024)
def _decoded(kind: str, options: bytes) -> Pairs:
    """What a discipline or class of a kind was given; decoding is slow, and most are given the same."""
    if not options:
        return ()
    if kind in _FIFOS:
        return (("limit", number(options, 0, 4)),)
    body = _tcmsg.pack(0, 0, 0, 0, 0) + attribute(_KIND, kind.encode() + b"\0") + attribute(_OPTIONS, options)
    return rtnl_pyroute2.qdisc_options(struct.pack("=IHHII", MAIN_HEADER + len(body), _GETQDISC, 0, 0, 0) + body)


def _classes(dump: Dump, qdiscs: Iterable[_Row], links: LinkTable) -> Iterator[Class]:
    for index in dict.fromkeys(row.ifindex for row in qdiscs if row.kind in _CLASSFUL):
        for row in map(_row, dump(_ask(_GETCLASS, index, 0, "classes"))):
            if row.kind in _CLASSFUL:
                options = _decoded(row.kind, row.options)
                leaf = handle_words(row.info) if row.info else ""
                handle, parent = handle_words(row.handle), handle_words(row.parent)
                yield Class(links.name(row.ifindex), row.kind, handle, parent, leaf, options)


def _places(qdiscs: Iterable[_Row]) -> Iterator[tuple[int, int]]:
    """(link, parent) of each list of filters; a block that links share has the link of all bits set."""
    for row in qdiscs:
        if row.kind == "clsact":
            yield from ((row.ifindex, 0xFFFFFFF2), (row.ifindex, 0xFFFFFFF3))
        else:
            yield row.ifindex, row.handle
        yield from ((-1, block) for key in (_INGRESS_BLOCK, _EGRESS_BLOCK) if (block := row.number(key)))


def _filters_and_chains(
    dump: Dump, qdiscs: list[_Row], links: LinkTable
) -> tuple[tuple[Filter, ...], tuple[Chain, ...]]:
    filters: list[Filter] = []
    chains: list[Chain] = []
    for index, parent in dict.fromkeys(_places(qdiscs)):
        name = f"block {parent}" if index < 0 else links.name(index)
        hook = _hook(index, parent)
        here = [_filter(row, name, hook, links) for row in _rows(dump, _ask(_GETFILTER, index, parent, "filters"))]
        filters += [row for row in here if row.options or row.handle != "0"]
        used = {0, *(row.chain for row in here)}
        for row in _rows(dump, _ask(_GETCHAIN, index, parent, "chains")):
            if row.number(_CHAIN) not in used:
                chains.append(Chain(name, hook, row.number(_CHAIN), row.kind))
    return tuple(filters), tuple(chains)


def _rows(dump: Dump, message: Message) -> list[_Row]:
    try:
        return [_row(row) for row in dump(message)]
    except KernelError:
        return []  # the discipline is gone meanwhile, or the kernel has no filters


def _filter(row: _Row, name: str, hook: str, links: LinkTable) -> Filter:
    ethertype = int.from_bytes((row.info & 0xFFFF).to_bytes(2, "little"), "big")
    protocol = _ETHERTYPES.get(ethertype, hex(ethertype))
    chain, pref = row.number(_CHAIN), row.info >> 16
    return Filter(name, hook, row.kind, pref, protocol, f"{row.handle:x}", chain, _options(row, links))


def _options(row: _Row, links: LinkTable) -> Pairs:
    known = _KINDS.get(row.kind, _Kind())
    found = pairs(row.options, 0, len(row.options), known.fields, known.passing | known.actions)
    actions = [
        _action(row.options[a:b], links)
        for kind, start, end in attributes(row.options, 0, len(row.options))
        if kind in known.actions
        for _, a, b in attributes(row.options, start, end)
    ]
    return (*found, ("action", "; ".join(actions))) if actions else found


def _action(data: bytes, links: LinkTable) -> str:
    """``mirred egress redirect dev ifb0``; kinds without words here with their parameters in hexadecimal."""
    found = {kind: data[a:b] for kind, a, b in attributes(data, 0, len(data))}
    kind, options = text(found.get(_ACTION_KIND, b""), 0, 64), found.get(_ACTION_OPTIONS, b"")
    inner = {number_: options[a:b] for number_, a, b in attributes(options, 0, len(options))}
    verdict_of = inner.get(_ACTION_PARAMETERS.get(kind, 0), b"")
    if kind == "gact" and len(verdict_of) >= 12:
        return f"gact {_verdict(verdict_of)}"
    if kind == "mirred" and len(verdict_of) >= 28:
        way, index = struct.unpack_from("=II", verdict_of, 20)
        return f"mirred {_MIRRED.get(way, way)} dev {links.name(index)} {_verdict(verdict_of)}"
    rest = (f"{key}={value.hex()}" for key, value in sorted(inner.items()) if len(value) != _TIMES_LENGTH)
    return " ".join((kind, *rest))


def _verdict(parameters: bytes) -> str:
    value = number(parameters, 8, 12)
    return _VERDICTS.get(value, hex(value))


def _flow(data: bytes, start: int, end: int) -> str:
    return handle_words(number(data, start, end))


def _selector(data: bytes, start: int, end: int) -> str:
    """The keys of u32 as tc(8) prints them: ``0a000001/ffffffff at 16``."""
    keys = []
    for at in range(start + 16, end - 15, 16):
        mask, value, offset, following = struct.unpack_from(">II", data, at) + struct.unpack_from("=ii", data, at + 8)
        keys.append(f"{value:08x}/{mask:08x} at {'nexthdr+' if following else ''}{offset}")
    return f"{' '.join(keys)}{' terminal' if data[start] & 1 else ''}"


_NO_FIELDS: Fields = MappingProxyType({})


class _Kind(NamedTuple):
    """How the options of one kind of filter are read: ``passing`` are what is counted."""

    fields: Fields = _NO_FIELDS
    actions: frozenset[int] = frozenset()
    passing: frozenset[int] = frozenset()


def _kind(
    flowid: int, action: int, fields: Mapping[int, str] = MappingProxyType({}), passing: tuple[int, ...] = ()
) -> _Kind:
    plain: Fields = {key: (name, plain_hex) for key, name in fields.items()}
    return _Kind({flowid: ("flowid", _flow), **plain}, frozenset((action,)), frozenset(passing))


_FLOWER = (
    "indev - dst_mac dst_mac_mask src_mac src_mac_mask eth_type ip_proto src_ip src_ip_mask dst_ip dst_ip_mask "
    "src_ipv6 src_ipv6_mask dst_ipv6 dst_ipv6_mask tcp_src tcp_dst udp_src udp_dst"
)
_KINDS: Mapping[str, _Kind] = {
    "u32": _Kind(
        {
            1: ("flowid", _flow),
            2: ("ht", hexadecimal),
            3: ("link", hexadecimal),
            4: ("divisor", number),
            5: ("match", _selector),
            6: ("police", plain_hex),
            8: ("indev", text),
            10: ("mark", plain_hex),
            11: ("flags", named({8: "not_in_hw"})),
        },
        frozenset((7,)),
        frozenset((9,)),
    ),
    "matchall": _kind(1, 2, {3: "flags"}, (4,)),
    "fw": _kind(1, 4, {2: "police", 3: "indev", 5: "mask"}),
    "flower": _kind(
        1, 3, {2 + at: name for at, name in enumerate(_FLOWER.split()) if name != "-"} | {22: "flags"}, (86,)
    ),
    "bpf": _kind(3, 1, {2: "police", 5: "bytecode", 7: "name", 8: "flags", 10: "tag"}, (4, 6, 11)),
    "basic": _kind(1, 3, {2: "ematch", 4: "police"}, (5,)),
    "route": _kind(1, 6, {2: "to", 3: "from", 4: "fromif", 5: "police"}),
    "cgroup": _kind(0, 1, {2: "police", 3: "ematch"}),
    "flow": _kind(0, 9),
}
