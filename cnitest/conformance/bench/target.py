"""What a bench attaches, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnitest.cni.calls.invoke import Call
from cnitest.cni.spec import Document
from cnitest.lab.hosts import Sandbox


@dataclass(frozen=True)
class AttachmentTarget:
    """A place for an attachment: which container, which interface, which network, and how it is asked for.

    ``netns`` is CNI_NETNS, also when the container is lost.
    """

    sandbox: Sandbox
    netns: str
    container_id: str
    ifname: str
    network: str
    conf: Document
    before: tuple[Document, ...] = ()
    args: str = ""
    capabilities: Document = field(default_factory=dict)


@dataclass(frozen=True)
class AddResult:
    """What ADD made: the target, the plugin's own call, its result, and what it was given as the previous one."""

    target: AttachmentTarget
    call: Call
    result: Document
    previous: Document | None
