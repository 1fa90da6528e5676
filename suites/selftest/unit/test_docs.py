"""Every example in README.md and docs/ is run, and what it prints is compared with what the document says.

Fences marked ``python`` and ``console`` are examples. A ``python`` block with a test in it is run by pytest,
any other by Python; a ``console`` block is commands (``$ ...``) and their output, where ``...`` stands for
anything, alone on a line for any lines. A comment on the line before a fence says what else there is:

    <!-- not run: it needs a cluster -->   skipped, with the reason
    <!-- file: lan.yaml -->                any block: kept as that file, for the document's other examples
    <!-- exit code: 1 -->                  what the example ends with, instead of 0
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
ELSEWHERE = {"docs/topologies.md": "its examples are topologies, which their own test loads"}
RUNNABLE = ("python", "console")
COMMANDS = ("cnitest", "pytest", "python")
LIMIT = 300.0

FENCE = re.compile(r"^(?P<fence>```+)(?P<language>[\w-]*).*\n(?P<text>(?:.*\n)*?)(?P=fence)[ ]*$", re.MULTILINE)
COMMENT = re.compile(r"<!--\s*(?P<key>not run|file|exit code):\s*(?P<value>.*?)\s*-->")
CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class Block:
    """One fenced block: where it is, its language, its text and what the comments before it say."""

    document: str
    line: int
    language: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where to look for it."""
        return f"{self.document}:{self.line}"

    @property
    def exit_code(self) -> int:
        """What it should end with."""
        return int(self.notes.get("exit code", 0))


@dataclass(frozen=True)
class Command:
    """A line after ``$`` and the output printed under it."""

    line: str
    output: str


def blocks(document: str, text: str) -> list[Block]:
    """All fenced blocks of a document, in order."""
    return [
        Block(
            document,
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            match["text"],
            notes_before(text, match),
        )
        for match in FENCE.finditer(text)
    ]


def notes_before(text: str, match: re.Match[str]) -> dict[str, str]:
    """The comments on the lines directly before a fence."""
    notes = {}
    for line in reversed(text[: match.start()].splitlines()):
        found = COMMENT.fullmatch(line.strip())
        if not found:
            break
        notes[found["key"]] = found["value"]
    return notes


def commands(block: Block) -> list[Command]:
    """A console block's commands; a backslash at a line's end joins it with the next."""
    parts = re.split(r"^\$ ", block.text.replace("\\\n", ""), flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block.place}: a console block begins with a command: $ ..."
    return [Command(*part.partition("\n")[::2]) for part in parts[1:]]


def matches(expected: str, actual: str) -> bool:
    """Whether the output is what the document says; blanks at line ends do not count."""
    wanted = "".join(map(_line_pattern, expected.strip().splitlines()))
    return re.fullmatch(wanted, _tidy(actual)) is not None


def _line_pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(line.rstrip()).replace(r"\.\.\.", ".*?") + "\n"


def _tidy(output: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in output.strip().splitlines())


def examples() -> Iterator[Block]:
    """The runnable blocks of the documents that exist."""
    for path in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("**/*.md"))]:
        name = str(path.relative_to(CHECKOUT))
        if path.exists() and name not in ELSEWHERE:
            yield from (block for block in blocks(name, path.read_text()) if block.language in RUNNABLE)


def has_rights() -> bool:
    """Whether this process may make namespaces."""
    status = Path("/proc/self/status").read_text()
    effective = re.search(r"CapEff:\s*(\w+)", status)
    return bool(effective and int(effective[1], 16) >> CAP_SYS_ADMIN & 1)


