"""What the CNI specification fixes: versions, commands, the environment each command needs, error codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

#: A JSON object as runtimes and plugins exchange it: a configuration, a result, an error.
Document = Mapping[str, Any]
#: The capabilities of CONVENTIONS.md in containernetworking/cni.
CAPABILITIES = (
    "portMappings",
    "ipRanges",
    "bandwidth",
    "dns",
    "ips",
    "mac",
    "infinibandGUID",
    "deviceID",
    "aliases",
    "cgroupPath",
)

#: Every published version of the specification, oldest first.
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
#: What a configuration without ``cniVersion`` means (cni, pkg/version/plugin.go).
UNVERSIONED = "0.1.0"

#: The variables a command needs, SPEC section 2.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "GC": ("CNI_PATH",),
    "STATUS": (),
    "VERSION": (),
}

#: Well-known error codes, SPEC section 5; from 100 on a plugin defines its own.
ERRORS: Mapping[int, str] = {
    1: "incompatible CNI version",
    2: "unsupported field in the configuration",
    3: "container unknown",
    4: "invalid environment variables",
    5: "I/O failure",
    6: "failed to decode content",
    7: "invalid network configuration",
    11: "try again later",
    50: "the plugin is not available",
    51: "the plugin is not available, and existing containers may have limited connectivity",
}


@cache
def order(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared; parts that are missing count as 0."""
    parts = tuple(int(part) for part in version.split("."))
    return (*parts, 0, 0)[:3]


def at_least(version: str, other: str) -> bool:
    """Whether a version is another one or comes after it."""
    return order(version) >= order(other)


def is_version(text: object) -> bool:
    """Whether a value is a published version."""
    return text in VERSIONS


def between(first: str, version: str, last: str) -> bool:
    """Whether a version lies from ``first`` to ``last``, both included."""
    return order(first) <= order(version) <= order(last)


def looks_like_version(text: object) -> bool:
    """Whether a value is up to three numbers with dots between them, which is all that libcni asks."""
    return isinstance(text, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}", text) is not None


def has_chaining(version: str) -> bool:
    """Whether lists of plugins, and results in the form they still have, exist (0.3.0)."""
    return order(version) >= (0, 3, 0)


def has_check(version: str) -> bool:
    """Whether CHECK exists, and DEL gets the result of ADD (0.4.0)."""
    return order(version) >= (0, 4, 0)


def has_gc(version: str) -> bool:
    """Whether GC and STATUS exist (1.1.0)."""
    return order(version) >= (1, 1, 0)


def labels_families(version: str) -> bool:
    """Whether each address of a result says its family (0.3.0 to 0.4.0)."""
    return (0, 3, 0) <= order(version) < (1, 0, 0)
