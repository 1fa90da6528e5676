"""What the kernel's links say of their own accord, kept from sockets that watch for packets of probes.

A link that comes up reports its multicast groups (MLD, RFC 3810) and asks for routers (RFC 4861), several times each: a
bridge with a hundred ports makes eighty thousand frames of that, more than all else and than a socket's buffer holds.
Filter: Documentation/networking/filter.rst of Linux; it sees a frame as its link carries it, without its VLAN tag.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
_LOAD_HALF, _LOAD_BYTE, _LOAD_LENGTH, _EQUAL, _AT_LEAST, _RETURN = 0x28, 0x30, 0x80, 0x15, 0x35, 0x06
# SKF_AD_OFF + SKF_AD_HATYPE: what kind of link it is; those without Ethernet's header have other offsets.
_LINK_TYPE, _ETHERNET = (-0x1000 + 28) & 0xFFFFFFFF, 1
_ETHERTYPE, _NEXT_HEADER, _BEHIND_IPV6, _BEHIND_OPTIONS = 12, 20, 54, 62
_IPV6, _OPTIONS, _ICMPV6 = 0x86DD, 0, 58
_ROUTER_SOLICITATION, _REPORT, _REPORT_1, _DONE_1 = 133, 143, 131, 132
_ALL = 0xFFFFFFFF
_TAKE, _LEAVE = "take", "leave"

# An operation, its operand, and of a comparison where to go on when it holds and when not ("" is the next line).
_PROGRAM = (
    ("", _LOAD_LENGTH, 0, "", ""),
    ("", _AT_LEAST, _BEHIND_OPTIONS + 1, "", _TAKE),
    ("", _LOAD_HALF, _LINK_TYPE, "", ""),
    ("", _EQUAL, _ETHERNET, "", _TAKE),
    ("", _LOAD_HALF, _ETHERTYPE, "", ""),
    ("", _EQUAL, _IPV6, "", _TAKE),
    ("", _LOAD_BYTE, _NEXT_HEADER, "", ""),
    ("", _EQUAL, _OPTIONS, "options", ""),
    ("", _EQUAL, _ICMPV6, "", _TAKE),
    ("", _LOAD_BYTE, _BEHIND_IPV6, "", ""),
    ("", _EQUAL, _ROUTER_SOLICITATION, _LEAVE, _TAKE),
    ("options", _LOAD_BYTE, _BEHIND_IPV6, "", ""),
    ("", _EQUAL, _ICMPV6, "", _TAKE),
    ("", _LOAD_BYTE, _BEHIND_OPTIONS, "", ""),
    ("", _EQUAL, _REPORT, _LEAVE, ""),
    ("", _EQUAL, _REPORT_1, _LEAVE, ""),
    ("", _EQUAL, _DONE_1, _LEAVE, ""),
    (_TAKE, _RETURN, _ALL, "", ""),
    (_LEAVE, _RETURN, 0, "", ""),
)


def _assembled() -> bytes:
    """The program as struct sock_filter has it: operation, two distances, operand."""
    lines = {label: number for number, (label, *_) in enumerate(_PROGRAM) if label}
    found = b""
    for number, (_, operation, operand, holds, fails) in enumerate(_PROGRAM):
        holding, failing = (lines[label] - number - 1 if label else 0 for label in (holds, fails))
        found += struct.pack("=HBBI", operation, holding, failing, operand)
    return found


_code = ctypes.create_string_buffer(_assembled())
_FILTER = struct.pack("@HP", len(_PROGRAM), ctypes.addressof(_code))


def leave_out(watching: socket.socket) -> None:
    """Keep from a packet socket, from now on, what links report of their groups and ask routers. Raises OSError."""
    watching.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _FILTER)
