"""Where networks come from besides files of their own: directories such as /etc/cni/net.d, and
NetworkAttachmentDefinitions of Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnitest import paths
from cnitest.cni.json_text import parsed
from cnitest.errors import ConfigError
from cnitest.topology.documents import documents
from cnitest.topology.words import lookalikes

#: The endings of files that libcni reads in a directory (ConfFiles).
_CONFIGURATIONS = (".conf", ".conflist", ".json")
#: The endings of files that can only be a NetworkAttachmentDefinition.
MANIFESTS = (".yaml", ".yml")
_KIND = "NetworkAttachmentDefinition"


def first_of(directory: Path) -> Path:
    """The file of a directory that a runtime takes: the first by name with one of libcni's endings.

    Raises ConfigError when there is none.
    """
    try:
        names = sorted(path for path in directory.iterdir() if path.suffix in _CONFIGURATIONS and path.is_file())
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be read: {error.strerror}") from error
    if not names:
        raise ConfigError(f"{directory}: no file in it ends in {', '.join(_CONFIGURATIONS)}")
    return names[0]


def has_networks(directory: Path) -> bool:
    """Whether a directory has a file that a runtime would take."""
    try:
        first_of(directory)
    except ConfigError:
        return False
    return True


def is_manifest(path: Path) -> bool:
    """Whether a file of YAML has a NetworkAttachmentDefinition rather than a profile."""
    try:
        return path.suffix in MANIFESTS and _KIND in paths.read(path).decode()
    except (OSError, ValueError):
        return False


def is_attachment_definition(text: str) -> bool:
    """Whether a JSON document is a NetworkAttachmentDefinition."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == _KIND


def _objects(found: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Documents, and what is in those that are lists of objects, as `kubectl get -o yaml` writes them."""
    for each in found:
        yield each
        items = each.get("items")
        yield from (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()


def config_of(text: str, source: str) -> str:
    """The configuration in a NetworkAttachmentDefinition, named after the object where it has no name of its own.

    A stream of documents may have others beside it. Raises ConfigError.
    """
    found = [each for each in _objects(documents(text, source)) if each.get("kind") == _KIND]
    if not found and (other := lookalikes.said(text, "configuration")):
        raise ConfigError(f"{source}: {other}")
    if len(found) != 1:
        other_ending = f", as which YAML is read; a network configuration ends in {', '.join(_CONFIGURATIONS)}"
        raise ConfigError(f"{source}: has {len(found) or 'no'} {_KIND}{'s; one is wanted' if found else other_ending}")
    metadata, spec = (found[0].get(key) or {} for key in ("metadata", "spec"))
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    config = spec.get("config") if isinstance(spec, Mapping) else None
    if not isinstance(config, str) or not config.strip():
        raise ConfigError(
            f"{source}: spec.config of {name or 'it'} is {'not a text' if config else 'missing'}; without one the "
            "configuration is a file of that name in the host's /etc/cni/net.d: name that"
        )
    value = parsed(config, f"{source}: spec.config of {name or 'it'}")
    if not value.get("name") and name:
        return json.dumps({**value, "name": name})
    return config
