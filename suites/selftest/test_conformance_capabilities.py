"""Capabilities that a list only declares: plugins whose work they are have some in every test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnitest.conformance.bench import provision
from cnitest.conformance.bench.bench import Bench, open_bench
from cnitest.conformance.checks.attachments import check, delete, notice
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding, NotApplicable
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject, Trial
from cnitest.errors import ConfigError

PATH = ("/usr/lib/cni",)
IPAM = {"type": "host-local", "subnet": "10.20.0.0/24"}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipam": IPAM}
# A program that is another plugin but for one command, of which it does nothing.
WITHOUT = '#!/bin/sh\n[ "$CNI_COMMAND" = {command} ] && {{ cat >/dev/null; exit 0; }}\nexec /usr/lib/cni/{plugin}\n'
# A chained plugin that nobody knows: it marks what is published in a table of its own, which its DEL leaves.
STRANGER = """#!/bin/sh
input=$(cat)
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ;;
ADD)
    port=$(echo "$input" | sed -n 's/.*"hostPort": *\\([0-9]*\\).*/\\1/p')
    [ -z "$port" ] || nft "add table ip published; add chain ip published ports; \\
        add rule ip published ports tcp dport $port accept"
    echo "$input" | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["prevResult"]))' ;;
esac
"""

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning", "portmap", "bandwidth"))


def chained(tmp_path: Path, name: str, program: str, **conf: Any) -> Subject:
    """The subject of a program of that name behind a bridge, with a plain conflist and no profile."""
    directory = tmp_path / "bin"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(program)
    (directory / name).chmod(0o755)
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [BRIDGE, {"type": name, **conf}]}))
    path = (str(directory), *PATH)
    return next(found for found in examine([source(file, path)], path, versions=("1.0.0",)) if found.plugin == name)


def concluded(test: Any, subject: Subject, *arguments: Any) -> None:
    """Run a test of the suite on a bench of its own; raises what its verdict is made of."""
    with open_bench(Trial(subject, "1.0.0")) as bench:
        test(bench, *arguments)
        bench.conclude()


PLUGINS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("portmap", "portMappings", {"snat": True}),
    ("bandwidth", "bandwidth", {}),
    ("tuning", "mac", {}),
)


@pytest.mark.parametrize(("plugin", "capability", "conf"), PLUGINS, ids=[plugin for plugin, *_ in PLUGINS])
def test_a_blind_check_is_found(tmp_path: Path, plugin: str, capability: str, conf: dict[str, Any]):
    """A plugin whose CHECK always succeeds has something that could be taken away, though it was only declared."""
    program = WITHOUT.format(command="CHECK", plugin=plugin)
    subject = chained(tmp_path, f"blind-{plugin}", program, capabilities={capability: True}, **conf)
    test = {
        "portmap": notice.missing_firewall_rules_are_noticed,
        "bandwidth": notice.missing_shaping_is_noticed,
        "tuning": notice.another_mac_is_noticed,
    }[plugin]

    with pytest.raises(Finding, match="succeeds, but should refuse"):
        concluded(test, subject)
    with pytest.raises(Finding, match="succeeds, but should refuse"):
        concluded(check.check_after_del_fails, subject)


@pytest.mark.parametrize(("plugin", "capability", "conf"), PLUGINS[:2], ids=["portmap", "bandwidth"])
def test_a_del_that_does_nothing_is_found(tmp_path: Path, plugin: str, capability: str, conf: dict[str, Any]):
    """A plugin whose DEL only succeeds leaves what it made of arguments that its list only declares."""
    program = WITHOUT.format(command="DEL", plugin=plugin)
    subject = chained(tmp_path, f"idle-{plugin}", program, capabilities={capability: True}, **conf)

    with pytest.raises(Finding, match="rule|qdiscs|links"):
        concluded(delete.del_removes_what_add_made, subject)


def test_a_plugin_that_nobody_knows_is_exercised(tmp_path: Path):
    """What a third party makes of a mapped port, and leaves, is found."""
    subject = chained(tmp_path, "published", STRANGER, capabilities={"portMappings": True})

    assert subject.effect
    with pytest.raises(Finding, match="published.* tcp dport"):
        concluded(delete.del_removes_what_add_made, subject)


def test_without_anything_to_do_nothing_passes(tmp_path: Path):
    """The same plugin whose list declares nothing made nothing, so that its DEL is not checked."""
    subject = chained(tmp_path, "published", STRANGER)

    assert not subject.effect
    with pytest.raises(NotApplicable, match="ADD made nothing to delete"):
        concluded(delete.del_removes_what_add_made, subject)
    with pytest.raises(NotApplicable, match="ADD made nothing to delete"):
        concluded(delete.del_can_be_repeated, subject)


def test_a_finding_counts_where_nothing_was_made(tmp_path: Path):
    """A second DEL that fails is a finding, whether or not there was anything to delete."""
    failing = STRANGER.replace("ADD)", "DEL) [ -e /run/once ] && exit 1; touch /run/once ;;\nADD)", 1)
    subject = chained(tmp_path, "once", failing)

    with pytest.raises(Finding, match="the second DEL"):
        concluded(delete.del_can_be_repeated, subject)


def test_the_ipam_plugin_of_a_network_is_one_that_can_be_meant(tmp_path: Path):
    """It is the only subject then, and a name that is none is told with those that the network has."""
    file = tmp_path / "net.conflist"
    bridge = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/24"}}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [bridge]}))
    network = source(file, PATH)

    subjects = examine([replace(network, only="host-local")], PATH, versions=("1.0.0",))

    assert [(subject.plugin, subject.kind) for subject in subjects] == [("host-local", Kind.IPAM)]
    with pytest.raises(ConfigError, match=r"no plugin 'host-locl'.*'host-local'.*; it has bridge, host-local"):
        examine([replace(network, only="host-locl")], PATH, versions=("1.0.0",))


def test_an_address_that_is_only_asked_for(tmp_path: Path):
    """static with nothing but ``ips`` declared gives an address of its own to each container."""
    file = tmp_path / "net.conflist"
    bridge = {"type": "bridge", "capabilities": {"ips": True}, "ipam": {"type": "static"}}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [bridge]}))

    subjects = examine([source(file, PATH)], PATH, versions=("1.0.0",))

    assert [subject.plugin for subject in subjects] == ["bridge", "static"]
    for subject in subjects:
        with open_bench(Trial(subject, "1.0.0")) as bench:
            one, other = (given(bench, container) for container in ("c1", "c2"))
            assert one != other


def given(bench: Bench, container: str) -> str:
    """The address that a container gets."""
    (entry,) = bench.attach(bench.target(container)).result["ips"]
    return str(entry["address"])


DUAL = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "2001:db8:1::/64"}]]}


def test_no_two_attachments_share_what_is_exclusive():
    """Host ports and MACs differ from container to container, and from network to network; the profile's own win."""
    confs = [{"ipam": DUAL}, {"capabilities": {"portMappings": True, "mac": True, "bandwidth": False, "dns": True}}]
    runtime = provision.Provision(Setting(capabilities={"dns": {"servers": ["9.9.9.9"]}}), "net")
    places = [("c1", "eth0", "net"), ("c2", "eth0", "net"), ("c1", "eth1", "net"), ("c1", "eth0", "net-b")]

    found = [runtime.provides(confs, *place) for place in places]

    ports = [row["hostPort"] for one in found for row in one["portMappings"]]
    assert len(set(ports)) == 2 * len(places)
    assert len({one["mac"] for one in found}) == len(places)
    assert all(one.keys() == {"portMappings", "mac", "dns"} for one in found)
    assert found[0] == runtime.provides(confs, *places[0])
    assert found[0]["dns"] == {"servers": ["9.9.9.9"]}


