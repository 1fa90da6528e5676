"""What the files of plugins call invalid is rejected by the builds in the search path, and what is valid is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from cnitest import Lab, PluginError, Runtime, Sandbox
from cnitest.cni import plugins, releases
from cnitest.kernel import features
from cnitest.plugins import files
from cnitest.plugins.knowledge import Key, Plugin
from cnitest.topology import find, load

PATH = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}
BRIDGE = {"type": "bridge", "bridge": "cni9", "isGateway": True, "ipam": POOL}
KNOWN = [plugin for plugin in files.every() if plugin.keys and plugin.ipam != "alone"]


def keys(plugin: Plugin) -> Iterator[tuple[Key, Any]]:
    """The values that have to be rejected, of the keys that the build has."""
    file = plugins.find(plugin.name, PATH)
    yield from (
        (key, value)
        for key in plugin.of(releases.reference(file))
        if releases.reads(file, key.name) and not key.rare
        for value in key.invalid
    )


def listed(plugin: Plugin, key: Key, value: Any) -> dict[str, Any]:
    """A network in which everything but that value is right."""
    own: dict[str, Any] = {"type": plugin.name, **{name: plugin.all_keys[name].valid[0] for name in plugin.always}}
    own |= {other: plugin.all_keys[other].valid[0] for other in key.together}
    own |= {key.needs: True} if key.needs and key.needs != "ipam" else {}
    if plugin.ipam in ("required", "optional", "fixed"):
        own["ipam"] = POOL
    given = "nic0" if value == "nic-{container}-{ifname}" else value
    chain = [BRIDGE] if plugin.before else []
    return {"cniVersion": "1.0.0", "name": "net", "plugins": [*chain, {**own, key.name: given}]}


def accepted(cni: Runtime, sandbox: Sandbox, network: dict[str, Any]) -> bool:
    """Whether ADD succeeds; what it made is deleted."""
    try:
        attachment = cni.add(sandbox, network)
    except PluginError:
        return False
    cni.delete(attachment, may_fail=True)
    return True


@pytest.mark.parametrize("plugin", KNOWN, ids=lambda plugin: plugin.name)
def test_what_is_called_invalid_is_rejected(plugin: Plugin):
    """ADD fails with each invalid value of a key that the build has, and succeeds with a valid one in its place."""
    if not plugins.find(plugin.name, PATH) or not plugins.find("host-local", PATH):
        pytest.skip(f"there is no {plugin.name}")
    if plugin.name in features.names() and (why := features.kernel(plugin.name).why):
        pytest.skip(why)
    with Lab(load(find("node-with-uplink"))) as lab:
        host = lab.host("node")
        host.run(["ip", "link", "add", "nic0", "type", "veth", "peer", "name", "nic1"])
        cni = Runtime(lab, PATH, timeout=10)
        wrong = [
            f"{key.name} {value!r}: {word}"
            for number, (key, rejected) in enumerate(keys(plugin))
            for word, given in (("accepted", rejected), ("refused", key.valid[:1]))
            for value in ((given,) if word == "accepted" else given)
            if accepted(cni, host.sandbox(f"{word}{number}"), listed(plugin, key, value)) is (word == "accepted")
        ]

    assert wrong == []
