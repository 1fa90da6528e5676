"""What the suites of plugins rest on: known failures are strict, releases are read off files, coverage is verified."""

from __future__ import annotations

import json
import shutil

import pytest

from cnitest.cni import plugins, releases
from cnitest.cni.calls.invoke import search_path

CONFTEST = "from cnitest.report.marks.known import pytest_runtest_makereport\n"
ROW = {"plugin": "bridge", "shows": "no rule", "reason": "It forgets.", "link": "https://example.com/1"}
REFERENCE = pytest.mark.requires(plugin="bridge")


@pytest.fixture
def run(pytester):
    """Runs pytest in a process of its own on a suite with rows of known failures."""

    def runner(source, rows, *arguments):
        pytester.makeconftest(CONFTEST)
        pytester.makefile(".yaml", known=json.dumps(rows))
        file = pytester.makepyfile(test_bridge=source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", *arguments, file)

    return runner


@REFERENCE
def test_a_failure_that_a_row_describes_is_expected(run):
    """The run is green, and shows the reason and the link."""
    result = run(
        "def test_a():\n    raise AssertionError('no rule in nat')", [{**ROW, "test": "test_bridge.py::test_a"}]
    )

    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["*It forgets. https://example.com/1*"])


@REFERENCE
@pytest.mark.parametrize(("factor", "outcome"), [("1", "failed"), ("10", "passed")])
def test_what_a_slow_machine_may_not_show_is_strict_elsewhere(run, monkeypatch, factor, outcome):
    """A race that a plugin loses on any machine but a slow one, as an emulated one is, has to show on those."""
    monkeypatch.setenv("CNITEST_TIMEOUT_FACTOR", factor)

    result = run("def test_a():\n    pass", [{**ROW, "test": "test_bridge.py::test_a", "slow": "it is late by then"}])

    result.assert_outcomes(**{outcome: 1})


@REFERENCE
@pytest.mark.parametrize("shows", ["no rule", "another thing"])
def test_a_network_is_told_only_of_a_failure_that_no_row_describes(run, shows):
    """Nobody reads what plugins did in a test that is known to fail, and finding it out takes longer than the test."""
    source = (
        "import pytest\n@pytest.mark.topology('node-with-uplink')\n"
        "def test_a(lab):\n    raise AssertionError('no rule')"
    )

    result = run(source, [{**ROW, "shows": shows, "test": "test_bridge.py::test_a"}], "--xfail-tb")

    assert ("cnitest: topology" in result.stdout.str()) is (shows != "no rule")


@REFERENCE
@pytest.mark.parametrize(
    ("source", "row", "said"),
    [
        ("def test_a():\n    pass", {}, "is known to fail this test (It forgets.), and passed it"),
        ("def test_a():\n    raise AssertionError('another thing')", {}, "another thing"),
        ("def test_a():\n    raise AssertionError('no rule')", {"until": "0.9.0"}, "no rule"),
        ("def test_a():\n    raise AssertionError('no rule')", {"since": "99"}, "no rule"),
        ("def test_a():\n    raise AssertionError('no rule')", {"cases": "ipv6"}, "no rule"),
        ("def test_a():\n    raise AssertionError('no rule')", {"plugin": "no-such"}, "no rule"),
    ],
    ids=["it passes", "another failure", "of an older release", "of a newer release", "another case", "not there"],
)
def test_what_a_row_does_not_describe_fails(run, source, row, said):
    """A row covers its own test, releases, cases and words, and nothing else; and it has to be true."""
    result = run(source, [{**ROW, "test": "test_bridge.py::test_a", **row}])

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{said.replace('[', '[[]')}*"])


def test_a_table_that_cannot_be_read_fails_the_test(run):
    """With the file, the line and the fault, and no internal error."""
    result = run("def test_a():\n    pass", [{**ROW, "test": "test_bridge.py::test_a", "shows": "("}])

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*known.yaml:1:*[[]0[]].shows: is no regular expression*"])


@REFERENCE
def test_a_row_may_be_about_some_cases_and_may_not_show_always(run):
    """Parameters may hold slashes and brackets; ``sometimes`` lets a test pass."""
    source = """
        import pytest

        @pytest.mark.parametrize("net", ["10.1.0.0/24", "fd00::/64"])
        def test_a(net):
            assert ":" not in net, "no rule"

        def test_b():
            pass
    """
    rows = [
        {**ROW, "test": "test_bridge*.py::*a", "cases": "fd00"},
        {**ROW, "test": "test_bridge.py::test_b", "sometimes": "it is a race"},
    ]

    run(source, rows).assert_outcomes(passed=2, xfailed=1)


