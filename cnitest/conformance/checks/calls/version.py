"""VERSION: SPEC section 2 and the version document of section 5."""

from __future__ import annotations

import re

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.checks.registry import check
from cnitest.conformance.model import protocol

SEMVER = re.compile(r"\d+\.\d+\.\d+")


@check("VER-01")
def version_answers(shared_bench: Bench) -> None:
    """VERSION succeeds, and its document has cniVersion and a list supportedVersions."""
    call = shared_bench.raw("VERSION")

    shared_bench.complain(*protocol.success(call))
    document = protocol.result_document(call)
    if document is None:
        shared_bench.complain(f"there is no document: {protocol.words(call)}")
    else:
        shared_bench.demand(
            isinstance(document.get("cniVersion"), str), f"cniVersion is {document.get('cniVersion')!r}"
        )
        listed = document.get("supportedVersions")
        good = isinstance(listed, list) and bool(listed) and all(isinstance(version, str) for version in listed)
        shared_bench.demand(good, f"supportedVersions is {listed!r}, not a list of versions")


@check("VER-02")
def the_input_version_comes_back(shared_bench: Bench) -> None:
    """The answer's cniVersion is that of the input."""
    call = shared_bench.raw("VERSION", stdin={"cniVersion": shared_bench.version})

    shared_bench.need(call)
    found = (protocol.result_document(call) or {}).get("cniVersion")
    shared_bench.demand(found == shared_bench.version, f"cniVersion is {found!r}, asked in {shared_bench.version!r}")


@check("VER-03")
def versions_rise(shared_bench: Bench) -> None:
    """supportedVersions are semantic versions, each once, in rising order."""
    call = shared_bench.raw("VERSION")

    shared_bench.need(call)
    listed = (protocol.result_document(call) or {}).get("supportedVersions")
    if not isinstance(listed, list) or not all(isinstance(version, str) for version in listed):
        shared_bench.not_applicable("there is no list, which VER-01 reports")
    wrong = [version for version in listed if not SEMVER.fullmatch(version)]
    shared_bench.demand(not wrong, f"no versions: {', '.join(wrong)}")
    if not wrong:
        order = [tuple(int(part) for part in version.split(".")) for version in listed]
        shared_bench.demand(order == sorted(set(order)), f"not in rising order, each once: {', '.join(listed)}")


@check("VER-04")
def advertised_versions_are_accepted(bench: Bench) -> None:
    """ADD in an advertised version is not rejected for the version."""
    call = bench.add(bench.target())

    document = protocol.error_document(call)
    bench.demand(document is None or document["code"] != 1, f"{bench.version}: {protocol.words(call)}")


@check("VER-04")
def other_versions_are_rejected(shared_bench: Bench) -> None:
    """A published version that is not advertised is rejected with code 1."""
    target = shared_bench.target("c9")
    others = [version for version in spec.VERSIONS if version not in shared_bench.subject.advertised]
    if not others or not shared_bench.subject.advertised:
        shared_bench.not_applicable("it advertises every published version")
    for version in others:
        call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "cniVersion": version})
        shared_bench.complain(*protocol.rejection(call, {1}), prefix=f"{version}: ")


@check("VER-04")
def versions_of_its_own_are_accepted(shared_bench: Bench) -> None:
    """An advertised version that the specification does not have is not rejected by ADD."""
    target = shared_bench.target("c8")
    listed = (protocol.result_document(shared_bench.raw("VERSION")) or {}).get("supportedVersions")
    given = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    own = [version for version in given if version not in spec.VERSIONS]
    if not own:
        shared_bench.not_applicable("it advertises published versions alone")
    for version in own:
        call = shared_bench.raw("ADD", target, stdin={**shared_bench.request(target), "cniVersion": version})
        document = protocol.error_document(call)
        rejected = document is not None and document["code"] == 1
        shared_bench.demand(not rejected, f"{version}: {protocol.words(call)}")


@check("VER-05")
def empty_input_is_enough(shared_bench: Bench) -> None:
    """VERSION succeeds with nothing on standard input, and lists versions."""
    call = shared_bench.raw("VERSION", stdin=b"")

    shared_bench.complain(*protocol.success(call))
    listed = (protocol.result_document(call) or {}).get("supportedVersions")
    if not protocol.failed(call):
        shared_bench.demand(listed, f"without input the answer has no supportedVersions: {protocol.words(call)}")


@check("VER-06")
def version_changes_nothing(bench: Bench) -> None:
    """The host is the same before and after VERSION."""
    before, sysctls = bench.look(), bench.sysctls()

    bench.raw("VERSION")

    bench.complain(*bench.changed(before, strict=True))
    changed = {name for name, value in bench.sysctls().items() if sysctls.get(name) != value}
    bench.demand(not changed, f"sysctls changed: {', '.join(sorted(changed))}")
