"""What a plugin gets on stdin: its configuration, and what the runtime adds (SPEC section 3, RT-14 to RT-17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnitest.cni import result, spec
from cnitest.cni.attachment import Attachment, Target
from cnitest.cni.calls import golang
from cnitest.cni.calls.mode import SPEC, Mode
from cnitest.cni.conf import Network
from cnitest.cni.spec import Document

#: The key of what GC sends to plugins, and how the same key was called in the tag spec-v1.1.0; libcni sends both.
VALID_ATTACHMENTS = ("cni.dev/valid-attachments", "cni.dev/attachments")
_RESERVED = "cni.dev/"
_IDENTITY = ("name", "cniVersion")


def document(
    conf: Document,
    identity: Document,
    capabilities: Document,
    previous: Document | None = None,
    *,
    keeps_declaration: bool = False,
) -> dict[str, Any]:
    """What a plugin gets for one attachment: its configuration under ``identity`` (RT-14), those capability arguments
    that it declares (RT-16), and the previous result. ``capabilities`` itself is not passed on (RT-15) unless asked.

    Nothing is checked, so that plugins can be tried with what is wrong: ``identity`` holds ``name`` and ``cniVersion``
    of the network as they are there, each only where it is there.
    """
    request = _identified(conf, identity)
    declared = request.get("capabilities") or {}
    if not keeps_declaration:
        request.pop("capabilities", None)
    provided = {key: value for key, value in capabilities.items() if declared.get(key) is True}
    if provided:
        request["runtimeConfig"] = provided
    if previous is not None:
        request["prevResult"] = previous
    return request


def versioned(
    conf: Document, identity: Document, version: str, capabilities: Document, previous: Document | None
) -> dict[str, Any]:
    """As `document`, with capability arguments and previous result only where ``version`` knows them (0.3.0), and the
    previous result as it is."""
    chains = spec.has_chaining(version)
    return document(conf, identity, capabilities if chains else {}, previous if chains else None)


def with_valid(
    request: Document, valid: Sequence[tuple[str, str]], keys: Sequence[str] = VALID_ATTACHMENTS
) -> dict[str, Any]:
    """A request of GC: one of STATUS, with the attachments that are still valid under each of ``keys`` (RT-10)."""
    listed = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in valid]
    return {**request, **dict.fromkeys(keys, listed)}


def request_of(
    about: Attachment | Target, position: int, previous: Document | None, mode: Mode = SPEC, command: str = "ADD"
) -> dict[str, Any]:
    """The request of ADD, CHECK or DEL as a runtime makes it (see `document`); the result before it is converted to
    the network's version where ``mode`` does so."""
    network = about.network
    own = _own(network, position, mode)
    if not mode.passes_reserved_keys:
        own.pop("prevResult", None)
    if previous is not None and (mode.converts_between_plugins or command != "ADD"):
        previous = _as_version(previous, network.cni_version)
    identity, keeps = _identity(network, mode), mode.passes_capabilities
    request = document(own, identity, about.capabilities, previous, keeps_declaration=keeps)
    return golang.rounded(request) if mode.rounds_integers else request


def status_request(network: Network, position: int, mode: Mode = SPEC) -> dict[str, Any]:
    """The request of STATUS: the configuration with name and version, and nothing of any attachment (RT-09)."""
    request = _identified(_own(network, position, mode), _identity(network, mode))
    return golang.rounded(request) if mode.rounds_integers else request


def gc_request(
    network: Network, position: int, valid: Sequence[tuple[str, str]] | None, mode: Mode = SPEC
) -> dict[str, Any]:
    """The request of GC: without the keys of `with_valid` when ``valid`` is None, as libcni does when it is given no
    list."""
    request = status_request(network, position, mode)
    return request if valid is None else with_valid(request, valid)


def _own(network: Network, position: int, mode: Mode) -> dict[str, Any]:
    """A plugin's own configuration; reserved keys are the runtime's (RT-17)."""
    own = network.plugin(position)
    if mode.passes_reserved_keys:
        return own
    return {key: value for key, value in own.items() if not key.startswith(_RESERVED)}


def _identity(network: Network, mode: Mode) -> dict[str, str]:
    """The network's name and version (RT-14)."""
    nameless = not network.versioned and not mode.picks_published_versions
    return {"name": network.name, "cniVersion": "" if nameless else network.cni_version}


def _identified(conf: Document, identity: Document) -> dict[str, Any]:
    own = {key: value for key, value in conf.items() if key in identity or key not in _IDENTITY}
    return {**own, **identity}


def _as_version(document: Document, version: str) -> Document:
    label = document.get("cniVersion") or version
    if label == version or not spec.has_chaining(version):
        return document
    return result.relabelled(document, version)
