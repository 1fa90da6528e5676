"""What an argument may be: each function returns what is meant, or raises ValueError with the end of a sentence."""

from __future__ import annotations

import functools
import inspect
import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnitest.typos import did_you_mean

_PROTOCOLS = ("tcp", "udp")


@functools.lru_cache(1024)
def parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """As `ipaddress.ip_address`, each text once: probes go to few addresses, again and again. Raises ValueError."""
    return ipaddress.ip_address(text)


def address(value: Any) -> str:
    """An IP address without prefix, as text."""
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return str(value.ip if isinstance(value, ipaddress.IPv4Interface | ipaddress.IPv6Interface) else value)
    if hasattr(value, "addresses_on"):
        raise ValueError(f"is an IP address as text, not {value!r}; write one of its addresses_on('eth0')")
    if not isinstance(value, str):
        raise ValueError(f"is an IP address as text, such as '10.0.0.1', not {value!r}")
    bare, percent, link = value.partition("%")
    try:
        found = parsed(bare)
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address{_advice_on_address(value)}") from None
    if percent and not link:
        raise ValueError(f"{value!r} names no link after %: write {bare!r}")
    if percent and found.version == 4 and not (found.is_multicast or int(found) & 1):
        raise ValueError(f"{value!r}: only groups and IPv6 addresses name a link: write {bare!r}")
    return value


def _advice_on_address(value: str) -> str:
    bare = value.strip().partition("/")[0].strip("[]")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return "; names are not resolved here" if any(letter.isalpha() for letter in value) else ""
    return f": write {bare!r}{', without the prefix' if '/' in value else ''}"


def port(value: Any) -> int:
    """A port."""
    if isinstance(value, str) and value.isdecimal():
        raise ValueError(f"is a number, not {value!r}: write {int(value)}")
    if not _is_whole(value) or not 1 <= value <= 65535:
        raise ValueError(f"is a number from 1 to 65535, not {value!r}")
    return int(value)


def size(value: Any) -> int:
    """A number of bytes."""
    if isinstance(value, float) and value.is_integer():
        raise ValueError(f"is a whole number of bytes, not {value!r}: write {int(value)}")
    if not _is_whole(value) or value < 0:
        raise ValueError(f"is a whole number of bytes, not {value!r}")
    return int(value)


def seconds(value: Any) -> float:
    """A time."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"is a number of seconds, such as 1.5, not {value!r}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def count(value: Any) -> int:
    """How many."""
    if not _is_whole(value) or value < 1:
        raise ValueError(f"is a whole number from 1, not {value!r}")
    return int(value)


def number(value: Any) -> Any:
    """A number; in which range is another's to say."""
    if isinstance(value, str):
        raise ValueError(f"is a number, not {value!r}{_as_number(value)}")
    if not _is_whole(value):
        raise ValueError(f"is a whole number, not {value!r}")
    return value


def _as_number(value: str) -> str:
    try:
        int(value, 0)
    except ValueError:
        return ""
    return f": write {value.strip()}"


def rate(value: Any) -> Any:
    """Bits a second; which words it may have is another's to say."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is a number of bits a second, or a text such as '10mbit', not {value!r}")
    return value


def protocol(value: Any) -> str:
    """TCP or UDP."""
    if isinstance(value, list | tuple | set):
        raise ValueError(f"is 'tcp' or 'udp', each a word of its own, not {value!r}")
    if not isinstance(value, str) or value not in _PROTOCOLS:
        hint = did_you_mean(value, _PROTOCOLS) if isinstance(value, str) else ""
        raise ValueError(f"is 'tcp' or 'udp', not {value!r}{hint}")
    return value


def data(value: Any) -> bytes:
    """Bytes."""
    if isinstance(value, str):
        raise ValueError(f"is bytes, not a text: write {value.encode()!r}")
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"is bytes, such as b'hello', not {value!r}")
    return bytes(value)


def ready(value: Any) -> Any:
    """What shows that a program is ready."""
    known = "is a port, a pattern or bytes of the output, a path or a function"
    if isinstance(value, bool | float) or not (
        isinstance(value, int | str | bytes | re.Pattern | Path) or callable(value)
    ):
        raise ValueError(f"{known}, not {value!r}")
    if isinstance(value, int) and not 1 <= value <= 65535:
        raise ValueError(f"{known}; a port is a number from 1 to 65535, not {value!r}")
    if isinstance(value, Path) and not value.is_absolute():
        raise ValueError(f"{str(value)!r} is not absolute: write where it is in the host, such as '/run/{value}'")
    if value in ("", b""):
        raise ValueError(f"{known}, not {value!r}, which is in any output")
    if isinstance(value, str) and not value.startswith("/"):
        _expression(value)
    elif callable(value) and _needs_arguments(value):
        raise ValueError(f"{known} without arguments: write lambda: {getattr(value, '__name__', 'function')}(…)")
    return value


def _expression(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression ({error}): write re.escape({value!r})") from None


def _needs_arguments(value: Callable[..., Any]) -> bool:
    try:
        inspect.signature(value).bind()
    except TypeError:
        return True
    except ValueError:  # a function written in C that does not say what it takes
        return False
    return False


def words(value: Any) -> tuple[str, ...]:
    """A command line."""
    if isinstance(value, str | bytes):
        given = value if isinstance(value, str) else value.decode(errors="replace")
        raise ValueError(f"is a list of words, not one text: write {_split(given)}")
    if not isinstance(value, Sequence) or not value:
        raise ValueError(f"is a list of words with the program first, such as ['ip', 'link'], not {value!r}")
    return tuple(_word(each) for each in value)


def _split(given: str) -> list[str]:
    try:
        found = shlex.split(given)
    except ValueError:
        found = given.split()
    return ["sh", "-c", given] if set(given) & set("|&;<>$`*") else found


def _word(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if not isinstance(value, str):
        raise ValueError(f"is a list of words, of which {value!r} is none: write {str(value)!r}")
    return value


def text(value: Any) -> str:
    """A text; whether it may be empty is another's to say."""
    if not isinstance(value, str):
        raise ValueError(f"is a text, not {value!r}")
    return value


