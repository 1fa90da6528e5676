"""What a plugin gets on stdin: its configuration, and what the runtime adds (SPEC section 3, RT-14 to RT-17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnitest.cni import result, spec
from cnitest.cni.attachment import Attachment, Target
from cnitest.cni.calls import golang
from cnitest.cni.calls.mode import SPEC, Mode
from cnitest.cni.conf import Network

#: What GC tells plugins, and how the same key was called in the tag spec-v1.1.0; libcni sends both.
VALID_ATTACHMENTS = ("cni.dev/valid-attachments", "cni.dev/attachments")
_RESERVED = "cni.dev/"


def request_of(
    about: Attachment | Target, position: int, previous: Mapping[str, Any] | None, mode: Mode = SPEC, verb: str = "ADD"
) -> dict[str, Any]:
    """The request of ADD, CHECK or DEL: configuration, name and version, the result before it (RT-14), and those
    capability arguments that the plugin declares (RT-16). ``capabilities`` itself is not passed on (RT-15)."""
    network = about.network
    request = _configuration(network, position, mode)
    declared = request.get("capabilities") or {}
    if not mode.passes_capabilities:
        request.pop("capabilities", None)
    if not mode.passes_reserved_keys:
        request.pop("prevResult", None)
    runtime = {key: value for key, value in about.capabilities.items() if declared.get(key) is True}
    if runtime:
        request["runtimeConfig"] = runtime
    if previous is not None:
        converts = mode.converts_between_plugins or verb != "ADD"
        request["prevResult"] = _as_version(previous, network.cni_version) if converts else previous
    return golang.rounded(request) if mode.rounds_integers else request


def status_request(network: Network, position: int, mode: Mode = SPEC) -> dict[str, Any]:
    """The request of STATUS: the configuration with name and version, and nothing of any attachment (RT-09)."""
    request = _configuration(network, position, mode)
    return golang.rounded(request) if mode.rounds_integers else request


def gc_request(
    network: Network, position: int, valid: Sequence[tuple[str, str]] | None, mode: Mode = SPEC
) -> dict[str, Any]:
    """The request of GC: as that of STATUS, with the attachments that are still valid under both names of the key
    (RT-10); without the keys when ``valid`` is None, as libcni does when it is given no list."""
    request = status_request(network, position, mode)
    if valid is not None:
        listed = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in valid]
        request |= dict.fromkeys(VALID_ATTACHMENTS, listed)
    return request


def _configuration(network: Network, position: int, mode: Mode) -> dict[str, Any]:
    """A plugin's own configuration under the network's name and version (RT-14); reserved keys are ours (RT-17)."""
    request = network.plugin(position)
    if not mode.passes_reserved_keys:
        request = {key: value for key, value in request.items() if not key.startswith(_RESERVED)}
    nameless = not network.versioned and not mode.picks_published_versions
    return request | {"name": network.name, "cniVersion": "" if nameless else network.cni_version}


def _as_version(document: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    label = document.get("cniVersion") or version
    if label == version or not spec.has_chaining(version):
        return document
    return result.relabelled(document, version)
