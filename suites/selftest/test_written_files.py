"""What plugins write outside of a host's private layers: in the machine's /tmp, home and working directories."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cnitest.suites.selftest.plugins import script
from cnitest.suites.selftest.processes import maps_user

from cnitest import Lab
from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.attachments import delete
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding
from cnitest.conformance.model.subject import Trial
from cnitest.topology import find, load

PATH = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
told = pytest.mark.skipif(os.geteuid() != 0 or not maps_user(65534), reason="the kernel tells only the machine's root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the machine's /tmp that is none of pytest's or ours."""
    with tempfile.TemporaryDirectory(prefix="of-a-plugin-") as made:
        yield Path(made)


@pytest.fixture
def node(lab_of_one):
    """A host whose programs' writing is recorded."""
    lab_of_one.record_writing()
    return lab_of_one


@pytest.fixture
def lab_of_one():
    """The host of a small lab."""
    with Lab(load(find("node-with-uplink"))) as lab:
        yield lab.host("node")


@told
def test_a_hosts_own_writing_is_reported(node, place):
    """A file that a program of the host has written is among the host's files, one of somebody else is not."""
    (place / "others").write_text("x")
    node.run(["sh", "-c", f"echo kept >{place}/own; echo gone >{place}/gone; rm {place}/gone"])

    assert [(each.path, each.preview) for each in node.files() if str(place) in each.path] == [(f"{place}/own", "kept")]


@told
def test_what_tests_and_plugins_exchange_is_not(node, tmp_path):
    """What is below a directory of pytest is nothing that a plugin leaves."""
    node.run(["sh", "-c", f"echo kept >{tmp_path}/own"])

    assert not [each for each in node.files() if each.path.startswith("/tmp/")]


def test_programs_start_in_a_directory_of_the_host(lab_of_one):
    """What is written by a relative path is the host's, and among its files, also after a reboot."""
    for _ in range(2):
        lab_of_one.run(["sh", "-c", "echo kept >own"])

        assert [each.path for each in lab_of_one.files() if each.preview == "kept"] == ["/run/working-directory/own"]
        lab_of_one.reboot()


def test_a_program_starts_where_that_directory_is_gone(lab_of_one):
    """Somebody has emptied /run: programs start all the same."""
    lab_of_one.run(["rmdir", "/run/working-directory"])

    assert lab_of_one.run(["pwd"]).stdout


@told
@pytest.mark.requires(plugin=("bridge", "host-local"))
@pytest.mark.parametrize("where", ["/tmp", "HOME", "where it stands"])
def test_del_has_to_remove_it(tmp_path, place, where):
    """A plugin whose ADD leaves a file in /tmp, below its HOME or in its working directory fails DEL-01 by its path."""
    home, wrote = {
        "/tmp": ("$HOME", f"{place}/$CNI_CONTAINERID"),
        "HOME": (f"{place}", "$HOME/$CNI_CONTAINERID"),
        "where it stands": ("$HOME", "$CNI_CONTAINERID"),
    }[where]
    real = next(f"{each}/bridge" for each in PATH if os.path.exists(f"{each}/bridge"))
    text = f'HOME={home}; case $CNI_COMMAND in ADD) echo kept >"{wrote}" ;; esac; exec {real}\n'
    script(tmp_path / "bin", "bridge", text)
    file = tmp_path / "net.conflist"
    plugin = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.70.0.0/24"}}
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [plugin]}))
    path = (str(tmp_path / "bin"), *PATH)
    subject = examine([source(file, path)], path, versions=("1.0.0",))[0]

    with open_bench(Trial(subject, "1.0.0")) as bench:
        delete.del_removes_what_add_made(bench)
        with pytest.raises(Finding) as found:
            bench.conclude()

    left = "/run/working-directory" if where == "where it stands" else place
    assert f"{left}/cnitest-c1" in str(found.value)
