"""A list of plugins is called in one way, whoever calls it, and reads what comes of it as it likes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cnitest.cni.calls import request
from cnitest.cni.calls.invoke import Call
from cnitest.cni.chain import Lenient, PluginChain
from cnitest.errors import PluginError

RESULT = {"cniVersion": "1.0.0"}


class Plugins:
    """Three plugins; those in ``failing`` fail, those in ``absent`` cannot be run."""

    def __init__(self, failing: tuple[str, ...] = (), absent: tuple[int, ...] = ()) -> None:
        self.failing, self.absent = failing, absent
        self.asked: list[tuple[str, int, object]] = []

    def ask(self, command: str, position: int, previous: Mapping[str, Any] | None) -> Call:
        """One call."""
        if position in self.absent:
            raise PluginError("not there")
        self.asked.append((command, position, previous and previous.get("of")))
        exit_code = int(f"{command}{position}" in self.failing)
        stdout = json.dumps({**RESULT, "of": position}).encode() if command == "ADD" else b""
        return Call(str(position), command, "h", (), {}, "", stdout, b"", exit_code, 0.0)

    def chain(self) -> PluginChain:
        """All three, read leniently."""
        return PluginChain(3, self.ask, Lenient())


class Strict(Lenient):
    """A reader for which every failure is an error."""

    def fails(self, position: int, call: Call) -> bool:
        """Never without an error."""
        if call.exit_code:
            raise PluginError(f"{position} failed")
        return False


def test_add_hands_each_result_on():
    """ADD goes down the list; each plugin gets what the one before it answered, the caller the last."""
    plugins = Plugins()

    calls, result = plugins.chain().add()

    assert plugins.asked == [("ADD", 0, None), ("ADD", 1, 0), ("ADD", 2, 1)]
    assert (len(calls), result) == (3, {**RESULT, "of": 2})


def test_add_ends_at_the_first_failure():
    """No plugin is called after one that failed, and there is no result."""
    plugins = Plugins(failing=("ADD1",))

    calls, result = plugins.chain().add()

    assert ([call.plugin for call in calls], result) == (["0", "1"], None)


@pytest.mark.parametrize(
    ("command", "failing", "order"),
    [
        ("check", (), [0, 1, 2]),
        ("check", ("CHECK1",), [0, 1]),
        ("status", ("STATUS0",), [0]),
        ("delete", (), [2, 1, 0]),
        ("delete", ("DEL1",), [2, 1]),
        ("gc", ("GC0", "GC1"), [0, 1, 2]),
    ],
)
def test_each_command_has_its_order(command: str, failing: tuple[str, ...], order: list[int]):
    """DEL goes up the list, the others down; all but GC end at the first failure."""
    plugins = Plugins(failing)
    act = getattr(plugins.chain(), command)

    act(*([RESULT] if command in ("check", "delete") else []))

    assert [position for _, position, _ in plugins.asked] == order


def test_delete_and_status_can_go_on():
    """Without ``stop`` every plugin is called, whatever fails."""
    plugins = Plugins(failing=("DEL2", "STATUS0"))

    plugins.chain().delete(None, stop=False)
    plugins.chain().status(stop=False)

    assert [position for _, position, _ in plugins.asked] == [2, 1, 0, 0, 1, 2]


def test_a_strict_reader_raises():
    """What a reader raises ends the command; GC goes on, and gives all errors back, with those of what is not there."""
    plugins = Plugins(failing=("CHECK1", "GC0"), absent=(2,))
    chain = PluginChain(3, plugins.ask, Strict())

    with pytest.raises(PluginError, match="1 failed"):
        chain.check(RESULT)
    calls, errors = chain.gc()

    assert [call.plugin for call in calls] == ["1"]
    assert [str(error) for error in errors] == ["0 failed", "not there"]


def test_a_request_has_what_a_plugin_declares():
    """A plugin gets what it declares and the runtime provides, and not the declaration itself."""
    conf = {"type": "x", "capabilities": {"mac": True, "ips": False}}

    sent = request.document(conf, {"name": "n", "cniVersion": "1.0.0"}, {"mac": "m", "ips": ["i"]}, {"ips": []})

    named = {"type": "x", "name": "n", "cniVersion": "1.0.0"}
    assert sent == {**named, "runtimeConfig": {"mac": "m"}, "prevResult": {"ips": []}}


def test_a_request_has_no_name_that_its_network_lacks():
    """Name and version are those of the network, and not there where it has none, whatever the plugin's own say."""
    conf = {"cniVersion": "0.3.1", "type": "x", "name": "own"}

    assert request.document(conf, {"cniVersion": 5}, {}) == {"cniVersion": 5, "type": "x"}


@pytest.mark.parametrize(("version", "keys"), [("0.2.0", set()), ("0.3.0", {"prevResult", "runtimeConfig"})])
def test_a_request_fits_its_version(version: str, keys: set[str]):
    """Versions before lists of plugins have neither a previous result nor capability arguments."""
    conf = {"type": "x", "capabilities": {"mac": True}}

    sent = request.versioned(conf, {}, version, {"mac": "m"}, {"ips": []})

    assert set(sent) - {"type"} == keys


def test_gc_is_reported_under_both_names():
    """Valid attachments come under today's key and that of the tag spec-v1.1.0, or under those that are asked for."""
    listed = [{"containerID": "c", "ifname": "e"}]

    assert request.with_valid({}, [("c", "e")]) == {"cni.dev/valid-attachments": listed, "cni.dev/attachments": listed}
    assert request.with_valid({}, [], ("k",)) == {"k": []}
