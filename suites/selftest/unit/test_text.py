"""What others wrote is shown and never obeyed."""

from __future__ import annotations

import subprocess
import unicodedata

import pytest

from cnitest import text
from cnitest.conformance.repro.quote import document, joined, quoted
from cnitest.errors import CommandError, ConfigError, KernelError, PluginError

HOSTILE = {
    "escape sequence": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "control characters": "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160)])),
    "NUL": "a\0b",
    "bidirectional": "safe\u202egnp.exe\u2066\u2069\u200f",
    "invisible": "a\u200bb\u2060c\ufeff\U000e0041",
    "line separators": "one\u2028two\u2029three\x85four\x0bfive",
    "surrogates": "half \ud800",
    "carriage return": "harmless\rHARMFUL",
}


def is_seen(shown: str) -> bool:
    """Whether a person sees each character, line ends aside."""
    return all(one == "\n" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in shown)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", [text.line, text.lines, lambda words: text.indented(words, "  ")])
def test_nothing_in_it_steers_a_terminal_or_hides(form, hostile):
    """What is not printable is written as Python writes it."""
    shown = form(f"before {hostile} after")

    assert is_seen(shown)
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain ünïcödé 漢字", "plain ünïcödé 漢字"),
        ("\x1b[0m", "\\x1b[0m"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\U000e0041"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
    ],
)
def test_a_line_is_one(given, expected):
    """Line ends are shown in it; what is printable stays."""
    assert text.line(given) == expected


def test_a_tab_between_words_is_seen_and_one_that_indents_is_blank():
    """Two values that differ in a tab look different; a crash's lines keep their shape."""
    shown = text.lines("is 1 2, not 1\t2\ngoroutine 1:\n\tmain.go:5\n  \tx")

    assert shown == "is 1 2, not 1\\t2\ngoroutine 1:\n    main.go:5\n      x"


def test_what_is_long_is_cut_with_its_length():
    """Lines, and the whole."""
    assert text.line("x" * 1_000_000, 10) == "xxxxxxxxxx … (1000000 characters)"
    assert len(text.line("\x1b" * 1_000_000)) < 5000
    assert len(text.lines("x\n" * 1_000_000)) < 70_000
    assert text.lines("a\n" + "b" * 1_000_000).startswith("a\nbbb")
    assert len(text.lines("a\n" + "b" * 1_000_000)) < 5000


def test_further_lines_are_moved_in():
    """So that none of them passes for one of ours."""
    assert text.indented("one\nbridge ADD: exit code 0\n\tx", "    ") == "one\n    bridge ADD: exit code 0\n        x"


@pytest.mark.parametrize("error", [CommandError, ConfigError, KernelError, PluginError])
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_errors_show_and_do_not_obey(error, hostile):
    """Whatever a message was made of."""
    assert is_seen(str(error(f"x {hostile}")))
    assert len(str(error(hostile * 100_000))) < 70_000


@pytest.mark.parametrize("hostile", [*HOSTILE.values(), "a'b\\c\n\td $(x) `y` !z", "\nrm -rf /\n", "ü\x1b1"])
def test_a_word_of_a_script_stays_one(hostile):
    """Bash reads back what was quoted, less NUL; and the script shows what is in it."""
    word = hostile.replace("\ud800", "\udc80")
    script = f"printf %s {joined(['<', word, '>'])}"

    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)

    assert done.stdout.decode("utf-8", "surrogateescape") == f"<{word}>".replace("\0", "")
    assert is_seen(quoted(word))


@pytest.mark.parametrize("content", ["END", "a\nEND\ntouch /x\nEND_", "plain", ""])
def test_a_document_of_a_script_ends_where_it_ends(content):
    """Also when it holds the word that ends one."""
    done = subprocess.run(["bash", "-c", f"cat {document(content)}"], capture_output=True, check=True, text=True)

    assert done.stdout == f"{content}\n"


def test_of_a_long_error_the_first_lines_are_kept():
    """A person reads what fits on a screen, and how much more there is."""
    short, long = "\n".join("ab"), "\n".join(map(str, range(1000)))

    assert text.first(short) == short
    assert text.first(long).splitlines() == [*map(str, range(35)), "… and 965 lines more"]
