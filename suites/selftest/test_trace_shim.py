"""The tracing wrappers record each call and change nothing about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cnitest.suites.selftest.plugins import script

from cnitest import CnitestError, Lab, Runtime, Topology
from cnitest.testing import ScriptedPlugin
from cnitest.testing.records import read
from cnitest.topology import Host

DEBIAN = "/usr/lib/cni"
BRIDGE = {
    "cniVersion": "1.0.0", "name": "net", "plugins": [
        {"type": "bridge", "bridge": "br7", "ipam": {"type": "host-local", "subnet": "192.0.2.0/24"}},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.all.log_martians": "1"}},
    ],
}  # fmt: skip
ADD = {"CNI_COMMAND": "ADD", "CNI_IFNAME": "eth0"}


def trace_shim(*arguments, **environment):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cnitest.cli", "trace-shim", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


@pytest.fixture
def real(tmp_path):
    """A directory for real plugins."""
    (tmp_path / "real").mkdir()
    return tmp_path / "real"


@pytest.fixture
def wrapped(real, tmp_path):
    """Wraps a shell script and returns the wrapper."""

    def wrap(body):
        script(real, "one", body)
        assert trace_shim(tmp_path / "shim", "--cni-path", real).returncode == 0
        return tmp_path / "shim" / "one"

    return wrap


def call(program, stdin=b"{}", environment=ADD):
    """Run a program with exactly this environment."""
    return subprocess.run([program], input=stdin, env=environment, capture_output=True, check=False, timeout=30)


def log_of(wrapper):
    """What it recorded."""
    return read(wrapper.parent / ".trace.jsonl")


def wait_for(condition):
    """Until something is true, for at most twenty seconds."""
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


class TestTheSameWithout:
    """A caller cannot tell the wrapper from the plugin."""

    def test_a_real_network_is_the_same(self, tmp_path):
        """ADD, CHECK and DEL of Debian's bridge give the same results and links through wrappers, delegate included."""
        shim = tmp_path / "shim"
        trace_shim(shim, "--cni-path", DEBIAN)

        plain, traced = walk(DEBIAN), walk(str(shim))

        assert traced == plain
        calls = read(shim / ".trace.jsonl")
        assert [(each.plugin, each.command) for each in calls] == [
            ("host-local", "ADD"), ("bridge", "ADD"), ("tuning", "ADD"),
            ("host-local", "CHECK"), ("bridge", "CHECK"), ("tuning", "CHECK"),
            ("tuning", "DEL"), ("host-local", "DEL"), ("bridge", "DEL"),
        ]  # fmt: skip
        assert calls[1].request["type"] == "bridge"
        assert json.loads(calls[1].stdout)["ips"][0]["address"] == "192.0.2.2/24"
        assert calls[1].netns_links == ("lo",)
        assert "eth0" in calls[4].netns_links

    @pytest.mark.parametrize(
        "body",
        [
            "cat; cat >&2 <&-; exit 7",
            "head -c 3000000 /dev/zero | tee /dev/stderr",
            "printf '\\377\\376\\000'; exit 1",
            "exit 0",
            "kill -9 $$",
            "echo half; kill -TERM $$",
            "kill -SEGV $$",
            "tr '\\0' '\\n' < /proc/self/environ",
            "wc -c; cat /proc/$$/cmdline | tr '\\0' ' ' | sed s/shim/real/",
        ],
    )
    def test_output_and_end_are_the_plugins(self, wrapped, real, body):
        """stdout, stderr, exit code and signal, stdin and environment are those of a call without the wrapper."""
        wrapper = wrapped(body)
        stdin = b'{"x": "\xff\x00"}' * 50_000

        plain, traced = call(real / "one", stdin), call(wrapper, stdin)

        assert (traced.stdout, traced.stderr) == (plain.stdout, plain.stderr)
        assert traced.returncode == plain.returncode
        assert log_of(wrapper)[0].exit_code == plain.returncode

    def test_stdin_is_recorded_byte_for_byte(self, wrapped):
        """What the plugin read is in the record as it was."""
        wrapper = wrapped("cat > /dev/null")
        stdin = b'{"x": "\xff\x00"}' * 50_000
        call(wrapper, stdin)

        assert log_of(wrapper)[0].stdin.encode("utf-8", "surrogateescape") == stdin

    def test_a_child_that_holds_stdout_holds_it_still(self, wrapped, tmp_path):
        """The wrapper ends with the plugin; what the plugin left running can write for as long as it likes."""
        wrapper = wrapped(f"(until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo late) & echo early")
        with subprocess.Popen([wrapper], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ADD) as running:
            code = running.wait(timeout=20)
            (tmp_path / "go").touch()
            output = running.stdout.read()

        assert (code, output) == (0, b"early\nlate\n")
        assert log_of(wrapper)[0].stdout == "early\n"

    def test_without_a_command_nothing_is_recorded(self, wrapped):
        """A plugin run by a person, or as a daemon, takes the wrapper's place with its arguments."""
        wrapper = wrapped('echo "$$ $1"')
        with subprocess.Popen([wrapper, "daemon"], stdout=subprocess.PIPE, text=True, env={"A": "1"}) as running:
            output = running.stdout.read()

        assert output == f"{running.pid} daemon\n"
        assert log_of(wrapper) == ()


