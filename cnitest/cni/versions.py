"""What a plugin answers to VERSION (RT-24)."""

from __future__ import annotations

from typing import NamedTuple

from cnitest.cni import spec
from cnitest.cni.calls import invoke
from cnitest.cni.calls.invoke import Call
from cnitest.errors import PluginError, is_ours

__tracebackhide__ = is_ours


class Versions(NamedTuple):
    """What a plugin answers to VERSION."""

    cni_version: str
    supported: tuple[str, ...]


def of(made: Call) -> Versions:
    """The versions of VERSION's answer; plugins older than the command, or its list, are known by their words.

    Raises PluginError.
    """
    if "unknown CNI_COMMAND: VERSION" in made.stdout.decode(errors="replace"):
        return Versions(spec.UNVERSIONED, (spec.UNVERSIONED,))
    document = invoke.answer(made)
    supported = document.get("supportedVersions")
    if not supported and document.get("cniVersion") == "0.2.0":
        return Versions("0.2.0", ("0.1.0", "0.2.0"))
    if not isinstance(supported, list) or not all(isinstance(version, str) for version in supported):
        raise PluginError(f"{made.subject}: exit code 0, but 'supportedVersions' is {supported!r}")
    return Versions(str(document.get("cniVersion", "")), tuple(supported))
