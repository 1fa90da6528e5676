"""What a plugin gets on standard input, and what of it depends on the container."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnitest.cni.calls.request import versioned
from cnitest.cni.spec import Document
from cnitest.conformance.bench.target import AttachmentTarget
from cnitest.conformance.model import space
from cnitest.conformance.model.subject import Subject
from cnitest.plugins import files

# So many subnets further on another network is; a topology leaves one of some more free.
_FURTHER, _MOST_TRIES = 64, 128
_LINK_NAME = 15
_PLACE = re.compile(r"\{(\w+)\}")


def of(conf: Document, network: str, version: str, capabilities: Document, previous: Document | None) -> dict[str, Any]:
    """A plugin's configuration as a runtime sends it (SPEC section 3): name, version, the capability arguments that it
    declares, and the previous result where the version knows one."""
    return versioned(conf, {"name": network, "cniVersion": version}, version, capabilities, previous)


def substituted(value: Any, **names: str) -> Any:
    """A configuration with {container}, {ifname} and what else is named replaced in every text."""
    if isinstance(value, str):
        return _PLACE.sub(lambda match: names.get(match[1], match[0]), value)
    if isinstance(value, Mapping):
        return {key: substituted(item, **names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [substituted(item, **names) for item in value]
    return value


def filled(target: AttachmentTarget, container: str) -> AttachmentTarget:
    """A target whose configurations are those of its container."""
    names = {"container": container, "ifname": target.ifname}
    return replace(
        target,
        conf=_Frozen(substituted(target.conf, **names)),
        before=tuple(_Frozen(substituted(conf, **names)) for conf in target.before),
        capabilities=_Frozen(substituted(target.capabilities, **names)),
    )


def placed(argv: Sequence[str], container: str, netns: str, ifname: str) -> tuple[str, ...]:
    """A command with {container}, {netns} and {ifname} replaced."""
    return tuple(substituted(list(argv), container=container, netns=netns, ifname=ifname))


class _Frozen(dict[str, Any]):
    """A configuration that is not changed any more, and so can be part of a key."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


def siblings(subject: Subject) -> list[dict[str, Any]]:
    """The configurations of another network of the same plugins, the subject's own first and those before it behind:
    with subnets and bridges that neither subject nor topology has, where there are such."""
    confs, taken = [subject.conf, *subject.before], space.taken(subject)
    made = [sibling(conf) for conf in confs]
    for further in range(_FURTHER, _FURTHER + _MOST_TRIES):
        tried = [sibling(conf, further) for conf in confs]
        moved = space.named(" ".join(text for pair in zip(confs, tried, strict=True) for text in _changed(*pair)))
        if not any(one.version == other.version and one.overlaps(other) for one in moved for other in taken):
            made = tried
            break
    return [{**conf, "bridge": space.name(subject, conf["bridge"])} if _has_bridge(conf) else conf for conf in made]


def _has_bridge(conf: Document) -> bool:
    return isinstance(conf.get("bridge"), str)


def _changed(old: Any, new: Any) -> Iterator[str]:
    """The texts of a document that are others in a second one of the same form."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from (text for key in old for text in _changed(old[key], new[key]))
    elif isinstance(old, list) and isinstance(new, list):
        yield from (text for pair in zip(old, new, strict=True) for text in _changed(*pair))
    elif isinstance(new, str) and old != new:
        yield new


def sibling(conf: Document, further: int = _FURTHER) -> dict[str, Any]:
    """The configuration of another network of the same kind: subnets that are ``further`` of their size away, another
    bridge."""
    named = {**files.known(str(conf.get("type"))).names, **conf}
    return {key: _moved(key, value, further) for key, value in named.items()}


def _moved(key: str, value: Any, further: int, subnet: int = 0) -> Any:
    """``subnet`` is the length of the prefix that addresses without one are of; 0 where that is not known."""
    if isinstance(value, Mapping):
        own = str(value.get("subnet", "")).partition("/")[2]
        within = int(own) if own.isdecimal() else subnet
        return {name: _moved(name, item, further, within) for name, item in value.items()}
    if isinstance(value, list):
        return [_moved(key, item, further, subnet) for item in value]
    if isinstance(value, str):
        return f"{value[: _LINK_NAME - 1]}b" if key == "bridge" else _moved_address(value, further, subnet)
    return value


def _moved_address(text: str, further: int, subnet: int) -> str:
    """An address or prefix, so many subnets of its size further on; other text, and the way to everywhere, as it is."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        return text
    if found.network.prefixlen == 0 or not re.search(r"[.:]", text):
        return text
    width = found.network.prefixlen if "/" in text else subnet or (24 if found.version == 4 else 64)
    step = further << (found.max_prefixlen - min(width, 24 if found.version == 4 else 64))
    if int(found.ip) + step >= 1 << found.max_prefixlen:
        return text
    moved = found.ip + step
    return f"{moved}/{found.network.prefixlen}" if "/" in text else str(moved)
