"""What a test needs: looked for where a host would find it, reported when it is misspelt, and no run of skips alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cnitest import Lab
from cnitest.cli.doctor import examine
from cnitest.conformance.discover.source import absent
from cnitest.conformance.model import profile
from cnitest.errors import CommandError, ConfigError
from cnitest.kernel.processes import programs
from cnitest.topology import Host, Topology

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@pytest.fixture
def run(pytester):
    """Runs pytest in a process of its own on a test file."""

    def runner(source, *arguments):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return runner


@pytest.fixture
def ordinary(monkeypatch):
    """The PATH of Debian's ordinary users."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games")


class TestLookUp:
    """One for all: marks, doctor, profiles, and what runs on a host."""

    @pytest.mark.usefixtures("ordinary")
    @pytest.mark.requires(binary="iptables")
    def test_programs_of_the_administrator_are_found_without_sbin(self):
        """The PATH of an ordinary user lacks those directories; a host's does not."""
        where = programs.find("iptables")

        assert where
        assert programs.absent("iptables") == absent("iptables") == ""
        assert {f.name: f.detail for f in examine(()) if f.group == "programs"}["iptables"] == where

    @pytest.mark.usefixtures("ordinary")
    @pytest.mark.requires(binary="iptables")
    def test_a_mark_finds_what_a_host_finds(self, run):
        """A test is not skipped for a program that it would have."""
        run("""
            import pytest

            @pytest.mark.requires(binary="iptables")
            def test_it(lab):
                assert lab.host("node").run(["iptables", "--version"]).stdout
        """).assert_outcomes(passed=1)

    def test_a_host_finds_what_its_caller_has(self, tmp_path, monkeypatch):
        """A program that only the PATH of who calls us holds can be required, so it runs as well."""
        own = tmp_path / "own-tool"
        own.write_text("#!/bin/sh\necho mine $1\n")
        own.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

        with Lab(Topology(name="t", hosts={"node": Host()})) as lab:
            said = lab.host("node").run(["own-tool", "word"]).stdout

        assert programs.absent("own-tool") == ""
        assert said == "mine word\n"

    def test_a_program_that_is_misspelt_on_a_host(self):
        """The message has the right name."""
        with (
            Lab(Topology(name="t", hosts={"node": Host()})) as lab,
            pytest.raises(CommandError, match=r"node: iptabels cannot be started: .*; did you mean 'iptables'\?"),
        ):
            lab.host("node").run(["iptabels", "-L"])


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ('kernel="brige"', "requires(kernel='brige'): 'brige' is an unknown kernel feature; did you mean 'bridge'?"),
        ('kernel=["veth", "warp"]', "requires(kernel='warp'): 'warp' is an unknown kernel feature; known are veth, "),
        ('plugin="brigde"', "requires(plugin='brigde'): there is no such plugin; did you mean 'bridge'?"),
        ('plugin="hostlocal"', "requires(plugin='hostlocal'): there is no such plugin; did you mean 'host-local'?"),
        ('plugin="mien"', "requires(plugin='mien'): there is no such plugin; did you mean 'mine'?"),
        ('binary="iptabels"', "requires(binary='iptabels'): there is no such program; did you mean 'iptables'?"),
        ('binary="dnsmaq"', "requires(binary='dnsmaq'): there is no such program; did you mean 'dnsmasq'?"),
        ("kernel=3", "the mark requires takes a name or a list of names, not 3"),
    ],
)
def test_a_misspelt_name_is_an_error(run, pytester, mark, words):
    """A skip would hide the test for good."""
    (pytester.path / "bin").mkdir()
    (pytester.path / "bin" / "mine").write_text("")

    result = run(f"import pytest\n@pytest.mark.requires({mark})\ndef test_it(): pass\n", "--cni-path", "bin")

    result.assert_outcomes(errors=1)
    assert words in result.stdout.str()


@pytest.mark.parametrize("mark", ['plugin="mybridge"', 'plugin="calico"', 'binary="ipset2000"', 'binary="no-such"'])
def test_a_name_that_only_resembles_another_is_a_skip(run, mark):
    """Somebody's own plugin or program that is not there."""
    run(f"import pytest\n@pytest.mark.requires({mark})\ndef test_it(): pass\n").assert_outcomes(skipped=1)


