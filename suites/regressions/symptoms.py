"""How a test says that it saw the symptom of its report, and what several of them need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnitest.suites.plugins.node_networks import caller

from cnitest import Attachment, Host, PluginError, Reach, Runtime
from cnitest.cni import cache
from cnitest.report.marks.bug_reports import Symptom


def must(holds: object, symptom: str) -> None:
    """Say that the symptom was seen unless something holds."""
    if not holds:
        raise Symptom(symptom)


def must_pass(reach: Reach) -> Reach:
    """A probe that the symptom would lose; the symptom's words are what dropped it. Raises ProbeUnproven."""
    must(reach, f"{reach.summary}: dropped by {reach.dropped_by}")
    return reach


def must_be_dropped(reach: Reach) -> Reach:
    """A probe that the symptom would let through. Raises ProbeUnproven."""
    must(not reach, f"{reach.summary}: delivered, though it must not be")
    return reach


def must_fail_check(cni: Runtime, attachment: Attachment) -> None:
    """CHECK of an attachment that the symptom's plugin finds in order."""
    try:
        cni.check(attachment)
    except PluginError:
        return
    raise Symptom(f"CHECK of {attachment.sandbox.full_name} {attachment.ifname} passes")


def network(*chain: str, subnet: str = "10.40.80.0/24", name: str = "net", bridge: str = "cni0", **keys: Any) -> Any:
    """A list of the bridge plugin and those chained to it; ``keys`` are the bridge's own, ``subnet`` may be several
    separated by spaces."""
    ranges = [[{"subnet": each}] for each in subnet.split()]
    first = {
        "type": "bridge",
        "bridge": bridge,
        "isDefaultGateway": True,
        "ipam": {"type": "host-local", "ranges": ranges},
        **keys,
    }
    return {"cniVersion": "1.0.0", "name": name, "plugins": [first, *({"type": each} for each in chain)]}


def delete_in(cni: Runtime, attachment: Attachment, netns: str) -> None:
    """DEL with another CNI_NETNS than that of ADD, as runtimes send it once the namespace has gone.

    Raises PluginError; then the attachment is still there, for the DEL at the test's end.
    """
    previous = cache.load(attachment.target)
    caller(cni).delete(replace(attachment.target, netns=netns), previous)
    cni.attachments.remove(attachment)


def rules(host: Host, *words: str) -> set[str]:
    """The firewall rules of a host that hold one of some words, of every program."""
    lines = {f"{backend}: {line}" for backend, rows in host.state().firewall.items() for line in rows}
    return {line for line in lines if any(word in line for word in words)}
