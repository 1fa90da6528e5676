"""The real machine stays as it is, whatever happens to a run, being killed included."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cnitest.fixtures import guard
from cnitest.suites.selftest.processes import maps_user

from cnitest import Lab
from cnitest.deadline import Deadline
from cnitest.kernel import mounts
from cnitest.kernel.namespace_thread import NamespaceThread
from cnitest.kernel.processes import process
from cnitest.kernel.syscalls import CLONE_NEWNET, setns
from cnitest.topology import find, load

# Builds labs, calls plugins and starts a daemon, for ever; tells the network namespaces it has made.
VICTIM = """
import os, socket, sys
from cnitest import Lab, Runtime
from cnitest.topology import find, load
topology = load(find("node-with-uplink"))
network = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipMasq": True, "isGateway": True,
           "ipam": {"type": "host-local", "subnet": "10.40.80.0/24"}}

def cookie():
    with socket.socket() as one:
        return int.from_bytes(one.getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder)

while True:
    with Lab(topology) as lab:
        for place in lab.places:
            print("net", os.fstat(place.namespace.fd).st_ino, place.namespace.run(cookie), flush=True)
        if len(sys.argv) == 2:
            sys.stdin.read()
        node = lab.host("node")
        node.run(["sh", "-c", f"setsid sleep {sys.argv[2]} >/dev/null 2>&1 </dev/null &"])
        cni = Runtime(lab, [sys.argv[1]])
        attachment = cni.add(node.sandbox("c1"), network)
        node.sandbox("c1").ping(attachment.gateway)
        cni.delete(attachment)
"""
SO_NETNS_COOKIE = 71
Namespace = tuple[int, int]


def start(script: Path, *arguments: str) -> subprocess.Popen[str]:
    """A victim, and all its pipes."""
    script.write_text(VICTIM)
    argv = [sys.executable, str(script), "/usr/lib/cni", *arguments]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def reported(lines: list[str]) -> set[Namespace]:
    """The namespaces that the victim printed, as (inode, cookie): inodes are used again, cookies never."""
    found = (re.fullmatch(r"net (\d+) (\d+)\n", line) for line in lines)
    return {(int(match[1]), int(match[2])) for match in found if match}


def inhabited(wanted: set[Namespace]) -> set[Namespace]:
    """Those of some namespaces that any process of the machine lives in or holds open."""
    inodes = {inode for inode, _ in wanted}
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            doors = [*place.glob("task/*/ns/net"), *place.glob("fd/*")]
        except OSError:
            continue
        for door in doors:
            try:
                if door.stat().st_ino in inodes and os.readlink(door).startswith("net:"):
                    found.add((door.stat().st_ino, cookie(door)))
            except OSError:
                continue
    return found & wanted


def cookie(door: Path) -> int:
    """The number of a network namespace that no other one has had or will have."""

    def call() -> int:
        fd = os.open(door, os.O_RDONLY)
        try:
            setns(fd, CLONE_NEWNET)
        finally:
            os.close(fd)
        with socket.socket() as one:
            return int.from_bytes(one.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)

    thread = NamespaceThread()
    try:
        return thread.run(call)
    finally:
        thread.end()


def running(program: str) -> bool:
    """Whether any process of the machine was started with just that command line."""
    wanted = program.encode().replace(b" ", b"\0") + b"\0"
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes() == wanted:
                return True
        except OSError:
            continue
    return False


def gone(namespaces: set[Namespace], program: str) -> bool:
    """Whether nothing is left of a run."""
    return not inhabited(namespaces) and not running(program)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something holds before that many seconds have passed."""
    deadline = Deadline.after(seconds, "it")
    while not deadline.expired:
        if holds():
            return True
        select.select([], [], [], 0.02)
    return False


@pytest.mark.requires(plugin=["bridge", "host-local"])
def test_a_killed_run_leaves_nothing(tmp_path):
    """SIGKILL at 20 random moments: no namespace, process, mount, link or file of the run survives it."""
    before = guard.snapshot()
    chance = random.Random(80)
    survivors = []
    for moment in range(20):
        daemon = f"{os.getpid()}.{moment}"
        victim = start(tmp_path / "victim.py", daemon)
        first = victim.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        victim.send_signal(signal.SIGKILL)
        rest, _ = victim.communicate(timeout=20)
        made = reported([first, *rest.splitlines(keepends=True)])
        if not made or not within(5, partial(gone, made, f"sleep {daemon}")):
            survivors.append((moment, made))

    assert survivors == []
    assert guard.changes(before, guard.snapshot()) == ()


def test_the_check_for_survivors_can_fail(tmp_path):
    """While a lab stands its namespaces are found: the check above is not blind."""
    holder = start(tmp_path / "holder.py")
    made = reported([holder.stdout.readline()])
    seen = inhabited(made)
    holder.kill()
    holder.communicate(timeout=20)

    assert seen == made
    assert within(5, lambda: not inhabited(made))


def test_daemons_end_with_their_lab():
    """A daemon that left its session and its parent is gone when the lab is closed."""
    daemon = f"sleep {os.getpid()}.5"
    with Lab(load(find("node-with-uplink"))) as lab:
        lab.host("node").run(["sh", "-c", f"setsid {daemon} >/dev/null 2>&1 </dev/null &"])
        ran = within(10, lambda: running(daemon))

    assert ran
    assert not running(daemon)