def test_a_misspelt_requirement_of_a_profile_is_reported(tmp_path):
    """With file and line."""
    file = tmp_path / "cnitest.yaml"
    file.write_text("name: x\nrequires: [brige, iptabels, ethtool, my-daemon]\n")

    with pytest.raises(ConfigError) as raised:
        profile.load(file)

    assert str(raised.value).splitlines() == [
        f"{file}:2:12: requires[0]: there is no feature or program 'brige'; did you mean 'bridge'?",
        f"{file}:2:19: requires[1]: there is no feature or program 'iptabels'; did you mean 'iptables'?",
    ]


SKIPS = """
    import pytest

    @pytest.mark.requires(binary="no-such-program")
    def test_one(): pass

    @pytest.mark.skipif(True, reason="not today")
    def test_two(): pass

    @pytest.mark.xfail(reason="known")
    def test_three(): assert False
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_every_skip_fails_where_all_is_required(run, workers):
    """With its reason; a failure that is expected stays one."""
    result = run(SKIPS, "--cni-require-all", "-n", workers)

    assert result.ret == 1
    text = result.stdout.str()
    assert "skipped, which --cni-require-all does not allow: no program 'no-such-program' in PATH" in text
    assert "skipped, which --cni-require-all does not allow: not today" in text
    assert "1 xfailed" in text
    assert " skipped in" not in text


def test_a_module_that_is_skipped_fails_where_all_is_required(run):
    """As a whole."""
    result = run("import pytest\npytest.importorskip('no_such_module')\n", "--cni-require-all")

    assert result.ret != 0
    assert "could not import 'no_such_module'" in result.stdout.str()


@pytest.mark.parametrize(
    ("source", "arguments", "code", "words"),
    [
        (SKIPS.partition("    @pytest.mark.xfail")[0], (), 1, "1 skipped: not today"),
        ("import pytest\npytest.skip('no luck', allow_module_level=True)\n", (), 5, "1 skipped: no luck"),
        ("def test_one(): pass\n", ("-k", "two"), 5, "1 left out by -k or -m"),
        ("", (), 5, "no test was found"),
    ],
)
def test_a_run_in_which_nothing_ran_fails_and_says_why(run, source, arguments, code, words):
    """Each test was skipped or left out."""
    result = run(source, "--cni-require-any", *arguments)

    assert result.ret == code
    assert "= nothing ran =" in result.stdout.str()
    assert words in result.stdout.str()


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("more", ["def test_it(): pass", "def test_it(): assert 0", SKIPS.partition("two(): pass")[2]])
def test_a_run_in_which_something_ran_is_not_held_to_that(run, more, workers):
    """One test is enough, however it ended; and nobody's own runs of pytest are held to it."""
    import textwrap

    source = textwrap.dedent(SKIPS.partition("    @pytest.mark.xfail")[0]) + "\n" + textwrap.dedent(more)

    assert "nothing ran" not in run(source, "--cni-require-any", "-n", workers).stdout.str()
    assert run(textwrap.dedent(SKIPS)).ret == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_of_skips_alone_says_in_one_line_that_nothing_was_tested(run, workers):
    """Such a run of pytest ends with 0, as ever; the line has the reasons, and the option that makes it fail."""
    reasons = ("no luck", "no luck", "rain", "snow", "hail")
    tests = [f"def test_{number}():\n    pytest.skip('{reason}')\n" for number, reason in enumerate(reasons)]

    result = run("import pytest\n" + "".join(tests), "-n", workers)

    reported = [line for line in result.outlines if line.startswith("nothing was tested")]
    assert result.ret == 0
    assert len(reported) == 1
    assert reported[0].startswith("nothing was tested: 2 skipped: no luck; 1 skipped: ")
    assert reported[0].endswith("; and 1 other reasons (--cni-require-any lets such a run fail)")
    assert "nothing was tested" not in run("def test_it(): pass\n" + "".join(tests[:0])).stdout.str()


def test_cnitest_run_fails_when_nothing_ran(tmp_path):
    """Without plugins every test of a suite that needs them is skipped."""
    command = [sys.executable, "-m", "cnitest.cli", "run", "--suite", "walkthrough", "--cni-path", str(tmp_path), "-k",
               "test_bridge_plugin"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)

    assert done.returncode in (1, 5), done.stdout
    assert "nothing ran" in done.stdout


def test_everybody_has_three_fixtures_of_ours(pytester):
    """Those of the suites are theirs."""
    text = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider").stdout.str()

    ours = [part.split("\n\n-----")[0] for part in text.split("fixtures defined from cnitest")[1:]]
    names = [line.split(" ")[0] for part in ours for line in part.splitlines() if " -- " in line]
    assert sorted(names) == ["cni", "lab", "network"]
