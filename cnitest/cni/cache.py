"""The runtime's memory of its attachments, as libcni writes it below /var/lib/cni/results (api.go, cniCacheV1)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cnitest.errors import PluginError, is_ours

if TYPE_CHECKING:
    from cnitest.cni.runtime import Attachment

__tracebackhide__ = is_ours

T = TypeVar("T")

DIRECTORY = "/var/lib/cni/results"


def path(attachment: Attachment) -> str:
    """The file of an attachment."""
    return f"{DIRECTORY}/{attachment.network.name}-{attachment.container_id}-{attachment.ifname}"


def save(attachment: Attachment, result: Mapping[str, Any]) -> None:
    """Write down an attachment on its host. Raises PluginError: without it DEL could not be called as it should."""
    document: dict[str, Any] = {
        "kind": "cniCacheV1",
        "containerId": attachment.container_id,
        "config": base64.b64encode(attachment.network.text.encode()).decode(),
        "ifName": attachment.ifname,
        "networkName": attachment.network.name,
        "netns": attachment.sandbox.path,
        "result": result,
    }
    if attachment.args:
        document["cniArgs"] = [list(pair) for pair in attachment.args.items()]
    if attachment.capabilities:
        document["capabilityArgs"] = attachment.capabilities

    def errand() -> None:
        os.makedirs(DIRECTORY, 0o700, exist_ok=True)
        with open(path(attachment), "w", encoding="utf-8") as file:
            json.dump(document, file)

    _on_host(attachment, "written", errand)


def load(attachment: Attachment) -> Mapping[str, Any] | None:
    """The result in the cache, None without one. Raises PluginError when the file cannot be understood."""

    def errand() -> str | None:
        try:
            with open(path(attachment), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    text = _on_host(attachment, "read", errand)
    if text is None:
        return None
    try:
        result = json.loads(text)["result"]
    except (ValueError, TypeError, KeyError, RecursionError):
        result = None
    if not isinstance(result, dict):
        raise PluginError(f"{path(attachment)}: the cached result cannot be understood")
    return result


def forget(attachment: Attachment) -> None:
    """Remove an attachment from the cache; it may be gone already."""

    def errand() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path(attachment))

    _on_host(attachment, "removed", errand)


def _on_host(attachment: Attachment, what: str, errand: Callable[[], T]) -> T:
    """Do something with the file on its host; what the filesystem refuses is a PluginError."""
    try:
        return attachment.sandbox.host.inside(errand)
    except (OSError, ValueError) as error:
        raise PluginError(f"{path(attachment)}: the cached result cannot be {what}: {error}") from error
