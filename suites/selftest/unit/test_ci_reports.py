"""What GitHub and a directory of artifacts get: commands that nothing breaks, bounds that hold, causes before cases."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from cnitest.errors import ConfigError
from cnitest.report.ci import failures, folders, github, summary
from cnitest.report.ci.failures import Failure, RunTally

COMMAND = re.compile(r"::error (?:file=[^,:\n]+,line=\d+,)?title=[^,:\n]*::[^\n\r]*")


def failed(number, key="", *, file="/checkout/test_it.py", message="it failed", **loss):
    """A failure of a test."""
    return Failure(f"test_it.py::test[{number}]", "call", file, 3, message, loss, key or message)


def test_nothing_in_words_ends_a_command():
    """Percent signs, line ends, commas and colons are escaped as GitHub reads them."""
    line = github.command({"file": "a,b:c%.py", "title": "x\ny"}, "50%\r\n::error::no, yes")

    assert line == "::error file=a%2Cb%3Ac%25.py,title=x%0Ay::50%25%0D%0A::error::no, yes"


def test_failures_of_one_cause_are_one_annotation():
    """The most frequent cause first, with the other tests' names; a file elsewhere is not named."""
    found = [failed(0, "rare", file="/usr/lib/suites/test_it.py"), *(failed(n, "often") for n in range(1, 9))]

    lines = list(github.commands(found, "/checkout"))

    assert len(lines) == 2
    assert lines[0].startswith(
        "::error file=test_it.py,line=3,title=test_it.py%3A%3Atest[1]::it failed%0Athe same in 7"
    )
    assert "test_it.py::test[2], " in lines[0]
    assert lines[0].endswith(", and 2 more")
    assert lines[1] == "::error title=test_it.py%3A%3Atest[0]::it failed"


def test_what_a_shipped_suite_finds_is_shown_at_the_configuration():
    """Where one was given, and lies in the repository."""
    found = [failed(0, file="/usr/lib/suites/test_it.py")]

    (beside,) = github.commands(found, "/checkout", ["/checkout/nets/10.conflist"])
    (elsewhere,) = github.commands(found, "/checkout", ["/etc/10.conflist"])

    assert beside.startswith("::error file=nets/10.conflist,line=1,title=")
    assert "file=" not in elsewhere


@pytest.mark.parametrize(("causes", "last"), [(10, "it failed"), (11, "2 further causes, of 2 failures"), (99, "90 f")])
def test_no_more_errors_than_github_shows(causes, last):
    """Of more causes the last one says how many there are."""
    lines = list(github.commands([failed(n, f"cause {n}") for n in range(causes)], "/checkout"))

    assert len(lines) == 10
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert last in lines[-1]


def test_a_summary_is_bounded_and_appended(tmp_path):
    """What others wrote stays, all together is at most 1 MiB, and the end says that something is missing."""
    file = tmp_path / "summary"
    file.write_text("x" * 1000 + "\n")

    github._append(str(file), ("é" * 99 + "\n") * 9000)

    content = file.read_bytes()
    assert 1_000_000 < len(content) <= 1 << 20
    assert content.startswith(b"x" * 1000 + b"\n")
    assert content.decode().endswith("é\n\nThe rest does not fit into a summary.\n")
    github._append(str(file), "more\n" * 99)
    assert len(file.read_bytes()) <= 1 << 20


