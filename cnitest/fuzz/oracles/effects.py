"""What was asked for and has to show: keys of each plugin that we know, addresses, a MAC, routes.

Only what plugins document is here, and only for configurations that are valid.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from cnitest.cni import releases, spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import form
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import effects_main, effects_meta  # noqa: F401 - they register what keys do
from cnitest.fuzz.oracles.attached import Attached
from cnitest.fuzz.oracles.registry import EFFECTS, Effect
from cnitest.plugins import files


def missing(bench: Bench, one: Attached) -> list[Violation]:
    """Which keys of an attachment's configuration do not show in the kernel, of those that the plugin's build has."""
    found = []
    for conf in one.example.plugins:
        effect = EFFECTS.get(str(conf.get("type")))
        if effect is not None and not one.is_ipam:
            read = releases.read_of(bench.subject.path, conf)
            found += [Violation("untrue", str(conf["type"]), words) for words in _words(effect, bench, one, read)]
    return found


def _words(effect: Effect, bench: Bench, one: Attached, conf: Mapping[str, Any]) -> list[str]:
    """What an effect lacks; nothing for a configuration that was reduced to one that no model understands."""
    try:
        return list(effect(bench, one, conf))
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def asked_for(one: Attached) -> list[Violation]:
    """What was asked for and is not there: addresses, a MAC, routes."""
    if not spec.has_chaining(one.version):
        return []  # nothing is passed to plugins before 0.3.0
    confs = one.example.plugins
    declared = {key: str(conf["type"]) for conf in confs for key, on in (conf.get("capabilities") or {}).items() if on}
    asked = {key: value for key, value in one.example.capabilities.items() if key in declared}
    found = [(declared["ips"], f"the address {ip} was asked for, and not given") for ip in _addresses_lost(one, asked)]
    mac = str(asked.get("mac", "")).lower()
    link = one.link if mac and not one.is_ipam else None
    if link and link.mac != mac:
        found.append((declared["mac"], f"the MAC {mac} was asked for, the interface has {link.mac}"))
    first = str(confs[0]["type"])
    found += [(first, f"the route to {to} is configured, and not in the result") for to in _routes_lost(one)]
    return [Violation("untrue", plugin, words) for plugin, words in found]


def _addresses_lost(one: Attached, asked: Mapping[str, Any]) -> list[str]:
    """The addresses that the runtime asked for and the result does not have."""
    given = {_plain(ip.address.partition("/")[0]) for ip in one.addresses}
    return sorted({_plain(str(text).partition("/")[0]) for text in asked.get("ips", ())} - given)


def _routes_lost(one: Attached) -> list[str]:
    """Where the routes of the IPAM section lead that the result does not have."""
    wanted = set()
    for plugin, section in one.example.ipam:
        rows = section.get("routes") or () if _gives_routes(plugin) else ()
        wanted |= {_plain(str(row.get("dst"))) for row in rows if isinstance(row, Mapping)}
    return sorted(wanted - {_plain(to) for to in form.destinations(one.result or {}, one.version)})


def _gives_routes(plugin: str) -> bool:
    """Whether an IPAM plugin hands on the routes of its configuration."""
    return "routes" in files.known(plugin).section.get("keys", ())


def _plain(text: str) -> str:
    """A network or an address as Python writes it, whatever way it was written."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return str(found) if "/" in text else str(found.network_address)
