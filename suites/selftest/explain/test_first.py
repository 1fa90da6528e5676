"""The first drop of a lab that is just built, while its links still announce themselves."""

from __future__ import annotations

import pytest

from cnitest import Lab, Verdict
from cnitest.topology import loads

_PLACES = 100
_MOST = 10
_RULE = "nft 'table bridge t { chain c { type filter hook forward priority 0; ip protocol icmp drop; }; }'"


def _pods(number: int) -> tuple[str, str]:
    """A pod on the bridge, and its wire."""
    wire = f"""
  - ends:
      - {{at: node/p{number}, name: eth0, addresses: [10.1.0.{number + 10}/16]}}
      - {{at: node, name: v{number}, bridge: br0}}"""
    return f"\n      p{number}: {{}}", wire


def _many() -> str:
    """A node with many pods on one bridge."""
    pods, wires = zip(*map(_pods, range(_PLACES)), strict=True)
    return f"""
name: many
hosts:
  node:
    bridges: {{br0: {{addresses: [10.1.0.1/16]}}}}
    sandboxes:{"".join(pods)}
veths:{"".join(wires)}
"""


@pytest.mark.parametrize("to", ["10.1.0.50", "10.1.77.77"])
def test_an_early_drop_among_many_places_is_proven_and_explained(to):
    """What many links say when they come up neither hides a drop's cause nor leaves it unproven for longer than they
    talk: a machine with other work may take more than one probe for that, and says why."""
    with Lab(loads(_many())) as lab:
        lab.host("node").run(["sh", "-c", _RULE])

        for _ in range(_MOST):
            reach = lab.sandbox("p1").ping(to)
            if reach.verdict is Verdict.DROPPED:
                break
            assert "frames went by unseen" in reach.reason, reach

        assert reach.verdict is Verdict.DROPPED, reach
        assert reach.cause, reach.explanation
        assert reach.cause.id == {"10.1.0.50": "nftables.bridge", "10.1.77.77": "l2.nobody"}[to]