def test_a_table_with_a_fault_is_reported_with_its_line(run):
    """A misspelt word and a pattern that is none end the run with line and column."""
    result = run("def test_a():\n    pass", [{**ROW, "test": "test_bridge.py::test_a", "shows": "(", "untill": "1"}])

    assert result.ret
    result.stdout.fnmatch_lines(["*known.yaml:1:*untill*"])


@REFERENCE
def test_another_authors_plugin_has_no_release(tmp_path):
    """Whatever its name and whatever it prints."""
    real = plugins.find("bridge", search_path([]))
    other = tmp_path / "bridge"
    other.write_text("#!/bin/sh\necho CNI bridge plugin v1.1.1 >&2\n")
    copy = tmp_path / "renamed"
    shutil.copy(real, copy)

    assert releases.reference(str(other)) == ""
    assert releases.reference(str(copy)) == releases.reference(real) != ""


@pytest.mark.parametrize(
    ("release", "bounds", "fits"),
    [("1.1.1", ">=1.2", False), ("1.10.0", ">=1.9", True), ("1.9.1", ">=1.2,<1.9.1", False), ("1.9.1", "", True)],
)
def test_bounds_compare_numbers(release, bounds, fits):
    """1.10 is after 1.9, and a bound without a patch release means .0."""
    assert releases.fits(release, bounds) is fits


@REFERENCE
def test_a_plugin_may_be_required_from_a_release_on(run):
    """The reason says what is there; a bound that is none is a failure of the test."""
    source = """
        import pytest

        @pytest.mark.requires(plugin="bridge>=99.1")
        def test_a():
            pass

        @pytest.mark.requires(plugin=["bridge>=0.1,<99"])
        def test_b():
            pass

        @pytest.mark.requires(plugin="bridge>new")
        def test_c():
            pass
    """
    result = run(source, [{**ROW, "test": "test_bridge.py::test_z"}])

    result.assert_outcomes(skipped=1, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*'>new' is no bound of a release*", "*needs bridge >=99.1; this is *"])


SUITE = """
    import pytest

    CONF = {"cniVersion": "1.0.0", "name": "n", "type": "bridge", "bridge": "cni0", "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}

    @pytest.mark.covers("bridge.bridge", %s)
    def test_a(lab, cni):
        attachment = cni.add(lab.host("node").sandbox("c1"), CONF)
        %s
"""


@REFERENCE
@pytest.mark.parametrize(
    ("way", "deed"),
    [
        ("packet", "assert attachment.sandbox.ping(attachment.gateway)"),
        ("CHECK", "cni.check(attachment)"),
        ("DEL", "cni.delete(attachment)"),
    ],
)
def test_a_way_that_was_gone_is_noted_and_one_that_was_not_fails(run, pytester, way, deed):
    """A test that says it shows something by packets has sent some."""
    rows = [{**ROW, "test": "test_bridge.py::test_z"}]
    done = run(SUITE % (f'"kernel", "{way}"', deed), rows, "--cni-coverage", "found.json")
    found = json.loads((pytester.path / "found.json").read_text())
    idle = run(SUITE % (f'"{way}"', "pass"), rows)

    done.assert_outcomes(passed=1)
    assert found["covered"] == {
        "bridge.bridge": {"kernel": ["test_bridge.py::test_a"], way: ["test_bridge.py::test_a"]}
    }
    assert found["ran"]["bridge"]["passed"] == 1
    idle.assert_outcomes(failed=1)
    idle.stdout.fnmatch_lines([f"*did nothing of the kind: {way}*"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('"bridge.hairpinMod"', "bridge has no key 'hairpinMod'; did you mean 'hairpinMode'?"),
        ('"brigde.mtu"', "nothing is known of a plugin 'brigde'; did you mean 'bridge'?"),
        ('"bridge.mtu", "packets"', "'packets' is no way; there are kernel, packet, CHECK, DEL, refused"),
    ],
)
def test_a_mark_that_names_what_is_not_there_fails(run, words, said):
    """With the nearest name that is."""
    source = f"import pytest\n\n@pytest.mark.covers({words})\ndef test_a():\n    pass"

    run(source, [{**ROW, "test": "test_bridge.py::test_z"}]).stdout.fnmatch_lines([f"*{said}*"])