def run(argv: list[str], folder: Path) -> tuple[int, str]:
    """One program in the document's folder: its exit code and everything it printed."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "PATH": f"{bin_folder}:{os.environ.get('PATH', os.defpath)}",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout


def keep_files(block: Block, folder: Path) -> None:
    """Writes the files of the block's document, wherever in it they are."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for each in blocks(block.document, (CHECKOUT / block.document).read_text()):
        if "file" in each.notes:
            path = folder / each.notes["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each.text)


def run_python(block: Block, folder: Path) -> None:
    """A test file by pytest, anything else by Python."""
    is_test = re.search(r"^\s*def test_", block.text, re.MULTILINE)
    name = block.notes.get("file", "test_example.py" if is_test else "example.py")
    (folder / name).write_text(block.text)
    runner = [sys.executable, "-m", "pytest", "-q", name] if is_test else [sys.executable, name]

    code, output = run(runner, folder)

    assert code == block.exit_code, f"{block.place}: the example ended with {code}:\n{output}"


def run_console(block: Block, folder: Path) -> None:
    """Each command in turn, its output held against the document's."""
    for command in commands(block):
        argv = shlex.split(command.line)
        known = argv[0] in COMMANDS
        assert known, f"{block.place}: '$ {command.line}': {argv[0]} is none of {COMMANDS}; say <!-- not run: why -->"

        code, output = run(argv, folder)

        place = f"{block.place}: '$ {command.line}'"
        assert code == block.exit_code, f"{place}: ended with {code}, not {block.exit_code}:\n{output}"
        assert matches(command.output, output), f"{place}:\n--- the document\n{command.output}\n--- now\n{output}"


EXAMPLES = list(examples())


@pytest.mark.skipif(not has_rights(), reason="the examples make namespaces: CAP_SYS_ADMIN is missing")
@pytest.mark.parametrize("block", EXAMPLES, ids=[block.place for block in EXAMPLES])
def test_the_example_runs(block: Block, tmp_path: Path) -> None:
    """An example in a document does and prints what the document says."""
    if "not run" in block.notes:
        pytest.skip(f"{block.place}: {block.notes['not run']}")
    keep_files(block, tmp_path)

    (run_python if block.language == "python" else run_console)(block, tmp_path)


def test_readme_has_an_example() -> None:
    """README.md shows at least one example that is run."""
    run_blocks = [block for block in EXAMPLES if block.document == "README.md" and "not run" not in block.notes]

    assert run_blocks, "README.md: add a ```python or ```console example"


# ---- the reading of documents ----

DOCUMENT = """\
# A guide

<!-- file: lan.yaml -->
```yaml
name: lan
```

<!-- not run: it needs a cluster -->
```console
$ kubectl get nodes
```

Then:
<!-- exit code: 1 -->
<!-- file: test_a.py -->
```python
def test_a(): ...
```
"""


def test_blocks_are_read_with_their_notes() -> None:
    """A block has its line, language, text and the comments directly above it."""
    first, second, third = blocks("guide.md", DOCUMENT)

    assert (first.language, first.line, first.notes) == ("yaml", 4, {"file": "lan.yaml"})
    assert second.notes == {"not run": "it needs a cluster"}
    assert (third.exit_code, third.notes["file"]) == (1, "test_a.py")
    assert third.text == "def test_a(): ...\n"


def test_commands_carry_their_output() -> None:
    """A console block is split into commands, each with what is printed under it."""
    block = Block("guide.md", 1, "console", "$ cnitest run \\\n  a.conf\nfine\n$ cnitest doctor\n")

    assert commands(block) == [Command("cnitest run   a.conf", "fine\n"), Command("cnitest doctor", "")]


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("2 passed in ...s\n", "2 passed in 0.31s\n", True),
        ("one\n...\nlast\n", "one\ntwo\nthree\nlast\n", True),
        ("one\n...\nlast\n", "one\nlast\n", True),
        ("one\n", "one  \n\n", True),
        ("", "", True),
        ("one\n", "one\ntwo\n", False),
        ("a ... b\n", "a\nb\n", False),
        ("", "surprise\n", False),
    ],
)
def test_output_is_compared_with_ellipses(expected: str, actual: str, same: bool) -> None:
    """``...`` stands for any part of a line, or any lines when alone; all else must be equal."""
    assert matches(expected, actual) is same
