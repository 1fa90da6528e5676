"""Files that are given for others: what they look like, in one line, and where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnitest.cni import conf
from cnitest.conformance.model import profile
from cnitest.errors import ConfigError, TopologyError
from cnitest.topology import find, load

CONF = json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "bridge"})
FILES = {
    "pod.yaml": ("apiVersion: v1\nkind: Pod\nspec: {}\n", "this looks like an object of Kubernetes (Pod); of these"),
    "nad.yaml": (
        f"apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nspec: {{config: '{CONF}'}}\n",
        "this looks like a NetworkAttachmentDefinition with a network configuration; `cnitest run",
    ),
    "compose.yaml": (
        "services:\n  web: {image: nginx}\n",
        "this looks like a file of Docker Compose; cnitest starts no",
    ),
    "clab.yaml": ("name: x\ntopology:\n  nodes: {a: {kind: linux}}\n", "this looks like a file of containerlab; in a"),
    "netplan.yaml": ("network:\n  version: 2\n  ethernets: {}\n", "this looks like a file of netplan; in a topology"),
    "podman.json": ('{"name": "p", "driver": "bridge", "network_interface": "p0"}', "a network of Podman's netavark"),
    "result.json": ('{"cniVersion": "1.0.0", "ips": []}', "this looks like the result of an ADD; a network"),
    "conf.yaml": (CONF, "this looks like a network configuration; `cnitest run FILE` and --conf FILE take it"),
    "topology.yaml": ("name: t\nhosts: {h1: {}}\n", "this looks like a topology; `cnitest draw FILE` shows it"),
    "profile.yaml": (f"conf: {CONF}\nplugin: bridge\n", "this looks like a profile of a plugin; `cnitest run FILE`"),
}
YAML = "has no NetworkAttachmentDefinition, as which YAML is read; a network configuration ends in .conf, .conflist"
READERS = {"topology": lambda path: load(find(path)), "profile": profile.load, "configuration": conf.network}
OWN = {"topology": {"topology.yaml"}, "profile": {"profile.yaml"}, "configuration": {"nad.yaml"}}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_reported_as_what_it_is(tmp_path: Path, reader: str, name: str):
    """Each reader says in one line what the file looks like; its own kind it reads."""
    text, words = (CONF, YAML) if (name, reader) == ("conf.yaml", "configuration") else FILES[name]
    file = tmp_path / name
    file.write_text(text)
    if name in OWN[reader]:
        READERS[reader](file)
        return

    with pytest.raises((ConfigError, TopologyError)) as caught:
        READERS[reader](file)

    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_configuration_named_where_a_topology_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file beside whoever calls, whose ending is no topology's, is reported as what it is."""
    (tmp_path / "my.conflist").write_text(CONF)
    (tmp_path / "notes").write_text("x")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(TopologyError, match="my.conflist: this looks like a network configuration"):
        find("my.conflist")
    with pytest.raises(TopologyError, match="notes: a topology file ends in .yaml or .yml"):
        find("notes")


@pytest.mark.parametrize(
    "text",
    [
        "hosts: {h1: {lniks: {}}}\nplugins: [{type: bridge}]",
        "hosts: {h1: {}}\nnetwork: {bridges: {}}",
        "name: [1\n",
        "",
        "&a [*a]",
    ],
)
def test_a_faulty_topology_is_still_one(tmp_path: Path, text: str):
    """Its own faults are reported, whatever else of other files is in it."""
    file = tmp_path / "t.yaml"
    file.write_text(text)

    with pytest.raises(TopologyError) as caught:
        load(file)

    assert "looks like" not in str(caught.value)


DEFINITION = "apiVersion: k8s.cni.cncf.io/v1\nkind: {kind}\nmetadata: {{name: m}}\nspec: {{config: '{config}'}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DEFINITION.format(kind="NetworkAttachementDefinition", config=CONF),
            "Did you mean 'NetworkAttachmentDefinition'?",
        ),
        (
            DEFINITION.format(kind="NetworkAttachmentDefinition", config='{"name": "n" "type": "bridge"}'),
            "spec.config of m:1:14: is not JSON: a comma is missing before this",
        ),
    ],
)
def test_faults_of_an_attachment_definition(tmp_path: Path, text: str, words: str):
    """A kind with a typo, and a configuration inside that is no JSON, are reported as what they are."""
    file = tmp_path / "nad.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        conf.network(file)

    assert words in str(caught.value)


def test_an_attachment_definition_in_a_list(tmp_path: Path):
    """What kubectl writes of several objects is read, too."""
    file = tmp_path / "list.yaml"
    config = CONF.replace("}", ', "mtu": 1, "mtu": 2}')
    spec = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "spec": {"config": config}}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [spec]}))

    found = conf.network(file)

    assert found.plugins[0]["type"] == "bridge"
    assert found.repeated[0].startswith("spec.config:1:66: 'mtu' is given twice, first at 1:56")
