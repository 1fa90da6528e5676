"""What a field of a scapy layer can hold: a value that it cannot is our error, never a packet that does not match."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scapy import fields as kinds
from scapy.layers.inet import TCPOptions, TCPOptionsField
from scapy.packet import Packet

from cnitest.errors import UsageError
from cnitest.topology.problem import listed
from cnitest.topology.words.address import mac_fault
from cnitest.typos import did_you_mean

#: Whether a field of a packet, given as (packet, field's own value), is what was asked for.
Test = Callable[[Packet, Any], bool]

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_FEW = 12
# Integers on the wire, but something else in a packet.
_SCALED = (kinds.BCDFloatField, kinds.FixedPointField, kinds.SecondsIntField, kinds.UTCTimeField, kinds._ScalingField)


def test_of(field: Any, value: Any) -> Test:
    """Compares a field with ``value``, given as the field's own or as scapy shows it.

    Raises UsageError when no packet can have it: an unknown word, a number too large, an address of the wrong family.
    """
    refusals: list[UsageError] = []
    tests: list[tuple[Any, Test]] = []
    for kind in _plain(field):
        try:
            tests.append((kind, _test(kind, value)))
        except UsageError as error:
            refusals.append(error)
    if not tests:
        raise refusals[0]
    return lambda packet, actual: any(test(packet, actual) for kind, test in tests if _in_use(field, packet, kind))


def _plain(field: Any) -> Iterator[Any]:
    """The fields inside a field that wraps one or chooses among several."""
    if isinstance(field, kinds.MultipleTypeField):
        for inner, _ in field.flds:
            yield from _plain(inner)
        yield from _plain(_Bytes(field.dflt) if isinstance(field.dflt, kinds.StrField) else field.dflt)
    elif isinstance(field, kinds._FieldContainer):
        yield from _plain(field.fld)
    else:
        yield field


class _Bytes:
    """A string field that is the last resort of several: it takes bytes, or it would take any address."""

    def __init__(self, field: Any) -> None:
        self.field, self.name = field, field.name


def _in_use(field: Any, packet: Packet, kind: Any) -> bool:
    """Whether a packet has the field at all, and as this kind of field."""
    if isinstance(field, kinds.ConditionalField):
        return bool(field._evalcond(packet)) and _in_use(field.fld, packet, kind)
    if isinstance(field, kinds.MultipleTypeField):
        return _in_use(field._find_fld_pkt(packet), packet, getattr(kind, "field", kind))
    if isinstance(field, kinds._FieldContainer):
        return _in_use(field.fld, packet, kind)
    return field is kind


def _test(field: Any, value: Any) -> Test:
    if value is None:
        raise UsageError("None is no value that a packet on a wire has: leave the field out")
    if getattr(field, "islist", 0):
        return _list(field, value)
    for kind, make in _MAKERS.items():
        if isinstance(field, kind):
            return make(field, value)
    if _number_of_bits(field):
        return _number(field, value)
    return _whatever(field, value)


def _equal(wanted: Any) -> Test:
    return lambda _, actual: bool(actual == wanted)


def _number_of_bits(field: Any) -> int:
    """How many bits an integer field has; 0 for a field that holds no integer."""
    if isinstance(field, _SCALED):
        return 0
    if isinstance(field, kinds._BitField):
        return abs(int(field.size))
    whole = isinstance(field.fmt, str) and field.fmt[-1:] in "bBhHiIlLqQ"
    return int(field.sz * 8) if whole else 0


def _number(field: Any, value: Any) -> Test:
    """A number, or one in a string, decimal or hexadecimal, as scapy shows some."""
    number = value
    if isinstance(value, str):
        try:
            number = int(value, 0)
        except ValueError:
            raise UsageError(f"{value!r} is no number") from None
    if not isinstance(number, int):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes a number")
    bits = _number_of_bits(field)
    signed = not isinstance(field, kinds._BitField) and field.fmt[-1:].islower()
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not least <= number <= most:
        raise UsageError(f"{value!r} does not fit: it takes {least} to {most}")
    return _equal(number)


def _enumeration(field: Any, value: Any) -> Test:
    """A word of the field's own table, or a number."""
    if not isinstance(value, str) or _is_number(value):
        return _number(field, value) if _number_of_bits(field) else _equal(value)
    names = _table(field)
    numbers = [number for number, name in names.items() if name == value]
    if not numbers and getattr(field, "s2i_cb", None):
        try:
            numbers = [field.s2i_cb(value)]
        except (KeyError, ValueError):
            numbers = []
    if not numbers:
        raise UsageError(_no_word(value, names.values()))
    return lambda _, actual: actual in numbers


def _table(field: Any) -> Mapping[Any, str]:
    return {number: str(name) for number, name in (getattr(field, "i2s", None) or {}).items()}


def _dependent(field: Any, value: Any) -> Test:
    """A word of one of several tables; which one counts depends on another field of the packet."""
    if not isinstance(value, str) or _is_number(value):
        return _number(field, value)
    words = [str(word) for table in field.i2s_multi.values() for word in table.values()]
    if value not in words:
        raise UsageError(_no_word(value, words))
    return lambda packet, actual: field.i2s_multi.get(field.depends_on(packet), {}).get(actual) == value


