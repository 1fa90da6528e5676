"""What is known of plugins: one file each, read with positions, and no plugin's name anywhere else."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_strategies import draws
from hypothesis import given

from cnitest.cni.conf import network
from cnitest.conformance.model import profile, spelling
from cnitest.conformance.model.capacity import capacity
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject, from_data, to_data
from cnitest.errors import ConfigError
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.search import networks
from cnitest.fuzz.search.settings import FuzzSettings
from cnitest.plugins import files
from cnitest.plugins.knowledge import Plugin

CNITEST = Path(__file__).resolve().parents[3] / "cnitest"
BELOW = ("kernel", "topology", "lab", "explain")
"""Packages that know no plugin: what is called alike there are kinds of links, and words of ip(8)."""

ELSEWHERE = {
    "cli/doctor/inventory.py": {"bridge", "macvlan"},  # features of the kernel
    "cni/runtime.py": {"dummy"},  # what libcni passes with VERSION
    "cni/spec.py": {"bandwidth"},  # a capability, here and below
    "conformance/bench/provision.py": {"bandwidth"},
    "conformance/bench/request.py": {"bridge"},  # a key, here and below
    "conformance/checks/attachments/delete.py": {"bridge"},
    "conformance/discover/start_endings.py": {"bridge"},
    "conformance/observe/capability.py": {"bandwidth"},
    "conformance/observe/limits.py": {"bandwidth"},
    "conformance/observe/connections.py": {"tap"},  # a kind of link, here and below
    "conformance/observe/substitute.py": {"bridge"},
    "conformance/repro/topology.py": {"bridge"},  # the program bridge(8)
    "fuzz/generate/configs.py": {"bandwidth"},
    "fuzz/generate/topologies.py": {"bridge", "loopback"},  # keys of a topology
    "fuzz/oracles/effects_main.py": {"bridge"},  # a mode of macvlan
    "fuzz/oracles/effects_meta.py": {"bandwidth"},
    "fuzz/search/networks.py": {"bridge"},
}
"""Words that are something else there than a plugin's name, besides those that `other_words` knows."""

MINE = """\
about: A wire of our own
family: interface
ipam: fixed
always: [uplink]
gateway: [route]
devices: [uplink]
keys:
  uplink: {valid: [up0]}
  route: {type: boolean}
  size: {type: number, valid: [1400], boundary: [68], invalid: [-1], needs: route}
"""


# --- the shipped files


@pytest.mark.parametrize("name", files.names())
def test_every_file_loads(name: str):
    """Each shipped file is well-formed, and its plugin is one that can be drawn where its keys are known."""
    plugin = files.known(name)

    assert (plugin.name, bool(plugin.about)) == (name, True)
    assert all(key.valid or key.boundary or key.invalid for key in plugin.all_keys.values())
    assert all(plugin.all_keys[each].valid for each in plugin.always)
    assert plugin.before in ("", *files.names())
    assert plugin.pool in ("", *files.names())


@pytest.mark.parametrize("name", files.names())
def test_every_value_is_on_one_side(name: str):
    """No value is valid and at an edge, or valid and to be rejected."""
    for key in files.known(name).all_keys.values():
        sides = [text for values in (key.valid, key.boundary, key.wrong) for text in set(map(json.dumps, values))]
        assert len(sides) == len(set(sides)), key.name


def test_of_a_stranger_nothing_is_known():
    """A plugin without a file can be asked about like any other."""
    assert files.find("brigde") is None
    assert files.known("brigde") == Plugin(name="brigde", family="interface")