def test_words_of_others_are_no_markup():
    """Neither in cells, nor in code, nor in headlines."""
    tally = RunTally("/checkout")
    tally.outcomes["failed"] = 1
    tally.failures.append(failed("<b>|`*", message="<script>| `x` </details>"))

    page = summary.page(tally, {"kernel": "<i>|"}, lambda _: "test_it.py")

    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert page.count("</details>") == page.count("<details>") == 2
    rows = [line for line in page.splitlines() if line.startswith("| 1 |")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [5]


@pytest.mark.parametrize("words", ["a*b*c", "`x` y", "~~x~~", "_x_", "a|b", r"\n", "[a](b)"])
def test_code_is_no_markup(words):
    """Markdown is read between HTML's tags, too: what means something there is written as an entity."""
    code = summary._code(f"say {words} now")

    assert unescape(code) == f"<code>say {words} now</code>"
    assert not re.search(r"[*`~|\\]|\b_|_\b|\]\(", code)


def test_quotes_and_numbers_stay_what_they_are():
    """An apostrophe is one, in a cell as in code: an entity whose # is escaped would be shown as it stands."""
    tally = RunTally("/checkout")
    tally.outcomes["failed"] = 1
    tally.failures.append(failed("it's", message="'mtu' is \"#9\""))

    page = summary.page(tally, {}, lambda _: "")

    assert "&" not in page
    assert "| 'mtu' is \"\\#9\" |" in page
    assert "<code>test_it.py::test[it's]</code>" in page


@pytest.mark.parametrize(
    "test", ["a.py::t[x]", "a.py::t[../../etc]", "a.py::t[\n\0é]", "a.py::" + "t" * 999, "::", "."]
)
def test_a_folder_has_a_name_for_any_file_system(test):
    """Short, ASCII, no directory, no dot in front."""
    name = folders.name_of(test)

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)


def test_names_that_look_alike_have_folders_of_their_own():
    """What is left out of them still counts."""
    assert folders.name_of("a.py::t[x/y]") != folders.name_of("a.py::t[x:y]")
    assert folders.name_of("one/a.py::t") != folders.name_of("two/a.py::t")


def test_folders_are_at_most_so_many_bytes(tmp_path):
    """What does not fit is left out with the reason; what is smaller still fits."""
    filled = folders.Folders(str(tmp_path), "--artifacts")

    first = filled.add("a", {"report.txt": b"x" * (folders.MOST_BYTES - 10)})
    second, third = filled.add("b", {"report.txt": b"x" * 11}), filled.add("c", {"report.txt": b"x" * 10})

    assert first[0].startswith("a-")
    assert second == ("", f"its 11 bytes are too many: all folders together have at most {folders.MOST_BYTES}")
    assert third[0].startswith("c-")
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) == folders.MOST_BYTES


def test_one_run_at_a_time_fills_a_directory(tmp_path):
    """The second is reported in one line, and what the first wrote stays."""
    first = folders.Folders(str(tmp_path), "--artifacts")
    folder, _ = first.add("a", {"report.txt": b"x"})

    with pytest.raises(ConfigError, match="^--artifacts: another run is filling .*; name a directory for each run$"):
        folders.Folders(str(tmp_path), "--artifacts")
    assert (tmp_path / folder / "report.txt").exists()
    first.close()
    folders.Folders(str(tmp_path), "--artifacts").close()


def test_an_index_names_no_folder_elsewhere(tmp_path):
    """What lies outside is not removed. All that is named here is the test's own, whatever the code would remove."""
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "link").symlink_to(outside)
    (outside / "mine").write_text("mine")
    rows = [{"folder": name} for name in ("../outside", str(outside), "link", "")]
    (out / "index.json").write_text(json.dumps({"format": folders.FORMAT, "failures": rows}))

    folders.Folders(str(out), "--artifacts").close()

    assert (outside / "mine").exists()
    assert (out / "link").is_symlink()


def test_a_lost_probe_is_grouped_by_its_cause():
    """Two tests that say different things failed for one thing; numbers alone do not tell causes apart."""
    loss = {"cause": "ip filter FORWARD policy DROP", "dropped_by": "ip filter FORWARD policy", "hook": "FORWARD"}

    assert failures._key({}, loss, "assert ping") == failures._key({}, {**loss, "hop": "elsewhere"}, "assert tcp")
    assert failures._key({}, {}, "took 3.5 s") == failures._key({}, {}, "took 12 s")
    assert failures._key({}, {}, "took 3.5 s") != failures._key({}, loss, "took 3.5 s")
