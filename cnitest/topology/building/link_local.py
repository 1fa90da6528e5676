"""Link-local IPv6 addresses of places that ask for neighbours from there.

Whoever forwards does, and whoever answers from an address on its loopback. The kernel looks for duplicates of such an
address for one to two seconds once the link carries, and drops until then what it would send. So it is given beforehand
and without that check, as are the addresses that a topology declares. It is the one that the kernel forms of the MAC
(RFC 4291, appendix A). Other hosts are left alone: they solicit routers when the check is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cnitest.topology.model import Link
from cnitest.topology.words import address
from cnitest.topology.words.sysctl_names import parts

_FORWARDING = ("net", "ipv6", "conf", "all", "forwarding")
_PREFIX = bytes.fromhex("fe80000000000000")
_LENGTH = 64
# Who sets one of these has a say in which link-local address there is, and when.
_OWN_SAY = {"accept_dad", "accept_ra", "addr_gen_mode", "dad_transmits", "disable_ipv6", "optimistic_dad"}
_OWN_SAY |= {"stable_secret", "use_optimistic"}


def of_mac(mac: str) -> str:
    """``fe80::ff:fe00:1/64`` of ``02:00:00:00:00:01``."""
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([first ^ 0x02, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return str(address.Prefix(6, int.from_bytes(_PREFIX + identifier, "big"), _LENGTH))


def forwards(sysctls: Mapping[str, str | int]) -> bool:
    """Whether a place with these sysctls forwards IPv6."""
    return any(parts(name) == _FORWARDING and str(value) != "0" for name, value in sysctls.items())


def is_left_to_the_kernel(names: Iterable[str]) -> bool:
    """Whether the sysctls that a topology declares have a say in link-local addresses."""
    return any(parts(name)[1:2] == ("ipv6",) and parts(name)[-1] in _OWN_SAY for name in names)


def is_wanted(link: Link) -> bool:
    """Whether a link is up and has IPv6 addresses that nobody checks, none of them link-local."""
    found = [one for text in link.addresses if (one := address.prefix(text)) and one.family == 6]
    return bool(found) and link.state == "up" and not link.dad and not any(one.is_link_local for one in found)
