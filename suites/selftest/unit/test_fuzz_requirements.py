"""The requirements of the specification as scenarios: which there are, which apply, and who tries which first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_conformance import SUBJECT

from cnitest.conformance.checks.registry import variants
from cnitest.conformance.model.requirement import registry
from cnitest.conformance.model.subject import Trial
from cnitest.fuzz.execute import requirements
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Scenario, loads
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.search.kinds import arranged

NETWORK = Example({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": SUBJECT.plugin}]})


def test_every_requirement_is_among_them():
    """No requirement of the registry is left out."""
    assert {one.requirement for one in variants().values()} == set(registry())


def test_parameters_make_one_each():
    """A test with two parameters is there once for every pair, under the name that pytest gives it."""
    names = {name for name in variants() if name.startswith("test_del_leaves_others_alone")}

    pairs = {
        f"[{which}-other {what}]" for which in ("first", "second") for what in ("interface", "container", "network")
    }
    assert names == {f"test_del_leaves_others_alone{pair}" for pair in pairs}


def test_only_those_that_apply_are_tried():
    """CHECK is not asked about before there is one, nor what a profile skips."""
    early = replace(NETWORK, network={**NETWORK.network, "cniVersion": "0.3.1"})
    skipping = replace(SUBJECT, setting=replace(SUBJECT.setting, skip={"DEL-02": "it is said elsewhere"}))

    now, before = ({one.held for one in requirements.about(SUBJECT, network)} for network in (NETWORK, early))
    assert "test_check_after_del_fails" in now - before
    assert {one.held for one in requirements.about(SUBJECT, NETWORK)} - {
        one.held for one in requirements.about(skipping, NETWORK)
    } == {"test_del_can_be_repeated"}


def test_a_test_that_there_is_not_is_named():
    """A scenario of an older suite says which test is missing."""
    with pytest.raises(ValueError, match="'test_nothing'"):
        requirements.hold(Trial(SUBJECT, "1.0.0"), Scenario((NETWORK,), (), held="test_nothing"))


def test_a_scenario_keeps_its_test():
    """What is stored is read again."""
    one = Scenario((NETWORK,), (), held="test_del_can_be_repeated")

    assert loads(one.dumps()) == one
    assert one.words == one.held


def test_one_requirement_is_one_cause():
    """Findings of one requirement are the same, whatever they say."""
    one, other = (Violation("requirement", "wire", words, about="DEL-02") for words in ("this", "that"))

    assert one.cause == other.cause != one._replace(about="DEL-03").cause


@pytest.mark.parametrize("number", range(3))
def test_a_share_comes_first(number: int):
    """Each of three workers takes another third first, the newest version of it first, and all the rest after it."""
    versions = [replace(NETWORK, network={**NETWORK.network, "cniVersion": version}) for version in ("1.0.0", "0.4.0")]
    known = [Scenario((network,), (), held=f"test_{at}") for network in versions for at in range(9)]

    taken = arranged(known, (number, 3), 7)[::-1]

    assert {one.dumps() for one in taken[:6]} == {one.dumps() for one in known[number::3]}
    assert [one.networks[0].network["cniVersion"] for one in taken[:6]] == ["1.0.0"] * 3 + ["0.4.0"] * 3
    assert sorted(one.dumps() for one in taken) == sorted(one.dumps() for one in known)
