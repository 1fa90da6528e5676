"""Configurations of the plugins that we know, drawn from their tables: valid, at an edge, or to be refused.

What is optional is left out at its simplest, so what Hypothesis shrinks a configuration to has no needless key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnitest.cni import spec
from cnitest.fuzz import ipam, keys
from cnitest.fuzz.example import Example, Validity
from cnitest.fuzz.keys import Key, Table

Conf = dict[str, Any]
_MAKER: Conf = {"type": "bridge", "bridge": "cni0", "isGateway": True}
_POOL: Conf = {"type": "host-local", "subnet": "10.1.0.0/24"}
_NEWEST = "1.0.0"
#: The plugins that work on what another one made.
META = ("bandwidth", "firewall", "portmap", "sbr", "tuning")
_MORE = 10
#: What a network as a whole can have wrong.
_BROKEN: tuple[tuple[str, Conf], ...] = (
    ("a version that there is not", {"cniVersion": "9.9.9"}),
    ("a version that is no text", {"cniVersion": 1}),
    ("a name that is none", {"name": "_net"}),
    ("a name with a slash", {"name": "a/b"}),
    ("an empty name", {"name": ""}),
)


def network_configs(
    plugin: str, validity: str = "valid", release: str = "1.1.1", base: Conf | None = None
) -> SearchStrategy[Conf]:
    """Networks (conflists: ``cniVersion``, ``name``, ``plugins``) with a plugin that a table is known of.

    ``validity`` is "valid", "boundary" or "invalid", ``release`` the plugins', ``base`` a configuration of it that
    fits the host, for what only works with devices that are there. Raises ConfigError for a plugin without a table.
    """
    return examples(plugin, validity, release, base).map(lambda example: dict(example.network))


def examples(
    plugin: str, validity: str = "valid", release: str = "1.1.1", base: Conf | None = None
) -> SearchStrategy[Example]:
    """The same with what a runtime passes besides: CNI_ARGS, capabilities, the interface's name."""
    return _example(keys.table(plugin), Validity(validity), release, base)


@st.composite
def _example(draw: st.DrawFn, table: Table, validity: Validity, release: str, base: Conf | None) -> Example:
    conf = draw(_own(table, release, base))
    why = ""
    network: Conf = {"cniVersion": draw(_versions(table)), "name": "net"}
    if validity is Validity.BOUNDARY:
        why = draw(_at_an_edge(table, release, conf))
    elif validity is Validity.INVALID:
        why = draw(_broken(table, release, conf, network))
    network["plugins"] = [*_before(table), conf]
    args, capabilities = draw(_provided(table, conf)) if validity is Validity.VALID else ({}, {})
    return Example(network, validity, table.ifname, args, capabilities, why)


def _versions(table: Table) -> SearchStrategy[str]:
    spoken = [v for v in spec.VERSIONS if spec.at_least(v, table.from_) and spec.at_least(_NEWEST, v)]
    if table.before:
        spoken = [version for version in spoken if spec.has_chaining(version)]
    return st.sampled_from(spoken[::-1])


def _before(table: Table) -> list[Conf]:
    return [{**_MAKER, "ipam": dict(_POOL)}] if table.before else []


@st.composite
def _own(draw: st.DrawFn, table: Table, release: str, base: Conf | None) -> Conf:
    """A valid configuration of the plugin itself."""
    conf: Conf = {"type": table.plugin}
    if table.ipam == "fixed" and base and "ipam" in base:
        conf["ipam"] = base["ipam"]
    elif table.ipam in ("required", "alone") or (table.ipam == "optional" and draw(st.integers(0, 4)) < 4):
        conf["ipam"] = draw(ipam.valid(table.plugin if table.ipam == "alone" else ""))
    for name in table.always:
        conf[name] = base[name] if base and name in base else table.keys[name].valid[0]
    usable = [key for key in table.of(release) if key.valid and not key.rare and key.name not in conf]
    for key in (
        draw(st.lists(st.sampled_from(usable), max_size=_MORE, unique_by=lambda key: key.name)) if usable else ()
    ):
        if _goes(key, conf):
            _put(draw, table, key, conf)
    return conf


def _name(key: Key) -> str:
    return key.name


def _goes(key: Key, conf: Conf) -> bool:
    """Whether a key goes with what is there already."""
    if key.needs and key.needs not in conf:
        return False
    return not any(conf.get(name) for name in (*key.not_with, *key.without))


def _put(draw: st.DrawFn, table: Table, key: Key, conf: Conf) -> None:
    conf[key.name] = draw(st.sampled_from(key.valid))
    for other in key.with_:
        if other not in conf:
            conf[other] = draw(st.sampled_from(table.keys[other].valid))


