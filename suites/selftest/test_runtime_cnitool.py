"""The cache is libcni's (RT-04, RT-32): cnitool goes on with what we added, and we with what cnitool added.

Runs where there is a cnitool: in PATH, or named by the variable CNITOOL.
"""

from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.bare import cached, requests
from cnitest.suites.selftest.plugins import recorder

from cnitest import Runtime
from cnitest.cni.calls.invoke import search_path
from cnitest.cni.runtime import cnitool_container_id

lab, sandbox, bin_ = bare.lab, bare.sandbox, bare.bin_

NET = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one", "capabilities": {"mac": True}}]}
REAL = {
    "cniVersion": "1.0.0",
    "name": "net",
    "plugins": [
        {
            "type": "bridge",
            "isGateway": True,
            "capabilities": {"mac": True},
            "ipam": {"type": "host-local", "subnet": "10.40.80.0/24"},
        },
        {"type": "tuning", "mtu": 1400},
    ],
}
MAC = {"mac": "02:00:00:00:00:09"}


@pytest.fixture(scope="session")
def binary():
    """The path of cnitool."""
    found = os.environ.get("CNITOOL") or shutil.which("cnitool")
    if not found:
        pytest.skip("no program 'cnitool' in PATH, and the variable CNITOOL names none")
    return os.path.abspath(found)


@pytest.fixture
def cnitool(binary, sandbox, tmp_path):
    """Runs a command of cnitool for the sandbox, in its host; ``write`` is its directory of configurations."""
    folder = tmp_path / "net.d"
    folder.mkdir()

    def run(command, *, path, capabilities=None, args=""):
        environment = {"NETCONFPATH": str(folder), "CNI_PATH": ":".join(path), "PATH": os.environ["PATH"]}
        environment |= {"CNI_ARGS": args} if args else {}
        environment |= {"CAP_ARGS": json.dumps(capabilities)} if capabilities else {}
        return sandbox.host.run([binary, command, "net", sandbox.path], environment=environment)

    def write(name, network):
        (folder / name).write_text(json.dumps(network))
        return folder / name

    return SimpleNamespace(run=run, write=write, id=cnitool_container_id(sandbox.path))


def file_of(lab, name):
    """A cache file as it is."""
    return lab.host("node").run(["cat", f"/var/lib/cni/results/{name}"]).stdout


@pytest.mark.requires(plugin=["bridge", "host-local", "tuning"])
class TestRealPlugins:
    """Each goes on with what the other began, with Debian's plugins."""

    def test_cnitool_checks_and_deletes_what_we_added(self, lab, sandbox, cnitool):
        """After our ADD, cnitool's CHECK finds all as it should be, and its DEL leaves nothing."""
        file = cnitool.write("10-net.conflist", REAL)
        cni = Runtime(lab, search_path([]))
        attachment = cni.add(sandbox, file, container_id=cnitool.id, capabilities=MAC)
        cnitool.run("check", path=cni.path, capabilities=MAC)
        cnitool.run("del", path=cni.path, capabilities=MAC)

        assert cached(lab) == []
        assert attachment.address not in sandbox.host.run(["ls", "/var/lib/cni/networks/net"]).stdout
        assert [link.name for link in sandbox.links] == ["lo"]

    def test_we_check_and_delete_what_cnitool_added(self, lab, sandbox, cnitool):
        """What cnitool added is recalled with its result and arguments, checked, reached, and deleted."""
        file = cnitool.write("10-net.conflist", REAL)
        cni = Runtime(lab, search_path([]))
        cnitool.run("add", path=cni.path, capabilities=MAC)
        attachment = cni.recall(sandbox, file, container_id=cnitool.id)
        cni.check(attachment)
        reach = sandbox.host.ping(attachment.address)
        cni.delete(attachment)

        assert reach
        assert attachment.result.interfaces[-1].mac == MAC["mac"]
        assert attachment.capabilities == MAC
        assert cached(lab) == []
        assert [link.name for link in sandbox.links] == ["lo"]


