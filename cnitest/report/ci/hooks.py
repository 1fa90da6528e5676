"""Registers with pytest what a run's options, or its environment, ask for; nothing else is imported."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting of JUnit's file."""
    words = "leave the properties of each test out of JUnit's file: the schema of Jenkins' xUnit plugin has none there"
    parser.addini("cni_junit_strict", words, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register what was asked for."""
    given = config.option
    if given.cni_shard or given.cni_durations_file or given.cni_store_durations:
        from cnitest.report.ci import shard

        shard.register(config)
    if not _runs_no_test(config) and (_github(config) or given.cni_artifacts or getattr(given, "xmlpath", None)):
        _register_reports(config)


def _runs_no_test(config: pytest.Config) -> bool:
    """Whether no test will be run."""
    given = config.option
    return bool(given.collectonly or given.help or given.version or config.getoption("showfixtures", False))


def _github(config: pytest.Config) -> bool:
    """Whether a run is reported to GitHub: where it runs us, and what is run has tests of ours."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return False
    from cnitest.report import unprivileged

    return unprivileged.is_ours(config, [str(word) for word in config.invocation_params.args])


def _register_reports(config: pytest.Config) -> None:
    """Register what reads reports, where the run is led, and what adds to them, where tests run."""
    from cnitest.report.ci import evidence

    given = config.option
    files, properties = bool(given.cni_artifacts), bool(getattr(given, "xmlpath", None))
    if not hasattr(config, "workerinput"):
        _register_readers(config, files, properties)
    wanted = evidence.EvidenceWanted(properties, losses=True, files=evidence.MOST_FILES if files else 0)
    config.pluginmanager.register(evidence.Evidence(wanted), "cnitest evidence")


def _register_readers(config: pytest.Config, files: bool, properties: bool) -> None:
    register = config.pluginmanager.register
    if files:
        from cnitest.report.ci import artifacts

        register(artifacts.Artifacts(config), "cnitest artifacts")
    if properties:
        from cnitest.report.ci import junit

        register(junit.SuiteProperties(config), "cnitest junit")
    if _github(config):
        from cnitest.report.ci import failures, github

        tally = failures.RunTally(str(config.rootpath))
        register(tally, "cnitest tally")
        register(github.GitHub(config, tally), "cnitest github")
