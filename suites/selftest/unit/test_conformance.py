"""The decisions of the conformance suite, without any plugin: what counts, what is known, what may stay."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import request
from cnitest.conformance.bench.leftovers import leftovers, removals
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.bench.steps import Ask
from cnitest.conformance.model import form, profile
from cnitest.conformance.model.finding import Finding
from cnitest.conformance.model.requirement import Kind, find
from cnitest.conformance.model.subject import Subject, from_data, to_data
from cnitest.conformance.model.verdict import Case, CaseVerdict, RunProfile, classify
from cnitest.errors import ConfigError
from cnitest.kernel.files import File
from cnitest.kernel.rows.records import Address, Link
from cnitest.lab.snapshot.state import State
from cnitest.report.conformance import summary

SUBJECT = Subject(
    name="bridge",
    plugin="bridge",
    kind=Kind.INTERFACE,
    network="lan",
    conf={"type": "bridge", "ipMasq": True, "ipam": {"type": "host-local"}},
    before=(),
    path=("/usr/lib/cni",),
    versions=("0.4.0", "1.0.0"),
    advertised=("0.4.0", "1.0.0"),
    source="x.conf",
    skel=True,
)
LEAK = "node: + iptables rule: nat: :CNI-0123456789abcdef01234567 -"


def verdict_of(
    identifier: str, details: list[str], how: RunProfile, strict: bool = False, subject: Subject = SUBJECT
) -> CaseVerdict:
    """The verdict on a finding in 1.0.0."""
    return classify(find(identifier), subject, "1.0.0", details, how, strict=strict)[0]


def link(name: str, kind: str = "veth", **changes: Any) -> Link:
    """A link with nothing special."""
    plain = Link(name, 2, kind, "02:00:00:00:00:01", 1500, True, True, "", "", 0, 0, "")
    return plain._replace(**changes)


@pytest.mark.parametrize(
    ("identifier", "details", "how", "strict", "verdict"),
    [
        ("DEL-01", ["x"], RunProfile.SPEC, False, CaseVerdict.FAILED),
        ("DEL-05", ["x"], RunProfile.SPEC, False, CaseVerdict.WARNING),
        ("DEL-05", ["x"], RunProfile.SPEC, True, CaseVerdict.FAILED),
        ("DEL-05", ["x"], RunProfile.REFERENCE, False, CaseVerdict.FAILED),
        ("DEL-05", [LEAK], RunProfile.SPEC, False, CaseVerdict.WARNING),
        ("DEL-05", [LEAK], RunProfile.REFERENCE, False, CaseVerdict.DEVIATION),
        ("DEL-05", [LEAK, "node: + links veth0: x"], RunProfile.REFERENCE, False, CaseVerdict.FAILED),
        ("PROTO-21", ["the error has no cniVersion: {}"], RunProfile.SPEC, False, CaseVerdict.INHERITED),
        ("PROTO-21", ["the error has no cniVersion: {}"], RunProfile.SPEC, True, CaseVerdict.FAILED),
        ("PROTO-21", ["the error has no msg: {}"], RunProfile.SPEC, False, CaseVerdict.WARNING),
    ],
)
def test_a_finding_gets_its_verdict(
    identifier: str, details: list[str], how: RunProfile, strict: bool, verdict: CaseVerdict
):
    """Level, profile and the table of deviations decide; one detail more than is known is a failure."""
    assert verdict_of(identifier, details, how, strict) is verdict


def test_only_plugins_on_the_go_library_inherit():
    """The same finding of a plugin of another make is its own."""
    stranger = dataclasses.replace(SUBJECT, skel=False)

    assert verdict_of("PROTO-03", ["succeeds, but should refuse"], RunProfile.SPEC) is CaseVerdict.INHERITED
    assert (
        verdict_of("PROTO-03", ["succeeds, but should refuse"], RunProfile.SPEC, subject=stranger) is CaseVerdict.FAILED
    )


@pytest.mark.parametrize("more", ["node: + links leak0: kind=veth", "node: + files /run/x", "node/c1: + links x0:"])
@pytest.mark.parametrize(("identifier", "prefix"), [("ADD-04", "'ipam.subnet' is 5: "), ("ADDF-a", ""), ("ADDF-f", "")])
def test_something_more_after_a_rejected_add_still_shows(identifier: str, prefix: str, more: str):
    """The interface that bridge is known to leave covers nothing else that is left."""
    known = f"{prefix}node/c1: + links eth0: ifindex=3 kind=veth"

    assert verdict_of(identifier, [known], RunProfile.REFERENCE) is CaseVerdict.DEVIATION
    assert verdict_of(identifier, [known, f"{prefix}{more}"], RunProfile.REFERENCE) is CaseVerdict.FAILED


def test_a_deviation_needs_its_settings():
    """Leaked masquerading is known of configurations that ask for it."""
    plain = dataclasses.replace(SUBJECT, conf={"type": "bridge"})

    assert verdict_of("DEL-05", [LEAK], RunProfile.REFERENCE, subject=plain) is CaseVerdict.FAILED


def test_a_renamed_plugin_is_known_by_its_banner():
    """What a plugin says of itself counts as its name does."""
    renamed = dataclasses.replace(SUBJECT, plugin="my-bridge", banner="CNI bridge plugin v1.9.1")

    assert verdict_of("DEL-05", [LEAK], RunProfile.REFERENCE, subject=renamed) is CaseVerdict.DEVIATION


def case(verdict: CaseVerdict, requirement: str = "DEL-05", known: tuple[int, ...] = ()) -> Case:
    """A case of the subject."""
    return Case(requirement, "bridge", "1.0.0", "test", verdict, details=("x",), known=known)


def test_a_deviation_that_does_not_show_is_reported():
    """When its requirement was decided and nothing of it was met, a known deviation has disappeared."""
    gone = summary.outcome([case(CaseVerdict.PASSED)], [SUBJECT], "reference", whole=True).disappeared
    met = {entry.number for _, entry in gone}
    there = summary.outcome(
        [case(CaseVerdict.DEVIATION, known=tuple(met))], [SUBJECT], "reference", whole=True
    ).disappeared
    part = summary.outcome([case(CaseVerdict.PASSED)], [SUBJECT], "reference", whole=False).disappeared

    assert [entry.requirement for _, entry in gone] == ["DEL-05"]
    assert there == ()
    assert part == ()


def test_the_worst_case_counts():
    """One failure among passes is a failure; what was not run is not called inapplicable."""
    ended = summary.outcome([case(CaseVerdict.PASSED), case(CaseVerdict.FAILED)], [SUBJECT], "spec", whole=True)
    verdicts = {row.requirement.id: row.verdict for row in ended.rows}

    assert verdicts["DEL-05"] is CaseVerdict.FAILED
    assert verdicts["DEL-01"] is CaseVerdict.NOT_RUN
    assert verdicts["CHK-17"] is CaseVerdict.NOT_APPLICABLE


def test_subjects_travel_as_data():
    """What is handed to a worker comes out as it went in."""
    assert from_data(json.loads(json.dumps(to_data([SUBJECT])))) == (SUBJECT,)


def state(*links: Link, files: tuple[str, ...] = (), rules: tuple[str, ...] = ()) -> dict[str, State]:
    """A picture of a host."""
    rows = tuple(File(path, "file", 0o644, 3, "d", "x") for path in files)
    return {"node": State(links=links, files=rows, firewall={"iptables": rules} if rules else {})}


@pytest.mark.parametrize(
    ("after", "left"),
    [
        (state(link("cni0", "bridge")), 0),
        (state(link("veth0")), 1),
        (state(files=("/run/xtables.lock", "/var/lib/cni/networks/x/lock")), 0),
        (state(files=("/var/lib/cni/networks/x/last_reserved_ip.0",)), 0),
        (state(files=("/var/lib/cni/networks/x/10.0.0.2",)), 1),
        (state(rules=("nat: :CNI-HOSTPORT-DNAT -", "nat: -A PREROUTING -m addrtype -j CNI-HOSTPORT-DNAT")), 0),
        (state(rules=("filter: -A FORWARD -j DROP",)), 1),
        (state(rules=("nat: :CNI-0123456789abcdef01234567 -",)), 1),
        (state(rules=("filter: -A CNI-FORWARD -s 10.0.0.2/32 -j ACCEPT",)), 1),
    ],
)
def test_what_may_stay_is_short(after: dict[str, State], left: int):
    """A shared bridge, locks and shared chains may stay; links, leases and rules of a container may not."""
    assert len(leftovers(state(), after)) == left


def test_nothing_shared_may_come_later():
    """Once everything shared is there not even a bridge may come."""
    assert leftovers(state(), state(link("cni0", "bridge")), strict=True) != []


def test_built_in_chains_come_whenever_iptables_is_asked():
    """They are nobody's: a DEL that only looks for rules makes them, as any iptables command does."""
    asked = state(rules=("nat: :PREROUTING ACCEPT", "nat: :INPUT ACCEPT"))

    assert leftovers(state(), asked, strict=True) == []
    assert len(leftovers(state(), state(rules=("nat: :INPUT DROP",)), strict=True)) == 1


