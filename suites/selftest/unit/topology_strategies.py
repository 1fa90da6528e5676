"""Topologies for property tests: structurally valid, often wrong in meaning, their names made to meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cnitest.topology import (
    Bond,
    Bridge,
    Dummy,
    Host,
    Ipvlan,
    Macvlan,
    Route,
    Rule,
    Sandbox,
    Switch,
    Tap,
    Topology,
    Veth,
    VethEnd,
    Vlan,
    Vrf,
)

# Few names, so that references hit; odd ones, so that they hurt.
_names = st.one_of(st.sampled_from(["a", "b", "br0", "eth0", "eth0.5", "p1", "lo", ""]), st.text(max_size=20))
_places = st.one_of(st.sampled_from(["h1", "h2", "h1/a", "h2/b", "lan", "wan"]), st.text(max_size=8))
_references = st.one_of(_names, st.builds("{}:{}".format, _places, _names))
_numbers = st.one_of(st.sampled_from([0, 1, 68, 1280, 1500, 9000]), st.integers())
_ips = st.one_of(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "2001:db8::2", "fe80::1"]),
    st.ip_addresses().map(str),
    st.text(max_size=12),
)
_prefixes = st.one_of(st.builds("{}/{}".format, _ips, st.sampled_from([0, 8, 24, 32, 64, 128, 129])), _ips)
_maybe = {
    "addresses": st.lists(_prefixes, max_size=3),
    "mtu": st.none() | _numbers,
    "mac": st.none() | st.sampled_from(["02:00:00:00:00:01", "01:00:00:00:00:01"]) | st.text(max_size=18),
    "state": st.sampled_from(["up", "down"]),
    "dad": st.booleans(),
    "bridge": st.none() | _names,
    "hairpin": st.none() | st.booleans(),
    "isolated": st.booleans(),
}


def _links(cls: type, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(_names, st.builds(cls, **_some(_maybe), **more), max_size=2)


def _some(fields: dict[str, st.SearchStrategy[Any]]) -> dict[str, st.SearchStrategy[Any]]:
    return dict(fields)


_ports = st.lists(_names, max_size=3)
_routes = st.builds(
    Route,
    to=st.just("default") | _prefixes,
    via=st.none() | _ips,
    link=st.none() | _names,
    source=st.none() | _ips,
    table=st.none() | _numbers,
    metric=st.none() | _numbers,
    kind=st.sampled_from(["unicast", "blackhole"]),
    family=st.sampled_from([None, 4, 6]),
)
_rules = st.builds(Rule, table=_numbers, source=st.none() | _prefixes, to=st.none() | _prefixes, iif=st.none() | _names)
_sysctls = st.dictionaries(
    st.one_of(
        st.sampled_from(["net.ipv4.ip_forward", "net/ipv4/conf/eth0/x", "net.ipv4.conf.eth0.5.x"]), st.text(max_size=20)
    ),
    st.integers() | st.text(max_size=8),
    max_size=2,
)
_lines = st.lists(st.text(max_size=30), max_size=2)
_place = {
    "loopback": st.lists(_prefixes, max_size=2),
    "bridges": _links(Bridge, stp=st.booleans()),
    "macvlans": _links(Macvlan, parent=_references, mode=st.sampled_from(["bridge", "passthru"])),
    "ipvlans": _links(Ipvlan, parent=_references, mode=st.sampled_from(["l2", "l3"])),
    "vlans": _links(Vlan, parent=_references, id=_numbers),
    "dummies": _links(Dummy),
    "bonds": _links(Bond, ports=_ports),
    "vrfs": _links(Vrf, table=_numbers, ports=_ports),
    "taps": _links(Tap),
    "routes": st.lists(_routes, max_size=3),
    "rules": st.lists(_rules, max_size=2),
    "sysctls": _sysctls,
    "iptables": _lines,
    "ip6tables": _lines,
    "nft": st.text(max_size=40),
}


@st.composite
def _places_of(draw: st.DrawFn, cls: type, **more: st.SearchStrategy[Any]) -> Any:
    """A place with a few of its fields filled: all of them at once would be slow and say little."""
    chosen = draw(st.sets(st.sampled_from([*_place]), max_size=4))
    return cls(
        **{name: draw(_place[name]) for name in sorted(chosen)}, **{name: draw(each) for name, each in more.items()}
    )


_sandboxes = st.dictionaries(_names, _places_of(Sandbox), max_size=3)
_hosts = _places_of(Host, role=st.sampled_from(["host", "router", "internet"]), sandboxes=_sandboxes)
_ends = st.builds(VethEnd, at=_places, name=st.none() | _names, **_some(_maybe))

any_topologies = st.builds(
    Topology,
    name=st.text(max_size=30),
    about=st.text(max_size=150),
    hosts=st.dictionaries(st.sampled_from(["h1", "h2"]) | st.text(max_size=70), _hosts, max_size=3),
    switches=st.dictionaries(_places, st.builds(Switch, hairpin=st.booleans(), mtu=st.none() | _numbers), max_size=2),
    veths=st.lists(st.builds(Veth, ends=st.lists(_ends, min_size=1, max_size=3)), max_size=4),
)
