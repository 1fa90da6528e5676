"""Whether a topology can be built as declared: every rule over one survey, before the kernel is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

from cnitest.errors import TopologyError
from cnitest.topology.model import Topology
from cnitest.topology.problem import Problem, ancestors
from cnitest.topology.rules import addresses, links, names, policy_rules, routes, settings, tables
from cnitest.topology.survey import Survey

Rule = Callable[[Survey], Iterable[Problem]]
_KEPT = "_problems"

# In order: a rule's problems silence the echoes that they have in later rules.
_RULES: tuple[Rule, ...] = (
    *names.RULES,
    *links.RULES,
    *addresses.RULES,
    *routes.RULES,
    *policy_rules.RULES,
    *tables.RULES,
    *settings.RULES,
)


def check(topology: Topology) -> None:
    """Raises TopologyError with every problem, one a line, when ``topology`` cannot be built as declared."""
    found = problems(topology)
    if found:
        raise TopologyError("\n".join(f"topology {topology.name}: {problem}" for problem in found))


def problems(topology: Topology, *, broken: Set[str] = frozenset()) -> tuple[Problem, ...]:
    """Every problem of ``topology``, in the order of the rules; none means that it can be built.

    ``broken`` are paths whose value is a stand-in, because what was written there could not be read: they are
    not validated, nor what depends on them. Without them the answer is kept with the topology, as both are frozen: what
    was loaded is not validated once more to be built.
    """
    kept: tuple[Problem, ...] | None = topology.__dict__.get(_KEPT)
    if broken or kept is None:
        kept = _found(topology, broken)
    if not broken:
        topology.__dict__[_KEPT] = kept
    return kept


def _found(topology: Topology, broken: Set[str]) -> tuple[Problem, ...]:
    survey = Survey(topology)
    found: list[Problem] = []
    for rule in _RULES:
        faulty = {problem.path for problem in found}
        found += [problem for problem in rule(survey) if not _is_echo(problem, broken, faulty)]
    return tuple(dict.fromkeys(found))


def _is_echo(problem: Problem, broken: Set[str], faulty: Set[str]) -> bool:
    """Whether a problem may come from a fault that is reported elsewhere."""
    return not faulty.isdisjoint(problem.needs) or any(
        path in broken for needed in (problem.path, *problem.needs) for path in ancestors(needed)
    )