def test_a_sibling_has_other_addresses():
    """Another network of the same kind has its own subnets and bridge; its default route is the same."""
    conf = {
        "bridge": "cni0",
        "ipam": {"subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    }
    other = request.sibling(conf)

    assert other == {
        "bridge": "cni0b",
        "ipam": {"subnet": "10.1.64.0/24", "gateway": "10.1.64.1", "routes": [{"dst": "0.0.0.0/0"}]},
    }


def test_capabilities_are_filtered():
    """A plugin gets what it declares and the runtime provides, and not the declaration itself."""
    conf = {"type": "x", "capabilities": {"mac": True, "ips": False}}
    sent = request.of(conf, "n", "1.0.0", {"mac": "m", "ips": ["i"], "dns": {}}, None)

    assert sent == {"type": "x", "name": "n", "cniVersion": "1.0.0", "runtimeConfig": {"mac": "m"}}


@pytest.mark.parametrize(
    ("complaints", "words"),
    [
        (form.of_early_versions({"ips": []}), "'ips' is there"),
        (form.missing_families({"ips": [{"address": "10.0.0.1/8", "version": "6"}]}), "not '4'"),
        (form.surplus_families({"ips": [{"version": "4"}]}), "has 'version'"),
        (form.fields_of_later({"interfaces": [{"name": "a", "mtu": 1}]}), "interfaces[0].mtu"),
        (form.fields_of_later({"routes": [{"dst": "::/0", "table": 5}]}), "routes[0].table"),
        (form.indices({"interfaces": [{"name": "a"}], "ips": [{"interface": 7}]}, ""), "is 7, there are 1"),
        (form.addresses({"ips": [{"address": "10.0.0.0/24"}]}, "1.0.0"), "the address of its network"),
        (form.addresses({"ips": [], "routes": [{"dst": "10.0.0.0"}]}, "1.0.0"), "no network with its prefix"),
        (form.misshapen({"ips": "x"}, "1.0.0"), "cannot be read"),
        (form.misshapen({"dns": {"nameservers": "1"}}, "1.0.0"), "dns.nameservers"),
    ],
)
def test_the_form_of_results_is_held_to_its_version(complaints: list[str], words: str):
    """Each fault in a result's form is reported in words."""
    assert len(complaints) == 1
    assert words in complaints[0]


def test_every_fault_of_a_profile_is_reported_at_once(tmp_path: Path):
    """Each fault has the file and its line."""
    file = tmp_path / "cnitest.yaml"
    file.write_text("kind: interfac\nhostsetup: []\nexpect: {gateway: maybe}\nskip: {XYZ-1: why}\nconf: missing.conf\n")

    with pytest.raises(ConfigError) as caught:
        profile.load(file)

    lines = str(caught.value).splitlines()
    reported = [line.partition("cnitest.yaml:")[2].partition(" ")[::2] for line in lines]
    assert [place for place, _ in reported] == ["1:7:", "2:1:", "3:19:", "4:8:", "5:7:"]
    assert [words.partition(":")[0] for _, words in reported] == [
        "kind",
        "hostsetup",
        "expect.gateway",
        "skip.XYZ-1",
        "conf",
    ]
    assert "Did you mean 'interface'?" in reported[0][1] and "Did you mean 'host_setup'?" in reported[1][1]


def test_a_profile_is_read(tmp_path: Path):
    """Text stays text, commands are split, files count from the profile's own directory."""
    (tmp_path / "x.conf").write_text('{"cniVersion": "1.0.0", "name": "n", "type": "x"}')
    file = tmp_path / "cnitest.yaml"
    file.write_text(
        "conf: x.conf\nargs: {A: 1}\nhost_setup: [ip link add lan0 type bridge]\nmounts: {/etc/x: .}\n"
        "expect: {gateway: false}\nskip: {del-05: its author knows}\n"
    )
    found = profile.load(file)

    assert found.network is not None
    assert found.network.name == "n"
    assert found.setting.args == {"A": "1"}
    assert found.setting.host_setup[-1] == ("ip", "link", "add", "lan0", "type", "bridge")
    assert ("mount", "--bind", str(tmp_path), "/etc/x") in found.setting.host_setup
    assert found.setting.expect.gateway is False
    assert found.setting.skip == {"DEL-05": "its author knows"}


def test_what_a_profile_lets_change_is_no_removal():
    """A file of a server on the same host may be written again; without the profile's word it counts."""
    before, after = ({"node": State(files=(File("/run/leases", "file", 420, 1, digest, ""),))} for digest in "ab")

    assert removals(before, after) != []
    assert removals(before, after, ["/run/leases"]) == []


def test_calls_side_by_side_are_waited_for_once():
    """Of calls of one batch the slowest counts, of others each; what is enough ends a test at once."""
    record = BenchRecord()
    for seconds, batch in ((1.0, 0), (2.0, 0), (3.0, 1), (5.0, 1), (0.5, 2)):
        record.steps.append(Ask(Call("it", "ADD", "node", (), {}, "", b"", b"", 0, seconds), batch=batch))

    assert record.seconds == 8.5


def test_a_record_has_enough_of_what_is_not_known():
    """Complaints that are known are kept; the first other one ends the test."""
    record = BenchRecord(enough=lambda detail: "known" not in detail)
    record.complain(["a known thing"], "")

    with pytest.raises(Finding) as caught:
        record.complain(["something new", "and more"], "")

    assert caught.value.details == ("a known thing", "something new")


@pytest.mark.parametrize(("scope", "address"), [("link", "fe80::5eff:fe00:1/64"), ("global", "2001:db8::2/64")])
def test_an_address_found_twice_is_no_calls_doing(scope, address):
    """The kernel's detection of duplicate addresses ends behind a call; another flag is somebody's doing."""
    before, twice, other = (
        {"node": State(addresses=(Address("eth0", address, scope, "", tentative=False, flags=flags),))}
        for flags in ((), ("dadfailed",), ("dadfailed", "noprefixroute"))
    )

    assert leftovers(before, twice, strict=True) == leftovers(twice, before, strict=True) == []
    assert len(leftovers(before, other, strict=True)) == 1


def test_a_bridge_without_addresses_changes_its_mac():
    """The kernel gives it the lowest of its ports'; with an address that would be somebody's loss."""
    before, after = (state(link("cni0", "bridge", mac=f"02:00:00:00:00:0{number}")) for number in (1, 2))
    address = Address("cni0", "10.1.0.1/24", "global", "", tentative=False)

    assert leftovers(before, after, strict=True) == []
    for picture in (before, after):
        picture["node"] = replace(picture["node"], addresses=(address,))
    assert len(leftovers(before, after, strict=True)) == 1
