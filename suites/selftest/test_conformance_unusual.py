"""Plugins that do what few do: a check blames none that is right, and is not satisfied by one that is wrong."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks import running
from cnitest.conformance.checks.calls import surroundings
from cnitest.conformance.checks.registry import variants
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding, NotApplicable
from cnitest.conformance.model.subject import Trial

PATH = ("/usr/lib/cni",)
VERSION = "1.0.0"
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.20.0.0/24"}]]}
# A plugin around a real one: ``change`` is what it makes of the real one's call and answer.
WRAPPER = """#!/usr/bin/python3 -IS
import ipaddress, json, os, subprocess, sys
command, asked = os.environ.get("CNI_COMMAND"), sys.stdin.buffer.read()


def real():
    done = subprocess.run(["/usr/lib/cni/{plugin}"], input=asked, stdout=subprocess.PIPE)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
        sys.exit(done.returncode)
    return done.stdout


{change}
sys.stdout.buffer.write(real())
"""

pytestmark = pytest.mark.requires(plugin=("host-local", "ptp"))


def findings(directory: Path, check: str, change: str, conf: dict[str, Any]) -> tuple[str, ...]:
    """What a check finds of a plugin around the one that a configuration names."""
    plugin = conf["type"]
    program = directory / f"unusual-{plugin}"
    program.write_text(WRAPPER.format(plugin=plugin, change=change))
    program.chmod(0o755)
    named = json.loads(json.dumps(conf).replace(f'"type": "{plugin}"', f'"type": "{program.name}"'))
    file = directory / "net.conflist"
    file.write_text(json.dumps({"cniVersion": VERSION, "name": "net", "plugins": [named]}))
    path = (str(directory), *PATH)
    subjects = examine([source(file, path)], path, versions=(VERSION,))
    subject = next(one for one in subjects if one.plugin == program.name)
    try:
        with open_bench(Trial(subject, VERSION)) as bench:
            running.run(variants()[check], bench)
    except Finding as found:
        return tuple(found.details)
    return ()


def test_a_dns_with_empty_keys_is_the_delegates_own(tmp_path: Path):
    """A result that writes every key of DNS, those that are empty too, hands on what the delegate gave."""
    change = """
if command == "ADD":
    answer = json.loads(real())
    answer["dns"] = {"nameservers": [], "domain": "", "search": [], "options": [], **answer.get("dns", {})}
    print(json.dumps(answer))
    sys.exit()
"""
    conf = {"type": "ptp", "ipam": IPAM}

    assert findings(tmp_path, "test_the_result_has_what_the_delegate_gave", change, conf) == ()


@pytest.mark.parametrize("first", ["10.20.0.171", "2001:db8:20::abcd"])
def test_a_check_that_only_reads_addresses_is_found(tmp_path: Path, first: str):
    """CHECK of an IPAM plugin that takes whatever is an address, is found, whatever its own address is."""
    change = """
if command == "CHECK":
    for ip in json.loads(asked)["prevResult"]["ips"]:
        try:
            ipaddress.ip_interface(ip["address"])
        except ValueError:
            print(json.dumps({"cniVersion": "1.0.0", "code": 7, "msg": "no address"}))
            sys.exit(1)
    sys.exit()
"""
    subnet = "2001:db8:20::/64" if ":" in first else "10.20.0.0/24"
    ipam = {"type": "host-local", "ranges": [[{"subnet": subnet, "rangeStart": first}]]}

    found = findings(
        tmp_path, "test_an_address_of_somebody_else_is_noticed", change, {"type": "host-local", "ipam": ipam}
    )

    assert len(found) == 1, found
    assert "prevResult says" in found[0]


def test_a_process_whose_name_ends_within_a_letter_is_named():
    """The kernel keeps 15 bytes of a name, whatever letter they end in (prctl(2), PR_SET_NAME)."""
    script = "printf 'plugin-\\303' >/proc/$$/comm && echo there && read word"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"

        assert surroundings._command(process.pid).startswith("sh -c printf")
        process.communicate(b"\n")


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_del_that_closes_one_family_to_others_is_found(tmp_path: Path, program: str):
    """Of a network with both families: what DEL of one container adds keeps another one's packets of one family."""
    echo = {"iptables": "icmp --icmp-type echo-request", "ip6tables": "icmpv6 --icmpv6-type echo-request"}[program]
    change = f"""
if command == "DEL":
    words = "{program} -w -I INPUT -p {echo} -j DROP"
    subprocess.run(words.split(), env={{"PATH": "/usr/sbin:/usr/bin"}}, check=True)
"""
    ranges = [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]
    conf = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": {"type": "host-local", "ranges": ranges}}

    found = findings(tmp_path, "test_del_leaves_others_alone[first-other container]", change, conf)

    assert [words for words in found if "icmp" in words and "dropped" in words], found


NO_CODE_4 = """
if "/" in os.environ.get("CNI_CONTAINERID", "") + os.environ.get("CNI_IFNAME", ""):
    print(json.dumps({"cniVersion": "1.0.0", "code": 7, "msg": "malformed"}))
    sys.exit(1)
"""
NO_RELEASE = """
if command == "DEL":
    subprocess.run(["ip", "link", "del", os.environ["CNI_IFNAME"]], env={"PATH": "/usr/sbin:/usr/bin"})
    sys.exit()
"""


@pytest.mark.parametrize(
    ("check", "change", "why"),
    [
        ("test_errors_name_the_invalid_variable", NO_CODE_4, "it never answers with code 4"),
        ("test_the_interface_goes_before_the_address", NO_RELEASE, "its DEL does not call the IPAM plugin's"),
    ],
)
def test_a_check_that_saw_nothing_has_decided_nothing(tmp_path: Path, check: str, change: str, why: str):
    """Where the plugin does not come to what a requirement is about, it does not apply, and was not passed."""
    with pytest.raises(NotApplicable, match=why):
        findings(tmp_path, check, change, {"type": "ptp", "ipam": IPAM})
