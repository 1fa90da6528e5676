"""The command ``cnitest``: what a person types, what comes back, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest import cli
from cnitest.cli import commands, run
from cnitest.cli.commands import _parser
from cnitest.cli.doctor import examine
from cnitest.cni.calls.invoke import search_path
from cnitest.kernel import features
from cnitest.topology import find

#: Where the packages are found without an environment.
ROOT = Path(commands.__file__).parents[2]


def cnitest(*arguments, cwd=None, **environment):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cnitest.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip


def test_version_is_said():
    """`cnitest --version` names the version and exits with 0; only it looks the version up."""
    looked_up = "import sys, cnitest.cli.commands as c; c._parser('draw'); print('importlib.metadata' in sys.modules)"

    done = cnitest("--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"cnitest (\d+\.\d+.*|not installed)\n", done.stdout)
    assert (
        subprocess.run([sys.executable, "-S", "-c", looked_up], capture_output=True, text=True, cwd=ROOT).stdout
        == "False\n"
    )


def test_doctor_finds_a_machine_that_can_do_the_main_job():
    """Here everything needed is there: exit 0, every finding with a detail or a word, and the same as data."""
    text, data = cnitest("doctor"), cnitest("doctor", "--json")
    document = json.loads(data.stdout)

    assert (text.returncode, data.returncode) == (0, 0)
    assert "Ready." in text.stdout
    assert document["healthy"]
    assert {finding["group"] for finding in document["findings"]} == {
        "privileges",
        "kernel",
        "programs",
        "plugins",
        "guests",
    }


def test_doctor_lists_everything_that_is_missing_at_once(tmp_path):
    """Without plugins it is not ready: exit 1, all of them by name; programs are sought where a host would."""
    done = cnitest("doctor", "--cni-path", str(tmp_path), PATH=str(tmp_path))

    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Not ready; missing: ")
    assert all(name in last for name in ("bridge", "host-local", "macvlan", "portmap"))


def test_doctor_says_where_a_plugin_comes_from(tmp_path):
    """The remedy for a plugin that Debian's package lacks is not that package."""
    remedies = {finding.name: finding.remedy for finding in examine((str(tmp_path),)) if finding.group == "plugins"}

    assert remedies["bridge"].startswith("install containernetworking-plugins")
    assert all(remedies[name].startswith("Debian's package lacks it") for name in ("dummy", "flannel", "tap"))


def test_doctor_tries_rather_than_reads():
    """What the doctor says of a kind of link is what making one says."""
    said = {finding.name: finding.present for finding in examine(search_path([])) if finding.group == "kernel"}

    assert {name: features.kernel(name).present for name in features.names()} == {
        name: said[name] for name in features.names()
    }


def test_draw_prints_the_picture():
    """A shipped name and its file draw the same picture, with every host in it."""
    by_name, by_path = cnitest("draw", "bridge-walkthrough"), cnitest("draw", str(find("bridge-walkthrough")))

    assert by_name.returncode == 0
    assert by_name.stdout == by_path.stdout
    assert all(word in by_name.stdout for word in ("─ node ─", "─ ns01 ─", "br01", "ens33", "8.8.8.8/32"))


def test_draw_makes_do_with_ascii():
    """Where the output takes nothing but ASCII the picture is drawn with it."""
    done = cnitest("draw", "macvlan-modes-lan", PYTHONIOENCODING="ascii")

    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "+- node -" in done.stdout


def test_plan_prints_the_steps():
    """The plan names each namespace and each step, in the words of ip(8)."""
    lines = cnitest("plan", "bridge-walkthrough").stdout.splitlines()

    assert lines[0] == "node: make"
    assert "node: ip link add veth01 type veth peer eth01 in node/ns01" in lines


