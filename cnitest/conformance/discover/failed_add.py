"""The ADD of a test, or of a command, that failed, as what `start_endings` finds the likely causes of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnitest.cni.attachment import Target
from cnitest.cni.calls import answers
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.discover.preflight import Caller, StartFailure, files, links
from cnitest.conformance.model import protocol
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Setting, Subject

_SUPPORTED = re.compile(r"supports \[([^]]*)\]")


def last(journal: Iterable[tuple[Any, Any]], caller: Caller) -> StartFailure | None:
    """What came of the last ADD that a lab's journal knows of; None where it gave a result."""
    target: Target | None = None
    calls: list[Call] = []
    for _, data in journal:
        if isinstance(data, Target):
            target, calls = data, []
        elif isinstance(data, Call):
            calls.append(data)
    if target is None or not any(call.command == "ADD" and answers.failed(call) for call in calls):
        return None
    return of_target(target, calls, caller)


def of_target(target: Target, calls: Sequence[Call], caller: Caller = Caller.TEST) -> StartFailure | None:
    """What came of the ADD of a target, of which ``calls`` has all calls; None where it gave a result.

    Links are those that there are now.
    """
    failed = next((call for call in calls if call.command == "ADD" and protocol.result_document(call) is None), None)
    if failed is None:
        return None
    confs = target.network.plugins
    types = [str(conf["type"]) for conf in confs]
    at = types.index(failed.plugin) if failed.plugin in types else 0
    error = protocol.error_document(failed) or {}
    subject = _subject(target, confs[at], confs[:at], failed, error)
    inside = target.host.sandboxes.get(os.path.basename(target.netns))
    return StartFailure(
        subject=subject,
        version=target.network.cni_version,
        plugin=failed.plugin,
        conf=confs[at],
        words="",
        call=failed,
        error=error,
        links=links(target.host),
        inside=links(inside) if inside else {},
        plugins=files(subject.path),
        programs={},
        caller=caller,
    )


def _subject(
    target: Target, conf: Mapping[str, Any], before: tuple[Mapping[str, Any], ...], call: Call, error: Mapping[str, Any]
) -> Subject:
    found = _SUPPORTED.search(str(error.get("details", "")))
    return Subject(
        name=call.plugin,
        plugin=call.plugin,
        kind=Kind.INTERFACE,
        network=target.network.name,
        conf=conf,
        before=before,
        path=tuple(call.environment.get("CNI_PATH", "").split(":")),
        versions=tuple(re.findall(r"[\d.]+", found[1])) if found else (),
        advertised=(),
        source=target.network.where,
        setting=Setting(ifname=target.ifname, capabilities=target.capabilities, args=target.args),
    )