def walk(path):
    """The life of an attachment: its results, the links of both sides, and what is left."""
    with Lab(Topology(name="bare", hosts={"node": Host()})) as lab:
        cni = Runtime(lab, [path], timeout=20)
        sandbox = lab.host("node").sandbox("c1")
        attachment = cni.add(sandbox, BRIDGE)
        links = [sorted(link.kind for link in place.state().links) for place in (sandbox, lab.host("node"))]
        cni.check(attachment)
        cni.delete(attachment)
        left = [link.name for link in sandbox.state().links]
        outcomes = [(made.plugin, made.command, made.exit_code, made.stderr) for made in cni.calls]
    return attachment.addresses, attachment.gateway, attachment.result.routes, links, left, outcomes


class TestTrouble:
    """The log is never the plugin's violation, and the plugin's violation is in the log."""

    @pytest.mark.parametrize("spoil", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
    def test_a_log_that_cannot_be_written_breaks_nothing(self, wrapped, spoil):
        """Where the log cannot be written the call goes on as if nothing were."""
        wrapper = wrapped("echo fine; exit 3")
        (wrapper.parent / ".trace.jsonl").unlink()
        spoil(wrapper.parent / ".trace.jsonl")

        done = call(wrapper)

        assert (done.stdout, done.stderr, done.returncode) == (b"fine\n", b"", 3)

    def test_a_plugin_that_is_gone_is_named(self, wrapped, real):
        """A real plugin that was removed is an error document with its path."""
        wrapper = wrapped("exit 0")
        (real / "one").unlink()

        done = call(wrapper)

        assert done.returncode == 1
        assert json.loads(done.stdout)["msg"] == f"{real / 'one'}, which is traced, cannot be started"

    def test_one_that_is_killed_is_recorded(self, wrapped, tmp_path):
        """A call that hangs is in the log before it ends; when the wrapper is killed the plugin dies too."""
        wrapper = wrapped(f"echo $$ > {tmp_path}/pid; exec sleep 600")
        with subprocess.Popen([wrapper], stdin=subprocess.DEVNULL, env=ADD) as running:
            recorded = wait_for(lambda: log_of(wrapper))
            running.kill()

        pid = int((tmp_path / "pid").read_text())
        assert [each.exit_code for each in recorded] == [None]
        assert wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in stat_of(pid))

    def test_a_signal_reaches_the_plugin(self, wrapped, tmp_path):
        """SIGTERM to the wrapper is the plugin's to answer."""
        wrapper = wrapped(f"trap 'echo told; exit 5' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done")
        with subprocess.Popen([wrapper], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ADD) as running:
            wait_for((tmp_path / "ready").exists)
            running.send_signal(signal.SIGTERM)
            output = running.stdout.read()

        assert (output, running.returncode) == (b"told\n", 5)

    def test_parallel_calls_have_a_line_each(self, real, tmp_path):
        """Calls of several plugins at once leave one whole line each when they end; long ones leave one before."""
        for name in ("one", "two"):
            ScriptedPlugin.install(real, name)
        trace_shim(tmp_path / "shim", "--cni-path", real, "--log", tmp_path / "calls")
        stdin = json.dumps({"cniVersion": "1.0.0", "x": "x" * 100_000}).encode()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: call(tmp_path / "shim" / name, stdin), ["one", "two"] * 10))

        lines = list(map(json.loads, (tmp_path / "calls").read_text().splitlines()))
        ended = [line for line in lines if line["exit_code"] is not None]
        assert sorted(line["plugin"] for line in ended) == ["one"] * 10 + ["two"] * 10
        assert {line["pid"] for line in lines} == {line["pid"] for line in ended}
        assert {line["stdin"] for line in ended} == {stdin.decode()}

    def test_a_log_is_read_while_it_is_written(self, wrapped):
        """A last line without its end is not there yet; a whole line that is no record is named with its place."""
        wrapper = wrapped("exit 0")
        call(wrapper)
        log = wrapper.parent / ".trace.jsonl"
        whole = log.read_bytes()
        log.write_bytes(whole + whole[:50])

        assert len(log_of(wrapper)) == 1
        log.write_bytes(whole + b"{}\n")
        with pytest.raises(CnitestError, match=r"\.trace\.jsonl:2: is no record of a call"):
            log_of(wrapper)


