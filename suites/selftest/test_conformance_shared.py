"""What may stay after DEL: what all attachments share, whatever its name, and nothing of one of them."""

from __future__ import annotations

import os

import pytest
from cnitest.fixtures import faulty
from cnitest.fixtures.faulty import Fault

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.bench.span import Span
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.subject import Trial

PLUGINS = tuple((os.environ.get("CNI_PATH") or "/usr/lib/cni:/opt/cni/bin").split(":"))
pytestmark = pytest.mark.requires(plugin=("bridge", "firewall", "host-local"), binary="iptables")


def left_by(function: str, place, *, lost: bool = False) -> list[Leftover]:
    """What is left after ADD and DEL of a firewall plugin that a function of `of_reference` changes."""
    fault = Fault(function, "reference", "firewall", "", f"of_reference.{function}", frozenset())
    (profile,) = faulty.install([fault], place, PLUGINS)
    subject = next(each for each in examine([source(profile)], PLUGINS) if each.plugin == "firewall")
    with open_bench(Trial(subject, "1.0.0")) as bench:
        target = bench.target()
        span = Span(bench, target)
        made = bench.attach(target)
        span.added()
        if lost:
            bench.lose("c1")
        bench.delete(made)
        return span.leftovers(lost=lost)


@pytest.mark.parametrize("lost", [False, True])
def test_a_chain_that_all_containers_share_may_stay(tmp_path, lost):
    """A chain of the plugin's own naming, the way there and a rule in it, which each container leaves alike."""
    assert left_by("shares_a_chain", tmp_path, lost=lost) == []


def test_a_rule_that_each_attachment_adds_may_not_stay(tmp_path):
    """A rule without any address is found where the next attachments add it again."""
    left = left_by("adds_to_a_shared_chain", tmp_path)

    assert any("-A MYSITE-FWD -p sctp" in each.difference.after for each in left)


def test_a_chain_of_a_lost_container_may_not_stay(tmp_path):
    """What only this container leaves is not shared, though DEL of others takes theirs along."""
    left = left_by("keeps_a_chain_when_lost", tmp_path, lost=True)

    assert [each.difference.after.statement[:8] for each in left] == [":MYSITE-"]
    assert left_by("keeps_a_chain_when_lost", tmp_path / "deleted") == []
