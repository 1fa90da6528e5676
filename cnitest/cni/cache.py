"""The runtime's memory of its attachments, as libcni writes it below /var/lib/cni/results (RT-04, api.go).

A file holds one attachment. libcni and cnitool read what we write, and we read what they wrote.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cnitest.cni import result
from cnitest.cni.attachment import Target
from cnitest.cni.calls import golang
from cnitest.errors import PluginError, is_ours
from cnitest.lab.hosts import Host

__tracebackhide__ = is_ours

T = TypeVar("T")

DIRECTORY = "/var/lib/cni/results"
KIND = "cniCacheV1"


@dataclass(frozen=True)
class CacheEntry:
    """What one file has: an attachment of some network, and the list that it was added with."""

    file: str
    network: str
    container_id: str
    ifname: str
    netns: str
    config: str
    args: Mapping[str, str]
    capabilities: Mapping[str, Any]

    @property
    def pair(self) -> tuple[str, str]:
        """What tells it from other attachments of its network."""
        return self.container_id, self.ifname

    def is_of(self, target: Target) -> bool:
        """Whether it is about that attachment, not of one whose names make the same file (RT-04)."""
        return (self.network, *self.pair) == (target.network.name, *target.pair)

    @property
    def words(self) -> str:
        """Whose it is, for a message."""
        return f"network {self.network}, container {self.container_id}, ifname {self.ifname}"


def path(target: Target) -> str:
    """The file of an attachment."""
    return f"{DIRECTORY}/{target.network.name}-{target.container_id}-{target.ifname}"


def save(target: Target, document: Mapping[str, Any]) -> None:
    """Write down an attachment on its host. Raises PluginError: without it DEL could not be called as it should."""
    text = golang.written(_content(target, document))

    def call() -> None:
        os.makedirs(DIRECTORY, 0o700, exist_ok=True)
        descriptor = os.open(path(target), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    _on_host(target.host, path(target), "written", call)


def _content(target: Target, document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of libcni's cachedInfo in its order; what is empty is left out."""
    always = {
        "kind": KIND,
        "containerId": target.container_id,
        "config": base64.b64encode(target.network.text.encode()).decode(),
        "ifName": target.ifname,
        "networkName": target.network.name,
    }
    sometimes = {
        "netns": target.netns,
        "cniArgs": [list(pair) for pair in target.args.items()],
        "capabilityArgs": dict(target.capabilities),
        "result": dict(document),
    }
    return always | {key: value for key, value in sometimes.items() if value}


def load(target: Target) -> Mapping[str, Any] | None:
    """The result in the cache, None without one. Raises PluginError when the file cannot be understood.

    A file of before libcni 0.7 is nothing but the result.
    """
    text = _text(target.host, path(target))
    if text is None:
        return None
    try:
        content = _object(json.loads(text), "the file")
        document = _object(content.get("result"), "'result'") if content.get("kind") == KIND else content
        result.parse(document, target.network.cni_version)
    except (ValueError, RecursionError) as error:
        raise PluginError(f"{path(target)}: the cached result cannot be understood: {error}") from error
    return document


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return value


def forget(target: Target) -> None:
    """Remove an attachment from the cache; it may be gone already."""

    def call() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path(target))

    _on_host(target.host, path(target), "removed", call)


def entry(target: Target) -> CacheEntry | None:
    """What the file of an attachment has, whosoever's it is. Raises PluginError when it cannot be understood."""
    text = _text(target.host, path(target))
    return None if text is None else _entry(path(target), text)


def entries(host: Host) -> tuple[list[CacheEntry], dict[str, PluginError]]:
    """What all files of a host have, and those that cannot be understood, with the reason.

    Raises PluginError when the directory itself cannot be read.
    """

    def call() -> list[str]:
        try:
            return sorted(os.listdir(DIRECTORY))
        except FileNotFoundError:
            return []

    understood: list[CacheEntry] = []
    faults: dict[str, PluginError] = {}
    for name in _on_host(host, DIRECTORY, "listed", call):
        file = f"{DIRECTORY}/{name}"
        try:
            text = _text(host, file)
            understood += [] if text is None else [_entry(file, text)]
        except PluginError as error:
            faults[file] = error
    return understood, faults


def _entry(file: str, text: str) -> CacheEntry:
    try:
        content = _object(json.loads(text), "the file")
        if content.get("kind") != KIND:
            raise ValueError(f"its kind is {content.get('kind')!r}, not {KIND!r}")
        names = [content.get(key) for key in ("networkName", "containerId", "ifName")]
        if not all(name and isinstance(name, str) for name in names):
            raise ValueError("it does not say whose it is")
        config = base64.b64decode(content.get("config") or "", validate=True).decode()
        args = {str(key): str(value) for key, value in content.get("cniArgs") or []}
        capabilities = _object(content.get("capabilityArgs") or {}, "'capabilityArgs'")
    except (ValueError, TypeError, RecursionError) as error:
        raise PluginError(f"{file}: the cached attachment cannot be understood: {error}") from error
    network, container_id, ifname = map(str, names)
    return CacheEntry(file, network, container_id, ifname, str(content.get("netns") or ""), config, args, capabilities)


def _text(host: Host, file: str) -> str | None:
    def call() -> str | None:
        try:
            with open(file, encoding="utf-8") as opened:
                return opened.read()
        except FileNotFoundError:
            return None

    return _on_host(host, file, "read", call)


def _on_host(host: Host, file: str, what: str, call: Callable[[], T]) -> T:
    """Do something with a file on its host; what the filesystem refuses is a PluginError."""
    try:
        return host.inside(call)
    except (OSError, ValueError) as error:
        raise PluginError(f"{file}: the cached result cannot be {what}: {error}") from error
