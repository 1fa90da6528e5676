"""What the runtime makes of plugins that misbehave: a plugin is any executable, and may do anything."""

from __future__ import annotations

import time
from threading import Timer

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.plugins import RESULT, recorder, script

from cnitest import PluginError, Runtime

CONF = {"cniVersion": "1.0.0", "name": "net", "type": "one"}
CHAIN = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "one"}, {"type": "two"}, {"type": "three"}]}

lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 3", "one ADD (container c1, ifname eth0): exit code 3 with no error message on stdout"),
        ("echo oops >&2; exit 1", "exit code 1 with no error message on stdout; stderr: oops"),
        ("exit 0", "exit code 0, but nothing on stdout"),
        (f"echo '{RESULT}{RESULT}'", "stdout holds a second document after the first document"),
        (f"echo '{RESULT} and more'", "stdout holds more after the first document"),
        ("printf '\\377\\376'", "stdout is not UTF-8 (at byte 0): \\xff\\xfe"),
        ("echo '[1]'", "stdout is no JSON object: [1]"),
        ("echo '{'", "stdout is not JSON"),
        ("echo '{\"ips\": 5}'", "its result is wrong: 'ips' must be a list of objects, it is 5"),
        ('echo \'{"cniVersion": "9.9.9"}\'', "its result is wrong: cniVersion '9.9.9' is none of 0.1.0"),
        ('echo \'{"message": "x"}\'; exit 1', "stdout is no error document"),
        ("kill -9 $$", "killed by signal 9"),
    ],
)
def test_what_came_is_said(cni, sandbox, bin_, body, words):
    """Each kind of nonsense is a PluginError that names plugin, command, exit code and the text."""
    script(bin_, "one", f'[ "$CNI_COMMAND" = ADD ] || exit 0\n{body}')
    with pytest.raises(PluginError) as failure:
        cni.add(sandbox, CONF)

    assert words in str(failure.value)
    assert str(failure.value).startswith("one ADD (container c1, ifname eth0): ")


def test_one_that_hangs_is_killed_with_its_group(lab, sandbox, bin_):
    """At the deadline the plugin and its children die; the message says so and shows what was printed."""
    script(bin_, "one", '[ "$CNI_COMMAND" = ADD ] || exit 0; echo begun >&2; sleep 4322 & wait')
    cni = Runtime(lab, [str(bin_)], timeout=0.5)
    began = time.monotonic()
    words = r"killed with its process group after 0\.[5-9] s without an end; stderr: begun"
    with pytest.raises(PluginError, match=words):
        cni.add(sandbox, CONF)

    assert time.monotonic() - began < 3
    assert lab.host("node").run(["pgrep", "-fx", "sleep 4322"], check=False).stdout == ""


def test_one_that_floods_is_cut(cni, sandbox, bin_):
    """Of endless output 16 MiB are kept; the rest is read and dropped, and the plugin is faulted."""
    script(bin_, "one", '[ "$CNI_COMMAND" = ADD ] || exit 0; head -c 20000000 /dev/zero')
    with pytest.raises(PluginError, match="more than 16 MiB on stdout: cut off"):
        cni.add(sandbox, CONF)

    assert len(cni.calls[0].stdout) == 16 << 20


def test_a_child_that_holds_stdout_does_not_hang_us(cni, sandbox, bin_):
    """A child left behind with our pipe is noticed, not waited for."""
    script(bin_, "one", f"sleep 30 & echo '{RESULT}'")
    began = time.monotonic()
    attachment = cni.add(sandbox, CONF)

    assert attachment.address == "192.0.2.9"
    assert time.monotonic() - began < 5
    assert cni.calls[0].held_open


def test_one_that_does_not_read_is_said_to(cni, sandbox, bin_):
    """A plugin that ends before it read a large configuration, and says nothing, is distinguished."""
    script(bin_, "one", "exit 0")
    with pytest.raises(PluginError, match="nothing on stdout; it ended before it read its configuration"):
        cni.add(sandbox, {**CONF, "x-large": "x" * 1_000_000})


def test_a_large_configuration_arrives_whole(cni, sandbox, bin_):
    """A configuration larger than a pipe is written as the plugin reads it."""
    script(bin_, "one", f"wc -c > {bin_}/size; echo '{RESULT}'")
    cni.add(sandbox, {**CONF, "x-large": "x" * 1_000_000})

    assert int((bin_ / "size").read_text()) > 1_000_000


def test_a_plugin_that_cannot_be_started_is_named(cni, sandbox, bin_):
    """A file that is no program is rejected with the kernel's reason."""
    (bin_ / "one").write_text("not a program")
    (bin_ / "one").chmod(0o644)
    with pytest.raises(
        PluginError, match=r"one ADD: .*/one cannot be started: Permission denied; it is not executable: chmod "
    ):
        cni.add(sandbox, CONF)


def test_a_missing_plugin_is_searched_for_aloud(cni, sandbox, bin_):
    """RT-21: the message names the path, and a name that is close."""
    recorder(bin_, "bridge")
    words = r"failed to find plugin 'brigde' in path \[.*\]; did you mean 'bridge'\?"
    with pytest.raises(PluginError, match=words):
        cni.add(sandbox, {**CONF, "type": "brigde"})


def test_a_missing_plugin_stops_delete(cni, sandbox, bin_, lab):
    """RT-21: DEL fails where a plugin is gone (SPEC section 3), says where it was, and keeps what it needs."""
    for name in ("one", "two", "three"):
        recorder(bin_, name)
    attachment = cni.add(sandbox, CHAIN)
    (bin_ / "two").unlink()
    with pytest.raises(PluginError, match="two DEL on node: failed to find plugin 'two' in path"):
        cni.delete(attachment)

    assert [call.plugin for call in cni.calls if call.command == "DEL"] == ["three"]
    assert bare.cached(lab) == ["net-c1-eth0"]
    assert cni.attachments == [attachment]


def test_one_that_is_being_written_is_tried_again(cni, sandbox, bin_):
    """RT-23: a plugin whose file is still open for writing is called once it is closed."""
    recorder(bin_, "one")
    with open(bin_ / "one", "ab") as writing:
        Timer(0.2, writing.close).start()
        attachment = cni.add(sandbox, CONF)

    assert attachment.address == "192.0.2.9"