# --- malformed files


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", "1:1", "the file is empty; what is known of a plugin needs at least 'family'"),
        ("[]", "1:1", "expected a mapping with 'name', 'about', 'family'"),
        ("about: x", "1:1", "family: is missing (expected one of 'interface', 'meta', 'ipam')"),
        ("family: metta", "1:9", "family: 'metta' is not one of 'interface', 'meta', 'ipam'. Did you mean 'meta'?"),
        ("family: meta\nipma: none", "2:1", "ipma: unknown key. Did you mean 'ipam'?"),
        ("family: meta\nipam: sometimes", "2:7", "ipam: 'sometimes' is not one of 'none', 'required'"),
        ("family: meta\nalways: master", "2:9", "always: expected a list, not 'master'. Did you mean ['master']?"),
        ("family: meta\nkeys: [a]", "2:7", "keys: expected a mapping of names, not a list"),
        ("family: meta\nkeys: {mtu: 7}", "2:13", "keys.mtu: expected a mapping with 'type', 'valid'"),
        ("family: meta\nkeys: {mtu: {type: numbr}}", "2:20", "Did you mean 'number'?"),
        ("family: meta\nkeys:\n  mtu: {vaild: [1]}", "3:9", "keys.mtu.vaild: unknown key. Did you mean 'valid'?"),
        ("family: meta\nkeys: {mtu: {type: number, valid: 1500}}", "2:35", "expected a list, not '1500'"),
        (
            "family: meta\nkeys: {mtu: {type: number, valid: [1], invalid: [1]}}",
            "2:28",
            "keys.mtu.valid: 1 is both valid and invalid",
        ),
        (
            "family: meta\nkeys: {mtu: {type: number, valid: ['1500']}}",
            "2:28",
            "'1500' is both valid and invalid, which is no number",
        ),
        ("family: meta\nkeys: {mtu: {together: [mtv]}}", "2:14", "'mtv' is no key of it. Did you mean 'mtu'?"),
        ("family: meta\nkeys: {mtu: {needs: mtv}}", "2:21", "keys.mtu.needs: 'mtv' is no key of it"),
        ("family: meta\nalways: [mtu]\nkeys: {}", "2:1", "always: 'mtu' is no key of it"),
        ("family: meta\nmain_job: ja", "2:11", "main_job: 'ja' is not true or false"),
        ("family: {", "1:10", "not YAML"),
    ],
)
def test_a_malformed_file_is_reported(tmp_path: Path, text: str, place: str, why: str):
    """What is wrong with a file is one line with the file, where it stands, the key, and what to write."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        files.load(str(file))

    words = str(caught.value)
    assert len(words.splitlines()) == 1
    assert words.startswith(f"{file}:{place}: ")
    assert why in words


def test_every_fault_is_reported_at_once(tmp_path: Path):
    """A file with several faults has a line for each, in the order of the file."""
    file = tmp_path / "mine.yaml"
    file.write_text("family: metta\nipma: none\nkeys: {mtu: {needs: mtv}}\n")

    with pytest.raises(ConfigError) as caught:
        files.load(str(file))

    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["1", "2", "3"]


# --- a file that somebody hands in


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A profile that names a file beside it, in another directory than ours."""
    (tmp_path / "about").mkdir()
    (tmp_path / "about" / "mine.yaml").write_text(MINE)
    file = tmp_path / "cnitest.yaml"
    file.write_text("conf: {cniVersion: 1.0.0, name: n, type: mine, uplink: up0}\nknowledge: about/mine.yaml\n")
    return file


def subject(file: Path, conf: dict[str, object]) -> Subject:
    """A subject that has the setting of a profile."""
    setting = profile.load(file).setting
    return Subject(
        "mine", "mine", Kind.INTERFACE, "n", {"type": "mine", **conf}, (), (), ("1.0.0",), (), "x", setting=setting
    )


def test_a_profile_hands_in_what_is_known_of_its_plugin(mine: Path):
    """The file counts from the profile's directory, is about its plugin alone, and reaches other processes."""
    one = subject(mine, {})

    assert one.known("mine").gateway == ("route",)
    assert one.known("bridge") == files.known("bridge")
    assert from_data(json.loads(json.dumps(to_data([one]))))[0].known("mine") == one.known("mine")


def test_a_file_may_be_about_a_plugin_that_we_know(mine: Path):
    """What is handed in counts instead of what is shipped, as a whole."""
    (mine.parent / "about" / "mine.yaml").write_text("name: bridge\nfamily: interface\n")
    files.load.cache_clear()

    assert subject(mine, {}).known("bridge").keys is None
    assert files.known("bridge").keys


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("about/mien.yaml", "did you mean"),
        ("about/bad.yaml", "bad.yaml:2:1: ipma: unknown key. Did you mean 'ipam'?"),
        ("[a]", "knowledge: expected text"),
    ],
)
def test_faults_of_that_file_are_the_profiles(mine: Path, given: str, why: str):
    """A profile whose file is not there, or malformed, is reported with all else that is wrong with it."""
    (mine.parent / "about" / "bad.yaml").write_text("family: meta\nipma: none\n")
    mine.write_text(f"conf: {{cniVersion: 1.0.0, name: n, type: mine}}\nknowledge: {given}\nnmae: x\n")

    with pytest.raises(ConfigError) as caught:
        profile.load(mine)

    assert why in str(caught.value)
    assert "nmae: unknown key. Did you mean 'name'?" in str(caught.value)


