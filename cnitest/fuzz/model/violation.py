"""What did not hold in a scenario, and what tells one cause from another."""

from __future__ import annotations

from typing import NamedTuple

from cnitest.fuzz.model.normalize import CHANCE, table, worded

# What differs from run to run, or from one generated value to another, and the word that stands for it.
_VARIABLE = (
    *CHANCE,
    *table(
        (r"goroutine \d+ .*", ""),
        (r" (?:size|digest|preview)=.*", ""),
        (r" (?:ifindex|parent|mac|mtu|txqlen|detail|mode)=\S+", ""),
        (r"(?<![\w.])\d+\.\d+\.\d+\.\d+(?:/\d+)?", "ADDRESS"),
        (r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,}[0-9a-fA-F]{0,4}(?:/\d+)?", "ADDRESS"),
        (r"\bbwp[0-9a-f]+\b", "IFB"),
        (r"/[\w./@{}-]+", "PATH"),
        (r'"(?:[^"\\]|\\.)*"', "TEXT"),
        (r"\b(?:cnitest_?[-.])?[cp]\d+(?:-\d+)?\b", "CONTAINER"),
        (r"\b0x[0-9a-f]+\b", "NUMBER"),
        (r"\b[0-9a-f]{8,}\b", "NUMBER"),
        (r"\b(?:(?:eth|net|br|cni)\w*\d|fifteen-letter[s\d])\b", "LINK"),
        (r"\d+", "N"),
    ),
)
_LONG = 160


class Violation(NamedTuple):
    """One thing that does not hold: the rule (see `RULES`), the plugin it is about, and the words.

    ``evidence`` is the same with the names of places and calls, from which a script finds how to see it again, and
    ``kernel`` a condition in shell about the kernel that holds while it is so. ``about`` names the cause where the
    words, which differ from case to case, do not.
    """

    rule: str
    plugin: str
    words: str
    evidence: str = ""
    kernel: str = ""
    about: str = ""

    @property
    def cause(self) -> str:
        """What it has in common with others of the same cause: its rule, its plugin, and the words without values."""
        return f"{self.rule} {self.plugin}: {self.about or plain(self.words)}"


#: The rules that every scenario is held to, and why each matters.
RULES = {
    "crash": "a plugin ends by itself, in time, without a stack trace",
    "refused": "ADD of a valid configuration succeeds",
    "accepted": "an invalid configuration is rejected",
    "error": "a failure is reported by one error document with a defined code (SPEC section 5)",
    "output": "what succeeds prints a result where there is one, and nothing else (SPEC section 5)",
    "untrue": "what the result says is what the kernel has",
    "address": "the address is the one that the allocator has to give, and nobody else's",
    "silent": "packets get through to where the configuration leads them",
    "check": "CHECK of what ADD made succeeds (SPEC section 4)",
    "delete": "DEL succeeds, also a second time, and for what is gone",
    "left": "nothing is left after DEL, or after a failed ADD and the DEL that follows it",
    "harm": "other attachments are not touched",
    "requirement": "each requirement of the specification holds (`cnitest requirements`)",
    "differs": "two plugin sets, or two backends, do the same",
}

#: The names that rules had before; tables of known causes may still have them in this release.
FORMER_RULES = {"sentence": "requirement"}


def plain(text: str) -> str:
    """A text without the values in it."""
    return " ".join(worded(text, _VARIABLE).split())[:_LONG]
