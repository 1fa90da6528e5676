"""VERSION: SPEC section 2 and the version document of section 5."""

from __future__ import annotations

import re

import pytest

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.model import judge

SEMVER = re.compile(r"\d+\.\d+\.\d+")


@pytest.mark.requirement("VER-01")
def test_version_answers(idle: Bench) -> None:
    """VERSION succeeds, and its document has cniVersion and a list supportedVersions."""
    call = idle.raw("VERSION")

    idle.complain(*judge.success(call))
    document = judge.result_document(call)
    if document is None:
        idle.complain(f"there is no document: {judge.words(call)}")
    else:
        idle.demand(isinstance(document.get("cniVersion"), str), f"cniVersion is {document.get('cniVersion')!r}")
        listed = document.get("supportedVersions")
        good = isinstance(listed, list) and bool(listed) and all(isinstance(version, str) for version in listed)
        idle.demand(good, f"supportedVersions is {listed!r}, not a list of versions")


@pytest.mark.requirement("VER-02")
def test_the_input_version_comes_back(idle: Bench) -> None:
    """The answer's cniVersion is that of the input."""
    call = idle.raw("VERSION", stdin={"cniVersion": idle.version})

    idle.need(call)
    found = (judge.result_document(call) or {}).get("cniVersion")
    idle.demand(found == idle.version, f"cniVersion is {found!r}, asked in {idle.version!r}")


@pytest.mark.requirement("VER-03")
def test_versions_rise(idle: Bench) -> None:
    """supportedVersions are semantic versions, each once, in rising order."""
    call = idle.raw("VERSION")

    idle.need(call)
    listed = (judge.result_document(call) or {}).get("supportedVersions")
    if not isinstance(listed, list) or not all(isinstance(version, str) for version in listed):
        idle.not_applicable("there is no list, which VER-01 reports")
    wrong = [version for version in listed if not SEMVER.fullmatch(version)]
    idle.demand(not wrong, f"no versions: {', '.join(wrong)}")
    if not wrong:
        order = [tuple(int(part) for part in version.split(".")) for version in listed]
        idle.demand(order == sorted(set(order)), f"not in rising order, each once: {', '.join(listed)}")


@pytest.mark.requirement("VER-04")
def test_advertised_versions_are_accepted(bench: Bench) -> None:
    """ADD in an advertised version is not refused for the version."""
    call = bench.add(bench.slot())

    document = judge.error_document(call)
    bench.demand(document is None or document["code"] != 1, f"{bench.version}: {judge.words(call)}")


@pytest.mark.requirement("VER-04")
def test_other_versions_are_refused(idle: Bench) -> None:
    """A published version that is not advertised is refused with code 1."""
    slot = idle.slot("c9")
    others = [version for version in spec.VERSIONS if version not in idle.subject.advertised]
    if not others or not idle.subject.advertised:
        idle.not_applicable("it advertises every published version")
    for version in others:
        call = idle.raw("ADD", slot, stdin={**idle.request(slot), "cniVersion": version})
        idle.complain(*(f"{version}: {fault}" for fault in judge.refusal(call, {1})))


@pytest.mark.requirement("VER-05")
def test_empty_input_is_enough(idle: Bench) -> None:
    """VERSION succeeds with nothing on standard input."""
    call = idle.raw("VERSION", stdin=b"")

    idle.complain(*judge.success(call))


@pytest.mark.requirement("VER-06")
def test_version_changes_nothing(bench: Bench) -> None:
    """The host is the same before and after VERSION."""
    before, sysctls = bench.look(), bench.sysctls()

    bench.raw("VERSION")

    bench.complain(*bench.changed(before, strict=True))
    changed = {name for name, value in bench.sysctls().items() if sysctls.get(name) != value}
    bench.demand(not changed, f"sysctls changed: {', '.join(sorted(changed))}")
