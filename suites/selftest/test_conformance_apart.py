"""Containers that a configuration keeps apart: the suite says so, and holds them to all the rest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from cnitest.suites.selftest.plugins import script

from cnitest.cni import releases
from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.bench.shared_attachment import attach_shared
from cnitest.conformance.checks.attachments import notice, traffic
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model import deviation
from cnitest.conformance.model.finding import NotApplicable
from cnitest.conformance.model.subject import Subject, Trial
from cnitest.conformance.observe import connections

PATH = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
RANGES = [[{"subnet": "10.70.0.0/24"}], [{"subnet": "2001:db8:70::/64"}]]
#: Does what portIsolation asks for, around a bridge that may be older than the key.
ISOLATING = """\
stdin=$(cat); said=$(printf %s "$stdin" | {bridge}); code=$?
case $CNI_COMMAND$code$stdin in ADD0*'"portIsolation": true'*)
  ip link set "$(printf %s "$said" | grep -o 'veth[0-9a-f]*' | head -n 1)" type bridge_slave isolated on ;;
esac
printf '%s\\n' "$said"; exit $code
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"))


@pytest.fixture(params=["its own", "a stand-in's"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """A search path whose bridge knows portIsolation: the one that is there, or one of an older release in a script."""
    if request.param == "its own":
        return PATH
    bridge = shutil.which("bridge", path=":".join(PATH))
    script(tmp_path / "bin", "bridge", ISOLATING.format(bridge=bridge))
    return (str(tmp_path / "bin"), *PATH)


def subject(place: Path, path: tuple[str, ...], *, isolated: bool) -> Subject:
    """A bridge that isolates its ports, or does not."""
    bridge = {"type": "bridge", "isDefaultGateway": True, "ipam": {"type": "host-local", "ranges": RANGES}}
    conf = {"cniVersion": "1.0.0", "name": "net", "plugins": [{**bridge, "portIsolation": isolated}]}
    file = place / "net.conflist"
    file.write_text(json.dumps(conf))
    return examine([source(file, path)], path, versions=("1.0.0",))[0]


def test_ports_that_are_isolated_are_no_fault(tmp_path, path):
    """Containers do not reach each other, which is said with its reason; the gateway reaches them all the same."""
    with open_bench(Trial(subject(tmp_path, path, isolated=True), "1.0.0")) as bench:
        attached = attach_shared(bench)
        if not all(port.isolated for port in bench.node.state(firewall=False).ports):
            pytest.skip("this release of the bridge plugin has no portIsolation (1.7.0 and later have)")
        one, other = attached.made.target.sandbox, attached.second().target.sandbox

        reaches = [one.ping(address) for address in other.addresses_on("eth0")]
        with pytest.raises(NotApplicable, match="keeps containers apart: portIsolation is true"):
            traffic.containers_reach_each_other(attached)
        traffic.the_gateway_answers(attached)
        traffic.the_gateway_reaches_the_container(attached)
        bench.conclude()

    assert [bool(reach) for reach in reaches] == [False, False]


def test_ports_that_are_not_isolated_are_held_to_it(tmp_path, path):
    """With portIsolation false the requirement is about containers as ever, and they reach each other."""
    with open_bench(Trial(subject(tmp_path, path, isolated=False), "1.0.0")) as bench:
        attached = attach_shared(bench)

        traffic.containers_reach_each_other(attached)
        bench.conclude()

        assert attached.second()


def test_a_port_that_is_isolated_no_more_is_a_known_blind_spot_of_check(tmp_path, path):
    """CHECK is held to the isolation, and what the reference plugin overlooks is known of it."""
    one = subject(tmp_path, path, isolated=True)
    with open_bench(Trial(one, "1.0.0")) as bench:
        notice.other_attributes_are_noticed(bench)
        details = [complaint.detail for complaint in bench.record.complaints]

    if path == PATH and not any("isolated" in detail for detail in details):
        pytest.skip("this release of the bridge plugin has no portIsolation (1.7.0 and later have)")
    assert any("isolated of veth" in detail for detail in details)
    assert deviation.unexplained(details, deviation.concerning("CHK-20", one, "1.0.0")) == []


def test_a_build_without_the_key_keeps_nobody_apart(tmp_path, monkeypatch):
    """What a release does not read is no reason for containers not to reach each other."""
    monkeypatch.setattr(releases, "reads", lambda _file, key: key != "portIsolation")
    with open_bench(Trial(subject(tmp_path, PATH, isolated=True), "1.0.0")) as bench:
        assert connections.apart(bench) == ""
