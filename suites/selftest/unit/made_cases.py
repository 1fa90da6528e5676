"""Cases of a conformance run as tests of their causes make them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.conformance.bench.steps import Evidence
from cnitest.conformance.model.requirement import Kind
from cnitest.conformance.model.subject import Subject
from cnitest.conformance.model.verdict import Case, CaseVerdict
from cnitest.kernel.files import File
from cnitest.lab.snapshot.difference import Difference
from cnitest.report.conformance import causes
from cnitest.report.fingerprint import fingerprint

RULE = 'nat: -A CNI-{} -s {}/32 -m comment --comment "id: {}" -j MASQUERADE'
FILE = File("/var/lib/mine/c1", "file", 0o644, 1, "", "")


def subject(name: str, **changes: Any) -> Subject:
    """A plugin under test."""
    fixed: dict[str, Any] = {"network": "n", "conf": {"type": name}, "before": (), "path": ("/x",), "source": "n.conf"}
    return Subject(
        name=name, plugin=name, kind=Kind.INTERFACE, versions=("1.0.0",), advertised=("1.0.0",), **{**fixed, **changes}
    )


def case(requirement: str, *details: str, plugin: str = "bridge", verdict: CaseVerdict = CaseVerdict.FAILED) -> Case:
    """One case that found something."""
    return Case(requirement, plugin, "1.0.0", "test", verdict, details=details)


def about(requirement: str, words: str, record: Evidence, fault: str = "") -> Case:
    """One case that found something about a record."""
    return replace(case(requirement, words), fingerprints=(fingerprint(record, fault, requirement),))


def left(table: str, before: Any, after: Any) -> Leftover:
    """A difference on the host."""
    return Leftover("node", Difference(table, "key", before, after))


def failed(command: str, words: str, code: int = 999) -> Call:
    """A call that failed with an error document."""
    said = f'{{"cniVersion": "1.0.0", "code": {code}, "msg": "{words}"}}'.encode()
    return Call("bridge", command, "node", ("/x/bridge",), {"CNI_IFNAME": "eth0"}, "{}", said, b"", 1, 0.1)


def found(*cases: Case, own: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, ...]]]:
    """The plugins and requirements of the causes of some cases."""
    subjects = [subject("bridge"), subject("mine")]
    return [(one.subject, one.requirements) for one in causes.causes(cases, subjects, own)]
