"""Matches packets by layer and field. What no packet has is our error: ``assert not …`` must not pass by a typo."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from scapy.config import conf
from scapy.packet import Packet

from cnitest.errors import UsageError
from cnitest.lab.frames.fields import Test, test_of
from cnitest.topology.problem import listed
from cnitest.typos import did_you_mean, nearest

# Where layers live that are loaded only when one of them is asked for, by how their names begin.
_MODULES = {
    "BOOTP": "layers.dhcp",
    "DHCP6": "layers.dhcp6",
    "DHCP": "layers.dhcp",
    "DNS": "layers.dns",
    "GENEVE": "contrib.geneve",
    "HSRP": "layers.hsrp",
    "IGMP": "layers.igmp",
    "LLDP": "contrib.lldp",
    "MPLS": "contrib.mpls",
    "NTP": "layers.ntp",
    "OSPF": "contrib.ospf",
    "RIP": "layers.rip",
    "SCTP": "layers.sctp",
    "SNMP": "layers.snmp",
    "VRRP": "layers.vrrp",
    "VXLAN": "layers.vxlan",
    "Wireguard": "contrib.wireguard",
}
_FEW = 8


class Wanted(NamedTuple):
    """A layer, and what each of its fields is held to."""

    layer: type[Packet]
    tests: Mapping[str, Test]


def wanted(layer: Any, fields: Mapping[str, Any]) -> Wanted:
    """What a packet is held to: a layer (a scapy class, or its name) and values of its fields.

    Raises UsageError for a layer or field that does not exist, or a value that the field cannot have.
    """
    found = _layer(layer)
    known = found().fieldtype
    for name in fields:
        if name not in known:
            has = f"it has {', '.join(known)}"
            raise UsageError(f"{found.__name__} has no field {name!r}; {has}{did_you_mean(name, known)}")
    tests = {}
    for name, value in fields.items():
        try:
            tests[name] = test_of(known[name], value)
        except UsageError as error:
            raise UsageError(f"{found.__name__}.{name}: {error}") from None
    _check_pairs(found, fields)
    return Wanted(found, tests)


def matches(packet: Packet, held_to: Wanted) -> bool:
    """Whether any layer of that kind in a packet, one inside a tunnel too, has these fields."""
    return any(
        all(_holds(found, name, test) for name, test in held_to.tests.items())
        for found in _layers(packet, held_to.layer)
    )


def _holds(layer: Packet, name: str, test: Test) -> bool:
    _, actual = layer.getfield_and_val(name)
    return test(layer, actual)


def _layers(packet: Packet, kind: type[Packet]) -> Iterator[Packet]:
    number = 1
    while (found := packet.getlayer(kind, number)) is not None:
        yield found
        number += 1


def _layer(layer: Any) -> type[Packet]:
    if isinstance(layer, type) and issubclass(layer, Packet):
        return layer
    if not isinstance(layer, str):
        what = f"a packet, not its layer: pass {type(layer).__name__}" if isinstance(layer, Packet) else "no layer"
        raise UsageError(f"{layer!r} is {what}; a layer is a scapy class or its name, such as 'TCP'")
    known = _known()
    if layer not in known:
        _load(layer)
        known = _known()
    if layer not in known:
        raise UsageError(f"{layer!r} is no layer that scapy has loaded{_layer_like(layer, known)}")
    return known[layer]


def _known() -> Mapping[str, type[Packet]]:
    """The layers by name; each has two."""
    by_name = {str(layer._name): layer for layer in reversed(list(conf.layers)) if layer._name}
    return by_name | {layer.__name__: layer for layer in reversed(list(conf.layers))}


def _load(name: str) -> None:
    for beginning, module in _MODULES.items():
        if name.startswith(beginning):
            importlib.import_module(f"scapy.{module}")
            return


def _layer_like(name: str, known: Mapping[str, type[Packet]]) -> str:
    longer = sorted(each for each in known if each.startswith(name) and " " not in each)
    if longer:
        more = ", …" if len(longer) > _FEW else ""
        return f"; there are {', '.join(longer[:_FEW])}{more}"
    near = nearest(name, [*known, *_MODULES])
    return f". Did you mean {near!r}?" if near else "; import its module, or pass its class"


def _check_pairs(layer: type[Packet], fields: Mapping[str, Any]) -> None:
    """A word whose table depends on another field must be one of the table that this other field chooses."""
    for name, value in fields.items():
        field = layer().fieldtype[name]
        tables = getattr(field, "i2s_multi", None)
        if not tables or not isinstance(value, str) or value[:1].isdigit():
            continue
        asked = _Asked()
        field.depends_on(asked)
        if asked.names <= fields.keys():
            others = {each: fields[each] for each in sorted(asked.names)}
            words = [str(word) for word in tables.get(field.depends_on(layer(**others)), {}).values()]
            if value not in words:
                given = ", ".join(f"{key}={other!r}" for key, other in others.items())
                raise UsageError(f"{layer.__name__}.{name}: {value!r} does not go with {given}; {listed(words)} does")


class _Asked:
    """Notes which fields a function looks at."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> int:
        self.names.add(name)
        return 0


__all__ = ["Wanted", "matches", "wanted"]
