"""Configurations of the plugins that we know, drawn from their tables: valid, at an edge, or to be rejected.

What is optional is left out at its simplest, so what Hypothesis shrinks a configuration to has no needless key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis.strategies import SearchStrategy

from cnitest.cni import spec
from cnitest.fuzz.generate import ipam
from cnitest.fuzz.generate.choices import Choices, chosen
from cnitest.fuzz.model import keys
from cnitest.fuzz.model.example import Example, Validity
from cnitest.plugins import files
from cnitest.plugins.knowledge import Key, Plugin

Conf = dict[str, Any]
_MORE = 10
_PORTS = "portMappings"
#: Where the addresses' section is drawn.
_DRAWN = ("required", "optional", "alone")
#: What a network as a whole can have wrong.
_BROKEN: tuple[tuple[str, Conf], ...] = (
    ("a version that there is not", {"cniVersion": "9.9.9"}),
    ("a version that is no text", {"cniVersion": 1}),
    ("a name that is none", {"name": "_net"}),
    ("a name with a slash", {"name": "a/b"}),
    ("an empty name", {"name": ""}),
)


def examples(
    plugin: str | Plugin, validity: str = "valid", release: str = "1.1.1", base: Conf | None = None
) -> SearchStrategy[Example]:
    """Networks (conflists: ``cniVersion``, ``name``, ``plugins``) with a plugin whose keys are known, and what a
    runtime passes besides: CNI_ARGS, capabilities, the interface's name.

    ``validity`` is "valid", "boundary" or "invalid", ``release`` the plugins', ``base`` a configuration of it that
    fits the host, for what only works with devices that are there. Raises ConfigError for a plugin whose keys
    are not known.
    """
    table, wanted = keys.table(plugin) if isinstance(plugin, str) else plugin, Validity(validity)
    return chosen(lambda choices: _example(choices, table, wanted, release, base))


def _example(choices: Choices, table: Plugin, validity: Validity, release: str, base: Conf | None) -> Example:
    conf = _own(choices, table, release, base)
    network: Conf = {"cniVersion": choices.pick(_versions(table)), "name": "net"}
    why = ""
    wrong: tuple[str, ...] = ()
    if validity is Validity.BOUNDARY:
        why = _at_an_edge(choices, table, release, conf)
    elif validity is Validity.INVALID:
        why, wrong = _broken(choices, table, release, conf, network)
    network["plugins"] = [*_before(table), conf]
    args, capabilities = _provided(choices, table, conf) if validity is Validity.VALID else ({}, {})
    return Example(network, validity, table.ifname, args, capabilities, why, wrong)


def _versions(table: Plugin) -> list[str]:
    """The versions of the specification that a plugin speaks, newest first."""
    oldest = max(table.oldest, "0.3.0") if table.before else table.oldest
    return [v for v in spec.VERSIONS[::-1] if spec.at_least(v, oldest)]


def _before(table: Plugin) -> list[Conf]:
    return [{**_simplest(table.before), "ipam": pool()}] if table.before else []


def _simplest(name: str) -> Conf:
    return {"type": name, **files.known(name).simplest}


def meta() -> tuple[str, ...]:
    """The plugins that work on what another one made, and are drawn in chains."""
    return tuple(plugin.name for plugin in files.every() if plugin.in_chains)


def maker() -> str:
    """The plugin that chains are drawn behind."""
    return files.known(meta()[0]).before


def pool() -> Conf:
    """The simplest section of the IPAM plugin that gives addresses by itself."""
    return _simplest(next(plugin.name for plugin in files.every() if plugin.allocation == "ranges"))


def _own(choices: Choices, table: Plugin, release: str, base: Conf | None) -> Conf:
    """A valid configuration of the plugin itself."""
    conf: Conf = {"type": table.name}
    if table.ipam == "fixed" and base and "ipam" in base:
        conf["ipam"] = base["ipam"]
    elif table.ipam in ("required", "alone") or (table.ipam == "optional" and not choices.flag(out_of=5)):
        conf["ipam"] = ipam.valid(choices, table.name if table.ipam == "alone" else table.pool)
    for name in table.always:
        conf[name] = base[name] if base and name in base else table.all_keys[name].valid[0]
    usable = [key for key in table.of(release) if key.valid and not key.rare and key.name not in conf]
    for key in choices.some(usable, _MORE):
        if _goes(key, conf):
            _put(choices, table, key, conf)
    return conf


def _goes(key: Key, conf: Conf) -> bool:
    """Whether a key goes with what is there already."""
    if key.needs and key.needs not in conf:
        return False
    return not any(conf.get(name) for name in (*key.not_with, *key.without))


def _put(choices: Choices, table: Plugin, key: Key, conf: Conf) -> None:
    conf[key.name] = choices.pick(key.valid)
    for other in key.together:
        if other not in conf:
            conf[other] = choices.pick(table.all_keys[other].valid)


def _at_an_edge(choices: Choices, table: Plugin, release: str, conf: Conf) -> str:
    """Put one value at an edge into a configuration; which."""
    edges = [key for key in table.of(release) if key.boundary]
    if edges and (table.ipam not in _DRAWN or choices.flag()):
        key = choices.pick(edges)
        conf[key.name] = choices.pick(key.boundary)
        return f"{key.name} {conf[key.name]!r}"
    if table.ipam in _DRAWN:
        conf["ipam"] = ipam.boundary(choices, table.name if table.ipam == "alone" else table.pool)
        return "an IPAM section at an edge"
    conf["unknown"] = choices.pick((1, None, "text", [], {}))
    return "an unknown key"


def _broken(choices: Choices, table: Plugin, release: str, conf: Conf, network: Conf) -> tuple[str, tuple[str, ...]]:
    """Break one thing in a configuration or its network; what, and the keys that say so."""
    wrong = [key for key in table.of(release) if not key.rare]
    places = ["key"] * (4 * bool(wrong)) + ["ipam"] * (2 * (table.ipam in _DRAWN)) + ["network"]
    place = choices.pick(places)
    if place == "network":
        why, change = choices.pick(_BROKEN)
        network.update(change)
        return why, tuple(change)
    if place == "ipam":
        why, conf["ipam"] = ipam.invalid(choices, table.name if table.ipam == "alone" else table.pool)
        return f"{why} (ipam)", ("ipam",)
    key = choices.pick(wrong)
    _supply(table, key, conf)
    for other in table.devices if key.name in table.devices else ():
        conf.pop(other, None)  # of several keys that name the device one is read
    conf[key.name] = choices.pick(key.wrong)
    return f"{key.name} {conf[key.name]!r}", (key.name,)


def _supply(table: Plugin, key: Key, conf: Conf) -> None:
    """Add the key without which a key is not read, and what that one needs."""
    if key.needs == "ipam":
        conf.setdefault("ipam", pool())
    elif key.needs:
        needed = table.all_keys[key.needs]
        _supply(table, needed, conf)
        conf[key.needs] = needed.valid[0]


def _provided(choices: Choices, table: Plugin, conf: Conf) -> tuple[dict[str, str], Conf]:
    """CNI_ARGS and capability arguments that go with a configuration."""
    args: dict[str, str] = {}
    if choices.flag(out_of=4):
        args = {"IgnoreUnknown": "1", "K8S_POD_NAME": choices.pick(("web", "db-0"))}
    provided: Conf = {}
    for name in table.capabilities:
        if name in _OFFERS and choices.flag() and _takes(name, conf):
            provided[name] = _OFFERS[name](choices)
    if provided:
        conf["capabilities"] = dict.fromkeys(provided, True)
    return args, provided


def _takes(name: str, conf: Conf) -> bool:
    """Whether a capability goes with a configuration: limits not beside limits, a MAC not beside a MAC."""
    if name == "bandwidth":
        return not any(key.endswith(("Rate", "Burst")) for key in conf)
    return name != "mac" or "mac" not in conf


def _ports(choices: Choices) -> list[Conf]:
    """Ports of the host, each once."""
    rows = []
    for port in choices.some(range(8000, 8004), 3, least=1):
        row = {
            "hostPort": port,
            "containerPort": choices.pick((80, 53, 8080)),
            "protocol": choices.pick(("tcp", "udp")),
        }
        if choices.flag(out_of=4):
            row["hostIP"] = choices.pick(("0.0.0.0", "192.168.80.100", "127.0.0.1"))
        rows.append(row)
    return rows


def _limits(choices: Choices) -> Conf:
    ways = choices.pick((("ingress",), ("egress",), ("ingress", "egress")))
    rate, burst = choices.pick(((8000000, 8000000), (1000000, 160000)))
    return {f"{way}{what}": value for way in ways for what, value in (("Rate", rate), ("Burst", burst))}


_OFFERS: Mapping[str, Callable[[Choices], Any]] = {
    _PORTS: _ports,
    "mac": lambda choices: choices.pick(("02:00:5e:00:53:42", "02:00:5e:00:53:99")),
    "bandwidth": _limits,
}


def chains(
    release: str = "1.1.1", always: Sequence[str] = (), among: Sequence[str] | None = None
) -> SearchStrategy[Example]:
    """Networks of one to five plugins: bridge, and some ``among`` the meta plugins after it, ``always`` those."""
    chained = meta() if among is None else among
    return chosen(lambda choices: _chain(choices, release, always, chained), 64)


def _chain(choices: Choices, release: str, always: Sequence[str], among: Sequence[str]) -> Example:
    first = _own(choices, keys.table(maker()), release, None)
    first.setdefault("ipam", pool())
    names = [*always, *choices.some([name for name in among if name not in always], 4 - len(always))]
    tables = [keys.table(name) for name in names]
    confs = [first, *(_own(choices, table, release, None) for table in tables)]
    provided: Conf = {}
    mapping = [conf for table, conf in zip(tables, confs[1:], strict=True) if _PORTS in table.capabilities]
    if mapping and choices.flag():
        provided[_PORTS] = _ports(choices)
        mapping[0]["capabilities"] = {_PORTS: True}
    oldest = max(["0.3.0", *(table.oldest for table in tables)])
    versions = [v for v in spec.VERSIONS[::-1] if spec.at_least(v, oldest)]
    network = {"cniVersion": choices.pick(versions), "name": "net", "plugins": confs}
    return Example(network, capabilities=provided)
