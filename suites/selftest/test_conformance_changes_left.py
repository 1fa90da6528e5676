"""What a chained plugin changed of the host and DEL left changed is a leftover, as what it added is."""

from __future__ import annotations

import json

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.attachments import delete
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding
from cnitest.conformance.model.subject import Trial

REAL = "/usr/lib/cni"
# How a link of the host is changed on ADD, and how it is changed back.
CHANGES = {
    "altnames": ("property add dev ens33 altname card0", "property del dev ens33 altname card0"),
    "alias": ("set ens33 alias card0", "set ens33 alias ''"),
    "promiscuity": ("set ens33 promisc on", "set ens33 promisc off"),
    "mtu": ("set ens33 mtu 1400", "set ens33 mtu 1500"),
}

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "portmap"))


def concluded(tmp_path, added, deleted):
    """Hold a portmap that gives ip-link(8) these words besides to DEL-01; raises what its verdict is made of."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "portmap"
    program.write_text(
        f"#!/bin/sh\ncase $CNI_COMMAND in\nADD) ip link {added};;\nDEL) ip link {deleted};;\nesac\n"
        f"exec {REAL}/portmap\n"
    )
    program.chmod(0o755)
    path = (str(tmp_path / "bin"), REAL)
    ipam = {"type": "host-local", "subnet": "10.20.0.0/24"}
    plugins = [{"type": "bridge", "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": plugins}))
    (one,) = (each for each in examine([source(file, path)], path, versions=("1.0.0",)) if each.plugin == "portmap")
    with open_bench(Trial(one, "1.0.0")) as bench:
        delete.del_removes_what_add_made(bench)
        bench.conclude()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_host_s_link_that_stays_is_reported(tmp_path, name):
    """A name, an alias, a mode or an MTU that the uplink did not have before, once for each."""
    added, _ = CHANGES[name]

    with pytest.raises(Finding) as raised:
        concluded(tmp_path, added, "show >/dev/null")

    (detail,) = raised.value.details
    assert detail.startswith("node: ~ links ens33: ")
    assert name in detail


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_undone_is_none(tmp_path, name):
    """Nothing is reported of a plugin that changes it back."""
    concluded(tmp_path, *CHANGES[name])
