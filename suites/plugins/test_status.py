"""STATUS of the plugins that make interfaces: it is their IPAM's, which they ask as they do for ADD."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.pools import MACHINE

from cnitest import PluginError
from cnitest.testing import Reply, ScriptedPlugin

pytestmark = pytest.mark.topology(MACHINE)

#: The keys without which a plugin reads no configuration.
NEEDED = {
    "bridge": {},
    "dummy": {},
    "host-device": {"device": "ens33"},
    "ipvlan": {"master": "ens33"},
    "macvlan": {"master": "ens33"},
    "ptp": {},
    "tap": {},
    "vlan": {"master": "ens33", "vlanId": 5},
}
PLUGIN = pytest.mark.parametrize(
    "plugin",
    [
        pytest.param(name, marks=[pytest.mark.requires(plugin=f"{name}>=1.9"), pytest.mark.covers(name, "refused")])
        for name in NEEDED
    ],
)


@pytest.fixture
def ipam(cni, tmp_path):
    """An IPAM plugin that says what a test has it say."""
    cni.path = (*cni.path, str(tmp_path))
    return ScriptedPlugin.install(tmp_path, "of-the-test")


@PLUGIN
@pytest.mark.parametrize("code", [50, 51])
def test_it_is_that_of_ipam(node, cni, ipam, plugin, code):
    """Where IPAM is ready so is the plugin; where it is not, its code and its words are the plugin's answer."""
    network = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **NEEDED[plugin], "ipam": {"type": "of-the-test"}}
    ipam.program({"STATUS": [Reply(), Reply(error={"code": code, "msg": "the pool is used up"})]})

    cni.status(network, node)

    with pytest.raises(PluginError, match=rf"code {code}.*the pool is used up"):
        cni.status(network, node)
    assert [record.command for record in ipam.records()] == ["STATUS", "STATUS"]
