"""Which rules of nftables (and of iptables-nft) a packet meets, as the kernel reports it (NFNLGRP_NFTRACE).

A table of ours marks packets where they come in and where they are sent; it is gone with the socket that made it. The
mark also has the older iptables report what it does (see `log_trace`).
Layout: include/uapi/linux/netfilter/nf_tables.h, enum nft_trace_attributes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netfilter import events, tables
from cnitest.kernel.rtnetlink.netlink import Message

_TRACE, _GROUP, _KEPT = tables.SUBSYSTEM << 8 | 17, 9, "nft trace"
_KINDS = {1: "policy", 2: "return", 3: "rule"}
_VERDICTS = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
_FIRST = -(1 << 31)
_NFTRACE, _PROTOCOL, _L4PROTO, _REGISTER = 12, 1, 16, 1
_ARP = (0x0806).to_bytes(2, "big")
_ICMP, _ICMPV6 = 1, 58
# What links say by themselves, of which a bridge with many ports makes many copies: no answer to a probe depends on it.
_MULTICAST_LISTENERS, _ROUTERS, _SOLICITATION = (130, 131, 132, 143), (133, 134), 135
_NETWORK, _TRANSPORT, _SOURCE, _NEXT_HEADER = 1, 2, (8, 16), (6, 1)
_FRAGMENT = 44
_HOOKS = {
    "inet": ("PREROUTING", "OUTPUT"),
    "bridge": ("PREROUTING", "OUTPUT"),
    "arp": ("INPUT", "OUTPUT"),
    "netdev": ("ingress", "egress"),
}


class NftTraceEvent(NamedTuple):
    """A rule, or the end of a chain, that a packet met.

    ``identity`` is the packet's as long as it is at the place. ``kind`` is ``rule``, ``return`` (the end of a chain
    that was jumped to) or ``policy``; ``verdict`` what it said, of a jump ``target`` is the chain. ``iif`` and ``oif``
    are links' indices, 0 where there is none. ``packet`` is the beginning of the packet from its network header on, up
    to twenty bytes of its transport header; it is reported once for each base chain and hook. ``state`` is connection
    tracking's (``new``), empty where the kernel reports none; ``mark`` is the packet's fwmark by then.
    """

    identity: int
    family: str
    table: str
    chain: str
    handle: int
    kind: str
    verdict: str
    target: str
    iif: int
    oif: int
    packet: bytes
    state: str = ""
    mark: int = 0


class Armed(NamedTuple):
    """That packets of a namespace are marked: the generation of its rules before and with that, and why some of it
    cannot be."""

    before: int
    now: int
    refused: tuple[str, ...]


def arm(namespace: NetworkNamespace, links: Sequence[str], protocols: Collection[int]) -> Armed:
    """Mark packets of some protocols (of IP; ICMP always but what links announce, and ARP) from now on, in those
    families that have tables, and forget what was reported before. Raises KernelError when nothing can be marked."""
    netfilter = namespace.netfilter
    listener = namespace.kept(_KEPT, partial(events.opened, _GROUP))
    before, used = tables.generation(netfilter), tables.families(netfilter)
    if "inet" in used and any(row.hook in _HOOKS["netdev"] for row in tables.chains(netfilter)):
        used |= {"netdev"}
    wanted = {_ICMP, _ICMPV6, *protocols}
    tables.transact(netfilter, [*_marking("inet", _HOOKS["inet"], (), wanted)])
    parts = [(family, hook) for family in sorted(used & (_HOOKS.keys() - {"inet"})) for hook in _HOOKS[family]]
    refused = [_refusal(namespace, [*_marking(family, (hook,), links, wanted)]) for family, hook in parts]
    for _ in events.received(listener):
        pass
    now = before + 1 + refused.count("")
    return Armed(before, now, tuple(f"nft trace: {each}" for each in refused if each))


def disarm(namespace: NetworkNamespace, armed: Armed) -> None:
    """Remove what `arm` made. What was read of the rules before stays known where nothing else has changed. Raises
    KernelError."""
    netfilter = namespace.netfilter
    found = tables.families(netfilter, tables.OWN)
    if found:
        tables.transact(netfilter, [tables.delete_table(family, tables.OWN) for family in sorted(found)])
    known, rules = namespace.ruleset
    if known in (armed.before, armed.now) and tables.generation(netfilter) == armed.now + 1:
        namespace.ruleset = (armed.now + 1, rules)


def _refusal(namespace: NetworkNamespace, messages: Sequence[Message]) -> str:
    """Why the kernel does not take messages; empty when it does."""
    try:
        tables.transact(namespace.netfilter, messages)
    except KernelError as error:
        return str(error)
    return ""


def traced(namespace: NetworkNamespace) -> tuple[tuple[NftTraceEvent, ...], bool]:
    """What packets met since `arm` or since it was asked last, in order; and whether it is all of it."""
    rows = list(events.received(namespace.kept(_KEPT, partial(events.opened, _GROUP))))
    whole = not any(kind == events.OVERRUN for kind, _ in rows)
    return tuple(_event(row) for kind, row in rows if kind == _TRACE), whole


def _marking(family: str, hooks: Iterable[str], links: Sequence[str], protocols: Collection[int]) -> Iterator[Message]:
    yield tables.new_table(family, tables.OWN)
    for hook in hooks:
        yield tables.new_chain(family, tables.OWN, hook, hook, _FIRST, links if family == "netdev" else ())
        for condition in _conditions(family, protocols):
            yield tables.new_rule(family, tables.OWN, hook, [*chain.from_iterable(condition), *_MARK])


def _conditions(family: str, protocols: Collection[int]) -> Iterator[Sequence[Sequence[bytes]]]:
    """What a packet has to be, to be traced: parts of a rule that have to hold together, of each rule."""
    if family == "arp":
        yield ()
        return
    yield from ((_meta_is(_L4PROTO, bytes([protocol])),) for protocol in sorted({*protocols} - {_ICMPV6}))
    if _ICMPV6 in protocols:
        yield from _icmpv6()
    if family != "inet":
        yield (_meta_is(_PROTOCOL, _ARP),)


def _icmpv6() -> Iterator[Sequence[Sequence[bytes]]]:
    """ICMPv6, and fragments of it, but what links announce: their groups, what they ask routers, and addresses that
    they are to have."""
    icmpv6, kind = _meta_is(_L4PROTO, bytes([_ICMPV6])), _payload(_TRANSPORT, 0, 1)
    announced = (*_MULTICAST_LISTENERS, *_ROUTERS, _SOLICITATION)
    yield icmpv6, (kind, *(_compared(bytes([each]), equal=False) for each in announced))
    yield icmpv6, (_payload(_NETWORK, *_NEXT_HEADER), _compared(bytes([_FRAGMENT])))
    asked = kind, _compared(bytes([_SOLICITATION]))
    yield icmpv6, asked, (_payload(_NETWORK, *_SOURCE), _compared(bytes(16), equal=False))


def _meta_is(key: int, value: bytes) -> Sequence[bytes]:
    return tables.expression("meta", (1, _REGISTER), (2, key)), _compared(value)


def _payload(base: int, offset: int, length: int) -> bytes:
    return tables.expression("payload", (1, _REGISTER), (2, base), (3, offset), (4, length))


def _compared(value: bytes, *, equal: bool = True) -> bytes:
    return tables.expression("cmp", (1, _REGISTER), (2, 0 if equal else 1), (3, tables.data(value)))


_MARK = (
    tables.expression("immediate", (1, _REGISTER), (2, tables.data(b"\1"))),
    tables.expression("meta", (2, _NFTRACE), (3, _REGISTER)),
)


def _event(row: bytes) -> NftTraceEvent:
    values = tables.values_of(row)
    verdict = tables.nested(values, 5)
    code = tables.number(verdict, 1) if verdict else tables.number(values, 16)
    signed = code - (1 << 32) if code >> 31 else code & 0xFF  # an error number or a queue is above the verdict
    return NftTraceEvent(
        tables.number(values, 6),
        tables.FAMILIES.get(row[16], ""),
        tables.text(values, 1),
        tables.text(values, 2),
        tables.number(values, 3),
        _KINDS.get(tables.number(values, 4), ""),
        _VERDICTS.get(signed, str(signed)),
        tables.text(verdict, 2),
        tables.number(values, 10),
        tables.number(values, 12),
        values.get(8, b"") + values.get(9, b""),
        _STATES.get(tables.number(values, 21), ""),
        tables.number(values, 14),
    )
