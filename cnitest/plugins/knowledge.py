"""What can be known of a plugin, as frozen data: the words of ``cnitest/plugins/NAME.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from cnitest.topology.frozen import Frozen
from cnitest.topology.problem import Problem
from cnitest.typos import did_you_mean

_NONE: Mapping[str, Any] = MappingProxyType({})
#: What is no value of a type: a plugin that reads JSON into typed fields has to reject it.
WRONG: Mapping[str, tuple[Any, ...]] = {
    "boolean": ("yes", 1),
    "number": ("1500", 1.5),
    "text": (7, True),
    "object": (["a"], "a"),
    "list": ({"a": 1}, "a"),
}


def _nothing() -> Mapping[str, Any]:
    return _NONE


@dataclass(frozen=True, kw_only=True)
class Key(Frozen):
    """One key of a plugin's configuration: its ``type``, and values of it that are ``valid``, at a ``boundary`` that
    the documentation is silent about, or ``invalid``.

    What is accepted beyond those samples: ``one_of`` some words, of which those in ``later`` came with a release; a
    number from ``least`` to ``most``, or one ``besides``; in lists and objects ``items`` of one type; a text whose
    ``form`` is that of a link's name or a MAC.

    It is there ``since`` a release of the plugin. With it others are given ``together``; it goes ``without`` others and
    ``not_with`` them, and ``needs`` one. ``rare`` says what few machines have that it takes, so it is not tried.
    """

    name: str = field(default="", metadata={"key": True})
    type: Literal["text", "boolean", "number", "object", "list"] = "text"
    valid: tuple[Any, ...] = ()
    boundary: tuple[Any, ...] = ()
    invalid: tuple[Any, ...] = ()
    one_of: tuple[str, ...] = ()
    later: Mapping[str, str] = field(default_factory=_nothing)
    least: int | None = None
    most: int | None = None
    besides: tuple[int, ...] = ()
    items: Literal["", "text", "boolean", "number", "object", "list"] = ""
    form: Literal["", "link", "mac"] = ""
    since: str = ""
    together: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    needs: str = ""
    rare: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type == "boolean" and not self.valid:
            object.__setattr__(self, "valid", (True, False))

    @property
    def wrong(self) -> tuple[Any, ...]:
        """Values that have to be rejected: those that are named, and those of another type."""
        return self.invalid + WRONG[self.type]


@dataclass(frozen=True, kw_only=True)
class Plugin(Frozen):
    """What is known of one plugin.

    ``name`` is its own, that of the file unless said; ``family`` whether it makes an ``interface``, works on another's
    (``meta``) or gives addresses (``ipam``). ``oldest`` is the first version of the specification that it speaks,
    ``ifname`` the interface that it is called for, ``capabilities`` what it takes of the runtime.

    Its configuration: ``keys`` with their values, ``always`` those that it cannot do without, ``also`` those that it
    reads and no value is known of; ``section`` are the keys of an IPAM section, and of the lists in it, with the
    ``types`` of those that are no text (``lists``: of lists). ``ipam`` says where its addresses come from: ``required``
    or ``optional`` a section, ``none``, ``alone`` for an IPAM plugin, ``fixed`` as its profile has it; ``pool`` names
    the one IPAM plugin that it works with, ``before`` the plugin before it. ``simplest`` is a configuration that works,
    ``below`` one for what it makes for a chained plugin ({bridge}, {ipv4}, {ipv6} are replaced), ``backend`` the key
    that chooses between iptables and nftables.

    What it does: ``gateway`` are the keys that make the host its gateway, ``devices`` those that name the one device of
    the host that it moves, ``names`` what it calls things that no key names; ``on_lan`` its containers are on a LAN of
    the host, with ``joins`` those of a network reach each other, ``apart`` are the values of keys that prevent that.
    An IPAM plugin's ``allocation`` takes the next of its ``ranges``, or gives what is ``listed``. A chained one may
    ``moves_routes`` to tables of their own, ``admits_begun`` alone (packets that containers began, and answers), and
    ``changes`` what another one gave the interface.

    For ourselves: ``packaged`` Debian has it, ``main_job`` the main job of cnitest needs it, ``in_slice`` it is tried
    where nobody said which, ``in_chains`` fuzzing draws it in chains.
    """

    name: str = ""
    about: str = ""
    family: Literal["interface", "meta", "ipam"]
    oldest: str = "0.1.0"
    ifname: str = "eth0"
    capabilities: tuple[str, ...] = ()
    keys: Mapping[str, Key] | None = None
    always: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    section: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing)
    types: Mapping[str, Literal["boolean", "number", "object", "list", "lists"]] = field(default_factory=_nothing)
    ipam: Literal["none", "required", "optional", "alone", "fixed"] = "none"
    pool: str = ""
    before: str = ""
    simplest: Mapping[str, Any] = field(default_factory=_nothing)
    below: Mapping[str, Any] = field(default_factory=_nothing)
    backend: str = ""
    gateway: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=_nothing)
    on_lan: bool = False
    joins: bool = False
    apart: Mapping[str, tuple[Any, ...]] = field(default_factory=_nothing)
    allocation: Literal["", "ranges", "listed"] = ""
    moves_routes: bool = False
    admits_begun: bool = False
    changes: tuple[str, ...] = ()
    packaged: bool = True
    main_job: bool = False
    in_slice: bool = False
    in_chains: bool = False

    @property
    def all_keys(self) -> Mapping[str, Key]:
        """Its keys; none where nobody knows them."""
        return self.keys or {}

    def of(self, release: str) -> list[Key]:
        """The keys that a release of the plugin has."""
        return [key for key in self.all_keys.values() if _order(key.since) <= _order(release)]

    def is_apart(self, conf: Mapping[str, Any]) -> bool:
        """Whether a configuration keeps the containers of its network apart."""
        return bool(self.keeps_apart(conf))

    def keeps_apart(self, conf: Mapping[str, Any]) -> str:
        """The key that keeps the containers of a configuration's network apart; empty where none does."""
        return next((key for key, values in self.apart.items() if conf.get(key) in values), "")


@cache
def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.lstrip("v").split(".") if part.isdecimal())


def problems(plugin: Plugin) -> Iterator[Problem]:
    """What of it cannot be: values on two sides, and keys that are named and not there."""
    known = (*plugin.all_keys, "ipam")
    for name, key in plugin.all_keys.items():
        yield from _one_side(f"keys.{name}", key)
        for word in ("together", "without", "not_with"):
            yield from _unknown(f"keys.{name}.{word}", getattr(key, word), known)
        yield from _unknown(f"keys.{name}.needs", (key.needs,) if key.needs else (), known)
    yield from _unknown("always", plugin.always, known)


def _one_side(path: str, key: Key) -> Iterator[Problem]:
    """A value is valid, at an edge or to be rejected, and only one of them."""
    sides: dict[str, str] = {}
    for side, values in (("valid", key.valid), ("boundary", key.boundary), ("invalid", key.wrong)):
        for value in values:
            other = sides.setdefault(json.dumps(value), side)
            if other != side:
                why = "" if value in key.invalid else f", which is no {key.type}"
                yield Problem(f"{path}.{other}", f"{value!r} is both {other} and {side}{why}")


def _unknown(path: str, named: tuple[str, ...], known: tuple[str, ...]) -> Iterator[Problem]:
    for name in named:
        if name not in known:
            yield Problem(path, f"{name!r} is no key of it{did_you_mean(name, known)}")
