"""``--cni-artifacts DIR``: a folder for each failed test, written where the run is led."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cnitest import text
from cnitest.errors import ConfigError
from cnitest.plural import count
from cnitest.report import given, options
from cnitest.report.ci import environment, failures
from cnitest.report.ci.evidence import FILES
from cnitest.report.ci.folders import MOST_BYTES, MOST_FOLDERS, READABLE, Folders, encoded

_Report = pytest.TestReport | pytest.CollectReport
_HEAD = ("cnitest", "kernel", "user")
_SCRIPT = "cnitest_script"
_WIDE = 79
_MOST_LISTED = 200
#: Options of ours that say where a run writes, or which share of it: they do not belong to trying one test again.
_OWN = frozenset(option.dest for option in options.ALL if option.fills) | {"cni_shard", "cni_durations_file"}
_READ_FIRST = (
    "report.txt",
    "explanation.txt",
    "topology.txt",
    "states.txt",
    "calls.jsonl",
    "packets.pcapng",
    "repro.sh",
)


class Artifacts:
    """Writes the folders as tests end, and the index. Raises pytest.UsageError for a directory that it cannot fill."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._root = str(config.rootpath)
        try:
            self._folders = Folders(config.option.cni_artifacts, given.names(config)("cni_artifacts"))
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from None
        self._facts = environment.facts(config)
        self._open: dict[tuple[str, str], list[_Report]] = {}
        self._written: list[dict[str, Any]] = []
        self._left_out: list[dict[str, str]] = []
        self._warning = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what failed of a test until it has ended."""
        key = (report.nodeid, str(getattr(report, "worker_id", "")))
        self._take_script(report)
        if report.failed:
            self._open.setdefault(key, []).append(report)
        # A worker that has ended has no more to say.
        if report.when not in ("setup", "call") and key in self._open:
            self._finish(self._open.pop(key))

    def _take_script(self, report: pytest.TestReport) -> None:
        """Keep the script of a finding; where nobody asked for --cni-repro the run's own report has none."""
        row: dict[str, Any] = getattr(report, "cnitest", None) or {}
        if script := row.get("script"):
            vars(report)[_SCRIPT] = script
            row["script"] = script if self._config.option.cni_repro else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a folder for a file that cannot be collected."""
        if report.failed:
            self._finish([report])

    def _finish(self, reports: list[_Report]) -> None:
        first = failures.failure(reports[0], self._root)
        files = self._files(reports, first)
        folder, why = self._folders.add(first.test, files)
        if folder:
            sizes = {name: len(content) for name, content in files.items()}
            self._written.append(
                {"test": first.test, "folder": folder, "failed in": [str(one.when) for one in reports],
                 "message": first.message, "cause": first.loss.get("cause", ""), "where": first.hop, "files": sizes}
            )  # fmt: skip
            self._index()
        else:
            self._left_out.append({"test": first.test, "message": first.message, "why": why})

    def _files(self, reports: list[_Report], first: failures.Failure) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for report in reports:
            for name, content in (vars(report).pop(FILES, None) or {}).items():
                found.setdefault(name, base64.b64decode(content) if name.endswith(".pcapng") else encoded(content))
        script = next(filter(None, (vars(report).pop(_SCRIPT, "") for report in reports)), "")
        again = self._again(first.test)
        found["report.txt"] = encoded(self._report(reports, first, again))
        found["repro.sh"] = (script or f"#!/bin/sh\n# Runs this test again.\n{again}\n").encode(
            errors="surrogateescape"
        )
        return {name: found[name] for name in sorted(found, key=_order)}

    def _report(self, reports: list[_Report], first: failures.Failure, again: str) -> str:
        """What the terminal shows of a failure, with where it was and how to run it again."""
        lines = [first.test, "", f"again:   {again}"]
        lines += [f"{name + ':':<9}{words}" for name, words in self._facts.items() if name in _HEAD]
        for report in reports:
            lines += ["", f" failed in {report.when or 'collection'} ".center(_WIDE, "="), "", str(report.longrepr)]
            for headline, words in report.sections:
                lines += ["", f" {headline} ".center(_WIDE, "-"), words.rstrip()]
        return "\n".join(lines) + "\n"

    def _again(self, test: str) -> str:
        """The command that runs one test again."""
        values = vars(self._config.option)
        wanted = (option for option in options.ALL if option.dest not in _OWN)
        words = [word for option in wanted for word in option.words(values[option.dest])]
        command = ["pytest", *words, "--rootdir", self._root, test]
        return f"cd {shlex.quote(self._root)} && {shlex.join(command)}"

    def _index(self, ended: str = "the run has not ended") -> None:
        index = {
            "run": ended,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": self._facts,
            "failures": self._written,
            "left_out": self._left_out,
            "bytes": self._folders.bytes,
        }
        try:
            self._folders.write_index(index, _readable(index))
        except OSError as error:
            self._warning = error.strerror or str(error)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write what is left of tests that did not end, and the index."""
        for reports in list(self._open.values()):
            self._finish(reports)
        self._open.clear()
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        self._index("the run was interrupted" if interrupted else f"the run ended with exit code {int(exitstatus)}")
        self._folders.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say in one line what was written; warn in another where something could not be."""
        where = self._folders.path
        line = f"artifacts: {count(len(self._written), 'failure')} in {where}"
        if self._left_out:
            line += f", {len(self._left_out)} left out (why: {where / READABLE})"
        terminalreporter.line(text.line(line))
        if self._warning:
            terminalreporter.line(f"warning: {where} has no index of now: {self._warning}", yellow=True)


def _order(name: str) -> int:
    return _READ_FIRST.index(name) if name in _READ_FIRST else len(_READ_FIRST)


def _readable(index: Mapping[str, Any]) -> str:
    """The index as a person reads it first."""
    failed, left_out = index["failures"], index["left_out"]
    lines = [f"# {count(len(failed) + len(left_out), 'failure')}", "", f"As of {index['written']}: {index['run']}.", ""]
    for row in failed:
        lines += [
            f"## {_plain(row['test'])}",
            "",
            f"[{row['folder']}]({row['folder']}/report.txt): {_plain(row['message'])}",
            "",
        ]
        lines += [f"- cause: {_plain(row['cause'])}"] if row["cause"] else []
        lines += [f"- where: {_plain(row['where'])}"] if row["where"] else []
        lines += [f"- files: {', '.join(row['files'])}", ""]
    if left_out:
        lines += [
            "## Left out",
            "",
            f"At most {MOST_FOLDERS} folders are written, of {MOST_BYTES // 10**6} MB in all.",
            "",
        ]
        lines += [
            f"- {_plain(row['test'])}: {_plain(row['why'])} ({_plain(row['message'])})"
            for row in left_out[:_MOST_LISTED]
        ]
        lines += [f"- and {len(left_out) - _MOST_LISTED} more"] if len(left_out) > _MOST_LISTED else []
        lines += [""]
    lines += [
        "## Environment",
        "",
        *(f"- {name}: {text.line(words)}" for name, words in index["environment"].items()),
        "",
    ]
    return "\n".join(lines)


def _plain(words: str) -> str:
    """Words on one line of Markdown, where none of their characters means anything."""
    return "`" + text.line(words).replace("`", "'") + "`"
