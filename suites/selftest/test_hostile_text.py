"""What plugins print, through every interface: seen by a person, never obeyed by a terminal, and not for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cnitest.suites.selftest.plugins import script
from cnitest.suites.selftest.unit.test_text import HOSTILE, is_seen

from cnitest import Lab
from cnitest.cni.runtime import Runtime
from cnitest.errors import PluginError
from cnitest.report import failure_report
from cnitest.testing import ScriptedPlugin
from cnitest.topology import Host, Topology

ALL = " ".join(HOSTILE.values()) + "\n\t= FORGED LINE =\n$(touch /tmp/cnitest-hostile)\n'; touch /tmp/cnitest-hostile #"
LONG = "m" * 1_000_000
MOST = 400_000
TEST = """
def test_it(cni, network):
    cni.add(cni.lab.host("node").sandbox("c1"), network)
"""


@pytest.fixture
def lab():
    """One host with one container."""
    with Lab(Topology(name="t", hosts={"node": Host()})) as lab:
        lab.host("node").sandbox("c1")
        lab.remember()
        yield lab


def conf(**more) -> dict:
    """A network of the hostile plugin."""
    return {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "hostile", **more}]}


@pytest.mark.parametrize("hostile", [*HOSTILE.values(), LONG], ids=[*HOSTILE, "a megabyte"])
@pytest.mark.parametrize(
    "reply",
    [
        lambda words: {"error": {"code": 7, "msg": words, "details": words}},
        lambda words: {"error": {"code": 7, "msg": "no", "details": words}, "stderr": words.replace("\ud800", "")},
        lambda words: {"stdout": words.replace("\ud800", ""), "exit": 1},
        lambda words: {"stdout": words.replace("\ud800", "")},
        lambda words: {"stderr": words.replace("\ud800", ""), "exit": 3},
        lambda words: {"result": {"interfaces": [{"name": words}], "ips": [{"address": words}]}},
    ],
    ids=["message", "details", "stdout", "nonsense", "stderr", "result"],
)
def test_errors_and_stories_show_it(lab, tmp_path, reply, hostile):
    """Of a plugin that says it anywhere: the error, the call, the whole story of a failed test."""
    plugin = ScriptedPlugin.install(tmp_path, "hostile")
    plugin.program({"ADD": [reply(hostile)]})
    cni = Runtime(lab, [str(tmp_path)])
    said = "no error"
    try:
        cni.add(lab.sandbox("c1"), conf())
    except PluginError as error:
        said = "\n".join([str(error), *getattr(error, "__notes__", ())])

    shown = [said, *(call.story() for call in cni.calls), *(words for _, words in failure_report.sections(lab))]

    assert all(map(is_seen, shown))
    assert max(map(len, shown)) < 20_000


def test_a_link_of_a_hostile_name_is_drawn_and_reported(lab):
    """In the picture and among the changes; the kernel takes almost any name."""
    sandbox = lab.sandbox("c1")
    sandbox.run(["ip", "link", "add", "e\x1b[7m\u202e", "type", "bridge"])

    shown = [
        failure_report.picture(lab),
        failure_report.changes(lab),
        *(words for _, words in failure_report.sections(lab)),
    ]

    assert "e\\x1b[7m\\u202e" in shown[0]
    assert all(map(is_seen, [shown[0], *shown[2:]]))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a plugin that prints what no terminal should get, in everything that it says."""
    place = tmp_path_factory.mktemp("hostile")
    error = json.dumps({"cniVersion": "1.0.0", "code": 100, "msg": ALL, "details": ALL + LONG})
    result = {"cniVersion": "1.0.0", "interfaces": [{"name": ALL, "sandbox": "/x" + ALL}], "ips": [{"address": "10.9.9.9/24"}]}  # noqa: E501  # fmt: skip
    (place / "error").write_text(error)
    (place / "result").write_text(json.dumps(result))
    (place / "words").write_text(ALL.replace("\ud800", "") + LONG)
    body = f"""cat {place}/words >&2
case $CNI_COMMAND in
  VERSION) echo '{{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}}' ;;
  ADD) cat {place}/result ;;
  DEL) cat {place}/words; exit 1 ;;
  "") cat {place}/words ;;
  *) cat {place}/error; exit 1 ;;
esac"""
    script(place / "bin", "hostile", body)
    (place / "net.conflist").write_text(json.dumps(conf()))
    (place / "test_it.py").write_text(TEST)
    return place


