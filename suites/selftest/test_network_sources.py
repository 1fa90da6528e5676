"""Networks from directories and NetworkAttachmentDefinitions, and DELs that may fail."""

from __future__ import annotations

import json

import pytest

from cnitest.cni import conf
from cnitest.cni.runtime import Runtime
from cnitest.errors import ConfigError, PluginError
from cnitest.testing import ScriptedPlugin

_ONE = {"cniVersion": "1.0.0", "type": "bridge"}
_NAD = """apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-conf}
spec:
  config: '{"cniVersion": "1.0.0", "type": "macvlan", "master": "eth0"}'
"""


def test_the_first_file_of_a_directory_is_taken(tmp_path):
    """By name, with one of libcni's endings; what has another one, or is a directory, does not count."""
    for name in ("20-b.conflist", "10-a.conf", "05-not.txt", "10-a.conf.bak"):
        value = {**_ONE, "name": name[3]}
        (tmp_path / name).write_text(json.dumps({**value, "plugins": [_ONE]} if name.endswith("conflist") else value))
    (tmp_path / "01.conf").mkdir()

    assert conf.network(tmp_path).name == "a"
    (tmp_path / "10-a.conf").unlink()
    assert conf.network(str(tmp_path)).name == "b"
    (tmp_path / "20-b.conflist").unlink()
    with pytest.raises(ConfigError, match=r"no file in it ends in .conf, .conflist, .json"):
        conf.network(tmp_path)


@pytest.mark.parametrize("ending", [".yaml", ".yml", ".json"])
def test_a_network_attachment_definition_is_a_network(tmp_path, ending):
    """The text in spec.config, one plugin or a list, named after the object unless it names itself."""
    import yaml

    document = yaml.safe_load(_NAD)
    file = tmp_path / f"nad{ending}"
    for config, name, plugins in (
        (document["spec"]["config"], "macvlan-conf", ["macvlan"]),
        (json.dumps({**_ONE, "name": "own"}), "own", ["bridge"]),
        (
            json.dumps({"cniVersion": "1.0.0", "plugins": [_ONE, {"type": "tuning"}]}),
            "macvlan-conf",
            ["bridge", "tuning"],
        ),
    ):
        document["spec"]["config"] = config
        file.write_text(json.dumps(document) if ending == ".json" else yaml.safe_dump(document))
        network = conf.network(file)

        assert (network.name, [plugin["type"] for plugin in network.plugins]) == (name, plugins)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_NAD.partition("spec")[0], "spec.config of macvlan-conf is missing"),
        (_NAD.replace('"type"', "type"), "spec.config of macvlan-conf:1:25: is not JSON"),
        ("kind: Pod\n", "has no NetworkAttachmentDefinition"),
        (f"{_NAD}---\n{_NAD}", "has 2 NetworkAttachmentDefinitions; one is wanted"),
        ("a: b: c", ":1:5: not YAML: a ':' cannot stand here; check the indentation or quote the text"),
    ],
)
def test_a_manifest_that_is_none_is_reported(tmp_path, text, said):
    """What is missing or wrong is said in one line with the file's name."""
    file = tmp_path / "nad.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        conf.network(file)

    assert str(caught.value).startswith(f"{file}:")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.topology("bridge-walkthrough")
def test_a_del_may_fail(lab, tmp_path):
    """With ``may_fail`` the error is returned and the attachment is no more ours; without, it is raised and stays."""
    ScriptedPlugin.install(tmp_path, "breaks-on-del", {"DEL": {"error": {"code": 100, "msg": "not today"}}})
    runtime = Runtime(lab, [str(tmp_path)])
    attachment = runtime.add(lab.host("node").sandbox("c"), {**_ONE, "name": "n", "type": "breaks-on-del"})

    with pytest.raises(PluginError, match="not today"):
        runtime.delete(attachment)
    assert runtime.attachments == [attachment]

    error = runtime.delete(attachment, may_fail=True)

    assert isinstance(error, PluginError)
    assert "not today" in str(error)
    assert runtime.attachments == []


def test_run_takes_a_directory_and_a_manifest(tmp_path):
    """``cnitest run PATH`` holds the plugin of either to the specification, and says which file it took."""
    from cnitest.conformance.discover.examine import source

    (tmp_path / "10-a.conf").write_text(json.dumps({**_ONE, "name": "a"}))
    (tmp_path / "nad.yaml").write_text(_NAD)

    assert source(tmp_path).network.name == "a"
    assert source(tmp_path / "nad.yaml").network.name == "macvlan-conf"