def test_schema_is_json_for_editors():
    """The schema is a JSON document about topologies."""
    assert json.loads(cnitest("schema").stdout)["title"] == "cnitest topology"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "--suite", "walkthrogh"],
            "there is no suite 'walkthrogh'; there are: conformance, fuzz, plugins, regressions, walkthrough. "
            "Did you mean 'walkthrough'?",
        ),
        (["run", "missing.conflist"], "missing.conflist: cannot be read: No such file or directory"),
        (["run", "bad.conf"], "bad.conf:1:13: is not JSON"),
        (["run", "nameless.conf"], "nameless.conf: has no 'name'"),
        (["run", "versionless.conf"], "versionless.conf: 'cniVersion' '9.9.9' is none of"),
        (["run", "deep.conf"], "deep.conf: is nested too deeply"),
        (["run", "lost.conflist"], "lost.conflist:1:53: failed to find plugin 'no-such-plugin' in path"),
        (["run", "lone.conf"], "lone.conf:1:41: failed to find plugin 'no-such-plugin' in path"),
        (["run", "profile.yaml"], "profile.yaml:1:1: topologie: unknown key. Did you mean 'topology'?"),
        (["run", "--plugin", "brigde"], "there is no profile for a plugin 'brigde'"),
        (
            ["run", "--plugin", "ipvlan"],
            "for a plugin 'ipvlan'; `cnitest run FILE` tries it with a configuration of yours",
        ),
        (["run", "--plugin", "bridge", "--cni-version", "1.9"], "there is no version 1.9 of the specification"),
        (["run", "--profile", "lax"], "argument --profile: invalid choice: 'lax'"),
        (["requirements", "DEL-5"], "there is no requirement 'DEL-5'; did you mean DEL-05? ("),
        (
            ["run", "bridge"],
            "cnitest: bridge: there is no such file, but a plugin: `cnitest run --plugin bridge` tries",
        ),
        (["run", "bridge.exe"], "`cnitest run --plugin bridge` tries it with the configuration that is shipped for it"),
        (
            ["faults", "ptp"],
            "ptp: there is no such file; a network is tried, with each call of its plugins failing once",
        ),
        (["run", "-k", "DEL-01 and"], "cnitest: -k 'DEL-01 and' is no expression: "),
        (["run", "--suite", "walkthrough", "--", "-m", "a or or b"], "cnitest: -m 'a or or b' is no expression: "),
        (["help"], "cnitest: 'help' is no command; `cnitest --help` lists those that there are"),
        (["version"], "cnitest: 'version' is no command; `cnitest --version` says it"),
        (
            ["explain", "node-with-uplink", "c1", "8.8.8.8", "--conf", "list.conf", "--cni-path", "/usr/lib/cni"],
            "node-with-uplink has no place 'c1'; a sandbox that --conf is to make is node/c1",
        ),
        (["run", "--topology", "nowhere"], "no topology is called 'nowhere'"),
        (["run", "--runtime", "cri"], "argument --runtime: invalid choice: 'cri'"),
        (["run", "--suite", "walkthrough", "--runtime", "libcni", "list.conf"], "libcni looks for lists in .conflist"),
        (["draw", "bad.yaml"], "bad.yaml:1:"),
        (["draw"], "the following arguments are required: TOPOLOGY"),
        (["draw", "nope.yaml"], "nope.yaml: no such file"),
        (["rum"], "); did you mean 'run'? (see cnitest --help)"),
        (["run", "--profile", "referense"], "); did you mean 'reference'? (see cnitest run --help)"),
        (["run", "--topolgy", "x"], "arguments: --topolgy; did you mean '--topology'? (see cnitest run --help)"),
        (["explain", "x", "y", "z", "--prboe"], "unrecognized arguments: --prboe (see cnitest explain --help)"),
        (["--junk"], "arguments"),
        (["run", "-n", "many"], "-n 'many': wants a number of workers, or auto"),
        (["explain", "node-with-uplink", "node", "8.8.8.888"], "'8.8.8.888' is neither an IP address nor a place; "),
        (["explain", "node-with-uplink", "node", "2001::g::1"], "has no place '2001::g::1'"),
        (["explain", "node-with-uplink", "node", "2001:::1"], "'2001:::1' is neither an IP address nor a place; "),
        (["explain", "node-with-uplink", "node/c1", "8.8.8.8"], "node has no sandbox 'c1'; --conf FILE makes one"),
        (["explain", "bridge-walkthrough", "ns1", "nsx"], "cnitest: bridge-walkthrough has no place 'ns1'"),
        (["draw", "."], "cnitest: .: is a directory; name a file in it"),
        (["reach", "node-with-uplink", "--probe", "imcp"], "cnitest: --probe 'imcp' is no probe"),
        (["reach", "node-with-uplink", "--from", "nod*"], "probe: from node to node; name others"),
        (
            ["explain", "node-with-uplink", "node", "8.8.8.8", "--after", "node: iptabels -L"],
            "node: iptabels cannot be started: no program 'iptabels' in PATH",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_exit_4(tmp_path, arguments, words):
    """A name, file or option that makes no sense is answered in a line, without a traceback, and nothing is run."""
    (tmp_path / "bad.conf").write_text('{"name": "x"')
    (tmp_path / "list.conf").write_text('{"name": "x", "plugins": [{"type": "bridge"}]}')
    (tmp_path / "bad.yaml").write_text("hosts: [}\n")
    (tmp_path / "nameless.conf").write_text('{"cniVersion": "1.0.0", "type": "bridge"}')
    (tmp_path / "versionless.conf").write_text('{"cniVersion": "9.9.9", "name": "x", "type": "bridge"}')
    (tmp_path / "deep.conf").write_text('{"name": "x", "type": "bridge", "y": ' + "[" * 500_000 + "]" * 500_000 + "}")
    plugins = '[{"type":"no-such-plugin"}]'
    (tmp_path / "lost.conflist").write_text('{"cniVersion":"1.0.0","name":"x","plugins":' + plugins + "}")
    (tmp_path / "lone.conf").write_text('{"cniVersion":"1.0.0","name":"x","type":"no-such-plugin"}')
    (tmp_path / "profile.yaml").write_text("topologie: x\nconf: {cniVersion: 1.0.0, name: x, type: bridge}\n")
    done = cnitest(*arguments, cwd=tmp_path)

    assert done.returncode == 4
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_run_tries_the_given_network(tmp_path):
    """A configuration of one's own is run from anywhere, and pytest's exit code comes back; no file is left."""
    (tmp_path / "mine.conf").write_text(json.dumps({
        "cniVersion": "0.4.0", "name": "mine", "type": "ptp", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
    }))  # fmt: skip
    passed = cnitest("run", "--suite", "walkthrough", "mine.conf", "-k", "given and gateway", cwd=tmp_path)
    nothing = cnitest("run", "-k", "no_such_test", cwd=tmp_path)

    assert passed.returncode == 0, passed.stdout
    assert "test_containers_reach_their_gateway[mine]" in cnitest(
        *("run", "--suite", "walkthrough", "mine.conf", "-k", "given and gateway", "--", "--collect-only", "-q"),
        cwd=tmp_path,
    ).stdout.replace("\n", " ")
    assert nothing.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert [path.name for path in tmp_path.iterdir()] == ["mine.conf"]


def test_run_needs_no_plugin_to_load_itself(tmp_path):
    """Where pytest is told to load no plugin by itself, a run has ours and that of its workers all the same."""
    done = cnitest("run", "--", "--collect-only", "-q", cwd=tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert (done.returncode, done.stderr) == (0, "")
    assert "test_bridge_by_hand.py" in done.stdout


def test_run_hands_the_mode_of_the_runtime_on():
    """What --runtime says reaches pytest, and without it that is the specification's."""
    arguments = {mode: _parser("run")[0].parse_args(["run", *mode]) for mode in ((), ("--runtime", "libcni"))}
    for parsed in arguments.values():
        parsed.rest = []
    given = {mode: run.pytest_arguments(parsed) for mode, parsed in arguments.items()}

    assert arguments[()].cni_runtime == "spec"
    assert "--cni-runtime" not in given[()]
    assert "--cni-runtime libcni" in " ".join(given["--runtime", "libcni"])


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    """Where a command has nothing to tell after Ctrl-C, that it was interrupted is said, with pytest's code for it."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "main", interrupted)

    assert cli.main(["doctor"]) == pytest.ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "cnitest: interrupted\n"


def test_a_working_directory_that_is_gone_is_one_line(tmp_path):
    """Removed by others while somebody is in it."""
    gone = f'mkdir gone && cd gone && rmdir "$PWD" && exec {sys.executable} -m cnitest.cli run'

    done = subprocess.run(["sh", "-c", gone], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 4
    assert done.stderr.startswith("cnitest: the working directory cannot be used (No such file or directory)")
    assert done.stderr.count("\n") == 1