def call(place: Path, *command: str) -> str:
    """All that a command prints."""
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, check=False, cwd=place, timeout=240)
    return (done.stdout + done.stderr).decode()


class TestFaces:
    """Each interface, over that plugin."""

    def test_conformance(self, place):
        """Terminal, JUnit, JSON, scripts and what these print: nothing raw, nothing run, nothing for ever."""
        mark = Path("/tmp/cnitest-hostile")
        mark.unlink(missing_ok=True)
        said = call(place, "cnitest.cli", "run", "net.conflist", "--cni-path", "bin", "-n", "2", "--repro", "scripts",
                    "--json", "run.json", "-k", "test_del or test_version or test_the_result", "--",
                    "--junitxml=junit.xml")  # fmt: skip
        scripts = sorted((place / "scripts").glob("*.sh"))
        ran = [subprocess.run(["bash", path], capture_output=True, check=False).stdout.decode() for path in scripts[:6]]

        assert "1.0.0" in said
        assert is_seen(said)
        assert len(said) < MOST
        assert is_seen((place / "junit.xml").read_text())
        assert (place / "run.json").read_text().isascii()
        assert scripts
        assert all(is_seen(path.read_text().replace("\t", "")) for path in scripts)
        assert all(is_seen(words.replace("\t", "")) for words in ran)
        assert not mark.exists()
        assert "FORGED" not in [line.strip(" =") for line in said.splitlines()]

    def test_pytest(self, place):
        """The story of a failed test, its summary, and JUnit."""
        said = call(place, "pytest", "-p", "no:cacheprovider", "-rA", "--cni-path", "bin", "--cni-conf", "net.conflist",
                    "--junitxml=own.xml", "test_it.py")  # fmt: skip

        assert "hostile ADD" in said
        assert is_seen(said)
        assert len(said) < MOST
        assert is_seen((place / "own.xml").read_text())

    def test_fuzz(self, place):
        """What is reported, and the findings as files."""
        said = call(place, "cnitest.cli", "fuzz", "net.conflist", "--cni-path", "bin", "--examples", "6", "-n", "1",
                    "--seed", "1", "--only", "sequences", "--out", "found", "--database", "kept")  # fmt: skip
        files = [path for path in (place / "found").rglob("*") if path.is_file()]

        assert "FOUND" in said
        assert is_seen(said)
        assert len(said) < MOST
        assert files
        assert all(is_seen(path.read_text().replace("\t", "")) for path in files)
        assert all(compile(path.read_text(), path.name, "exec") for path in files if path.suffix == ".py")

    def test_faults(self, place):
        """The table."""
        said = call(place, "cnitest.cli", "faults", "net.conflist", "--cni-path", "bin", "--calls", "1-2", "-n", "1")

        assert is_seen(said)
        assert len(said) < MOST

    def test_what_a_person_typed(self, tmp_path):
        """A topology with a name that no terminal should get, an option, a configuration."""
        (tmp_path / "t.yaml").write_text('name: "a\\e[31m\\u202e"\nhosts: {"h\\e[1m": {}}\n')
        (tmp_path / "n.conf").write_text(
            '{"cniVersion": "1.0.0\\u001b[1m", "name": "n\\u202e", "type": "\\u001b[1m/x"}'
        )

        for arguments in (["draw", "t.yaml"], ["plan", "t.yaml"], ["run", "n.conf"], ["draw", "x\x1b[1m\u202e"],
                          ["fuzz", "\x1b[1mx"], ["run", "\x1b[1m\u202e.conf"], ["run", "--\x1b[1m"]):  # fmt: skip
            assert is_seen(call(tmp_path, "cnitest.cli", *arguments)), arguments
