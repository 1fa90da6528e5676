"""A network that cannot start: one report, with the plugin's error, the host and the cause; and words nobody reads."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PATH = "/usr/lib/cni"
POOL = {"type": "host-local", "subnet": "10.22.0.0/24"}
BRIDGE = {"type": "bridge", "ipam": POOL}
DEFAULT = {"dst": "0.0.0.0/0"}
LONG = "a-name-of-many-letters"

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "tuning", "portmap", "macvlan", "static", "ptp"))


def tried(
    tmp_path: Path, *plugins: dict[str, Any], options: tuple[str, ...] = (), version: str = "1.0.0"
) -> subprocess.CompletedProcess[str]:
    """``cnitest run`` of a list in an empty directory."""
    conf = {"cniVersion": version, "name": "mynet", "plugins": list(plugins)}
    (tmp_path / "my.conflist").write_text(json.dumps(conf))
    command = [sys.executable, "-m", "cnitest.cli", "run", "my.conflist", "--cni-path", PATH, "-n", "0", *options]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)


BROKEN = {
    "a default route twice": (
        [{**BRIDGE, "isDefaultGateway": True, "ipam": {**POOL, "routes": [DEFAULT]}}],
        ("code 999", "file exists", "isDefaultGateway adds a default route, and ipam.routes has one, too (0.0.0.0/0)"),
    ),
    "a default route of IPv6 twice": (
        [
            {
                "type": "bridge",
                "isDefaultGateway": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "2001:db8:5::/64"}]],
                    "routes": [{"dst": "::/0"}],
                },
            }
        ],
        ("isDefaultGateway adds a default route, and ipam.routes has one, too (::/0)",),
    ),
    "a route twice": (
        [{**BRIDGE, "ipam": {**POOL, "routes": [DEFAULT, DEFAULT]}}],
        ("ipam.routes has 0.0.0.0/0 more than once",),
    ),
    "a master that is not there": (
        [{"type": "macvlan", "master": "eth0", "ipam": POOL}],
        ("Link not found", "master is 'eth0', and the host has no such link; there are ens33; did you mean 'ens33'?"),
    ),
    "a prefix too long": (
        [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/33"}}],
        ("'10.22.0.0/33' is not an address with prefix (0-32). Did you mean '10.22.0.0/24'?",),
    ),
    "an IPv6 prefix too long": (
        [{"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "2001:db8::/129"}]]}}],
        ("ipam.ranges[0][0].subnet: '2001:db8::/129' is not an address with prefix (0-128)",),
    ),
    "no room": (
        [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.22.0.0/32"}}],
        ("too small: a network to give addresses from is a /30 or larger",),
    ),
    "an IPAM plugin with a typo": (
        [{"type": "bridge", "ipam": {"type": "host-locl", "subnet": "10.22.0.0/24"}}],
        ("bridge calls the plugin 'host-locl', which is not in the search path; did you mean 'host-local'?",),
    ),
    "no IPAM": ([{"type": "ptp"}], ("ptp wants addresses, and its configuration has no ipam.type",)),
    "a chained plugin first": (
        [{"type": "portmap", "capabilities": {"portMappings": True}}, BRIDGE],
        ("portmap works on an interface that a plugin before it made, and none is before it",),
    ),
    "a value of another type": (
        [{**BRIDGE, "mtu": "1500"}],
        ("'mtu' is the text \"1500\", and a whole number, without quotes, is expected; did you mean 1500?",),
    ),
    "a word with a typo": (
        [{"type": "macvlan", "master": "ens33", "mode": "brigde", "ipam": POOL}],
        ("'mode' is 'brigde', and is none of 'bridge', 'private', 'vepa', 'passthru'; did you mean 'bridge'?",),
    ),
    "ranges that overlap": (
        [
            {
                "type": "bridge",
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]]},
            }
        ],
        ("ipam.ranges[0][0] (10.1.0.1 to 10.1.0.254) and ipam.ranges[1][0] (10.1.0.1 to 10.1.255.254) overlap",),
    ),
    "a name too long": ([{**BRIDGE, "bridge": LONG}], (f"'bridge' is wrong: '{LONG}' is 22 bytes long", "has 1 to 15")),
    "a sysctl that is not there": (
        [BRIDGE, {"type": "tuning", "sysctl": {"net.ipv4.conf.all.nope": "1"}}],
        ("Its first ADD fails: bridge + tuning", "sysctl net.ipv4.conf.all.nope: no such file or directory"),
    ),
    "a multicast MAC in args": (
        [{**BRIDGE, "args": {"cni": {"mac": "01:00:5e:00:53:11"}}}],
        ("args.cni.mac is wrong: '01:00:5e:00:53:11' is a multicast MAC", "Did you mean '02:00:5e:00:53:11'?"),
    ),
    "a MAC that is none": (
        [BRIDGE, {"type": "tuning", "args": {"cni": {"mac": "zz"}}}],
        ("invalid MAC address", "args.cni.mac is wrong: 'zz' is not a MAC"),
    ),
    "two keys that exclude each other": (
        [{**BRIDGE, "hairpinMode": True, "promiscMode": True}],
        ("hairpinMode and promiscMode are both given, and bridge takes one of them",),
    ),
    "an IPAM section that is a text": (
        [{"type": "bridge", "ipam": "host-local"}],
        ("likely 'ipam' is not an object, { … }, with the 'type' of an IPAM plugin to do",),
    ),
    "a value that a sysctl does not take": (
        [BRIDGE, {"type": "tuning", "sysctl": {"net.core.somaxconn": "many"}}],
        ("sysctl net.core.somaxconn: invalid argument: the kernel does not take the value 'many'",),
    ),
}


def test_words_that_nobody_knows_are_left_to_the_reader(tmp_path: Path) -> None:
    """A plugin of one's own, whose error is like no other: no cause is made up."""
    version = {"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}
    error = {"cniVersion": "1.0.0", "code": 133, "msg": "the flux is out of range"}
    plugin = tmp_path / "bin" / "odd"
    plugin.parent.mkdir()
    answers = (
        f"[ $CNI_COMMAND = VERSION ] && echo '{json.dumps(version)}' && exit\necho '{json.dumps(error)}'; exit 1\n"
    )
    plugin.write_text(f"#!/bin/sh\n{answers}")
    plugin.chmod(0o755)

    done = tried(tmp_path, BRIDGE, {"type": "odd"}, options=("--cni-path", "bin"))

    assert done.returncode == 1
    assert "the flux is out of range" in done.stdout
    assert "unknown; see the plugin's own words" in done.stdout


def test_what_is_not_written_is_named(tmp_path: Path) -> None:
    """A network that cannot start names each report that was asked for and is not there."""
    asked = ("--json", "j.json", "--junitxml", "j.xml", "--repro", "scripts", "--artifacts", "folders")

    done = tried(tmp_path, {**BRIDGE, "mtu": "1500"}, options=asked)

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "not written, for nothing was tried: j.json, scripts, folders, j.xml"
    assert {path.name for path in tmp_path.iterdir()} == {"my.conflist"}


@pytest.mark.parametrize("case", BROKEN)
def test_a_network_that_cannot_start_says_so_once(tmp_path: Path, case: str):
    """Exit code 1 and at most forty lines of 120 columns: call, error, host, cause, what to do; nothing is tried."""
    plugins, words = BROKEN[case]

    done = tried(tmp_path, *plugins)
    lines = done.stdout.splitlines()
    text = " ".join(done.stdout.split())

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert "the network 'mynet' (my.conflist) cannot start" in text
    assert " ADD (container cnitest-c1, ifname eth0) on node: exit code 1" in text
    assert "ens33 (veth, 192.168.80.100/24" in text
    assert [each for each in words if each not in text] == []
    assert "--topology" in text
    assert "cnitest.yaml" in text
    assert "--keep-going" in text


@pytest.mark.parametrize(
    "case", ["a default route twice", "a master that is not there", "a prefix too long", "an IPAM plugin with a typo"]
)
def test_a_network_that_cannot_start_is_reported_at_once(tmp_path: Path, case: str):
    """As typed: at most forty lines, in less time than twenty times what ``cnitest run --help`` takes beside it, which
    is two seconds or so on a machine without other work."""
    conf = {"cniVersion": "1.0.0", "name": "mynet", "plugins": BROKEN[case][0]}
    (tmp_path / "my.conflist").write_text(json.dumps(conf))
    beside, took = [], []
    for _ in range(3):  # whoever else works on the machine does so in bursts
        beside.append(timed(tmp_path, "run", "--help")[1])
        done, seconds = timed(tmp_path, "run", "my.conflist", "--cni-path", PATH)
        beside.append(timed(tmp_path, "run", "--help")[1])
        took.append(seconds)
        if min(took) < 20 * max(beside):
            break

    assert done.returncode == 1, done.stdout + done.stderr
    assert "cannot start" in done.stdout
    assert len(done.stdout.splitlines()) <= 40
    assert min(took) < 20 * max(beside), f"{took} s, and {beside} s for run --help"


def timed(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """One ``cnitest`` command, and its wall time."""
    command = [sys.executable, "-m", "cnitest.cli", *arguments]
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done, time.monotonic() - began


def test_a_version_that_the_list_does_not_speak(tmp_path: Path):
    """The configuration's own version counts, unless another is asked for."""
    done = tried(tmp_path, BRIDGE, version="1.1.0")
    asked = tried(tmp_path, BRIDGE, version="1.1.0", options=("--cni-version", "1.0.0", "--requirement", "VER-01"))

    if "cannot start" in done.stdout:  # a release from before 1.1.0
        assert "bridge does not speak version 1.1.0" in done.stdout
        assert done.returncode == 1
    assert asked.returncode == 0, asked.stdout


def test_keep_going_tries_the_requirements(tmp_path: Path):
    """With --keep-going a network whose ADD fails is held to the requirements."""
    options = ("--keep-going", "--requirement", "VER-01", "--requirement", "ADD-02", "--cni-version", "1.0.0")

    done = tried(tmp_path, {"type": "macvlan", "master": "eth0", "ipam": POOL}, options=options)

    assert done.returncode == 1
    assert "cannot start" not in done.stdout
    assert "Link not found" in done.stdout


def test_what_a_host_lacks_comes_from_a_topology(tmp_path: Path):
    """With a topology that has the master, on its first host, the same network starts."""
    macvlan = {"type": "macvlan", "master": "eth0", "mode": "bridge", "ipam": POOL}
    (tmp_path / "lan.yaml").write_text(
        "name: lan\nhosts: {h1: {}, h2: {}}\nveths:\n"
        "  - ends: [{at: h1, name: eth0, addresses: [10.5.0.1/24]}, {at: h2, name: eth0, addresses: [10.5.0.2/24]}]\n"
    )

    done = tried(tmp_path, macvlan, options=("--topology", "lan.yaml", "--requirement", "VER-01"))

    assert "cannot start" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "broken", ["host_setup: ['ip link add x type nosuch']", "daemon: {command: [nosuch], socket: /run/x}"]
)
@pytest.mark.parametrize("command", ["run", "fuzz"])
def test_a_host_that_cannot_be_set_up_is_one_line(tmp_path: Path, broken: str, command: str):
    """A command of a profile that fails is reported with its own words, and no traceback."""
    (tmp_path / "my.conf").write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", **BRIDGE}))
    (tmp_path / "cnitest.yaml").write_text(f"conf: my.conf\n{broken}\n")

    done, _ = timed(tmp_path, command, "cnitest.yaml", "--cni-path", PATH)

    said = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert done.returncode == 4
    assert len(said) == 1
    assert "cnitest.yaml: the host cannot be set up: " in said[0]
    assert "nosuch" in said[0]


def test_a_plugin_that_hangs_or_lies_cannot_start(tmp_path: Path):
    """An ADD that ends well without a result is reported as what it is, with what it printed."""
    plugin = tmp_path / "odd"
    plugin.write_text(f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exec {PATH}/bridge\necho done\n")
    plugin.chmod(0o755)

    done = tried(tmp_path, {"type": "odd", "ipam": POOL}, options=("--cni-path", f"{tmp_path}:{PATH}"))

    assert done.returncode == 1
    assert "stdout    done" in done.stdout
    assert "it ended with exit code 0, but stdout is not one result document" in done.stdout


def test_what_is_printed_before_a_result_is_named(tmp_path: Path):
    """Debug text on stdout is reported as what stands before the result, and where it belongs; of its words nothing
    is read, as of those of an error."""
    plugin = tmp_path / "odd"
    said = "DEBUG: {adding} mtu, invalid argument"
    plugin.write_text(f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] && echo '{said}'\nexec {PATH}/bridge\n")
    plugin.chmod(0o755)
    options = ("--cni-path", f"{tmp_path}:{PATH}")

    done = tried(tmp_path, {"type": "odd", "mtu": 1400, "ipam": POOL}, options=options)

    assert done.returncode == 1
    assert f"stdout has '{said}' before the result: only the result may be there" in " ".join(done.stdout.split())
    assert "the MTU" not in done.stdout


def test_a_result_with_the_exit_code_of_a_failure_is_named(tmp_path: Path):
    """A result on stdout and an exit code other than 0 are reported as that, not as an error without a document."""
    plugin = tmp_path / "odd"
    plugin.write_text(f"#!/bin/sh\n{PATH}/bridge\n[ $CNI_COMMAND = ADD ] && exit 3\n")
    plugin.chmod(0o755)

    done = tried(tmp_path, {"type": "odd", "ipam": POOL}, options=("--cni-path", f"{tmp_path}:{PATH}"))

    assert done.returncode == 1
    assert "stdout has a result, and the exit code is 3: that of a success is 0 (SPEC section 2)" in done.stdout


def test_words_that_nobody_reads_are_warned_of(tmp_path: Path):
    """A line each for unknown keys, nested ones too, and capabilities that nobody provides, with what was meant."""
    pool = {**POOL, "rangestart": "10.22.0.9", "ranges": [[{"subnet": "10.30.0.0/24", "gatway": "10.30.0.1"}]]}
    portmap = {"type": "portmap", "capabilities": {"portMapings": True}}

    done = tried(
        tmp_path, {"type": "bridge", "isGatway": True, "ipam": pool}, portmap, options=("--requirement", "VER-01")
    )

    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: my.conflist: bridge has no key 'isGatway', and ignores it; did you mean 'isGateway'?",
        "warning: my.conflist: host-local: the key 'rangestart' in ipam is written 'rangeStart'; what is made in Go "
        "reads it all the same",
        "warning: my.conflist: host-local has no key 'gatway' in ipam.ranges, and ignores it; did you mean 'gateway'?",
        "warning: my.conflist: portmap: nobody provides the capability 'portMapings'; did you mean 'portMappings'?",
    ]


def test_known_words_are_not_warned_of(tmp_path: Path):
    """A list with every kind of key that there is has no warning."""
    bridge = {**BRIDGE, "isGateway": True, "hairpinMode": True, "dns": {}, "args": {}, "capabilities": {"mac": True}}
    own = {"type": "bridge", "ipam": {**POOL, "dataDir": "/tmp/x", "resolvConf": "/etc/resolv.conf"}}

    for plugin in (bridge, own):
        assert "warning: " not in tried(tmp_path, plugin, options=("--requirement", "VER-01")).stdout


def test_a_plugin_of_many_cannot_start(tmp_path: Path):
    """Of shipped profiles one that cannot start is reported, fails the run, and the others go on."""
    for name in ("bridge", "host-local", "loopback"):
        (tmp_path / name).symlink_to(f"{PATH}/{name}")
    rejection = '{"cniVersion": "1.0.0", "code": 123, "msg": "no"}'
    (tmp_path / "ptp").write_text(
        f"#!/bin/sh\n[ $CNI_COMMAND != ADD ] || {{ echo '{rejection}'; exit 1; }}\nexec {PATH}/ptp\n"
    )
    (tmp_path / "ptp").chmod(0o755)
    command = [sys.executable, "-m", "cnitest.cli", "run", "--suite", "conformance", "--cni-path", str(tmp_path)]
    command += ["-n", "0", "--cni-version", "1.0.0", "--requirement", "VER-01"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1
    assert "cannot start" in done.stdout
    assert "code 123" in done.stdout
    assert "VER-01" in done.stdout
    assert "loopback" in done.stdout
