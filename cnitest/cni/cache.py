"""The runtime's memory of its attachments, as libcni writes it below /var/lib/cni/results (api.go, cniCacheV1)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from cnitest.lab.hosts import Host

DIRECTORY = "/var/lib/cni/results"


def path(network: str, container_id: str, ifname: str) -> str:
    """The file of an attachment."""
    return f"{DIRECTORY}/{network}-{container_id}-{ifname}"


def save(
    host: Host,
    *,
    network: str,
    container_id: str,
    ifname: str,
    netns: str,
    config: str,
    result: Mapping[str, Any],
    args: Mapping[str, str],
    capabilities: Mapping[str, Any],
) -> None:
    """Write down an attachment on its host."""
    document = {
        "kind": "cniCacheV1",
        "containerId": container_id,
        "config": base64.b64encode(config.encode()).decode(),
        "ifName": ifname,
        "networkName": network,
        "netns": netns,
        "cniArgs": [list(pair) for pair in args.items()],
        "capabilityArgs": dict(capabilities),
        "result": result,
    }

    def errand() -> None:
        os.makedirs(DIRECTORY, 0o700, exist_ok=True)
        with open(path(network, container_id, ifname), "w", encoding="utf-8") as file:
            json.dump(document, file)

    host.inside(errand)


def load(host: Host, network: str, container_id: str, ifname: str) -> Mapping[str, Any] | None:
    """The result in the cache, None without one. Raises ValueError when the file cannot be understood."""

    def errand() -> str | None:
        try:
            with open(path(network, container_id, ifname), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    text = host.inside(errand)
    if text is None:
        return None
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("result"), dict):
        raise ValueError(f"{path(network, container_id, ifname)} is not a cached result")
    result: Mapping[str, Any] = document["result"]
    return result


def forget(host: Host, network: str, container_id: str, ifname: str) -> None:
    """Remove an attachment from the cache; it may be gone already."""

    def errand() -> None:
        try:
            os.unlink(path(network, container_id, ifname))
        except FileNotFoundError:
            return

    host.inside(errand)
