"""What calls by hand have to be answered with, and what is wrong with an answer to VERSION."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting
from cnitest.fuzz.oracles.demands import demands, misanswered

REQUEST = {"cniVersion": "1.0.0", "name": "net", "type": "bridge"}


def subject(**changes: Any) -> Any:
    """A plugin that speaks two versions."""
    versions = ("0.3.1", "1.0.0")
    usual = {"plugin": "bridge", "skel": False, "versions": versions, "advertised": versions, "highest": "1.0.0"}
    return SimpleNamespace(**{**usual, "kind": Kind.INTERFACE, "setting": Setting(), **changes})


def answer(document: Any, asked: str = "1.0.0") -> Call:
    """A VERSION that answers with some document."""
    stdin, stdout = json.dumps({"cniVersion": asked}), json.dumps(document).encode()
    return Call("bridge", "VERSION", "node", (), {}, stdin, stdout, b"", 0, 0.0)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}, ""),
        ({"cniVersion": "1.0.0", "supportedVersions": ["1.0.0", "0.4.0"]}, "do not rise"),
        ({"cniVersion": "1.0.0", "supportedVersions": ["1.0.0", "1.0.0"]}, "do not rise"),
        ({"cniVersion": "1.0.0", "supportedVersions": []}, "not a list of versions"),
        ({"cniVersion": "1.0.0", "supportedVersions": ["one"]}, "not a list of versions"),
        ({"cniVersion": "1.0.0"}, "not a list of versions"),
        ({"cniVersion": "0.4.0", "supportedVersions": ["1.0.0"]}, "asked in '1.0.0'"),
        ("text", "there is no document"),
    ],
)
def test_versions_are_listed_and_repeated(document: Any, words: str):
    """The answer has a list of rising versions, and the version that it was asked in."""
    found = misanswered(answer(document), subject())

    assert bool(found) is bool(words)
    assert words in " ".join(found)


def test_what_goes_library_answers_is_no_fault_of_a_plugin():
    """It answers in a version of its own, and is never called without a command."""
    given = {"cniVersion": "0.4.0", "supportedVersions": ["1.0.0"]}

    assert not misanswered(answer(given), subject(skel=True))
    assert not [why for why, _ in demands(subject(skel=True), REQUEST) if why == "a call without a command"]
    assert [why for why, _ in demands(subject(), REQUEST) if why == "a call without a command"]


def test_demands_are_about_the_plugin():
    """Each names it and says why."""
    for why, raw in demands(subject(), REQUEST):
        assert why
        assert raw.plugin == "bridge"


def test_demands_depend_on_what_a_plugin_speaks():
    """STATUS is asked of who speaks 1.1.0; versions that are not spoken are rejected."""
    asked = [(why, raw.command) for why, raw in demands(subject(), REQUEST)]
    newer = subject(versions=("1.1.0",), advertised=("1.1.0",), highest="1.1.0")

    assert ("STATUS", "STATUS") not in asked
    assert ("STATUS", "STATUS") in [(why, raw.command) for why, raw in demands(newer, REQUEST)]
    assert ("the version 0.4.0", "ADD") in asked
    assert ("the version 1.0.0", "ADD") not in asked
    assert ("a call in version 0.3.1, which does not have it", "CHECK") in asked