@pytest.mark.parametrize(
    ("ipam", "wanted"),
    [
        (DUAL, {}),
        ({"type": "static"}, {"ips": ["10.132.0.10/24"]}),
        ({"type": "static", "routes": [{"dst": "::/0"}]}, {"ips": ["2001:db8:132::a/64"]}),
        (
            {"type": "static", "routes": [{"dst": "10.132.7.0/24"}, {"dst": "::/0"}]},
            {"ips": ["10.133.0.10/24", "2001:db8:132::a/64"]},
        ),
    ],
    ids=["ranges of its own", "nothing said", "IPv6", "both, and the first prefix is taken"],
)
def test_addresses_are_provided_where_there_are_none(ipam: dict[str, Any], wanted: dict[str, Any]):
    """Addresses are asked for in each family that the network speaks of, where its configuration names none."""
    assert provision.arguments([{"ipam": ipam, "capabilities": {"ips": True}}], 0) == wanted


def test_addresses_that_are_provided_are_not_those_of_the_topology(tmp_path: Path):
    """A network that the lab has already is nobody's to give."""
    file = tmp_path / "taken.yaml"
    file.write_text(
        "name: taken\nhosts:\n  node: {}\n  peer: {}\nveths:\n  - ends:\n"
        "      - {at: node, name: eth1, addresses: [10.132.5.1/24]}\n"
        "      - {at: peer, name: eth0, addresses: [10.132.5.2/24]}\n"
    )
    runtime = provision.Provision(Setting(topology=str(file)), "net")

    given = runtime.provides([{"ipam": {"type": "static"}, "capabilities": {"ips": True}}], "c1", "eth0", "net")

    assert given == {"ips": ["10.133.0.10/24"]}