def _no_word(value: str, names: Iterable[str]) -> str:
    words = list(dict.fromkeys(names))
    known = f"; it takes {listed(words)} or a number" if len(words) <= _FEW else ""
    return f"{value!r} is no value of it{known}{did_you_mean(value, words)}"


def _is_number(text: str) -> bool:
    try:
        int(text, 0)
    except ValueError:
        return False
    return True


def _flags(field: Any, value: Any) -> Test:
    """Letters such as ``SA``, or words joined by ``+``; all of them and no others."""
    if not isinstance(value, str):
        test = _number(field, value if not isinstance(value, kinds.FlagValue) else int(value))
        return lambda packet, actual: test(packet, int(actual))
    names = [name for name in field.names if name.strip()]
    letters = isinstance(field.names, str)
    for word in list(value) if letters else filter(None, value.split("+")):
        if word not in names:
            how = "letters" if letters else "words, joined by +"
            raise UsageError(f"{word!r} is no flag of it; it takes {how}: {listed(names)}{did_you_mean(word, names)}")
    wanted = int(kinds.FlagValue(value, field.names))
    return lambda _, actual: int(actual) == wanted


def _mac(_: Any, value: Any) -> Test:
    if isinstance(value, bytes) and len(value) == 6:
        return _equal(value.hex(":"))
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise UsageError(mac_fault(str(value)) or f"{value!r} is not a MAC")
    return _equal(value.lower().replace("-", ":"))


def _ipv4(field: Any, value: Any) -> Test:
    return _address(field, value, ipaddress.IPv4Address)


def _ipv6(field: Any, value: Any) -> Test:
    return _address(field, value, ipaddress.IPv6Address)


def _address(_: Any, value: Any, family: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> Test:
    wanted = f"IPv{4 if family is ipaddress.IPv4Address else 6}"
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes an {wanted} address")
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        bare = re.split(r"[/%]", str(value))[0]
        raise UsageError(f"{value!r} is not an {wanted} address{did_you_mean(str(value), _valid(bare))}") from None
    if not isinstance(found, family):
        raise UsageError(f"{value!r} is an IPv{found.version} address; it takes an {wanted} one")
    if getattr(found, "scope_id", None):
        bare = str(value).partition("%")[0]
        raise UsageError(f"{value!r} names a link, which no packet does{did_you_mean(str(value), [bare])}")
    return _equal(str(found))


def _valid(address: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(address))]
    except ValueError:
        return []


def _bytes(field: Any, value: Any) -> Test:
    """Bytes, or text that scapy would send as such; some fields make more of their bytes than bytes."""
    if type(field).__module__ != kinds.__name__ and isinstance(value, tuple):
        return _equal(value)
    if not isinstance(value, bytes | str):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes bytes")
    wanted = field.any2i(None, value)
    return _equal(wanted)


def _packet(_: Any, value: Any) -> Test:
    if not isinstance(value, Packet):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes a packet")
    return _equal(value)


def _only_bytes(_: Any, value: Any) -> Test:
    if not isinstance(value, bytes):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes bytes")
    return _equal(value)


def _list(field: Any, value: Any) -> Test:
    """A list whose members are all values of the field inside."""
    if not isinstance(value, list | tuple):
        raise UsageError(f"{value!r} is of type {type(value).__name__}; it takes a list")
    tests = [test_of(field.field, each) for each in value] if hasattr(field, "field") else None
    if tests is None:
        for each in value if isinstance(field, TCPOptionsField) else ():
            _tcp_option(each)
        return lambda _, actual: list(actual) == list(value)
    return lambda packet, actual: (
        len(actual) == len(tests) and all(test(packet, each) for test, each in zip(tests, actual, strict=True))
    )


def _tcp_option(option: Any) -> None:
    """An option is a pair of its name, or number, and its value, as ``("MSS", 1460)``."""
    if not isinstance(option, tuple) or len(option) != 2:
        raise UsageError(f"{option!r} is no TCP option: it takes pairs such as ('MSS', 1460), ('NOP', None)")
    name = option[0]
    if isinstance(name, str) and name not in TCPOptions[1]:
        raise UsageError(f"{name!r} is no TCP option{did_you_mean(name, TCPOptions[1])}")


def _whatever(field: Any, value: Any) -> Test:
    """A field that nothing more is known of: what scapy itself cannot pack is no value of it."""
    try:
        field.i2m(None, field.any2i(None, value))
    except AttributeError:
        pass  # it asks the packet, and there is none yet
    except (TypeError, ValueError, KeyError, IndexError, struct.error, OSError) as error:
        raise UsageError(f"{value!r} is no value of it ({error})") from None
    return lambda packet, actual: bool(actual == value) or field.i2repr(packet, actual) == value


_MAKERS: Mapping[type, Callable[[Any, Any], Test]] = {
    _Bytes: _only_bytes,
    kinds.FlagsField: _flags,
    kinds._MultiEnumField: _dependent,
    kinds._EnumField: _enumeration,
    kinds.MACField: _mac,
    kinds.IPField: _ipv4,
    kinds.IP6Field: _ipv6,
    kinds._PacketField: _packet,
    kinds.StrField: _bytes,
}
