"""The pytest interface: options, marks, fixtures, and what a failed test shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

PASSING = '''
    import pytest

    @pytest.mark.topology("node-with-uplink")
    @pytest.mark.requires(plugin=["bridge", "host-local"])
    def test_masquerade_hides_the_container_address(lab, cni):
        """A container behind ipMasq reaches the internet with its host's address."""
        sandbox = lab.host("node").sandbox("c1")
        attachment = cni.add(sandbox, {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipMasq": True,
                                       "isDefaultGateway": True,
                                       "ipam": {"type": "host-local", "subnet": "10.40.80.0/24"}})
        reach = sandbox.ping("8.8.8.8")

        assert reach
        assert reach.source_seen == "192.168.80.100"
'''


@pytest.fixture
def run(pytester):
    """Runs pytest in a process of its own on a test file."""

    def runner(source, *arguments):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return runner


def test_the_example_of_the_readme_passes(run):
    """The test that everything is made for."""
    run(PASSING).assert_outcomes(passed=1)


def test_a_failure_shows_the_whole_story(run):
    """Picture with the failing pair, probes, plugin calls, differences and packets are in the report."""
    result = run(PASSING.replace('"ipMasq": True', '"ipMasq": False'))
    result.assert_outcomes(failed=1)
    text = result.stdout.str()

    for words in (
        "assert <dropped: ping 8.8.8.8 from node/c1: no answer",
        "; last seen at internet:eth0 in>",
        "- cnitest: topology -",
        "node/c1 ✗→ internet",
        "- cnitest: probes -",
        "control: 10.40.80.1 answers ARP",
        "- cnitest: plugin calls -",
        "bridge ADD (container c1, ifname eth0) on node: exit code 0 after",
        "- cnitest: what changed -",
        "+ links cni0:",
        "- cnitest: packets -",
        "ICMP 10.40.80.2 > 8.8.8.8 echo-request",
    ):
        assert words in text, words


def test_a_call_that_was_to_be_refused_is_named(run):
    """Where a test wanted a PluginError, the failure says which plugins succeeded, for whom, in its own line."""
    source = """
    import pytest
    from cnitest import PluginError

    @pytest.mark.topology("node-with-uplink")
    def test_check_notices(lab, cni):
        sandbox = lab.host("node").sandbox("c1")
        attachment = cni.add(sandbox, {"cniVersion": "1.0.0", "name": "lo", "plugins": [{"type": "loopback"}]}, "lo")
        with pytest.raises(PluginError):
            cni.check(attachment)
    """
    result = run(source)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*DID NOT RAISE*PluginError*: CHECK of loopback (container c1, ifname lo) succeeded"])


@pytest.mark.parametrize(("arguments", "mode"), [((), "spec"), (("--cni-runtime", "libcni"), "libcni")])
def test_the_mode_of_the_runtime_is_an_option(run, pytester, arguments, mode):
    """The fixtures `cni` and `network` are of the mode of --cni-runtime."""
    pytester.makefile(".conf", single='{"cniVersion": "1.0.0", "name": "single", "type": "x", "disableCheck": true}')
    run(
        f"""
        def test_it(cni, network):
            assert cni.mode.name == "{mode}"
            assert network.disable_check == ("{mode}" == "spec")
        """,
        "--cni-conf",
        "single.conf",
        *arguments,
    ).assert_outcomes(passed=1)


def test_a_failing_fixture_shows_the_story_too(run):
    """An ADD that fails while a fixture is made, and a DEL that fails at the end, show the plugin's calls as well."""
    text = run("""
        import pytest

        @pytest.fixture
        def attached(lab, cni):
            return cni.add(lab.host("node").sandbox("c1"), {"cniVersion": "1.0.0", "name": "net", "type": "bridge",
                                                            "ipam": {"type": "no-such-ipam"}})

        def test_it(attached):
            pass
    """).stdout.str()

    assert "- cnitest: plugin calls -" in text
    assert "no-such-ipam" in text
    assert "cnitest/cni/runtime.py" not in text, "cnitest's own frames are of no use in a report"


def test_what_a_test_adds_is_deleted_at_its_end(run):
    """A DEL that fails then is an error of the test, with the plugin's words."""
    result = run('''
        import json, stat

        def test_adds(lab, cni, tmp_path):
            plugin = tmp_path / "own"
            plugin.write_text("""#!/bin/sh
            case $CNI_COMMAND in
                ADD) echo '{"cniVersion": "1.0.0"}';;
                DEL) echo '{"code": 7, "msg": "I will not"}'; exit 1;;
            esac
            """)
            plugin.chmod(0o755)
            cni.path = (str(tmp_path),)
            cni.add(lab.host("node").sandbox("c1"), {"cniVersion": "1.0.0", "name": "net", "type": "own"})
    ''')

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "DEL failed at the end of the test:",
            "own DEL (container c1, ifname eth0): exit code 1, code 7 (*): I will not",
        ]
    )


def test_what_is_missing_is_one_reason_to_skip(run):
    """All that a test requires and that is not there is said at once."""
    result = run(
        """
        import pytest

        @pytest.mark.requires(plugin="no-such-plugin", binary=["no-such-program", "sh"])
        def test_needs_much(lab):
            pass
    """,
        "-rs",
    )

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no plugin 'no-such-plugin' in *; no program 'no-such-program' in PATH*"])


def test_requires_rejects_what_it_does_not_know(run):
    """A misspelt keyword of the mark is an error, not a requirement that always holds."""
    result = run("""
        import pytest

        @pytest.mark.requires(plugins="bridge")
        def test_misspelt(lab):
            pass
    """)

    assert "the mark requires takes kernel, plugin, binary as keywords, not 'plugins'" in result.stdout.str()


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ('"nod-with-uplink"', "no topology is called 'nod-with-uplink'. Did you mean 'node-with-uplink'?*"),
        ('"missing.yaml"', "*missing.yaml*"),
        ('"bad.yaml"', "*bad.yaml:2:*'10.0.0.1/33'*"),
    ],
)
def test_a_topology_that_is_not_right_is_said_in_words(run, pytester, mark, words):
    """An unknown name, a missing file and a faulty file fail the test with the loader's own lines."""
    pytester.makefile(".yaml", bad="name: bad\nhosts: {a: {loopback: [10.0.0.1/33]}}\n")
    result = run(f"""
        import pytest

        @pytest.mark.topology({mark})
        def test_it(lab):
            pass
    """)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])
    assert "During handling" not in result.stdout.str()


def test_a_topology_beside_the_test_is_found(run, pytester):
    """A path in the mark is relative to the test's file; a Topology made in Python does as well."""
    pytester.makefile(".yaml", own="name: own\nhosts: {alpha: {}}\n")
    result = run("""
        import pytest
        from cnitest.topology import Host, Topology

        @pytest.mark.topology("own.yaml")
        def test_file(lab):
            assert list(lab.hosts) == ["alpha"]

        @pytest.mark.topology(Topology(name="made", hosts={"beta": Host()}))
        def test_made(lab):
            assert list(lab.hosts) == ["beta"]
    """)

    result.assert_outcomes(passed=2)


def test_options_choose_topology_plugins_and_networks(run, pytester):
    """--cni-topology serves tests without a mark, --cni-conf gives the networks, --cni-path the plugins."""
    pytester.makefile(".conf", mine='{"cniVersion": "1.0.0", "name": "mine", "type": "own"}')
    result = run(
        """
        def test_it(lab, cni, network):
            assert "node3" in lab.hosts
            assert network.name == "mine"
            assert cni.path == ("/a", "/b", "/c")
    """,
        "--cni-topology",
        "three-nodes-one-lan",
        "--cni-conf",
        "mine.conf",
        "--cni-path",
        "/a:/b",
        "--cni-path",
        "/c",
    )

    result.assert_outcomes(passed=1)


def test_an_unproven_probe_fails_the_test_either_way(run):
    """A probe that could not be sent passes neither as delivered nor as dropped."""
    result = run("""
        def test_delivered(lab):
            assert lab.host("node").sandbox("alone").ping("8.8.8.8")

        def test_dropped(lab):
            assert not lab.host("node").sandbox("alone").ping("8.8.8.8")
    """)

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*ProbeUnproven: ping 8.8.8.8 from node/alone: unproven: node/alone has no route to 8.8.8.8*"]
    )


def test_blind_probes_fail_every_connectivity_test(pytester):
    """With --cni-blind each test of the walkthrough that asserts on packets fails; the others look at none."""
    result = pytester.runpytest_subprocess(
        "--pyargs",
        "cnitest.suites.walkthrough",
        "--cni-blind",
        "-q",
        "-n",
        "4",
        "-p",
        "no:cacheprovider",
        "-rp",
        "--tb=no",
    )
    passed = {line.split("::")[-1] for line in result.outlines if line.startswith("PASSED")}

    assert {name.partition("[")[0] for name in passed} == {
        "test_taking_the_rules_back_leaves_no_rule",
        "test_hairpin_is_set_on_the_port",
        "test_check_passes_and_delete_leaves_nothing",
        "test_version_names_the_versions",
        "test_each_container_has_an_address_of_its_node",
        "test_options_of_another_plugin_are_ignored",
        "test_each_child_has_a_mac_of_its_own",
        "test_multicast_memberships_are_readable",
    }
    assert result.parseoutcomes()["failed"] >= 30


def test_workers_do_not_interfere(pytester):
    """Eight workers on the same names and subnets at once: every test passes."""
    result = pytester.runpytest_subprocess(
        "--pyargs", "cnitest.suites.walkthrough", "-q", "-n", "8", "-p", "no:cacheprovider", "-k", "bridge"
    )

    assert result.ret == 0


def test_starting_pytest_loads_nothing_heavy():
    """With the plugin on and unused neither scapy nor pyroute2, pydantic, yaml or Hypothesis is imported."""
    code = """if True:
        import sys, pytest
        class Look:
            def pytest_collection_finish(self, session):
                print("heavy:", sorted({"scapy", "pyroute2", "pydantic", "yaml"} & set(sys.modules)))
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        sys.exit(pytest.main([*options, sys.argv[1]], plugins=[Look()]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, __file__ + "::test_nothing"], capture_output=True, text=True, check=False
    )

    assert "heavy: []" in done.stdout


def test_nothing():
    """Stands for a test that uses nothing of ours."""