def test_a_program_that_starts_as_ctrl_c_comes_ends():
    """Nobody gets to know of it, yet it does not keep the lab from being closed at once."""
    name = f"600.9{os.getpid()}"

    def call() -> process.Started:
        started = process.start(["sleep", name], {"PATH": "/usr/bin:/bin"})
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return started

    with Lab(load(find("node-with-uplink"))) as lab:
        with pytest.raises(KeyboardInterrupt):
            lab.host("node").inside(call, process.abandon)
        began = time.monotonic()
    assert time.monotonic() - began < 15.0  # it would wait for 20
    assert not running(f"sleep {name}")


def test_what_a_program_writes_stays_in_its_host():
    """Files written below /etc, /var and /run are seen in that host only, and listed in its state."""
    with Lab(load(find("two-nodes-routed"))) as lab:
        one, other = list(lab.hosts.values())[:2]
        for path in ("/etc/cnitest-was-here", "/var/cnitest-was-here", "/run/cnitest-was-here"):
            one.run(["sh", "-c", f"echo hello > {path}"])
        listed = {file.path: file.preview for file in one.state(firewall=False).files}
        seen_elsewhere = other.run(["ls", "/etc", "/var", "/run"]).stdout

    assert [listed[path] for path in ("/etc/cnitest-was-here", "/run/cnitest-was-here", "/var/cnitest-was-here")] == [
        "hello"
    ] * 3
    assert "cnitest-was-here" not in seen_elsewhere
    assert not Path("/etc/cnitest-was-here").exists()


def test_a_program_sees_its_own_links_under_sys():
    """/sys/class/net shows the links of the host or sandbox that the program runs in, not the machine's."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        node = lab.host("node").run(["ls", "/sys/class/net"]).stdout.split()
        inside = lab.sandbox("ns01").run(["ls", "/sys/class/net"]).stdout.split()

    assert "br01" in node
    assert "eth01" not in node
    assert sorted(name for name in inside if name != "bonding_masters") == ["eth01", "lo"]


def test_the_environment_is_scrubbed(monkeypatch):
    """Programs see nothing of our variables, and a D-Bus address that leads nowhere but into the host."""
    monkeypatch.setenv("SECRET_OF_OURS", "1")
    with Lab(load(find("node-with-uplink"))) as lab:
        seen = lab.host("node").run(["env"]).stdout

    assert "SECRET_OF_OURS" not in seen
    assert "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket" in seen


def test_labs_of_one_process_do_not_meet():
    """Two labs with the same names and subnets stand side by side; a policy in one is none in the other."""
    topology = load(find("bridge-walkthrough"))
    with Lab(topology) as one, Lab(topology) as other:
        one.host("node").sysctl("net.bridge.bridge-nf-call-iptables", 1)
        one.host("node").load_rules("iptables", "-P FORWARD DROP")

        assert not one.sandbox("ns01").ping("10.40.80.12")
        assert other.sandbox("ns01").ping("10.40.80.12")


def test_a_lab_leaves_no_descriptor_and_no_thread():
    """After a hundred labs the process has as many descriptors and threads as before."""
    topology = load(find("bridge-walkthrough"))

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def use() -> None:
        with Lab(topology) as lab:
            lab.sandbox("ns01").ping("10.40.80.12")

    use()
    settle(held)
    before = held()
    for _ in range(100):
        use()

    assert settle(held, before) == before


def settle(held, wanted=None):
    """The value of ``held`` once it is ``wanted``, or has been the same for a while."""
    deadline = Deadline.after(5, "descriptors to be closed behind us")
    last, since = held(), time.monotonic()
    while not deadline.expired:
        if last == wanted or (wanted is None and time.monotonic() - since > 0.3):
            break
        select.select([], [], [], 0.02)
        if (now := held()) != last:
            last, since = now, time.monotonic()
    return last


#: Shows what a host has below /var/lib/cni on a machine whose plugins remember a lease.
STATE = """
mount -t tmpfs none /var && mkdir -p /var/lib/cni/networks/net && touch /var/lib/cni/networks/net/10.40.80.2 &&
chmod 700 /var/lib/cni && chown ${2:-0} /var/lib/cni && exec $1 "$0" -c '
from cnitest import Lab
from cnitest.topology import find, load
with Lab(load(find("node-with-uplink"))) as lab:
    print(lab.host("node").run(["find", "/var/lib/cni"]).stdout, end="")
'
"""


@pytest.mark.parametrize(
    ("options", "rest"),
    [("-m", ()), ("-Urm", ()), ("-m", ("unshare -Urm", "1"))],
    ids=["root", "rootless", "somebody else's"],
)
def test_what_the_machines_plugins_remember_is_not_seen(options: str, rest: tuple[str, ...]) -> None:
    """A host's plugins start without leases and results, whatever the machine is used for besides."""
    if rest and not maps_user(int(rest[-1])):
        pytest.skip(f"this user namespace has no user {rest[-1]}, who could be somebody else")
    done = subprocess.run(
        ["unshare", options, "sh", "-c", STATE, sys.executable, *rest], capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("/var/lib/cni\n", "")


def test_nothing_is_made_where_the_machine_lacks_a_directory(monkeypatch):
    """A machine without /etc, as an image may be, does not get one from a host that would have files there."""
    lacking = "/cnitest-has-no-such-directory"
    monkeypatch.setattr(mounts, "COVERED", (*mounts.COVERED, lacking))
    monkeypatch.setattr(mounts, "DIRECTORIES", (*mounts.DIRECTORIES, f"{lacking}/cni/net.d"))
    with Lab(load(find("bridge-walkthrough"))) as lab:
        seen = lab.host("node").run(["ls", "/"]).stdout
        left = os.path.exists(lacking)

    assert not left
    assert lacking[1:] not in seen.split()
