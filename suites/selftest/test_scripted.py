"""The scripted plugin does what its script says."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from cnitest.suites.selftest.plugins import REQUEST, call, printed

from cnitest import ConfigError
from cnitest.cni import spec
from cnitest.testing import Reply, ScriptedPlugin

ADD = {"CNI_COMMAND": "ADD"}
PREVIOUS = {"cniVersion": "1.0.0", "interfaces": [], "ips": [{"address": "192.0.2.9/24"}]}


@pytest.fixture
def plugin(tmp_path):
    """One called ``one`` without a script."""
    return ScriptedPlugin.install(tmp_path / "bin", "one")


class TestWithoutAScript:
    """A well-behaved plugin that does nothing."""

    @pytest.mark.parametrize("version", spec.VERSIONS)
    def test_add_prints_an_empty_result(self, plugin, version):
        """ADD succeeds with a result of the requested version that holds nothing."""
        done = call(plugin, request={**REQUEST, "cniVersion": version})

        assert done.returncode == 0
        assert printed(done).pop("cniVersion") == version
        assert not any(value for key, value in printed(done).items() if key != "cniVersion")

    def test_add_passes_the_previous_result_on(self, plugin):
        """ADD in a chain prints the prevResult."""
        done = call(plugin, request={**REQUEST, "prevResult": PREVIOUS})

        assert printed(done) == PREVIOUS

    @pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
    def test_other_commands_are_silent(self, plugin, command):
        """DEL, CHECK, GC and STATUS succeed and print nothing."""
        done = call(plugin, command)

        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_version_answers_all_versions(self, plugin):
        """VERSION names every version of the specification."""
        done = call(plugin, "VERSION", {"cniVersion": "0.4.0"})

        assert printed(done) == {"cniVersion": "0.4.0", "supportedVersions": list(spec.VERSIONS)}

    @pytest.mark.parametrize(
        ("command", "request_", "code"), [("FOO", {}, 4), ("ADD", "{", 6), ("ADD", "[]", 6), ("DEL", "[" * 100_000, 6)]
    )
    def test_nonsense_is_rejected(self, plugin, command, request_, code):
        """An unknown command is code 4 and stdin that is no object code 6, as the specification has it."""
        done = call(plugin, command, request_)

        assert done.returncode == 1
        assert printed(done)["code"] == code


class TestReplies:
    """Each key of a reply does what it promises."""

    @pytest.mark.parametrize(
        ("reply", "stdout", "code"),
        [
            ({"result": {"ips": []}}, b'{"cniVersion": "1.0.0", "ips": []}\n', 0),
            ({"result": {"cniVersion": "9.9.9"}}, b'{"cniVersion": "9.9.9"}\n', 0),
            ({"result": {"ips": []}, "label": False}, b'{"ips": []}\n', 0),
            ({"error": {"code": 11, "msg": "later"}}, b'{"cniVersion": "1.0.0", "code": 11, "msg": "later"}\n', 1),
            ({"error": {"code": 7}, "exit": 3, "label": False}, b'{"code": 7}\n', 3),
            ({"stdout": ""}, b"", 0),
            ({"stdout": "{} {", "exit": 2}, b"{} {", 2),
            ({"stdout_base64": "//4="}, b"\xff\xfe", 0),
            ({"exit": 3}, b"", 3),
            ({"signal": 9}, b"", -9),
            ({"signal": 2, "stdout": "half"}, b"half", -2),
            ({"signal": signal.SIGPIPE}, b"", -signal.SIGPIPE),
            ({"flood": 200_000}, b"x" * 200_000, 0),
            (Reply(stdout="a", flood=2), b"axx", 0),
        ],
        ids=str,
    )
    def test_what_is_printed_and_how_it_ends(self, plugin, reply, stdout, code):
        """stdout is the reply's byte for byte, and the exit code or signal too."""
        plugin.program({"ADD": reply})

        done = call(plugin)

        assert (done.stdout, done.returncode) == (stdout, code)

    def test_stderr_is_free(self, plugin):
        """Text on stderr changes nothing about the answer."""
        plugin.program({"ADD": {"stderr": "a warning\n"}})

        done = call(plugin)

        assert done.stderr == b"a warning\n"
        assert printed(done)["ips"] == []

    def test_a_reply_may_be_late(self, plugin):
        """``delay`` is waited for before the answer."""
        plugin.program({"ADD": {"delay": 0.3}})
        began = time.monotonic()

        done = call(plugin)

        assert time.monotonic() - began >= 0.3
        assert printed(done)["ips"] == []

    def test_one_that_hangs_says_its_words_first(self, plugin):
        """``hang`` never ends; what the reply prints is there, and so is the record, without an exit code."""
        plugin.program({"ADD": {"hang": True, "stderr": "begun"}})

        with subprocess.Popen([plugin.path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ADD) as running:
            said = running.stderr.read(5)
            ended = running.poll()
            running.kill()

        assert (said, ended) == (b"begun", None)
        assert [(record.command, record.exit_code) for record in plugin.records()] == [("ADD", None)]

    def test_a_child_stays_with_our_stdout(self, plugin):
        """``background``: the plugin ends at once, its stdout is open until the child has ended."""
        plugin.program({"ADD": {"background": 1.5}})
        began = time.monotonic()
        with subprocess.Popen([plugin.path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ADD) as running:
            running.wait()
            ended = time.monotonic() - began
            running.stdout.read()

        assert ended < 1.5 <= time.monotonic() - began

    def test_prev_result_is_passed_on(self, plugin):
        """``prev_result`` prints it for any command, and is an error where there is none."""
        plugin.program({"*": {"prev_result": True}})

        assert printed(call(plugin, "CHECK", {**REQUEST, "prevResult": PREVIOUS})) == PREVIOUS
        assert printed(call(plugin, "CHECK"))["msg"] == "prev_result: the request has no prevResult"

    def test_versions_are_what_version_answers(self, plugin):
        """``versions`` replaces the list."""
        plugin.program({"VERSION": {"versions": ["0.4.0"]}})

        assert printed(call(plugin, "VERSION"))["supportedVersions"] == ["0.4.0"]

    def test_commands_are_run_first(self, plugin, tmp_path):
        """``run`` runs each command; one that fails is an error document with its words, and ends the row."""
        touch = [["touch", str(tmp_path / "first")], ["ls", "/no/such"], ["touch", str(tmp_path / "third")]]
        plugin.program({"ADD": {"run": touch}, "DEL": {"run": [["no-such-program"]]}})

        failed, absent = call(plugin), call(plugin, "DEL")

        assert (failed.returncode, absent.returncode) == (1, 1)
        assert printed(failed)["msg"] == "run: ls /no/such: exit code 2"
        assert "No such file" in printed(failed)["details"]
        assert printed(absent)["msg"] == "run: no-such-program: cannot be started"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "first"]


class TestDelegation:
    """``delegate`` runs another plugin of CNI_PATH."""

    def test_the_delegate_gets_what_we_got(self, plugin):
        """The delegate sees environment and stdin as they were, and its answer is ours."""
        ipam = ScriptedPlugin.install(plugin.directory, "ipam", {"ADD": {"result": PREVIOUS, "stderr": "hello"}})
        plugin.program({"ADD": {"delegate": "ipam"}})

        done = call(plugin, CNI_ARGS="A=1")

        (ours,), (theirs,) = plugin.records(), ipam.records()
        assert (printed(done), done.stderr) == (PREVIOUS, b"hello")
        assert (theirs.environment, theirs.stdin) == (ours.environment, ours.stdin)

    def test_its_failure_is_ours(self, plugin):
        """Exit code and error document of a delegate come through; a key of our own wins over them."""
        ScriptedPlugin.install(plugin.directory, "ipam", {"*": {"error": {"code": 11, "msg": "later"}, "exit": 5}})
        plugin.program({"ADD": {"delegate": "ipam"}, "DEL": {"delegate": "ipam", "stdout": "", "exit": 0}})

        added, deleted = call(plugin), call(plugin, "DEL")

        assert (added.returncode, printed(added)["code"]) == (5, 11)
        assert (deleted.returncode, deleted.stdout) == (0, b"")

    def test_one_that_is_missing_is_named(self, plugin):
        """A delegate that no directory has is an error document with the path."""
        plugin.program({"ADD": {"delegate": "one"}})

        done = call(plugin)

        assert printed(done)["msg"] == f"delegate: failed to find plugin 'one' in path [{plugin.directory}]"


class TestScripts:
    """Which reply a call gets, and what no script may say."""

    def test_replies_follow_each_other(self, plugin):
        """A list is answered one reply a call, of which the last repeats; ``*`` is for the commands not named."""
        plugin.program({"ADD": [{"exit": 1}, {"exit": 2}], "*": {"exit": 9}})

        codes = [call(plugin, command).returncode for command in ("ADD", "DEL", "ADD", "ADD", "CHECK")]

        assert codes == [1, 9, 2, 2, 9]

    def test_programming_begins_anew(self, plugin):
        """A new script is answered from its first reply on, and the record goes on."""
        plugin.program({"ADD": [{"exit": 1}, {"exit": 2}]})
        before = call(plugin).returncode
        plugin.program({"ADD": [{"exit": 3}, {"exit": 4}]})
        after = [call(plugin).returncode, call(plugin).returncode]

        assert (before, after) == (1, [3, 4])
        assert [record.exit_code for record in plugin.records()] == [1, 3, 4]

    def test_every_fault_is_reported_at_once(self, plugin):
        """A script with faults changes nothing, and each fault is a line with its place and a remedy."""
        plugin.program({"ADD": {"exit": 7}})
        with pytest.raises(ConfigError) as failure:
            plugin.program({
                "add": {},
                "ADD": [{"resutl": {}}, {"exit": -1, "delay": "1"}, 5],
                "DEL": {"result": {}, "stdout": ""},
                "GC": [],
                "CHECK": {"versions": ["1.0.0"], "error": {"message": "x"}, "stdout_base64": "?"},
            })  # fmt: skip

        reported = str(failure.value).splitlines()
        assert reported == [
            "script['ADD'][0]: 'resutl' is no key of a reply; did you mean 'result'?",
            "script['ADD'][1]: 'exit' is -1, it must be 0 to 255; 'signal' takes signals",
            "script['ADD'][1]: 'delay' is '1', it must be a number of seconds",
            reported[3],
            "script['DEL']: 'result' and 'stdout' contradict each other: a call prints one of them",
            "script['GC'] is an empty list; give one reply, or leave the command out",
            "script['CHECK']: 'error' is {'message': 'x'}, it must be a mapping with a whole number 'code', and 'msg' "
            "and 'details'",
            "script['CHECK']: 'stdout_base64' is '?', it must be base64",
            "script['CHECK']: 'error' and 'stdout_base64' contradict each other: a call prints one of them",
            "script['CHECK']: 'versions' is what VERSION answers; move it there",
            "script: 'add' is no CNI operation; there are ADD, DEL, CHECK, GC, STATUS, VERSION and '*'; "
            "did you mean 'ADD'?",
        ]
        assert reported[3].startswith("script['ADD'][2] is 5, not a reply: a mapping of result, ")
        assert call(plugin).returncode == 7

    @pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
    def test_a_name_is_that_of_a_file(self, tmp_path, name):
        """What cannot be found in CNI_PATH cannot be installed."""
        with pytest.raises(ConfigError, match="cannot be a plugin's name"):
            ScriptedPlugin.install(tmp_path, name)

    def test_a_directory_that_takes_nothing_is_named(self, tmp_path):
        """Where the plugin cannot be written the error says where and why."""
        (tmp_path / "file").touch()

        with pytest.raises(ConfigError, match=r"file/one: the plugin cannot be written there: .*Not a directory"):
            ScriptedPlugin.install(tmp_path / "file", "one")
