"""Words that other tools have for what the language calls otherwise: what to write instead, by where they stand.

A word that the language knows, or a misspelling of one, needs no row.
"""

from __future__ import annotations

from collections.abc import Mapping

_ENDS = "ends: [{at: PLACE, name: eth0}, {at: PLACE, name: eth0}]"
_VETH = f"a link between two places is in 'veths' of the topology: - {_ENDS}"
_OWN = "a place's own links are listed by kind ('bridges', 'macvlans', …); " + _VETH
_ADDRESS = (
    "an address belongs to a link: addresses: [10.0.0.1/24] at the end of a veth pair, "
    "at a link of another kind, or as 'loopback'"
)
_ROUTE = "a gateway is a route: routes: [default via 10.0.0.1]"
_SETUP = "commands that are run when all else is there are in 'setup'"
_FORWARDING = "forwarding is a sysctl: sysctls: {net.ipv4.ip_forward: 1}; 'role: router' sets both families"
_SANDBOX = "a container is a sandbox of a host: hosts: NAME: sandboxes: NAME: {}"
_HOST = "machines are in 'hosts', bridges in a namespace of their own in 'switches'"
_FILTER = "rules are lines of 'iptables' and 'ip6tables', or a script of 'nft'"
_NAME = "a name is the key that stands in front, as in hosts: NAME:"
_NETWORK = "a plugin's network is no part of a topology: name its file with --conf, or call cni.add(sandbox, conf)"
_AT = "the place of an end is 'at': {at: PLACE, name: eth0}"
_END_NAME = "the name of the link is 'name': {at: PLACE, name: eth0}"
_ABOUT = "one line for people is 'about'"

_TOP: Mapping[str, str] = {
    **dict.fromkeys(("links", "link", "wires", "cables", "edges", "connections", "veth", "interfaces", "pairs"), _VETH),
    **dict.fromkeys(("containers", "container", "pods", "pod", "sandboxes", "sandbox", "endpoints"), _SANDBOX),
    **dict.fromkeys(
        ("nodes", "node", "machines", "routers", "router", "places", "bridges", "bridge", "topology"), _HOST
    ),
    **dict.fromkeys(("networks", "network", "nets", "cni", "conflist", "plugins"), _NETWORK),
    **dict.fromkeys(("description", "title", "comment", "version"), _ABOUT),
}
_PLACE: Mapping[str, str] = {
    **dict.fromkeys(
        ("links", "link", "interfaces", "interface", "nics", "nic", "devices", "ethernets", "veth", "veths"), _OWN
    ),
    **dict.fromkeys(("address", "addresses", "ip", "ips", "ipv4", "ipv6", "addrs", "addr"), _ADDRESS),
    **dict.fromkeys(("gateway", "default_gateway", "default", "gw", "default_route", "via"), _ROUTE),
    **dict.fromkeys(("commands", "command", "run", "exec", "cmd", "up", "script", "post_up"), _SETUP),
    **dict.fromkeys(("ip_forward", "forward", "forwarding", "is_router"), _FORWARDING),
    **dict.fromkeys(("containers", "container", "pods", "pod", "namespaces", "netns"), _SANDBOX),
    **dict.fromkeys(("firewall", "filter", "nftables", "rules_v4"), _FILTER),
    **dict.fromkeys(("networks", "network", "cni", "conflist"), _NETWORK),
    "name": _NAME,
    "description": "a comment begins with '#'",
}
_VETHS: Mapping[str, str] = dict.fromkeys(
    ("a", "b", "from", "to", "between", "endpoints", "peers", "peer", "hosts", "nodes", "left", "right", "name"),
    f"a veth pair has two ends: {_ENDS}",
)
_END: Mapping[str, str] = {
    **dict.fromkeys(("host", "node", "place", "in", "sandbox", "container", "switch", "netns", "namespace"), _AT),
    **dict.fromkeys(("link", "interface", "iface", "ifname", "dev", "device", "nic"), _END_NAME),
    **dict.fromkeys(("ip", "ips", "ipv4", "ipv6", "addr", "addrs"), "its addresses are 'addresses': [10.0.0.1/24]"),
    **dict.fromkeys(
        ("gateway", "routes", "route", "via"), "routes are keys of hosts and sandboxes, not of their links"
    ),
}
#: By the class of the model that a word was written in, or one that it is a kind of.
_GUESSES: Mapping[str, Mapping[str, str]] = {"Topology": _TOP, "Place": _PLACE, "Veth": _VETHS, "VethEnd": _END}


def guess(cls: type, word: str) -> str:
    """``: a gateway is a route: …`` (to put behind "unknown key") for a word that people write in a ``cls`` of the
    model for something that it has by another name; else nothing."""
    plain = word.lower().replace("-", "_")
    said = (_GUESSES[each.__name__].get(plain) for each in cls.__mro__ if each.__name__ in _GUESSES)
    return next((f": {words}" for words in said if words), "")


def guesses() -> Mapping[str, Mapping[str, str]]:
    """All such words with what is said of each, by the name of the class of the model."""
    return _GUESSES