@st.composite
def _at_an_edge(draw: st.DrawFn, table: Table, release: str, conf: Conf) -> str:
    """Put one value at an edge into a configuration; which."""
    edges = [key for key in table.of(release) if key.boundary]
    if edges and (table.ipam not in ("required", "alone", "optional") or draw(st.booleans())):
        key = draw(st.sampled_from(edges))
        value = draw(st.sampled_from(key.boundary))
        conf[key.name] = value
        return f"{key.name} {value!r}"
    if table.ipam in ("required", "alone", "optional"):
        conf["ipam"] = draw(ipam.boundary(table.plugin if table.ipam == "alone" else ""))
        return "an IPAM section at an edge"
    conf["unknown"] = draw(st.sampled_from([1, None, "text", [], {}]))
    return "an unknown key"


@st.composite
def _broken(draw: st.DrawFn, table: Table, release: str, conf: Conf, network: Conf) -> str:
    """Break one thing in a configuration or its network; what."""
    wrong = [key for key in table.of(release) if not key.rare]
    where = ["network"] + (["key"] * 4 if wrong else []) + (["ipam"] * 2 if table.ipam in _DRAWN else [])
    place = draw(st.sampled_from(where))
    if place == "network":
        why, change = draw(st.sampled_from(_BROKEN))
        network.update(change)
        return why
    if place == "ipam":
        why, conf["ipam"] = draw(ipam.invalid(table.plugin if table.ipam == "alone" else ""))
        return f"{why} (ipam)"
    key = draw(st.sampled_from(wrong))
    conf[key.name] = draw(st.sampled_from(key.wrong))
    return f"{key.name} {conf[key.name]!r}"


_DRAWN = ("required", "optional", "alone")


@st.composite
def _provided(draw: st.DrawFn, table: Table, conf: Conf) -> tuple[dict[str, str], Conf]:
    """CNI_ARGS and capability arguments that go with a configuration."""
    args: dict[str, str] = {}
    provided: Conf = {}
    if draw(st.integers(0, 3)) == 3:
        args["IgnoreUnknown"] = "1"
        args["K8S_POD_NAME"] = draw(st.sampled_from(["web", "db-0"]))
    for name in table.capabilities:
        if name in _OFFERS and draw(st.booleans()) and _takes(name, conf):
            provided[name] = draw(_OFFERS[name])
    if provided:
        conf["capabilities"] = dict.fromkeys(provided, True)
    return args, provided


def _takes(name: str, conf: Conf) -> bool:
    """Whether a capability goes with a configuration: limits not beside limits, addresses not beside ranges."""
    if name == "bandwidth":
        return not any(key.endswith(("Rate", "Burst")) for key in conf)
    if name == "mac":
        return "mac" not in conf
    return True


def _ports() -> SearchStrategy[list[Conf]]:
    row = st.fixed_dictionaries(
        {
            "hostPort": st.integers(8000, 8003),
            "containerPort": st.sampled_from([80, 53, 8080]),
            "protocol": st.sampled_from(["tcp", "udp"]),
        },
        optional={"hostIP": st.sampled_from(["0.0.0.0", "192.168.80.100", "127.0.0.1"])},
    )
    return st.lists(row, min_size=1, max_size=3, unique_by=lambda item: (item["hostPort"], item["protocol"]))


_OFFERS: dict[str, SearchStrategy[Any]] = {
    "portMappings": _ports(),
    "mac": st.sampled_from(["02:00:5e:00:53:42", "02:00:5e:00:53:99"]),
    "bandwidth": st.sampled_from(
        [
            {"ingressRate": 8000000, "ingressBurst": 8000000},
            {"egressRate": 8000000, "egressBurst": 8000000},
            {"ingressRate": 1000000, "ingressBurst": 160000, "egressRate": 1000000, "egressBurst": 160000},
        ]
    ),
}


@st.composite
def chains(draw: st.DrawFn, release: str = "1.1.1", always: Sequence[str] = ()) -> Example:
    """A network of one to five plugins: bridge, and meta plugins after it, each with its own configuration."""
    first = draw(_own(keys.table("bridge"), release, None))
    first.setdefault("ipam", dict(_POOL))
    others = [name for name in META if name not in always]
    names = [*always, *draw(st.lists(st.sampled_from(others), max_size=4 - len(always), unique=True))]
    confs = [first, *(draw(_own(keys.table(name), release, None)) for name in names)]
    provided: Conf = {}
    if "portmap" in names and draw(st.booleans()):
        provided["portMappings"] = draw(_ports())
        next(conf for conf in confs if conf["type"] == "portmap")["capabilities"] = {"portMappings": True}
    oldest = "0.4.0" if "firewall" in names else "0.3.0"
    versions = [v for v in spec.VERSIONS if spec.at_least(v, oldest) and spec.at_least(_NEWEST, v)]
    network = {"cniVersion": draw(st.sampled_from(versions[::-1])), "name": "net", "plugins": confs}
    return Example(network, capabilities=provided)
