"""Fault injection hits every call that changes something, and says which of them leave something behind."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cnitest.suites.selftest.plugins import RESULT, script
from cnitest.suites.selftest.processes import interrupted, programs

from cnitest.cli import main
from cnitest.cni import conf
from cnitest.cni.calls.invoke import HostExec, search_path
from cnitest.cni.runtime import Runtime
from cnitest.conformance.model.subject import Setting
from cnitest.errors import CnitestError
from cnitest.faults import table
from cnitest.faults.stage import open_stage
from cnitest.faults.sweep import sweep
from cnitest.injection.aim import Aim
from cnitest.injection.netlink_words import changes, words
from cnitest.kernel.processes.process import Finished
from cnitest.lab.hosts import Host
from cnitest.lab.lab import Lab
from cnitest.topology import find, load

#: Writes two files; DEL looks at the second one only, and removes that one first.
LEAKY = f"""\
cd /var/lib/cni
case $CNI_COMMAND in
ADD) set -e; echo a > first; echo b > second; echo '{RESULT}' ;;
DEL) [ ! -e second ] || rm -f second first ;;
esac"""
#: Waits for good when its file cannot be written.
STUBBORN = f"""\
case $CNI_COMMAND in
ADD) echo a 2> /dev/null > /var/lib/cni/file || exec tail -f /dev/null; echo '{RESULT}' ;;
DEL) rm -f /var/lib/cni/file ;;
esac"""
#: Makes a file whose name is all that it was called with; the directory has to be there, and a file for the container.
PICKY = f"""\
stdin=$(cat); at=${{stdin#*'"at": "'}}; mac=${{stdin#*'"mac": "0'}}
name=/var/lib/made/${{at%%\\"*}}
case $CNI_COMMAND in
ADD) set -e; [ "$(cat $name)" = $CNI_IFNAME ]; : > $name-$CNI_IFNAME-$CNI_ARGS-0${{mac%%\\"*}}; echo '{RESULT}' ;;
DEL) rm -f $name-* ;;
esac"""
BRIDGE = {
    "cniVersion": "1.0.0",
    "name": "swept",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isDefaultGateway": True,
            "ipMasq": True,
            "ipam": {"type": "host-local", "subnet": "10.22.0.0/24"},
        }
    ],
}
PLUGINS = search_path([])
needs_plugins = pytest.mark.skipif(
    not all(any(Path(directory, name).is_file() for directory in PLUGINS) for name in ("bridge", "host-local")),
    reason=f"bridge and host-local are not in {':'.join(PLUGINS)}",
)


def network(kind: str):
    """A network of one plugin."""
    return conf.network({"cniVersion": "1.0.0", "name": "net", "type": kind})


@pytest.fixture
def bin_(tmp_path):
    """A directory with both plugins."""
    script(tmp_path / "bin", "leaky", LEAKY)
    script(tmp_path / "bin", "stubborn", STUBBORN)
    return tmp_path / "bin"


class TestScripted:
    """Plugins of ours, of which it is known what they leave."""

    def test_finds_the_leaks_and_nothing_else(self, bin_):
        """A file is left from the moment the first is there until the second is, and when DEL is hit between both."""
        found = sweep(network("leaky"), [str(bin_)])

        reported = [(one.command, one.way, one.fault.kind, one.numbers) for one in table.findings(found)]
        assert [point.words for point in found.points if point.command == "ADD"] == [
            "openat /var/lib/cni/first O_WRONLY|O_CREAT|O_TRUNC",
            "write /var/lib/cni/first",
            "openat /var/lib/cni/second O_WRONLY|O_CREAT|O_TRUNC",
            "write /var/lib/cni/second",
        ]
        assert ("ADD", "kill", "leak", (2, 3)) in reported
        assert ("ADD", "fail", "leak", (2, 3)) in reported
        assert ("DEL", "kill", "leak", (3,)) in reported
        assert {kind for _, _, kind, _ in reported} <= {"leak", "leak though DEL succeeds"}
        assert found.faulty

    def test_every_call_is_decided(self, bin_):
        """Each call that was seen is hit in both ways, at the number at which it was seen."""
        found = sweep(network("leaky"), [str(bin_)])

        assert [found.coverage(command).share for command in ("ADD", "DEL")] == [1.0, 1.0]
        assert all(outcome.hit == outcome.point.number for outcome in found.outcomes)

    def test_a_hang_is_a_fault(self, bin_):
        """A plugin that waits for good after a failing call is killed at the deadline, and that is reported."""
        found = sweep(network("stubborn"), [str(bin_)], commands=["ADD"], ways=["fail"], numbers=[1], timeout=1.0)

        assert [fault.kind for fault in found.outcomes[0].faults] == ["ADD hangs"]

    def test_a_profile_says_how_it_is_called(self, bin_):
        """Arguments, capabilities, the interface's name and what was set up are there, in the container's own words."""
        script(bin_, "picky", PICKY)
        named = {"cniVersion": "1.0.0", "name": "net"}
        picky = conf.network({**named, "type": "picky", "capabilities": {"mac": True}, "at": "{container}"})
        setting = Setting(
            ifname="net7",
            args={"K": "v"},
            capabilities={"mac": "02:00:00:00:00:07"},
            host_setup=(("mkdir", "/var/lib/made"),),
            container_setup=(("sh", "-c", "echo {ifname} > /var/lib/made/{container}"),),
        )

        found = sweep(picky, [str(bin_)], commands=["ADD"], ways=["kill"], numbers=[1], setting=setting)

        last = [point.words for point in found.points if point.command == "ADD"][-1]
        assert last == "openat /var/lib/made/c1-net7-K=v-* O_WRONLY|O_CREAT|O_TRUNC"
        with pytest.raises(CnitestError, match="ADD fails when nothing is hit"):
            sweep(picky, [str(bin_)])

    def test_workers_find_the_same(self, bin_):
        """Two processes come to what one comes to."""
        alone, together = (sweep(network("leaky"), [str(bin_)], workers=workers) for workers in (1, 2))

        assert together.outcomes == alone.outcomes


@needs_plugins
class TestReference:
    """The reference plugins bridge and host-local."""

    def test_an_address_that_was_not_written_leaks(self):
        """Killed between making its file and writing it, host-local never frees that address."""
        net = conf.network(BRIDGE)
        points = sweep(net, PLUGINS, ways=["kill"], numbers=[1]).points
        at = next(point.number for point in points if point.words.startswith("write /var/lib/cni/networks/swept/10."))

        found = sweep(net, PLUGINS, commands=["ADD"], ways=["kill"], numbers=[at - 1, at])

        before, within = ([fault for fault in one.faults if fault.kind == "leak"] for one in found.outcomes)
        assert not before
        assert [fault.text for fault in within] == ["node: + files /var/lib/cni/networks/swept/10.22.0.2"]

    @pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
    def test_sees_what_strace_sees(self, tmp_path):
        """At least 95 in 100 of the calls by which strace sees ADD change something are seen."""
        net, log = conf.network(BRIDGE), tmp_path / "strace.log"
        aim = Aim()
        with open_stage(net, PLUGINS, 20.0, Setting()) as stage:
            assert not stage.add(aim=aim)
        with Lab(load(find("node-with-uplink"))) as lab:
            runtime = Runtime(lab, PLUGINS, executor=lambda host: Straced(host, log))
            runtime.add(lab.host("node").sandbox("c1"), net)

        ours = Counter(f"{call.name} {call.target}" for call in aim.seen)
        theirs = Counter(filter(None, map(told_by_strace, log.read_text().splitlines()[1:])))
        assert sum(theirs.values()) > 20
        assert (theirs & ours).total() >= 0.95 * theirs.total(), f"not seen: {theirs - ours}"
        assert (ours - theirs).total() <= 0.05 * ours.total(), f"not there: {ours - theirs}"


class Straced:
    """Calls plugins under strace."""

    def __init__(self, host: Host, log: Path) -> None:
        self._calls, self._log = HostExec(host), log

    def find(self, plugin: str, path: Sequence[str]) -> str:
        """As always."""
        return self._calls.find(plugin, path)

    def run(self, binary: str, environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        """Under strace, which writes to the log."""
        wanted = "openat,write,pwrite64,mkdirat,mkdir,unlinkat,unlink,renameat,rename,execve,sendto,sendmsg,ftruncate"
        argv = ("strace", "-f", "-v", "-y", "-s", "300", "-o", str(self._log), "-e", f"trace={wanted}", binary)
        return self._calls.run_argv(argv, environment, stdin, timeout)


#: What strace only has numbers for: it cannot ask what socket it is that a plugin opened in the container.
NUMBERS = {"0x10": "RTM_NEWLINK", "0x11": "RTM_DELLINK", "0x14": "RTM_NEWADDR", "0x18": "RTM_NEWROUTE"}


def told_by_strace(line: str) -> str:
    """A line of strace as our words, empty when it changes nothing; read without any of our own code."""
    found = re.match(r"\d+\s+(\w+)\((.*)", line)
    if not found:
        return ""
    name, rest = found.groups()
    if name.startswith("send"):
        for number, word in NUMBERS.items():
            rest = rest.replace(f"nlmsg_type={number} ", f"nlmsg_type={word} ")
        kinds = re.findall(
            r"nlmsg_type=(?:NFNL_SUBSYS_NFTABLES<<8\|)?(RTM_(?:NEW|DEL|SET)\w+|NFT_MSG_(?:NEW|DEL)\w+)", rest
        )
        kinds = [kinds[0], *(kind.removeprefix("NFT_MSG_") for kind in kinds[1:])] if kinds else []
        kinds = [kind for kind in kinds if kind != "NFT_MSG_NEWGEN"]
        return f"netlink {'+'.join(kinds)}" if kinds else ""
    if name in ("write", "pwrite64", "ftruncate"):
        path = re.match(r"\d+<(/[^>]*)>", rest)
    else:
        path = re.search(r'"([^"]*)"', rest)
    if not path or path[1] == "/dev/null" or (name == "openat" and not re.search("O_(CREAT|TRUNC|WRONLY|RDWR)", rest)):
        return ""
    return f"{name} {re.sub(r'veth[0-9a-f]{8}', 'veth*', path[1])}"


class TestCommand:
    """``cnitest faults``."""

    def test_tells_the_table_and_writes_it(self, bin_, tmp_path, capsys):
        """The table has a row a call; the JSON the same; exit code 1 says that something was found."""
        file = tmp_path / "net.conf"
        file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "leaky"}))
        report = tmp_path / "out.json"

        code = main(
            ["faults", str(file), "--cni-path", str(bin_), "--commands", "add", "-n", "1", "--json", str(report)]
        )

        out = capsys.readouterr().out
        assert code == 1
        assert re.search(r"^2 +leaky +write /var/lib/cni/first +leak \[1\] +leak \[2\]$", out, re.M)
        assert "[1] ADD, kill at 2-3: leak: node: + files /var/lib/cni/first" in out
        assert "ADD: 4 calls change something, 4 decided (100%)" in out
        document = json.loads(report.read_text())
        assert [one["calls"] for one in document["findings"]] == [[2, 3], [2, 3]]
        assert len(document["trials"]) == 8

    @pytest.mark.parametrize("workers", [1, 2])
    def test_ctrl_c_ends_it_with_its_table(self, workers, bin_, tmp_path):
        """While a plugin hangs, what was tried until then is reported, with exit code 2."""
        script(bin_, "stubborn", STUBBORN)
        file = tmp_path / "net.conf"
        file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "stubborn"}))
        arguments = ["faults", str(file), "--cni-path", str(bin_), "-n", str(workers)]

        code, text, seconds = interrupted(arguments, tmp_path, lambda pid: "tail" in programs(pid))

        assert code == 2, text
        assert seconds < 15.0  # less than one on a quiet machine
        assert re.search(r"trials in \d+ s \(interrupted\)$", text)
        assert "Traceback" not in text

    @pytest.mark.parametrize(
        ("content", "options", "words"),
        [
            ("{", [], "is not JSON"),
            ('{"cniVersion": "1.0.0", "name": "net", "type": "absent"}', [], "no plugin 'absent'"),
            ('{"cniVersion": "1.0.0", "name": "net", "type": "leaky"}', ["--commands", "check"], "'CHECK' is none of"),
            ('{"cniVersion": "1.0.0", "name": "net", "type": "leaky"}', ["--verbs", "gc"], "'GC' is none of"),
            ('{"cniVersion": "1.0.0", "name": "net", "type": "leaky"}', ["--calls", "x"], "'x' is no number"),
            ('{"cniVersion": "1.0.0", "name": "net", "type": "broken"}', ["-n", "1"], "ADD fails when nothing is hit"),
        ],
    )
    def test_wrong_usage_is_one_line(self, content, options, words, bin_, tmp_path, capsys):
        """What makes no sense is said in one line, with exit code 4."""
        script(bin_, "broken", "exit 1")
        file = tmp_path / "net.conf"
        file.write_text(content)

        code = main(["faults", str(file), "--cni-path", str(bin_), *options])

        said = capsys.readouterr().err
        assert code == 4
        assert words in said
        assert len([line for line in said.splitlines() if not line.startswith("  likely: ")]) == 1


@needs_plugins
def test_a_network_that_cannot_start_has_likely_causes(tmp_path, capsys):
    """An ADD that fails without a hit is told with what it failed for, as `cnitest run` does."""
    file = tmp_path / "net.conf"
    pool = {"type": "host-local", "subnet": "10.22.0.0/24"}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "ptp", "ipam": pool, "mtu": "1400"}))

    code = main(["faults", str(file), "-n", "1"])

    said = capsys.readouterr().err.splitlines()
    assert code == 4
    assert any("net: ADD fails when nothing is hit: ptp ADD" in line for line in said)
    assert any(line.startswith("  likely: ") and "mtu" in line for line in said)


def test_an_open_stage_tells_of_a_plugin_that_fails(bin_):
    """A failing call is words, not an exception: a trial goes on after it."""
    script(bin_, "broken", "exit 1")
    with open_stage(network("broken"), [str(bin_)], 5.0, Setting()) as stage:
        assert "broken ADD" in stage.add()


@pytest.mark.parametrize(
    ("protocol", "kind", "reported"),
    [
        (0, 16, "RTM_NEWLINK"),
        (0, 18, ""),
        (0, 17, "RTM_DELLINK"),
        (12, 10 << 8 | 6, "NFT_MSG_NEWRULE"),
        (12, 10 << 8 | 7, ""),
        (12, 16, ""),
        (12, 1 << 8 | 2, "IPCTNL_MSG_CT_DELETE"),
        (4, 20, ""),
    ],
)
def test_questions_change_nothing(protocol, kind, reported):
    """A netlink message that asks is none that changes something."""
    data = (16).to_bytes(4, "little") + kind.to_bytes(2, "little") + bytes(10)

    found = changes(protocol, data)

    assert (words(found)[0] if found else "") == reported
