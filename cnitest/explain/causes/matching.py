"""Whether a rule's conditions hold for a packet, as far as that can be said from its words alone."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable

from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.probe import wire

#: The protocols by the names that rules have for them.
PROTOCOLS = {
    "icmp": wire.ICMP,
    "tcp": wire.TCP,
    "udp": wire.UDP,
    "sctp": wire.SCTP,
    "icmpv6": wire.ICMPV6,
    "ipv6-icmp": wire.ICMPV6,
}
#: ICMP's types by the names of nftables, of both families.
TYPES = {"echo-request": (8, 128), "echo-reply": (0, 129)}
#: The chains that a rule of nftables hands packets to, those of its elements included.
LEADS_TO = re.compile(r"\b(?:goto|jump) ([^\s,]+)")
_INVERTIBLE = ("-s", "-d", "-p", "-i", "-o", "--dport", "--sport", "--ctstate", "--state")
_QUOTED = frozenset("'\"\\")
_NFT_TERM = re.compile(
    r"(ip6? [sd]addr|ip protocol|meta l4proto|icmp(?:v6)? type|(?:tcp|udp|sctp) [sd]port|[io]ifname|ct state)"
    r' (\{ [^}]* \}|[^\s"{]+|"[^\s"]+")'
)
# What a rule of DNAT asks of addresses, ports and the link that a packet comes in by.
_TERMS = re.compile(
    r"(?P<not>! )?(?P<what>-[dsi]|--dports?|ip6? [ds]addr|(?:tcp|udp|sctp|th) dport|iif(?:name)?) (?P<op>!= )?"
    r"(?!v?map |\. )(?P<value>\{ [^}]* \}|\"?[^\s\"{}@]+\"?)"
)
# What stands before the second and each later field that is looked up together with others.
_TOGETHER = " . "
# The protocols that a rule is for, by name or number.
_FOR_PROTOCOL = re.compile(
    r"(?P<not>! )?(?:-p|\bmeta l4proto|\bip protocol|\bip6 nexthdr) (?P<op>!= )?(?P<value>\{ [^}]* \}|[\w-]+)"
    r"|\b(?P<ports>tcp|udp|sctp) dport"
)


def covers(written: str, value: str) -> bool:
    """Whether an address, a prefix, a range, a number or a name covers a value; so does any of nftables' ``{ a, b }``,
    and of links ``eth+`` (iptables) and ``eth*`` (nftables)."""
    if written.startswith("{"):
        return any(covers(each.strip(' "'), value) for each in written.strip("{}").split(","))
    if written == value or (written.endswith(("+", "*")) and value.startswith(written[:-1])):
        return True
    first, dash, last = written.partition("-")
    try:
        if "/" in written:
            return ipaddress.ip_address(value) in ipaddress.ip_network(written, strict=False)
        if dash and value.isdigit():
            return int(first) <= int(value) <= int(last)
        if dash:
            low, it, high = (int(ipaddress.ip_address(each)) for each in (first, value, last))
            return low <= it <= high
    except ValueError:
        return False
    return False


def iptables_holds(words: Iterable[str], step: MetRule) -> bool:
    """Whether the conditions of a rule of iptables hold for the packet of a step; False where one is not understood."""
    pairs = _options(words)
    known = all(option in _INVERTIBLE for option, _, inverted in pairs if inverted)
    return known and all(_option_holds(option, value, step) != inverted for option, value, inverted in pairs)


def iptables_may_hold(words: Iterable[str], step: MetRule) -> bool | None:
    """As `iptables_holds`, None where a condition is not understood and no other one fails."""
    known = {*_INVERTIBLE, "--icmp-type", "--icmpv6-type", "--comment"}
    pairs = [one for one in _options(words) if one[0] != "--comment"]
    plain = [(option, value, inverted) for option, value, inverted in pairs if option in known]
    if any(_option_holds(option, value, step) == inverted for option, value, inverted in plain):
        return False
    rest = (one for one in pairs if one not in plain)
    return True if all(option == "-m" and _option_holds(option, value, step) for option, value, _ in rest) else None


def _options(words: Iterable[str]) -> list[tuple[str, str, bool]]:
    """The options of a rule with their values, and whether they are inverted."""
    pairs, rest, inverted = [], list(words), False
    while rest:
        option = rest.pop(0)
        if option == "!":
            inverted = True
            continue
        value = rest.pop(0) if rest and rest[0] != "!" and not rest[0].startswith("-") else ""
        pairs.append((option, value, inverted))
        inverted = False
    return pairs


def _option_holds(option: str, value: str, step: MetRule) -> bool:
    packet = step.packet
    match option:
        case "-s":
            return covers(value, packet.source)
        case "-d":
            return covers(value, packet.destination)
        case "-p":
            return PROTOCOLS.get(value) == packet.protocol
        case "-i" | "-o":
            return covers(value, step.iif if option == "-i" else step.oif)
        case "--dport":
            return covers(value.replace(":", "-"), str(packet.destination_port))
        case "--sport":
            return covers(value.replace(":", "-"), str(packet.source_port))
        case "--icmp-type" | "--icmpv6-type":
            return value == str(packet.kind)
        case "--ctstate" | "--state":
            return step.state.upper() in value.split(",")
        case "-m":
            return value in PROTOCOLS or value in ("icmp6", "comment", "conntrack", "state")
    return option == "--comment"


def accepts(rule: str, step: MetRule) -> bool:
    """Whether a rule in the words of a step's program accepts its packet; False where a condition is not understood."""
    if step.program != "nft":
        conditions, accepting, _ = rule.partition("-j ACCEPT")
        return bool(accepting) and iptables_holds(split(conditions), step)
    conditions, accepting, _ = rule.rpartition("accept")
    return bool(accepting) and nft_holds(conditions, step)


