"""A network that cannot start for what was mistyped: links' names, brackets, paths for names, other files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.test_unstarted import BRIDGE, PATH, timed, tried

from cnitest.cni.conf import Network
from cnitest.conformance.discover.source import Source, require
from cnitest.conformance.model.subject import Setting
from cnitest.errors import ConfigError

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local", "portmap", "tuning"))
TYPOS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a bridge that is another link": (
        [{**BRIDGE, "bridge": "ens33"}],
        "bridge is 'ens33', and there is a veth of that name, no bridge: choose a name that no link has",
    ),
    "a list that has to be in one": (
        [{"type": "bridge", "ipam": {"type": "host-local", "ranges": [{"subnet": "10.1.0.0/24"}]}}],
        '\'ipam.ranges[0]\' is an object, and a list, [ … ], is expected; did you mean [{"subnet": "10.1.0.0/24"}]?',
    ),
    "arguments of capabilities in a list": (
        [BRIDGE, {"type": "portmap", "runtimeConfig": [1]}],
        "the key 'runtimeConfig' is a list in the configuration, and portmap reads an object, { … }",
    ),
    "a path for a sysctl": (
        [BRIDGE, {"type": "tuning", "sysctl": {"/proc/sys/net/core/somaxconn": "500"}}],
        "sysctl '/proc/sys/net/core/somaxconn' is a path: its name is 'net.core.somaxconn'",
    ),
    "a path for a plugin's name": (
        [{"type": "bridge", "ipam": {"type": "./host-local"}}],
        "bridge calls the plugin './host-local', which is a path and no plugin's name; did you mean 'host-local'?",
    ),
}


@pytest.mark.parametrize("case", TYPOS)
def test_what_was_mistyped_is_the_likely_cause(tmp_path: Path, case: str):
    """The plugin's own words are not enough to find it."""
    plugins, words = TYPOS[case]

    done = tried(tmp_path, *plugins)

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"likely {words}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "#!/usr/bin/env pyhton3\n",
            "its first line has env(1) start 'pyhton3', which is not on this machine: install it",
        ),
        (
            '#!/bin/sh\necho "$0: error while loading shared libraries: libodd.so.1: cannot open shared object file: '
            'No such file or directory" >&2; exit 127\n',
            "it is linked to the library libodd.so.1, which is not on this machine: install it, or build it static",
        ),
        (
            '#!/bin/sh\necho "$0: /lib/libc.so.6: version \\`GLIBC_2.99\' not found (required by $0)" >&2; exit 1\n',
            "it is built for a newer C library, with GLIBC_2.99, than this machine has: build it static",
        ),
    ],
    ids=["interpreter", "library", "C library"],
)
def test_what_a_plugin_lacks_to_start_is_the_likely_cause(tmp_path: Path, content: str, words: str):
    """It is neither a fault of its answer nor of the configuration."""
    plugin = tmp_path / "odd"
    plugin.write_text(content)
    plugin.chmod(0o755)

    done = tried(tmp_path, {"type": "odd"}, options=("--cni-path", str(tmp_path)))

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"likely {words}" in " ".join(done.stdout.split())


def test_a_network_s_name_of_thousands_of_letters(tmp_path: Path):
    """An error that repeats it is cut before it says that no file's name can be that long."""
    (tmp_path / "my.conf").write_text(json.dumps({"cniVersion": "1.0.0", "name": "a" * 5000, **BRIDGE}))

    done, _ = timed(tmp_path, "run", "my.conf", "--cni-path", PATH)

    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "the network's 'name' has 5000 letters, and plugins make files of it, whose names have 255 at most"
        in " ".join(done.stdout.split())
    )
    assert len(done.stdout.splitlines()) <= 40


def test_a_result_in_a_configuration_is_no_interface_of_its_own(tmp_path: Path):
    """A chained plugin alone, with a prevResult that its author wrote down, is tried behind one that makes interfaces;
    one that makes them itself stays what it is."""
    before = {"prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}], "ips": []}}
    for plugin, kind in (({"type": "tuning", "mtu": 1400}, "chained"), (BRIDGE, "makes an interface")):
        conf = {"cniVersion": "1.0.0", "name": "n", **plugin, **before}
        (tmp_path / "my.conf").write_text(json.dumps(conf))

        done, _ = timed(tmp_path, "run", "my.conf", "--cni-path", PATH, "--requirement", "VER-01", "-n", "0")

        heading = next(line for line in done.stdout.splitlines() if line.startswith(f"  {plugin['type']} "))
        assert f"  {kind}, CNI " in heading


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.mkdir(), "is a directory: name it with --cni-path where the plugin is in there"),
        (lambda file: file.symlink_to("nowhere"), "is a symbolic link to nowhere, where nothing is"),
        (lambda file: file.symlink_to(file.name), "is a symbolic link to odd, where nothing is"),
        (os.mkfifo, "is no regular file"),
    ],
    ids=["directory", "dangling", "loop", "fifo"],
)
def test_what_stands_in_the_place_of_a_plugin_is_named(tmp_path: Path, make: Callable[[Path], None], said: str):
    """Where the search path has the name, and it is no file that could be started."""
    network = Network("n", "1.0.0", ({"type": "odd"},))
    make(tmp_path / "odd")

    with pytest.raises(ConfigError, match="failed to find plugin 'odd'") as caught:
        require(Source(network, Setting(), "my.conf"), [PATH, str(tmp_path)])

    assert str(caught.value).endswith(f"; {tmp_path / 'odd'} {said}")


def test_capitals_are_a_misspelling(tmp_path: Path):
    """Names of files have theirs."""
    (tmp_path / "odd").touch()

    with pytest.raises(ConfigError, match=r"failed to find plugin 'Odd' .*; did you mean 'odd'\?"):
        require(Source(Network("n", "1.0.0", ({"type": "Odd"},)), Setting(), "my.conf"), [str(tmp_path)])


def test_a_configuration_that_is_named_twice_is_tried_once(tmp_path: Path):
    """By whatever paths."""
    (tmp_path / "my.conf").write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", **BRIDGE}))
    options = ("--cni-path", PATH, "--requirement", "VER-01", "-n", "0")

    done, _ = timed(tmp_path, "run", "my.conf", f"../{tmp_path.name}/my.conf", *options)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("  bridge ")]) == 1
