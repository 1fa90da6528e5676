"""What is said of words that the language of topologies has other words for."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cnitest.errors import TopologyError
from cnitest.topology import model
from cnitest.topology.load import loads
from cnitest.topology.words.guesses import choice, guess, guesses, synonym, synonyms

WIRED = "\nveths:\n  - ends: [{at: a, name: eth0}, {at: b, name: eth0}]\n"


def fault(text: str) -> str:
    """What is wrong with a topology."""
    with pytest.raises(TopologyError) as caught:
        loads(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nhosts: {a: {links: {}}}", "a link between two places is in 'veths' of the topology"),
        ("name: x\nhosts: {a: {sandboxes: {c: {default-gateway: 10.0.0.1}}}}", "routes: [default via 10.0.0.1]"),
        ("name: x\nhosts: {a: {IP: 10.0.0.1}}", "an address belongs to a link"),
        ("name: x\nhosts: {a: {}}\nlinks: []", "is in 'veths' of the topology"),
        ("name: x\nhosts: {a: {bridges: {b: {ports: []}}}}", "a port names its bridge: bridge: br0"),
        ("name: x\nhosts: {a: {}}\nveths: [{endpoints: [a, b]}]", "a veth pair has two ends"),
        ("name: x\nhosts: {a: {}}\nveths: [{ends: [{host: a, name: e}, {at: a}]}]", "the place of an end is 'at'"),
    ],
)
def test_a_word_of_other_tools_names_ours(text: str, said: str):
    """What to write instead stands behind the word, and no other key is proposed."""
    message = fault(text)

    assert f"unknown key: {said}" in message or said in message
    assert "Did you mean" not in message


def test_a_misspelling_is_still_a_misspelling():
    """A word of the language that is mistyped is that word."""
    assert "Did you mean 'sysctls'?" in fault("name: x\nhosts: {a: {sysctl: {}}}" + WIRED)


def test_no_word_of_the_language_is_a_guess():
    """What a class of the model knows is never said to be something else."""
    for name, words in guesses().items():
        cls = getattr(model, name)
        known = {item.name for each in (cls, *cls.__subclasses__()) for item in fields(each)}

        assert not known & set(words), name
        assert all(guess(cls, word) for word in words)


def test_a_synonym_stands_for_a_key_that_its_class_has():
    """What a class of the model knows is no synonym of anything, and each stands for one of its own keys."""
    for name, words in synonyms().items():
        cls = getattr(model, name)
        known = {item.name for each in (cls, *cls.__subclasses__()) for item in fields(each)}

        assert set(words.values()) <= known, name
        assert not {item.name for item in fields(cls)} & set(words), name
        assert all(synonym(cls, word.upper()) == words[word] for word in words), name


def test_a_synonym_is_read_as_the_key_that_it_stands_for():
    """Only the word is wrong: what is missing by it is not reported, too, and its value is examined."""
    said = fault("name: x\nhosts: {a: {macvlans: {m: {master: m}}}}")

    assert said.splitlines() == [
        "<string>:2:28: hosts.a.macvlans.m.master: unknown key. Did you mean 'parent'?",
        "<string>:2:36: hosts.a.macvlans.m.parent: 'm' cannot be its own parent",
    ]


def test_a_switch_that_is_on_is_up():
    """A value in another word is one of those that are allowed, or none."""
    assert choice("on", ["up", "down"]) == "up"
    assert choice("1", ["balance-rr", "active-backup"]) == "active-backup"
    assert choice("on", ["host", "router"]) is None