def nft_holds(conditions: str, step: MetRule) -> bool:
    """The same for the conditions of a rule of nftables."""
    terms = _NFT_TERM.findall(conditions)
    left = _NFT_TERM.sub("", conditions).replace("counter", "").strip()
    return not left and all(_term_holds(name, value, step) for name, value in terms)


def nft_may_hold(conditions: str, step: MetRule) -> bool | None:
    """As `nft_holds`, None where a condition is not understood and no other one fails."""
    terms = [(name, value) for name, value in _NFT_TERM.findall(conditions) if value[0] not in "!=<>@&"]
    left = _NFT_TERM.sub(lambda found: found[0] if found[2][0] in "!=<>@&" else "", conditions)
    if not all(_term_holds(name, value, step) for name, value in terms):
        return False
    return None if left.replace("counter", "").strip() else True


def _term_holds(name: str, value: str, step: MetRule) -> bool:
    packet = step.packet
    what = name.split()[-1]
    if value.startswith("{"):
        return any(_term_holds(name, each.strip(), step) for each in value.strip("{ }").split(","))
    if what == "state":
        return step.state in value.split(",")
    value = value.strip('"')
    if what in ("saddr", "daddr"):
        return covers(value, packet.source if what == "saddr" else packet.destination)
    if what in ("protocol", "l4proto"):
        return PROTOCOLS.get(value) == packet.protocol
    if what == "type":
        return packet.kind in TYPES.get(value, ())
    if what in ("sport", "dport"):
        port = packet.source_port if what == "sport" else packet.destination_port
        return PROTOCOLS[name.split()[0]] == packet.protocol and covers(value, str(port))
    return covers(value, step.iif if what == "iifname" else step.oif)


def may_match(rule: str, packet: wire.Headers, iif: str = "") -> bool:
    """Whether nothing keeps a rule from matching a packet by its addresses, port and protocol, nor, where it is known,
    by the link that it came in by."""
    values = {"d": packet.destination, "s": packet.source, "p": str(packet.destination_port), "i": iif}
    for term in _TERMS.finditer(rule):
        if rule.endswith(_TOGETHER, 0, term.start()):
            continue
        what, written = _field(term["what"]), term["value"].strip('"')
        if what == "p" and not written.startswith("{"):
            written = f"{{{written.replace(':', '-')}}}"  # several, and spans of them, as iptables writes these
        if values[what] and covers(written, values[what]) == bool(term["not"] or term["op"]):
            return False
    return is_for_protocol(rule, packet)


def _field(name: str) -> str:
    """The field of a packet that a condition names: d(estination), s(ource), p(ort), i(nterface)."""
    return "p" if "port" in name else name.split()[-1].lstrip("-")[0]


def is_for_protocol(rule: str, packet: wire.Headers) -> bool:
    """Whether a rule is for a packet's protocol, or for all."""
    names = [name for name, number in PROTOCOLS.items() if number == packet.protocol]
    for term in _FOR_PROTOCOL.finditer(rule):
        written = term["value"] or term["ports"]
        if any(covers(written, name) for name in (*names, str(packet.protocol))) == bool(term["not"] or term["op"]):
            return False
    return True


def split(rule: str) -> list[str]:
    """The words of a rule of iptables behind its chain."""
    if _QUOTED.isdisjoint(rule):  # nearly all are, and there may be thousands
        return rule.split()[2:]
    try:
        return shlex.split(rule)[2:]
    except ValueError:  # a comment with a single quotation mark
        return rule.split()[2:]
