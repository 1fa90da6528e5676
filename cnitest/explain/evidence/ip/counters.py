"""What the kernel has counted at places before and after the probe was sent once more: errors by kind, and drops of
queueing disciplines and filters.

Counts of a whole place: what else was sent meanwhile counts too, so a cause never rests on a count alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from cnitest.errors import CnitestError
from cnitest.kernel.rows import traffic_control
from cnitest.kernel.rows.traffic_control import Dropper
from cnitest.lab.place import Place
from cnitest.lab.snapshot import state as states

_Key = TypeVar("_Key")

_FILES = ("snmp", "netstat", "snmp6", "xfrm_stat", "stat/nf_conntrack")


class Counts(NamedTuple):
    """What a place has counted: errors by name (``TcpExtListenDrops``, ``Ip6ReasmFails``, ``conntrack drop``), and what
    each discipline and filter has dropped."""

    errors: Mapping[str, int]
    drops: Mapping[Dropper, int]

    def since(self, before: Counts) -> Counts:
        """What has been added since then."""
        return Counts(_more(self.errors, before.errors), _more(self.drops, before.drops))


NONE = Counts({}, {})


def read(places: Sequence[Place]) -> dict[str, Counts]:
    """The counts of places by their full names; what cannot be read of one is left out."""
    return {place.full_name: _of(place) for place in places}


def since(before: Mapping[str, Counts], places: Sequence[Place]) -> dict[str, Counts]:
    """What has been counted at places since then."""
    return {place.full_name: _of(place).since(before.get(place.full_name, NONE)) for place in places}


def _of(place: Place) -> Counts:
    namespace = place.namespace
    reader = place.lab.own_file_reader(namespace)
    try:
        drops = traffic_control.drops(namespace.netlink.dump, states.link_names(namespace))
        return Counts(errors(reader(*_FILES)), drops)
    except (CnitestError, OSError):
        return NONE


def errors(text: str) -> dict[str, int]:
    """The numbers of /proc/net/snmp, netstat, snmp6, xfrm_stat and stat/nf_conntrack by name, of IPv6 as in snmp6."""
    found: Counter[str] = Counter()
    heads: list[str] = []
    for words in filter(None, map(str.split, text.splitlines())):
        if words[0].endswith(":"):  # a line of names, then one of numbers
            found.update(_protocol(words[0][:-1], heads, words[1:]))
            heads = words[1:]
        elif len(words) == 2 and words[1].isdigit():
            found[words[0]] = int(words[1])
        elif words[0] == "entries":
            heads = words
        elif len(words) == len(heads):  # a CPU's share of connection tracking, in hexadecimal
            found.update({f"conntrack {name}": int(value, 16) for name, value in zip(heads, words, strict=True)})
    return dict(found)


def _protocol(name: str, heads: Sequence[str], values: Sequence[str]) -> dict[str, int]:
    """The numbers of a line of snmp or netstat; none where these are the names."""
    if not values or not values[0].lstrip("-").isdigit() or len(values) != len(heads):
        return {}
    return {f"{name}{head}": int(value) for head, value in zip(heads, values, strict=True)}


def _more(now: Mapping[_Key, int], before: Mapping[_Key, int]) -> dict[_Key, int]:
    return {key: value - before.get(key, 0) for key, value in now.items() if value > before.get(key, 0)}
