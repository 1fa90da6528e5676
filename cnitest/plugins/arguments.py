"""Arguments of the well-known capabilities (CONVENTIONS.md in containernetworking/cni) that no plugin can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnitest.plugins.values import BadValue, is_a, other_type
from cnitest.text import quoted
from cnitest.topology.words.address import expected_prefix, ip, mac_fault, prefix
from cnitest.typos import did_you_mean

_Check = Callable[[str, Any], Iterator[BadValue]]
_PROTOCOLS = ("tcp", "udp", "sctp")
_LAST_PORT = 65535
_LEAST_PORTS = {"hostPort": 0, "containerPort": 1}
_RATES = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")


def faults(arguments: Mapping[str, Any]) -> Iterator[BadValue]:
    """What is wrong in arguments by their capabilities; of one that is not well known nothing is."""
    for name, value in arguments.items():
        if name in _CHECKS and value is not None:
            yield from _CHECKS[name](name, value)


def words(fault: BadValue) -> str:
    """A fault of an argument in words, with whose it is."""
    return f"the argument of the capability {fault.path} {fault.words}"


def _expected(kind: str) -> _Check:
    """Whether an argument is of a type of JSON."""

    def check(path: str, value: Any) -> Iterator[BadValue]:
        if not is_a(kind, value):
            yield BadValue(path, other_type(kind, value))

    return check


def _each(check: _Check) -> _Check:
    """Whether an argument is a list, of which each item passes."""

    def checked(path: str, value: Any) -> Iterator[BadValue]:
        if not is_a("list", value):
            yield BadValue(path, other_type("list", value))
            return
        for number, item in enumerate(value):
            yield from check(f"{path}[{number}]", item)

    return checked


def _within(keys: Mapping[str, _Check]) -> _Check:
    """Whether an argument is an object that has no keys but these, each of which passes."""

    def checked(path: str, value: Any) -> Iterator[BadValue]:
        if not is_a("object", value):
            yield BadValue(path, other_type("object", value))
            return
        for key, item in value.items():
            if key in keys:
                yield from keys[key](f"{path}.{key}", item)
            elif meant := did_you_mean(key, keys, clause=True):
                yield BadValue(f"{path}.{key}", f"is a key that nobody reads{meant}")

    return checked


def _port(path: str, value: Any) -> Iterator[BadValue]:
    least = _LEAST_PORTS[path.rpartition(".")[2]]
    if not is_a("number", value):
        yield BadValue(path, other_type("number", value))
    elif not least <= value <= _LAST_PORT:
        yield BadValue(path, f"is {value}, and {least} to {_LAST_PORT} are accepted", str(value))


def _protocol(path: str, value: Any) -> Iterator[BadValue]:
    if not is_a("text", value):
        yield BadValue(path, other_type("text", value))
    elif value.lower() not in _PROTOCOLS:
        known = ", ".join(map(repr, _PROTOCOLS))
        meant = did_you_mean(value, _PROTOCOLS, clause=True)
        yield BadValue(path, f"is {quoted(value)}, and is none of {known}{meant}", value)


def _host_address(path: str, value: Any) -> Iterator[BadValue]:
    if not is_a("text", value):
        yield BadValue(path, other_type("text", value))
    elif value and ip(value) is None:
        yield BadValue(path, f"is {quoted(value)}, which is no address", value)


def _address(path: str, value: Any) -> Iterator[BadValue]:
    if not is_a("text", value):
        yield BadValue(path, other_type("text", value))
    elif ip(value) is None and prefix(value) is None:
        yield BadValue(path, f"is {quoted(value)}, which is no address, and not {expected_prefix(value)}", value)


def _subnet(path: str, value: Any) -> Iterator[BadValue]:
    if not is_a("text", value):
        yield BadValue(path, other_type("text", value))
    elif prefix(value) is None:
        yield BadValue(path, f"is {quoted(value)}, which is not {expected_prefix(value)}", value)


def _mac(path: str, value: Any) -> Iterator[BadValue]:
    if not is_a("text", value):
        yield BadValue(path, other_type("text", value))
    elif value and (why := mac_fault(value)):
        yield BadValue(path, f"is wrong: {why}", value)


def _mapping(path: str, value: Any) -> Iterator[BadValue]:
    yield from _MAPPING(path, value)
    if is_a("object", value) and "containerPort" not in value:
        yield BadValue(f"{path}.containerPort", "is missing: the port in the container")


_TEXT = _expected("text")
_MAPPING = _within({"hostPort": _port, "containerPort": _port, "protocol": _protocol, "hostIP": _host_address})
_RANGE = _within({"subnet": _subnet, "rangeStart": _host_address, "rangeEnd": _host_address, "gateway": _host_address})
_CHECKS: Mapping[str, _Check] = {
    "portMappings": _each(_mapping),
    "ipRanges": _each(_each(_RANGE)),
    "bandwidth": _within(dict.fromkeys(_RATES, _expected("number"))),
    "dns": _within(dict.fromkeys(("servers", "searches", "options"), _each(_TEXT))),
    "ips": _each(_address),
    "mac": _mac,
    "infinibandGUID": _TEXT,
    "deviceID": _TEXT,
    "aliases": _each(_TEXT),
    "cgroupPath": _TEXT,
}
