"""Words that other tools have for what the language calls otherwise: what to write instead, by where they stand.

A word that the language knows, or a misspelling of one, needs no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    **dict.fromkeys(("description", "title", "comment"), _ABOUT),
    **dict.fromkeys(("version", "api_version", "kind"), "leave it out; topologies have no versions"),
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
    **dict.fromkeys(
        ("gateway", "routes", "route", "via"), "routes are keys of hosts and sandboxes, not of their links"
    ),
}
_LINK_STATE: Mapping[str, str] = dict.fromkeys(
    ("up", "enabled", "admin_up"), "a link is up unless it has 'state: down'"
)
_BRIDGE: Mapping[str, str] = dict.fromkeys(
    ("ports", "interfaces", "members", "slaves", "links"), "a port names its bridge: bridge: br0 at the port's own link"
)
_SWITCH: Mapping[str, str] = {
    **dict.fromkeys(("addresses", "address", "ip"), "a switch has no address; a 'bridge' of a host can have some"),
    **dict.fromkeys(("ports", "interfaces", "members"), f"a port is an end of a veth pair: {_ENDS}"),
}
#: By the class of the model that a word was written in, or one that it is a kind of.
_GUESSES: Mapping[str, Mapping[str, str]] = {
    "Topology": _TOP,
    "Place": _PLACE,
    "Veth": _VETHS,
    "VethEnd": _END,
    "Link": _LINK_STATE,
    "Bridge": _BRIDGE,
    "Switch": _SWITCH,
}
_GATEWAY = dict.fromkeys(("gw", "gateway", "next_hop", "nh", "router"), "via")
_TARGET = dict.fromkeys(("dst", "dest", "destination", "prefix", "network", "target", "net", "subnet"), "to")
_LINK = dict.fromkeys(("interface", "iface", "ifname", "device", "nic", "oif"), "link")
_PARENT = dict.fromkeys(("master", "link", "dev", "device", "lower", "interface", "iface", "lowerdev"), "parent")
_PORTS = dict.fromkeys(("slaves", "members", "interfaces", "links", "enslave"), "ports")
#: Other words for the very thing, by class: what was written is read as if it stood under ours.
_SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "Route": {**_GATEWAY, **_TARGET, **_LINK, "prio": "metric", "from": "source"},
    "NextHop": {**_GATEWAY, **_LINK},
    "Rule": {"src": "source", "dst": "to", "prio": "priority", "lookup_table": "table"},
    "Neighbour": {
        **dict.fromkeys(("ip", "address", "addr", "dst", "host"), "to"),
        **_LINK,
        **dict.fromkeys(("hwaddr", "ether", "mac_address"), "mac"),
    },
    "Macvlan": _PARENT,
    "Ipvlan": _PARENT,
    "Vlan": {**_PARENT, **dict.fromkeys(("vlan", "vid", "tag", "vlan_id", "vlanid"), "id")},
    "Vxlan": {**_PARENT, **dict.fromkeys(("vni", "vxlan_id"), "id"), "group": "remote", "dstport": "port"},
    "Bond": _PORTS,
    "Vrf": _PORTS,
    "Tunnel": {"type": "mode", "kind": "mode"},
    "Link": {
        **dict.fromkeys(("ip", "ips", "ipv4", "ipv6", "addr", "addrs", "inet", "inet6"), "addresses"),
        **dict.fromkeys(("hwaddr", "ether", "mac_address", "lladdr"), "mac"),
        "status": "state",
        "master": "bridge",
    },
}
#: The same of values: of the words that a key allows, what people write for one of them.
_CHOICES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("on", "true", "yes", "enabled"), ("up",)),
    **dict.fromkeys(("off", "false", "no", "disabled"), ("down",)),
    **dict.fromkeys(("gateway", "gw", "forwarder"), ("router",)),
    **dict.fromkeys(("node", "machine", "server", "client", "endpoint"), ("host",)),
    **dict.fromkeys(("wan", "outside", "external"), ("internet",)),
    "0": ("down", "balance-rr"),
    "1": ("up", "active-backup"),
    "2": ("balance-xor",),
    "3": ("broadcast",),
    **dict.fromkeys(("4", "lacp", "8023ad"), ("802.3ad",)),
}


def guess(cls: type, word: str) -> str:
    """``: a gateway is a route: …`` (to put behind "unknown key") for a word that people write in a ``cls`` of the
    model for something that it has by another name; else nothing."""
    plain = word.lower().replace("-", "_")
    said = (_GUESSES[each.__name__].get(plain) for each in cls.__mro__ if each.__name__ in _GUESSES)
    return next((f": {words}" for words in said if words), "")


def is_certain(cls: type, word: str) -> bool:
    """Whether what `guess` says holds for the class itself, whatever else has such a key."""
    return cls.__name__ in ("Bridge", "Switch") and bool(guess(cls, word))


def synonym(cls: type, word: str) -> str | None:
    """The key of a ``cls`` of the model that other tools call by this word; None where it is none."""
    plain = word.lower().replace("-", "_")
    said = (_SYNONYMS[each.__name__].get(plain) for each in cls.__mro__ if each.__name__ in _SYNONYMS)
    return next(filter(None, said), None)


def choice(word: str, allowed: Iterable[str]) -> str | None:
    """The one of the words that are allowed which people mean by another; None where it is none."""
    known = set(allowed)
    return next((each for each in _CHOICES.get(word.lower(), ()) if each in known), None)


def synonyms() -> Mapping[str, Mapping[str, str]]:
    """All other words for a key, by the name of the class of the model."""
    return _SYNONYMS


def guesses() -> Mapping[str, Mapping[str, str]]:
    """All such words with what is said of each, by the name of the class of the model."""
    return _GUESSES
