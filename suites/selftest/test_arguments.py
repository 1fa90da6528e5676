"""What a newcomer guesses wrong about the Python API: each call says what was expected and what to write."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cnitest.suites.selftest import two_hosts

from cnitest import Lab
from cnitest.cni.runtime import Runtime
from cnitest.errors import CnitestError, ConfigError, UsageError
from cnitest.lab.reach import Reach
from cnitest.lab.snapshot.difference import difference
from cnitest.testing import ScriptedPlugin
from cnitest.topology import Host, Topology

lab, node = two_hosts.lab, two_hosts.node


@pytest.fixture
def cni(lab):
    """A runtime without plugins."""
    return Runtime(lab, [])


SLEEP = ["sleep", "9"]
NET = {"cniVersion": "1.0.0", "name": "n", "type": "none"}

ON_A_HOST = {
    "a command as a text": (
        lambda h: h.run("ip link"),
        "node: run(): argv is a list of words, not one text: write ['ip', 'link']",
    ),
    "a command of a shell": (lambda h: h.run("ip link | wc -l"), "write ['sh', '-c', 'ip link | wc -l']"),
    "a number among the words": (lambda h: h.run(["sleep", 1]), "is a list of words, of which 1 is none: write '1'"),
    "no command": (lambda h: h.run([]), "with the program first, such as ['ip', 'link'], not []"),
    "bytes as stdin": (lambda h: h.run(["cat"], stdin=b"x"), "stdin is a text, not b'x'; execute() takes bytes"),
    "no time": (lambda h: h.run(["true"], timeout="5s"), "timeout is a number of seconds, such as 1.5, not '5s'"),
    "a port too high": (lambda h: h.tcp("10.0.0.1", 70000), "node: tcp(): port is a number from 1 to 65535, not 70000"),
    "a port below zero": (lambda h: h.udp("10.0.0.1", -1), "udp(): port is a number from 1 to 65535, not -1"),
    "a port as a text": (lambda h: h.tcp("10.0.0.1", "80"), "port is a number, not '80': write 80"),
    "a flag as a port": (lambda h: h.tcp("10.0.0.1", True), "not True"),
    "a listener's port": (
        lambda h: h.tcp("10.0.0.1", 80, listener_port=0),
        "listener_port is a number from 1 to 65535",
    ),
    "a listener by name": (
        lambda h: h.tcp("10.0.0.1", 80, listener="other"),
        "listener is a host or sandbox of the lab",
    ),
    "an address with a prefix": (
        lambda h: h.ping("10.0.0.1/24"),
        "'10.0.0.1/24' is not an IP address: write '10.0.0.1', without the prefix",
    ),
    "an address in brackets": (lambda h: h.ping("[2001:db8::1]"), "write '2001:db8::1'"),
    "a name": (lambda h: h.ping("example.org"), "'example.org' is not an IP address; names are not resolved here"),
    "an address too short": (lambda h: h.ping("10.0.0"), "'10.0.0' is not an IP address"),
    "a place as an address": (lambda h: h.ping(h), "not <Host node>; write one of its addresses_on('eth0')"),
    "a number as an address": (lambda h: h.arp(1), "address is an IP address as text, such as '10.0.0.1', not 1"),
    "no address": (lambda h: h.ping(None), "not None"),
    "a source with a prefix": (
        lambda h: h.ping("10.0.0.1", source="10.0.0.2/8"),
        "source '10.0.0.2/8' is not an IP address: write '10.0.0.2'",
    ),
    "a size with a point": (
        lambda h: h.ping("10.0.0.1", size=56.0),
        "size is a whole number of bytes, not 56.0: write 56",
    ),
    "a size below zero": (lambda h: h.udp("10.0.0.1", 9, size=-1), "size is a whole number of bytes, not -1"),
    "a size as a text": (lambda h: h.ping("10.0.0.1", size="1400"), "size is a whole number of bytes, not '1400'"),
    "a hop limit too high": (lambda h: h.ping("10.0.0.1", ttl=256), "ttl 256"),
    "a wait below zero": (lambda h: h.ping("10.0.0.1", wait=-1), "wait is a number of seconds"),
    "bytes to send": (lambda h: h.send(b"abc"), "packet is a packet of scapy's, not bytes: write Ether(b'abc')"),
    "a text to send": (lambda h: h.exchange("abc"), "packet is a packet of scapy's, such as IP("),
    "a link that is none": (lambda h: h.capture(h.links[0]), "is the name of a link, such as 'eth0', not Link("),
    "a link to arp on": (lambda h: h.arp("10.0.0.1", on=3), "on is the name of a link"),
    "a link that is not there": (lambda h: h.link("loo"), "node has no link 'loo'; it has lo. Did you mean 'lo'?"),
    "a sandbox's name": (lambda h: h.sandbox("a/b"), "'a/b' cannot name a sandbox"),
    "a number as a sandbox": (lambda h: h.sandbox(1), "1 cannot name a sandbox"),
    "a sandbox to lose": (lambda h: h.lose("pod"), "node has no sandbox 'pod'; it has pod1. Did you mean 'pod1'?"),
}

OF_STATES = {
    "places": (
        lambda h: difference(h, h),
        "difference(): before is a state, not a place: write the state() of <Host node>",
    ),
    "nothing": (
        lambda h: difference(h.state(firewall=False), None),
        "after is a state, as lab.host('node').state() gives",
    ),
}

OF_A_SCRIPT = {
    "a number as the directory": (
        lambda at: ScriptedPlugin.install(len(at.parts), "x"),
        "directory is the path of a directory",
    ),
    "two swapped": (lambda at: ScriptedPlugin.install("x", at), "cannot be a plugin's name"),
    "a path as the name": (lambda at: ScriptedPlugin.install(at, "a/b"), "'a/b' cannot be a plugin's name"),
    "NUL in the name": (lambda at: ScriptedPlugin.install(at, "a\0b"), "cannot be a plugin's name"),
    "a list as the script": (
        lambda at: ScriptedPlugin.install(at, "x", [1]),
        "a script is a dictionary of commands, such as",
    ),
    "JSON as the script": (
        lambda at: ScriptedPlugin.install(at, "x", "{}"),
        "a script is a dictionary of commands, such as",
    ),
    "a command": (
        lambda at: ScriptedPlugin.install(at, "x", {"add": {}}),
        "'add' is no CNI operation; there are ADD, DEL, CHECK",
    ),
    "a key as a command": (
        lambda at: ScriptedPlugin.install(at, "x", {"result": {}}),
        "'result' is a key of a reply: write {'ADD': {'result': …}}",
    ),
    "a key": (lambda at: ScriptedPlugin.install(at, "x", {"ADD": {"reslt": 1}}), "did you mean 'result'?"),
    "one that is not there": (
        lambda at: ScriptedPlugin(at, "none").program({}),
        "no plugin was installed there: write ScriptedPlugin.install(",
    ),
    "the record of none": (lambda at: ScriptedPlugin(str(at), "none").records(), "no plugin was installed there"),
}

ON_A_LAB = {
    "a host": (lambda x: x.host("nod"), "t has no host 'nod'; it has node, other. Did you mean 'node'?"),
    "a host by number": (lambda x: x.host(0), "t has no host 0; it has node, other. A name is a text"),
    "a sandbox": (lambda x: x.sandbox("pod2"), "t has no sandbox 'pod2': node/pod1. Did you mean 'node/pod1'?"),
    "a place": (
        lambda x: x.place("pod1"),
        "t has no place 'pod1'; it has node, other, node/pod1. Did you mean 'node/pod1'?",
    ),
    "an item of hosts": (
        lambda x: x.hosts["nod"],
        "lab.hosts has no place 'nod'; it has node, other. Did you mean 'node'?",
    ),
    "a numbered host": (lambda x: x.hosts[0], "lab.hosts has no place 0; it has node, other"),
    "an item of sandboxes": (
        lambda x: x.host("node").sandboxes["pod"],
        "lab.host('node').sandboxes has no place 'pod'",
    ),
}

ON_A_RUNTIME = {
    "a sandbox by name": (
        lambda c: c.add("node/pod1", NET),
        "add(): sandbox is a sandbox of the lab, not its name 'node/pod1': write lab.host('node').sandbox('pod1')",
    ),
    "a short name": (lambda c: c.add("pod1", NET), "write lab.sandbox('pod1')"),
    "a host": (lambda c: c.add(c.lab.host("node"), NET), "not <Host node>: write lab.host('node').sandbox('c1')"),
    "two swapped": (lambda c: c.add(NET, c.lab.sandbox("pod1")), "sandbox is a sandbox of the lab"),
    "JSON text": (
        lambda c: c.add(c.lab.sandbox("pod1"), '{"name": "n"}'),
        "network is JSON text, which would be taken for a file's name: write json.loads(…)",
    ),
    "a list": (
        lambda c: c.add(c.lab.sandbox("pod1"), [NET]),
        "network is a dictionary, the path of a file, or a network",
    ),
    "nothing": (lambda c: c.add(c.lab.sandbox("pod1"), None), "network is a dictionary"),
    "an interface by number": (lambda c: c.add(c.lab.sandbox("pod1"), NET, 0), "ifname is a text, not 0"),
    "args with a number": (
        lambda c: c.add(c.lab.sandbox("pod1"), NET, args={"A": 1}),
        "args has 'A': 1, but both are texts: write 'A': '1'",
    ),
    "args as a text": (lambda c: c.add(c.lab.sandbox("pod1"), NET, args="A=1"), "args is a dictionary"),
    "capabilities as a list": (
        lambda c: c.add(c.lab.sandbox("pod1"), NET, capabilities=["ips"]),
        "capabilities is a dictionary",
    ),
    "a sandbox to delete": (
        lambda c: c.delete(c.lab.sandbox("pod1")),
        "attachment is what cni.add(…) returned, not <Sandbox node/pod1>",
    ),
    "a text to check": (lambda c: c.check("eth0"), "attachment is what cni.add(…) returned, not 'eth0'"),
    "a host by name": (
        lambda c: c.gc("node", NET),
        "gc(): host is a host of the lab, not its name 'node': write lab.host('node')",
    ),
    "a plugin by number": (lambda c: c.version(1), "plugin is a text, not 1"),
}


def rejected(error, call, given):
    """What a call says that is rejected."""
    with pytest.raises(error) as raised:
        call(given)
    return str(raised.value)


@pytest.mark.parametrize(("call", "words"), ON_A_HOST.values(), ids=ON_A_HOST)
def test_a_place_says_what_to_write(lab, node, call, words):
    """Before anything is sent or started: the journal stays as it was."""
    before = len(lab.journal.of(Reach))

    assert words in rejected(CnitestError, call, node)
    assert len(lab.journal.of(Reach)) == before


@pytest.mark.parametrize(("call", "words"), OF_STATES.values(), ids=OF_STATES)
def test_a_difference_is_one_of_states(node, call, words):
    """Not of places."""
    assert words in rejected(UsageError, call, node)


@pytest.mark.parametrize(("call", "words"), OF_A_SCRIPT.values(), ids=OF_A_SCRIPT)
def test_a_scripted_plugin_says_what_to_write(tmp_path, call, words):
    """Nothing is written of what cannot be."""
    assert words in rejected(ConfigError, call, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("call", "words"), ON_A_LAB.values(), ids=ON_A_LAB)
def test_a_lab_says_what_there_is(lab, call, words):
    """With the nearest name; the error is a LookupError as well."""
    assert words in rejected(LookupError, call, lab)


@pytest.mark.parametrize(("call", "words"), ON_A_RUNTIME.values(), ids=ON_A_RUNTIME)
def test_a_runtime_says_what_to_write(cni, call, words):
    """Before a plugin is called."""
    assert words in rejected(UsageError, call, cni)
    assert not cni.calls


def test_a_loop_over_hosts_gives_names_that_say_so(lab):
    """As a dictionary does; what was meant is in the message."""
    assert list(lab.hosts) == ["node", "other"]
    assert [host.name for host in lab.hosts.values()] == ["node", "other"]
    for name in lab.hosts:
        with pytest.raises(
            AttributeError, match=rf"loop over lab\.hosts\.values\(\), or write lab\.hosts\['{name}'\]\.run"
        ):
            name.run(["true"])  # fmt: skip


def test_what_means_an_address_or_a_word_is_taken(node):
    """Address objects, paths; a hint is for what cannot be meant."""
    assert node.run([Path("/bin/echo"), "x"]).stdout == "x\n"
    assert node.arp(ipaddress.ip_address("10.0.0.1"), on="lo", wait=0.01).probe


@pytest.mark.parametrize("given", ["node-with-uplink", Path("x.yaml"), {"hosts": {}}, None])
def test_a_lab_is_made_of_a_topology(given):
    """A name or a file has to be loaded first."""
    words = "write Lab(load(find(" if isinstance(given, str | Path) else "a lab is made of a topology, not of"
    with pytest.raises(UsageError) as raised:
        Lab(given)

    assert words in str(raised.value)


def test_a_lab_that_is_not_there_says_so():
    """Before its with block, and after it."""
    lab = Lab(Topology(name="t", hosts={"node": Host()}))
    with pytest.raises(UsageError, match="is not built: write 'with Lab"):
        lab.host("node")
    with lab:
        pass
    with pytest.raises(UsageError, match="has ended: its places are gone"):
        lab.host("node")
