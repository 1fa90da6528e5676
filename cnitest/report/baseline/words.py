"""What a finding's cause is called in a baseline: its words without what differs from run to run.

Finer than what the report groups by: of two things that CHECK overlooks, or two files that stay, each is a cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from cnitest.fuzz.model.normalize import CHANCE, table, worded
from cnitest.report.fingerprint import ALONE

_LONG = 300
# What stands before the words of a call that failed.
_FAILS = ": fails: "
# What is chosen by chance or counted, and the word that stands for it.
_VARIABLE = (
    *CHANCE,
    *table(
        (r"goroutine \d+ .*", ""),
        (r" (?:size|digest|preview|ifindex|parent|mac|mtu|txqlen|detail|mode|state|carrier)=\S+", ""),
        (r"(?<![\w.])\d+\.\d+\.\d+\.\d+(?:/\d+)?", "ADDRESS"),
        (r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,}[0-9a-fA-F]{0,4}(?:/\d+)?", "ADDRESS6"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
        (r"\btmp[a-z0-9_]{6,8}\b", "TMP"),
        (r"\bbwp[0-9a-f]+\b", "IFB"),
        (r"\b(?:cnitest_?[-.])?[cp]\d+(?:-\d+)?(?![A-Za-z0-9])", "CONTAINER"),
        (r"\bv\d+(?:\.\d+)+\b", "VERSION"),
        (r"\b0x[0-9a-f]+\b", "NUMBER"),
        (r"\b[0-9a-f]{8,}\b", "NUMBER"),
        # A name that a plugin makes of a hash.
        (r"\b(?=(?:[A-Za-z]*\d){3})[A-Za-z\d]*[A-Za-z][A-Za-z\d]*(?<=[A-Za-z\d]{8})\b", "NAME"),
        # Not of names (eth0, ip6tables, IPv6), nor the family's number, which tell what is what.
        (r"(?<![A-Za-z\d])(?<!family=)\d+", "N"),
    ),
)


def general(text: str) -> str:
    """A text on one line, without addresses, numbers, names that were made up, and states that pass."""
    return " ".join(worded(" ".join(text.split()), _VARIABLE).split())[:_LONG]


def of_details(details: Sequence[str], fingerprints: Sequence[str]) -> Iterator[str]:
    """What each detail of a case is called: by a failure's own words, or what dropped a packet, where that is known."""
    for detail, known in zip_longest(details, fingerprints[: len(details)], fillvalue=""):
        if known.startswith(f"{ALONE}fails ") and _FAILS in detail:
            yield general(f"fails: {detail.partition(_FAILS)[2]}")
        else:
            alone = known.startswith(ALONE) and not known.endswith(" accepts")
            yield known.removeprefix(ALONE) if alone else general(detail)
