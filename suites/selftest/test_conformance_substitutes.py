"""A link of another kind in the place of a container's interface: all but the kind is the same."""

from __future__ import annotations

import json

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.attachments import notice
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding, NotApplicable
from cnitest.conformance.model.subject import Trial
from cnitest.conformance.observe import substitute

PATH = ("/usr/lib/cni",)
RANGES = [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "10.99.0.0/16", "gw": "10.20.0.9"}]
# It answers CHECK without a look at more than the interface's name.
BLIND = """#!/bin/sh
[ "$CNI_COMMAND" != CHECK ] || exec nsenter --net="$CNI_NETNS" ip link show "$CNI_IFNAME" >/dev/null
exec /usr/lib/cni/bridge
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"), binary="nsenter")


def subject(tmp_path, plugin="bridge", path=PATH, **keys):
    """A plugin with addresses and routes in both families, without a profile."""
    ipam = {"type": "host-local", "ranges": RANGES, "routes": ROUTES}
    conf = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": plugin, "ipam": ipam, **keys}]}
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps(conf))
    return examine([source(file, path)], path, versions=("1.0.0",))[0]


def concluded(one):
    """Hold CHECK of a plugin to another kind of link; raises what its verdict is made of."""
    with open_bench(Trial(one, "1.0.0")) as bench:
        notice.a_link_of_another_kind_is_noticed(bench)
        bench.conclude()


def seen(place):
    """The container's link, and the addresses and routes that somebody gave it."""
    (link,) = (link for link in place.links if link.name == "eth0")
    addresses = {row.address for row in place.addresses if row.link == "eth0" and row.scope == "global"}
    routes = {(row.to, row.via, row.table) for row in place.routes if row.link == "eth0" and row.protocol != "kernel"}
    return link, addresses, routes


def test_the_substitute_has_all_but_the_kind(tmp_path):
    """Name, MAC, MTU, addresses and routes of both families are those of before, and it is up and has a carrier."""
    with open_bench(Trial(subject(tmp_path, isGateway=True, mtu=1400), "1.0.0")) as bench:
        made = bench.attach()
        link, addresses, routes = seen(made.target.sandbox)
        kind = substitute.take_place(bench, made.target.sandbox, link, made.target.sandbox.state(firewall=False))
        other, *rest = seen(made.target.sandbox)

    assert (kind, link.kind, other.kind) == ("bridge", "veth", "bridge")
    assert (other.mac, other.mtu, other.up, other.carrier) == (link.mac, 1400, True, True)
    assert rest == [addresses, routes]
    assert len(addresses) == 2
    assert {("10.99.0.0/16", "10.20.0.9", 254), ("default", "2001:db8:20::1", 254)} < routes


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
def test_a_check_that_looks_at_the_kind_holds(tmp_path, plugin):
    """Nothing is reported of a plugin whose CHECK fails for it."""
    concluded(subject(tmp_path, plugin, isGateway=True))


def test_a_check_that_looks_at_the_name_alone_is_reported(tmp_path):
    """The words have both kinds."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bridge"
    program.write_text(BLIND)
    program.chmod(0o755)

    with pytest.raises(Finding) as raised:
        concluded(subject(tmp_path, path=(str(tmp_path / "bin"), *PATH), isGateway=True))

    (detail,) = raised.value.details
    assert detail.startswith("eth0 is a bridge and no veth, MAC, addresses and routes are the same: bridge CHECK ")
    assert detail.endswith("succeeds, but should refuse")


def test_a_device_that_was_moved_is_of_any_kind(tmp_path):
    """host-device does not know of what kind its device is: nothing is asked of it."""
    (tmp_path / "cnitest.yaml").write_text(
        "conf: {cniVersion: 1.0.0, name: net, type: host-device, device: nic0}\n"
        "host_setup: [ip link add nic0 type veth peer name sw0]\n"
    )
    (one,) = examine([source(tmp_path / "cnitest.yaml", PATH)], PATH, versions=("1.0.0",))

    with pytest.raises(NotApplicable):
        concluded(one)