class TestFiles:
    """What is in the file, with a plugin whose results have everything."""

    RESULT = (
        '{"cniVersion": "1.0.0", "x-own": 1, "dns": {}, '
        '"interfaces": [{"name": "<eth0>", "mtu": 1500, "sandbox": ""}], '
        '"ips": [{"address": "2001:DB8::9/64", "gateway": "2001:db8::1", "interface": 0}], '
        '"routes": [{"dst": "0.0.0.0/0", "priority": 0, "table": 0}]}'
    )

    @pytest.mark.parametrize(
        ("name", "content"),
        [("10-net.conflist", NET), ("10-net.conf", {"cniVersion": "0.4.0", "name": "net", "type": "one", "x": "<&>"})],
        ids=["list", "single"],
    )
    def test_the_file_is_the_same_byte_for_byte(self, lab, sandbox, bin_, cnitool, name, content):
        """In the mode libcni our file is the one that cnitool writes, name, content and mode."""
        recorder(bin_, "one", self.RESULT.replace("1.0.0", content["cniVersion"]))
        given = cnitool.write(name, content)
        options = {"capabilities": {"mac": "m", "a": 1}}
        cnitool.run("add", path=[str(bin_)], args="B=1;A=2", **options)
        theirs = file_of(lab, f"net-{cnitool.id}-eth0")
        mode = lab.host("node").run(["stat", "-c", "%a", f"/var/lib/cni/results/net-{cnitool.id}-eth0"]).stdout
        lab.host("node").run(["rm", "-r", "/var/lib/cni/results"])
        cni = Runtime(lab, [str(bin_)], mode="libcni")
        cni.add(sandbox, given, container_id=cnitool.id, args={"B": "1", "A": "2"}, **options)

        assert file_of(lab, f"net-{cnitool.id}-eth0") == theirs
        assert lab.host("node").run(["stat", "-c", "%a", f"/var/lib/cni/results/net-{cnitool.id}-eth0"]).stdout == mode

    def test_plugins_get_the_same_requests(self, lab, sandbox, bin_, cnitool):
        """In the mode libcni plugins are reported, command by command, what cnitool tells them."""
        plugins = [{"type": "one", "capabilities": {"mac": True}, "cni.dev/x": 2**60 + 1}, {"type": "two"}]
        network = {"cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "net", "plugins": plugins}
        for plugin in ("one", "two"):
            recorder(bin_, plugin, self.RESULT)
        file = cnitool.write("10-net.conflist", network)
        options = {"capabilities": {"mac": "m"}}
        for command in ("add", "check", "del", "status", "add", "gc"):
            cnitool.run(command, path=[str(bin_)], **options)
        theirs = {name: requests(bin_, name) for name in ("one", "two")}
        for name in theirs:
            (bin_ / f"{name}.log").unlink()
        cni = Runtime(lab, [str(bin_)], mode="libcni")
        attachment = cni.add(sandbox, file, container_id=cnitool.id, **options)
        cni.check(attachment)
        cni.delete(attachment)
        cni.status(file)
        cni.add(sandbox, file, container_id=cnitool.id, **options)
        cni.gc(lab.host("node"), file)

        assert {name: requests(bin_, name) for name in ("one", "two")} == theirs

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.conflist", {"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.1.0"], "plugins": [{"type": "one"}]}),
            ("a.conflist", {"cniVersion": "1.0.0", "cniVersions": ["1.0.5", "7.0.0"], "plugins": [{"type": "one"}]}),
            ("a.conflist", {"cniVersion": "7.0.0", "cniVersions": ["8.0.0"], "plugins": [{"type": "one"}]}),
            ("a.conflist", {"cniVersion": "1.1", "plugins": [{"type": "one", "x": [2**70, -(2**53) - 1, 1.0, "<"]}]}),
            ("a.conflist", {"plugins": [{"type": "one", "args": {"cni": {"x": 1}}, "runtimeConfig": {"y": 1}}]}),
            ("a.conf", {"cniVersion": "1.0.0", "cniVersions": ["1.1.0"], "disableCheck": True, "type": "one"}),
            ("a.conf", {"type": "one", "prevResult": {"cniVersion": "1.0.0"}}),
        ],
        ids=["highest", "between", "beyond", "short", "none", "single", "single-none"],
    )
    def test_configurations_are_read_alike(self, lab, sandbox, bin_, cnitool, name, content):
        """In the mode libcni the version is chosen, and the request made, as cnitool does."""
        recorder(bin_, "one")
        file = cnitool.write(name, {"name": "net", **content})
        cnitool.run("add", path=[str(bin_)])
        cni = Runtime(lab, [str(bin_)], mode="libcni")
        cni.add(sandbox, file, container_id=cnitool.id)
        theirs, ours = requests(bin_, "one")

        assert ours == theirs

    def test_libcni_reads_a_file_of_the_mode_spec(self, lab, sandbox, bin_, cnitool):
        """Ours holds the result as the plugin printed it; libcni takes from it what it knows."""
        recorder(bin_, "one", self.RESULT)
        file = cnitool.write("10-net.conflist", NET)
        Runtime(lab, [str(bin_)]).add(sandbox, file, container_id=cnitool.id)
        cnitool.run("del", path=[str(bin_)])

        assert requests(bin_, "one")[-1][1]["prevResult"]["ips"][0]["address"] == "2001:db8::9/64"
        assert cached(lab) == []


def test_the_container_id_of_cnitool_is_known():
    """RT-32: it is made of the path of the namespace."""
    assert cnitool_container_id("/run/netns/c1") == "cnitool-20b4ff582526573bbe7d"
    assert cnitool_container_id("/run/netns/../netns/c1") == cnitool_container_id("/run/netns/c1")


def test_what_is_not_cached_cannot_be_recalled(lab, sandbox, bin_):
    """Without a file there is nothing to go on with; the error says which file."""
    with pytest.raises(LookupError, match="is not in the cache: there is no /var/lib/cni/results/net-c1-eth0"):
        Runtime(lab, [str(bin_)]).recall(sandbox, NET)


def test_what_is_recalled_is_ours_from_then_on(lab, sandbox, bin_):
    """What another runtime added is among a runtime's own once it is recalled, and deleted as it was added."""
    recorder(bin_, "one")
    first, second = Runtime(lab, [str(bin_)]), Runtime(lab, [str(bin_)])
    first.add(sandbox, NET, args={"A": "1"}, capabilities={"mac": "m"})
    attachment = second.recall(sandbox, {**NET, "plugins": [{"type": "two"}]})

    assert second.attachments == [attachment] == [second.recall(sandbox, NET)]
    assert (attachment.args, attachment.capabilities) == ({"A": "1"}, {"mac": "m"})
    assert attachment.address == "192.0.2.9"
    second.delete(attachment)
    assert requests(bin_, "one")[-1][0] == "DEL"
    assert requests(bin_, "one")[-1][1]["runtimeConfig"] == {"mac": "m"}
    assert second.attachments == []


def test_what_is_another_s_cannot_be_recalled(lab, sandbox, bin_):
    """A file whose name fits but which holds another attachment is not taken for ours."""
    recorder(bin_, "one")
    cni = Runtime(lab, [str(bin_)])
    cni.add(sandbox, {**NET, "name": "a-b"}, container_id="c")
    with pytest.raises(LookupError, match="results/a-b-c-eth0 is that of network a-b, container c, ifname eth0"):
        cni.recall(sandbox, {**NET, "name": "a"}, container_id="b-c")
