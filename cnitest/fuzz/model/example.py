"""One generated input: a network, how it is asked for, and whether it ought to work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cnitest.cni import spec
from cnitest.plugins import files

_VERSION = "1.0.0"


class Validity(Enum):
    """What a generated configuration is known to be.

    ``VALID``: ADD has to succeed. ``INVALID``: it has to fail cleanly. ``BOUNDARY`` (an edge that the documentation is
    silent about, or a configuration whose plugin we do not know): one or the other, never a mix.
    """

    VALID = "valid"
    BOUNDARY = "boundary"
    INVALID = "invalid"


@dataclass(frozen=True)
class Example:
    """A network as a conflist (``cniVersion``, ``name``, ``plugins``), and what a runtime is asked to pass with it.

    ``args`` becomes CNI_ARGS, ``capabilities`` what a runtime provides (each plugin gets what it declares), ``why``
    names the keys that make it invalid or a boundary, for the words of a finding, ``wrong`` are those keys themselves.
    """

    network: Mapping[str, Any]
    validity: Validity = Validity.VALID
    ifname: str = "eth0"
    args: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def plugins(self) -> list[dict[str, Any]]:
        """The plugins of the network, in order."""
        return list(self.network["plugins"])

    @property
    def chooses_addresses(self) -> bool:
        """Whether addresses are given by a plugin that allocates them, not by one that gives those listed."""
        return any(files.known(name).allocation != "listed" for name, _ in self.ipam)

    @property
    def ipam(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The sections ``ipam`` that say who gives addresses, each with the name of the plugin that reads it: an IPAM
        plugin that is called itself, whatever the section's ``type`` is, else the one of that name."""
        found = []
        for conf in self.plugins:
            section, called = conf.get("ipam"), str(conf.get("type"))
            if isinstance(section, Mapping) and files.known(called).allocation:
                found.append((called, section))
            elif isinstance(section, Mapping) and section.get("type") is not None:
                found.append((str(section["type"]), section))
        return found


def version_of(example: Example) -> str:
    """The version that a network is spoken to in; that of 1.0.0 where it names none that there is."""
    given = example.network.get("cniVersion")
    return given if isinstance(given, str) and spec.is_version(given) else _VERSION
