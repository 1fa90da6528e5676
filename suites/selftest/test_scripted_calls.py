"""The scripted plugin keeps what it got, acts inside a lab, and starts quickly."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cnitest.suites.selftest.plugins import REQUEST, call, printed

from cnitest import Lab, PluginError, Runtime, Topology
from cnitest.testing import Record, ScriptedPlugin
from cnitest.topology import Host

#: Half of it is Python's own. It is the work that counts: a busy machine makes everybody wait.
MOST_TIMES_BARE = 4.0


@pytest.fixture
def plugin(tmp_path):
    """One called ``one`` without a script."""
    return ScriptedPlugin.install(tmp_path / "bin", "one")


def names(place):
    """The names of a place's links."""
    return {link.name for link in place.state(firewall=False).links}


class TestRecords:
    """What a test sees afterwards."""

    def test_a_call_is_recorded_whole(self, plugin):
        """Command, environment, stdin, both outputs, exit code and times are there, and no other variable."""
        plugin.program({"ADD": {"error": {"code": 7, "msg": "no"}, "stderr": "why"}})
        began = time.time()
        done = call(plugin, CNI_IFNAME="eth0", SECRET="1")

        (record,) = plugin.records()
        assert isinstance(record, Record)
        assert record.command == "ADD"
        assert record.environment == {
            "CNI_COMMAND": "ADD", "CNI_IFNAME": "eth0", "CNI_PATH": str(plugin.directory), "PATH": os.defpath,
        }  # fmt: skip
        assert record.request == REQUEST
        assert (record.stdout.encode(), record.stderr, record.exit_code) == (done.stdout, "why", 1)
        assert began < record.began < time.time()
        assert 0 <= record.seconds < 5
        assert record.plugin == "one"
        assert record.pid > 1

    def test_stdin_is_kept_byte_for_byte(self, plugin):
        """What is not UTF-8 can be turned back, and is no request."""
        subprocess.run([plugin.path], input=b"\xff{", env={"CNI_COMMAND": "DEL"}, capture_output=True, check=False)

        (record,) = plugin.records()
        assert record.stdin.encode("utf-8", "surrogateescape") == b"\xff{"
        assert record.request is None

    def test_a_call_that_runs_is_there_already(self, plugin):
        """A slow call is in the record before it has ended, once, and complete afterwards."""
        plugin.program({"DEL": {"delay": 1.0}})
        with ThreadPoolExecutor() as pool:
            running = pool.submit(call, plugin, "DEL")
            until = time.monotonic() + 20
            while not (seen := plugin.records()) and time.monotonic() < until:
                time.sleep(0.01)
            finished = running.done()
            call(plugin, "CHECK")

        assert not finished
        assert [record.exit_code for record in seen] == [None]
        assert [(record.command, record.exit_code) for record in plugin.records()] == [("DEL", 0), ("CHECK", 0)]

    def test_parallel_calls_lose_nothing(self, plugin):
        """Each of many calls at once has its own record and its own turn in a list."""
        plugin.program({"ADD": [{"exit": code} for code in range(40)]})
        large = "x" * 100_000
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: call(plugin, request={**REQUEST, "number": number, "x": large}), range(40)))

        records = plugin.records()
        assert sorted(record.request["number"] for record in records) == list(range(40))
        assert sorted(record.exit_code for record in records) == list(range(40))

    def test_the_record_can_be_emptied(self, plugin):
        """After ``forget`` only what came later is there."""
        call(plugin, "ADD")
        plugin.forget()
        call(plugin, "DEL")

        assert [record.command for record in plugin.records()] == ["DEL"]


class TestInALab:
    """Called by our runtime, on a host of a lab."""

    @pytest.fixture
    def lab(self):
        """One bare host."""
        with Lab(Topology(name="bare", hosts={"node": Host()})) as built:
            yield built

    @pytest.fixture
    def sandbox(self, lab):
        """One fresh sandbox."""
        return lab.host("node").sandbox("c1")

    def test_commands_are_run_in_the_sandbox(self, plugin, lab, sandbox):
        """``run_in_netns`` acts inside CNI_NETNS and ``run`` on the host; the record knows the links there were."""
        plugin.program({
            "ADD": {
                "run": [["ip", "link", "add", "br7", "type", "bridge"]],
                "run_in_netns": [["ip", "link", "add", "eth0", "type", "veth", "peer", "eth9"]],
            },
            "DEL": {"run_in_netns": [["ip", "link", "del", "eth0"]]},
        })  # fmt: skip
        cni = Runtime(lab, [str(plugin.directory)], timeout=20)
        attachment = cni.add(sandbox, REQUEST)
        inside, outside = names(sandbox), names(lab.host("node"))
        cni.delete(attachment)

        assert inside - outside == {"eth0", "eth9"}
        assert outside - inside == {"br7"}
        assert "eth0" not in names(sandbox)
        added, deleted = plugin.records()
        assert "eth0" not in added.netns_links
        assert {"lo", "eth0"} <= set(deleted.netns_links)

    def test_without_a_namespace_nothing_is_run_in_it(self, plugin):
        """``run_in_netns`` without one is an error document about CNI_NETNS, and the record has no links."""
        plugin.program({"ADD": {"run_in_netns": [["true"]]}})

        done = call(plugin, CNI_NETNS="/no/such")

        assert printed(done)["msg"] == "run_in_netns: CNI_NETNS '/no/such' cannot be entered"
        assert plugin.records()[0].netns_links == ()

    def test_a_real_plugin_delegates_to_it(self, lab, sandbox, tmp_path):
        """Debian's bridge takes a scripted IPAM for one: its address is given, its error handed on."""
        replies = [{"result": {"ips": [{"address": "192.0.2.9/24"}]}}, {"error": {"code": 11, "msg": "later"}}]
        ipam = ScriptedPlugin.install(tmp_path, "ipam", {"ADD": replies})
        cni = Runtime(lab, [str(tmp_path), "/usr/lib/cni"])
        conf = {**REQUEST, "type": "bridge", "bridge": "br7", "ipam": {"type": "ipam"}}

        attachment = cni.add(sandbox, conf)
        with pytest.raises(PluginError, match=r"bridge ADD .*code 11 \(try again later\): later"):
            cni.add(sandbox, conf, "eth1")

        assert attachment.address == "192.0.2.9"
        assert ipam.records()[0].request["ipam"] == {"type": "ipam"}
        assert [record.command for record in ipam.records()][:2] == ["ADD", "ADD"]


def test_it_starts_quickly(plugin):
    """A call takes at most four times the processor of an interpreter that does nothing, best of ten each."""
    bare = cheapest(lambda: subprocess.run([sys.executable, "-ISE", "-c", "pass"], check=True))

    took = cheapest(lambda: call(plugin, CNI_NETNS="/proc/self/ns/net"))

    assert took < MOST_TIMES_BARE * bare, f"{took * 1000:.0f} ms, a bare interpreter {bare * 1000:.0f} ms"


def cheapest(begin):
    """The least seconds of a processor that one of ten children took."""
    times = []
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)
