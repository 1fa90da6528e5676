"""GitHub Actions: an annotation for each cause of failures, and the summary of the job.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions has the commands, and
https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md how many annotations are shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import pytest

from cnitest.report.ci import environment, failures, summary
from cnitest.report.ci.failures import Failure, RunTally

#: Set to "true" where GitHub runs us; the file of the job's summary; where the repository is checked out.
VARIABLE, _SUMMARY, _WORKSPACE = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"
#: Annotates each failure by itself: where it is installed, we leave that to it.
OTHER = "pytest_github_actions_annotate_failures"
#: How many errors of a step are shown, and how many bytes of a summary.
MOST_ERRORS, MOST_BYTES = 10, 1 << 20
_FEW_TESTS = 5


class GitHub:
    """Tells GitHub of a run at its end; ``tally`` counts it. Registered where the run is led."""

    def __init__(self, config: pytest.Config, tally: RunTally) -> None:
        self._config = config
        self._tally = tally
        self._warning = ""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Append the summary; where that cannot be, the run is what it was."""
        if file := os.environ.get(_SUMMARY):
            page = summary.page(self._tally, environment.facts(self._config), self._shown)
            try:
                _append(file, page)
            except OSError as error:
                self._warning = f"the job's summary is not written: {file}: {error.strerror or error}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Warn where there is no summary."""
        if self._warning:
            terminalreporter.line(f"warning: {self._warning}", yellow=True)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Print the annotations last, each on a line of its own, as GitHub reads them."""
        if not self._config.pluginmanager.hasplugin(OTHER):
            for line in commands(self._tally.failures, _workspace(self._config), self._config.option.cni_conf):
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def _shown(self, one: Failure) -> str:
        return _relative(one.file, _workspace(self._config))


def _workspace(config: pytest.Config) -> str:
    return os.environ.get(_WORKSPACE) or str(config.rootpath)


def commands(failed: Sequence[Failure], workspace: str, confs: Sequence[str] = ()) -> Iterator[str]:
    """The workflow commands for failures, one a cause, the most frequent first; of more causes than are shown the last
    command says how many there are. What a test of ours finds is shown at the configuration, where one was given."""
    groups = failures.by_cause(failed)
    shown = groups if len(groups) <= MOST_ERRORS else groups[: MOST_ERRORS - 1]
    for group in shown:
        yield command(_properties(group[0], workspace, confs), _words(group))
    if rest := groups[len(shown) :]:
        tests = sum(map(len, rest))
        yield command({"title": "cnitest"}, f"{len(rest)} further causes, of {tests} failures: see the job's summary")


def _properties(one: Failure, workspace: str, confs: Sequence[str]) -> dict[str, str]:
    file, line = _relative(one.file, workspace), one.line
    if not file and len(confs) == 1:
        file, line = _relative(confs[0], workspace), 1
    place = {"file": file, "line": str(line)} if file else {}
    return {**place, "title": failures.short(one.test)}


def _relative(file: str, workspace: str) -> str:
    """A file as the repository has it; empty for one that lies elsewhere, as shipped suites do."""
    beside = os.path.relpath(os.path.realpath(file), os.path.realpath(workspace))
    return "" if beside.startswith("..") else beside


def _words(group: Sequence[Failure]) -> str:
    one = group[0]
    lines = [one.message]
    if one.loss:
        lines += [f"{one.loss.get('probe', '')}: {one.why}", *([f"lost at {one.hop}"] if one.hop else [])]
        lines += [f"would pass with: {one.loss['remedy']}"] if "remedy" in one.loss else []
    if len(group) > 1:
        others = [other.test for other in group[1 : _FEW_TESTS + 1]]
        more = f", and {len(group) - 1 - len(others)} more" if len(group) - 1 > len(others) else ""
        lines.append(f"the same in {len(group) - 1} other: {', '.join(others)}{more}")
    return "\n".join(lines)


def command(properties: dict[str, str], message: str) -> str:
    """The workflow command of an error; nothing in its words ends it, or begins another."""
    fields = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {fields}::{_data(message)}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")


def _append(file: str, page: str) -> None:
    """Append to the summary what there is room for, whole lines: one that is too large is not shown at all."""
    with open(file, "ab") as stream:
        room = MOST_BYTES - stream.tell()
        content = page.encode(errors="backslashreplace")
        if len(content) > room:
            note = b"\n\nThe rest does not fit into a summary.\n"
            content = content[: max(0, room - len(note))].rpartition(b"\n")[0] + note if room > len(note) else b""
        stream.write(content)
