"""What a failed test shows: the network as it was, the calls of plugins, what changed, what the wires carried."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile

from cnitest import text
from cnitest.cni.attachment import Target
from cnitest.cni.calls import answers
from cnitest.cni.calls.invoke import Call
from cnitest.lab.hosts import Sandbox
from cnitest.lab.lab import Lab
from cnitest.lab.reach import Reach
from cnitest.lab.reachability.matrix import Reachability
from cnitest.lab.reachability.mismatch import Mismatch
from cnitest.lab.snapshot.difference import difference
from cnitest.lab.snapshot.state import State
from cnitest.topology import draw

Section = tuple[str, str]

_MOST_FRAMES = 40
_MOST_CAUSES = 4


def sections(lab: Lab) -> list[Section]:
    """The headed texts for a failing test's report; what has nothing to say is left out."""
    found = [
        ("why", why(lab)),
        ("configuration", configurations(lab)),
        ("likely why ADD failed", "\n".join(rejection(lab))),
        ("topology", picture(lab)),
        ("probes", "\n".join(reach.story() for reach in lab.journal.of(Reach))),
        ("reachability", reachability(lab)),
        ("plugin calls", "\n".join(call.story() for call in lab.journal.of(Call))),
        ("what changed", changes(lab)),
        ("packets", _packets(lab)),
    ]
    return [(f"cnitest: {name}", text.lines(words)) for name, words in found if words]


def why(lab: Lab) -> str:
    """Why the last probe that was not delivered was lost."""
    failed = [reach for reach in lab.journal.of(Reach) if reach.verdict.value != "delivered"]
    return str(failed[-1].explanation) if failed else ""


def configurations(lab: Lab) -> str:
    """What is wrong in the configurations that sandboxes were attached by, though plugins can be called with it."""
    paths = [call.environment["CNI_PATH"].split(":") for call in lab.journal.of(Call) if "CNI_PATH" in call.environment]
    lines: dict[str, None] = {}
    for target in lab.journal.of(Target):
        from cnitest.conformance.discover import warnings

        found = warnings.warnings(target.network, paths[-1] if paths else (), given=target.capabilities)
        lines |= {warnings.placed(target.network.where, text.with_short_words(line)): None for line in found}
    return "\n".join(lines)


def rejection(lab: Lab, *, by_command: bool = False) -> list[str]:
    """Why the last ADD failed, as far as that can be read off its call, its configuration and its host; ``by_command``
    says that no test called it."""
    if not any(isinstance(event.data, Call) and answers.failed(event.data) for event in lab.journal):
        return []  # what finds causes takes long to import
    from cnitest.conformance.discover import failed_add, start_endings
    from cnitest.conformance.discover.preflight import Caller

    failure = failed_add.last(lab.journal, Caller.COMMAND if by_command else Caller.TEST)
    return [text.with_short_words(words) for words in start_endings.causes(failure)[:_MOST_CAUSES]] if failure else []


def succeeded(lab: Lab) -> str:
    """What plugins did last, where none of a list failed: ``CHECK of bridge, portmap (container c1) succeeded``."""
    calls = lab.journal.of(Call)[::-1]
    own = list(takewhile(lambda call: (call.command, call.about) == (calls[0].command, calls[0].about), calls))
    if not own or any(map(answers.failed, own)):
        return ""
    plugins = ", ".join(dict.fromkeys(call.plugin for call in reversed(own)))
    return text.line(f"{own[0].command} of {plugins}{own[0].about} succeeded")


def reachability(lab: Lab) -> str:
    """The last matrix, and how it differs from what was expected of it."""
    found: list[Reachability | Mismatch] = [
        event.data for event in lab.journal if isinstance(event.data, Reachability | Mismatch)
    ]
    matrices = [at for at, one in enumerate(found) if isinstance(one, Reachability)]
    return "\n".join(dict.fromkeys(map(str, found[matrices[-1] :]))) if matrices else ""


def picture(lab: Lab) -> str:
    """The topology with what plugins added to it; the pair of the last probe that failed is marked."""
    failed = [reach for reach in lab.journal.of(Reach) if reach.verdict.value != "delivered"]
    pair = (failed[-1].sender, failed[-1].receiver or failed[-1].destination) if failed else None
    return draw(lab.topology, failed=pair, extra=_additions(lab))


def _additions(lab: Lab) -> dict[str, list[str]]:
    """The links of each sandbox that the topology did not declare."""
    declared = {(end.at, end.name) for veth in lab.topology.veths for end in veth.ends}
    declared |= {(name, link) for name, place in lab.topology.places() for link, _ in place.links()}
    sandboxes = [place for place in lab.places if isinstance(place, Sandbox)]
    return {place.full_name: list(_undeclared(place, declared)) for place in sandboxes}


def _undeclared(place: Sandbox, declared: Collection[tuple[str, str | None]]) -> Iterator[str]:
    """The links of a sandbox but those of the topology, each with its addresses and its kind."""
    addresses = place.addresses
    for link in place.links:
        if link.name != "lo" and (place.full_name, link.name) not in declared:
            own = [a.address for a in addresses if a.link == link.name and a.scope == "global"]
            yield text.line(" ".join([link.name, *own, f"({link.kind})"]))


def changes(lab: Lab) -> str:
    """What differs from the remembered states, place by place; nothing when none were remembered."""
    lines: list[str] = []
    if not lab.remembered:
        return ""
    for place in lab.places:
        found = difference(lab.remembered.get(place.full_name, State()), place.state())
        if found:
            lines += [f"{place.full_name}:", *(f"  {item}" for item in found)]
    return "\n".join(lines)


def _packets(lab: Lab) -> str:
    """The frames of the last probe that was not delivered, hop by hop."""
    failed = [reach for reach in lab.journal.of(Reach) if reach.verdict.value != "delivered" and reach.sightings]
    if not failed:
        return ""
    from cnitest.lab.frames import packets

    sightings = failed[-1].sightings[:_MOST_FRAMES]
    texts: Sequence[str] = packets.summaries([sighting.frame for sighting in sightings])
    began = sightings[0].frame.when
    return "\n".join(
        f"{(sighting.frame.when - began) / 1e6:8.3f} ms  {sighting.hop:32} {text}"
        for sighting, text in zip(sightings, texts, strict=True)
    )