def line(value: Any) -> str:
    """One of several texts."""
    if isinstance(value, list | tuple):
        raise ValueError(f"is a text, one argument each, not {value!r}: write a * before the list")
    return text(value)


def several(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if isinstance(value, str):
        raise ValueError(f"is a list of texts, not one: write [{value!r}]")
    if not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"is a list of texts, not {value!r}")
    return tuple(value)


def link(value: Any) -> str:
    """A link's name."""
    if not isinstance(value, str) or not value:
        name = getattr(value, "name", None)
        advice = f": write {name!r}" if isinstance(name, str) else ""
        raise ValueError(f"is the name of a link, such as 'eth0', not {value!r}{advice}")
    return value


def packet(value: Any) -> Any:
    """A packet of scapy's."""
    if isinstance(value, bytes | bytearray):
        raise ValueError(
            f"is a packet of scapy's, not bytes: write Ether({bytes(value)[:20]!r}) for a frame, IP(…) for a packet"
        )
    if not hasattr(value, "haslayer"):
        raise ValueError(f"is a packet of scapy's, such as IP(dst='10.0.0.1') / ICMP(), not {value!r}")
    return value


def place(value: Any) -> Any:
    """One place."""
    if isinstance(value, list | tuple):
        raise ValueError(f"is one host or sandbox of the lab, not several: {value!r}")
    return places(value)


def places(value: Any) -> Any:
    """A place, or several."""
    several = value if isinstance(value, list | tuple) else (value,)
    for each in several:
        if not hasattr(each, "addresses_on"):
            raise ValueError(f"is a host or sandbox of the lab, such as lab.host('node'), not {each!r}")
    return value


def state(value: Any) -> Any:
    """A state of a place."""
    from cnitest.lab.snapshot.state import State

    if isinstance(value, State):
        return value
    if hasattr(value, "addresses_on"):
        raise ValueError(f"is a state, not a place: write the state() of {value!r}, taken at that moment")
    raise ValueError(f"is a state, as lab.host('node').state() gives one, not {value!r}")


def _is(value: Any, role: str) -> bool:
    """Whether it is a place of that role (see `cnitest.lab.place.Place`)."""
    return hasattr(value, "addresses_on") and getattr(value, "role", "") == role


def sandbox(value: Any) -> Any:
    """A sandbox."""
    if _is(value, "sandbox"):
        return value
    if _is(value, "host"):
        raise ValueError(f"is a container's namespace, not {value!r}: write lab.host({value.name!r}).sandbox('c1')")
    if isinstance(value, str):
        at, slash, name = value.rpartition("/")
        write = f"lab.host({at!r}).sandbox({name!r})" if slash else f"lab.sandbox({value!r})"
        raise ValueError(f"is a sandbox of the lab, not its name {value!r}: write {write}")
    raise ValueError(f"is a sandbox of the lab, such as lab.host('node').sandbox('c1'), not {value!r}")


def host(value: Any) -> Any:
    """A host."""
    if _is(value, "host"):
        return value
    if isinstance(value, str):
        raise ValueError(f"is a host of the lab, not its name {value!r}: write lab.host({value!r})")
    raise ValueError(f"is a host of the lab, such as lab.host('node'), not {value!r}")


def attachment(value: Any) -> Any:
    """What ADD gave."""
    if not hasattr(value, "container_id") or not hasattr(value, "ifname"):
        raise ValueError(f"is what cni.add(…) returned, not {value!r}")
    return value


def network(value: Any) -> Any:
    """A network, or what is read as one."""
    if hasattr(value, "cni_version") or isinstance(value, Mapping | os.PathLike):
        return value
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "["):
            raise ValueError("is JSON text, which would be taken for a file's name: write json.loads(…)")
        return value
    hint = ": write conf.network({'plugins': […]}), or give a dictionary" if isinstance(value, list) else ""
    raise ValueError(f"is a dictionary, the path of a file, or a network, not {value!r}{hint}")


def texts(value: Any) -> Any:
    """A mapping of texts to texts."""
    if not isinstance(value, Mapping):
        raise ValueError(f"is a dictionary, such as {{'K8S_POD_NAME': 'web'}}, not {value!r}")
    for name, each in value.items():
        if not isinstance(name, str) or not isinstance(each, str):
            raise ValueError(f"has {name!r}: {each!r}, but both are texts: write {str(name)!r}: {str(each)!r}")
    return value


def mapping(value: Any) -> Any:
    """A mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"is a dictionary, such as {{'mac': '02:00:00:00:00:01'}}, not {value!r}")
    return value