def test_its_words_are_known_in_configurations(mine: Path):
    """A misspelt key of a plugin that a profile's file describes is warned about."""
    conf = network({"cniVersion": "1.0.0", "name": "n", "type": "mine", "uplnik": "up0"})

    reported = spelling.warnings(conf, (), profile.load(mine).setting.knowledge)

    assert reported == ["mine has no key 'uplnik', and ignores it; did you mean 'uplink'?"]
    assert spelling.warnings(conf) == []


def test_its_one_device_has_room_for_one_container(mine: Path):
    """A device of the host that a plugin moves is moved once, whoever's plugin it is."""
    assert capacity(subject(mine, {"uplink": "up0"})) == 1
    assert capacity(subject(mine, {"uplink": "up-{container}"})) > 1


def test_its_configurations_are_drawn(mine: Path):
    """Fuzzing draws valid, boundary and invalid configurations of a plugin that a profile's file describes."""
    settings = FuzzSettings(subject(mine, {"uplink": "up0"}), ("configs",), 1, 1.0, release="9.9.9")
    seen: set[str] = set()

    @draws
    @given(networks.drawn(settings, "valid"))
    def every(example: Example) -> None:
        conf = example.plugins[-1]
        seen.update(conf)
        assert conf["uplink"] == "up0"
        assert conf.get("size", 1400) == 1400
        assert "size" not in conf or "route" in conf

    assert networks.is_known(settings)
    assert not networks.is_known(FuzzSettings(Subject(**{**vars(settings.subject), "setting": Setting()}), (), 1, 1.0))
    every()
    assert {"uplink", "route", "size"} <= seen


def test_the_documented_file_is_one(tmp_path: Path):
    """The example of the guide is well-formed, and about an interface plugin."""
    guide = (CNITEST.parent / "docs" / "conformance.md").read_text()
    file = tmp_path / "myplugin.yaml"
    file.write_text(guide.partition("<!-- file: myplugin.yaml -->\n```yaml\n")[2].partition("```")[0])

    assert (files.load(str(file)).name, files.load(str(file)).gateway) == ("myplugin", ("isGateway",))


# --- nowhere else


def named(source: str) -> Iterator[tuple[int, str]]:
    """The plugins' names that are quoted in a module, with their lines; what is something else there is left out."""
    tree = ast.parse(source)
    others = {id(each) for node in ast.walk(tree) for each in other_words(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in files.names() and id(node) not in others:
            yield node.lineno, str(node.value)


def other_words(node: ast.AST) -> Iterator[ast.expr]:
    """Registrations by a decorator, kinds of links that are compared, keys that are looked up in a configuration."""
    match node:
        case ast.FunctionDef(decorator_list=decorators):
            yield from (each for call in decorators if isinstance(call, ast.Call) for each in call.args)
        case ast.Compare(left=ast.Attribute(attr="kind") | ast.Name(id="kind"), comparators=others):
            yield from (each for other in others for each in getattr(other, "elts", [other]))
        case ast.Call(func=ast.Attribute(attr="get"), args=[key, *_]):
            yield key
        case ast.Subscript(slice=key):
            yield key
        case ast.Dict(keys=keys) if any(getattr(key, "value", None) == "type" for key in keys):
            yield from (key for key in keys if key)


def quoted(root: Path) -> list[str]:
    """Each plugin's name that a module quotes and may not, as ``file:line: name``."""
    found = []
    for path in sorted(root.rglob("*.py")):
        file = str(path.relative_to(root))
        if not file.startswith((*(f"{package}/" for package in BELOW), "plugins/")):
            words = ELSEWHERE.get(file, set())
            found += [f"{file}:{line}: {name}" for line, name in named(path.read_text()) if name not in words]
    return found


def test_no_module_names_a_plugin():
    """What is known of a plugin stands in its file; a module asks for a property, never for a name."""
    assert quoted(CNITEST) == []


def test_a_name_would_be_seen(tmp_path: Path):
    """A name in a table, a comparison or a default is reported; a registration, and what a file says for us, is not."""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "a.py").write_text("KINDS = ('bridge',)\n")
    (tmp_path / "b.py").write_text(
        "KEYS = {'portmap': 1}\n\n@effect('sbr')\ndef one(name='host-local'):\n    return name == 'static'\n\n"
        "two = link.kind in ('veth', 'bridge') or conf.get('vlan') or conf['bridge']\n"
    )

    assert quoted(tmp_path) == ["b.py:1: portmap", "b.py:4: host-local", "b.py:5: static"]
