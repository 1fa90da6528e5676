"""Files that are given for others: what one looks like by its keys, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from cnitest.typos import meant

_MOST = 1 << 20
_DEFINITION = "NetworkAttachmentDefinition"
_Keys = Mapping[str, Any]


class _Kind(NamedTuple):
    """A kind of file: what it is called, where it belongs, and whether a document with these keys is one."""

    name: str
    place: str
    is_one: Callable[[_Keys], bool]


def said(text: str, wanted: str) -> str:
    """What a text looks like, and where that belongs; empty where it is ``wanted`` (``topology``, ``configuration`` or
    ``profile``) or nothing that is known."""
    for document in _documents(text):
        for kind in _KINDS:
            if kind.is_one(document):
                what, advice = kind.name, ""
                if kind.is_one is _is_of_kubernetes:
                    close = meant(str(document["kind"]), [_DEFINITION])
                    advice = f". Did you mean {close!r}?" if close else ""
                    what = f"{kind.name} ({document['kind']})"
                return "" if wanted in kind.name.split() else f"this looks like {what}; {kind.place}{advice}"
    return ""


def _documents(text: str) -> Iterator[_Keys]:
    import yaml

    if len(text) > _MOST:
        return
    try:
        for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(document, dict):
                yield {str(key): value for key, value in document.items()}
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return


def _maps(document: _Keys, key: str) -> list[_Keys]:
    """The mappings in a mapping, or list, of a document."""
    found = document.get(key)
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [each for each in inside if isinstance(each, dict)]


def _is_attachment_definition(document: _Keys) -> bool:
    return "apiVersion" in document and document.get("kind") == _DEFINITION


def _is_of_kubernetes(document: _Keys) -> bool:
    return "apiVersion" in document and "kind" in document


def _is_of_compose(document: _Keys) -> bool:
    return any(
        {"image", "build", "container_name", "network_mode"} & each.keys() for each in _maps(document, "services")
    )


def _is_of_containerlab(document: _Keys) -> bool:
    found = document.get("topology")
    return isinstance(found, dict) and "nodes" in found


def _is_of_netplan(document: _Keys) -> bool:
    found = document.get("network")
    return isinstance(found, dict) and bool({"ethernets", "renderer", "bridges", "vlans"} & found.keys())


def _is_of_podman(document: _Keys) -> bool:
    return {"driver", "network_interface"} <= document.keys()


def _is_result(document: _Keys) -> bool:
    return "cniVersion" in document and bool({"ips", "interfaces", "ip4"} & document.keys()) and "type" not in document


def _is_configuration(document: _Keys) -> bool:
    if any("type" in each for each in _maps(document, "plugins")):
        return True
    return "cniVersion" in document and bool({"type", "plugins", "ipam"} & document.keys())


def _is_topology(document: _Keys) -> bool:
    return isinstance(document.get("hosts"), dict) and "conf" not in document


def _is_profile(document: _Keys) -> bool:
    return "conf" in document and "hosts" not in document


_TAKEN = "`cnitest run FILE` and --conf FILE take it"
_KINDS = (
    _Kind("a NetworkAttachmentDefinition with a network configuration", _TAKEN, _is_attachment_definition),
    _Kind(
        "an object of Kubernetes",
        "of these cnitest reads NetworkAttachmentDefinitions only, in the place of a network configuration",
        _is_of_kubernetes,
    ),
    _Kind("a topology", "`cnitest draw FILE` shows it, and --topology FILE builds it", _is_topology),
    _Kind("a profile of a plugin", "`cnitest run FILE` takes it", _is_profile),
    _Kind(
        "a file of Docker Compose",
        "cnitest starts no containers: machines are declared in a topology, as `cnitest draw docker-host` shows",
        _is_of_compose,
    ),
    _Kind(
        "a file of containerlab",
        "in a topology of cnitest its nodes are 'hosts' and its links 'veths', as in `cnitest draw two-nodes-routed`",
        _is_of_containerlab,
    ),
    _Kind("a file of netplan", "in a topology this is declared below hosts: NAME", _is_of_netplan),
    _Kind(
        "a network of Podman's netavark, which calls no CNI plugins",
        "a network configuration has 'cniVersion' and 'type' or 'plugins'",
        _is_of_podman,
    ),
    _Kind("the result of an ADD", "a network configuration has 'type', or 'plugins' that each have one", _is_result),
    _Kind("a network configuration", _TAKEN, _is_configuration),
)