def stat_of(pid):
    """The state of a process in a letter, among other things."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read()
    except OSError:
        return "Z"


class TestTheCommand:
    """``cnitest trace-shim``."""

    def test_it_says_what_to_do(self, real, tmp_path):
        """It names the plugins, the directory to set, and the log; what is no program is left out."""
        script(real, "one", "exit 0")
        (real / "README").touch()

        done = trace_shim(tmp_path / "shim", CNI_PATH=f"{tmp_path / 'none'}:{real}")

        assert done.returncode == 0
        assert done.stdout.startswith("Traced: one.\n")
        assert f"plugin directory to {tmp_path / 'shim'}:" in done.stdout
        assert f"to {tmp_path / 'shim' / '.trace.jsonl'}." in done.stdout

    def test_a_second_run_renews(self, real, tmp_path):
        """Run again, also with its own directory in the path, it wraps the real plugins and keeps the log."""
        script(real, "one", "echo 1")
        shim = tmp_path / "shim"
        trace_shim(shim, "--cni-path", real)
        call(shim / "one")

        done = trace_shim(shim, "--cni-path", f"{shim}:{real}")

        assert done.returncode == 0
        assert call(shim / "one").stdout == b"1\n"
        assert len(log_of(shim / "one")) == 2

    @pytest.mark.parametrize(
        ("directory", "path", "words"),
        [
            ("shim", "none", "there is no directory {}/none"),
            ("real", "real", "there are no plugins in a directory other than {}/real: name"),
            ("real", "other", "{}/real holds files that are no wrappers (one): give an empty directory"),
            ("real/one/x", "real", "{0}/real/one is no directory that can be written to"),
        ],
    )
    def test_errors_are_one_line(self, real, tmp_path, directory, path, words):
        """What cannot be done is said in a line, with exit 4, and no plugin is overwritten."""
        plugin = script(real, "one", "exit 0")
        script(tmp_path / "other", "one", "exit 0")
        before = plugin.read_text()

        done = trace_shim(tmp_path / directory, "--cni-path", tmp_path / path)

        assert done.returncode == 4
        assert words.format(tmp_path) in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert plugin.read_text() == before

    def test_a_log_that_cannot_be_made_is_reported_at_once(self, real, tmp_path):
        """A --log in a directory that is not there ends the command, not the plugins' calls."""
        script(real, "one", "exit 0")

        done = trace_shim(tmp_path / "shim", "--cni-path", real, "--log", tmp_path / "no" / "log")

        assert done.returncode == 4
        assert f"there is no such directory: {tmp_path}/no" in done.stderr
