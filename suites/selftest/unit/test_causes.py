"""Cases become causes by what their evidence has in common, and all of them fit on two screens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cnitest.suites.selftest.unit.made_cases import FILE, RULE, about, case, failed, found, left, subject

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.model import protocol, shipped
from cnitest.conformance.model.protocol import CallFault
from cnitest.conformance.model.requirement import registry
from cnitest.conformance.model.verdict import CaseVerdict
from cnitest.lab.snapshot.firewall_line import FirewallLine
from cnitest.report.conformance import again, causes, ending, listing, scripts, summary
from cnitest.report.fingerprint import fingerprint


def test_only_shipped_profiles_have_to_show_what_is_known(tmp_path):
    """A configuration of somebody's own is none, though a directory of theirs is called fixtures, too."""
    own = tmp_path / "fixtures" / "plugins" / "bridge.yaml"
    (tmp_path / "link.yaml").symlink_to(shipped.profiles()["bridge"])
    sources = {"own": str(own), "shipped": str(shipped.profiles()["bridge"]), "linked": str(tmp_path / "link.yaml")}

    found = {
        name: summary.outcome([], [subject("bridge", source=file)], "spec", whole=True)
        for name, file in sources.items()
    }

    assert {name: ended.shipped for name, ended in found.items()} == {"own": False, "shipped": True, "linked": True}


def test_an_add_that_hides_its_errors_is_one_cause():
    """Exit code 0 and nothing on stdout, whichever requirement shows it; what it says on stderr is quoted."""
    said = b"a\n[error] file exists"
    call = Call("mine", "ADD", "node", ("/x/mine",), {"CNI_IFNAME": "eth0"}, "{}", b"", said, 0, 0.1)
    (detail,) = protocol.rejection(call)

    assert detail.endswith("ends with exit code 0 without a result, and says [error] file exists")
    assert protocol.success(call) == [detail]
    alike = [
        replace(case(requirement, *words, plugin="mine"), fingerprints=(fingerprint(call, detail.fault, requirement),))
        for requirement, words in {"ADD-03": (detail,), "ADD-05": (detail, "the second ADD succeeds")}.items()
    ]
    assert found(*alike) == [("mine", ("ADD-03", "ADD-05"))]


@pytest.mark.parametrize("command", ["DEL", "CHECK", "GC", "STATUS"])
def test_other_commands_have_no_result(command: str):
    """Only ADD prints one."""
    assert protocol.success(Call("mine", command, "node", ("/x/mine",), {}, "{}", b"", b"", 0, 0.1)) == []


def test_the_same_leftover_is_one_cause():
    """Rules that differ by chain, address and container only are the same leftover."""
    rules = [
        FirewallLine(RULE.format("0123456789abcdef", "10.1.0.2", "cnitest-c1")),
        FirewallLine(RULE.format("fedcba9876543210", "10.1.0.9", "cnitest-c4")),
    ]
    first = about("DEL-01", "one stays", left("iptables", None, rules[0]))
    second = about("DEL-05", "and there another", left("iptables", None, rules[1]))

    assert found(first, second) == [("bridge", ("DEL-01", "DEL-05"))]


def test_other_leftovers_are_other_causes():
    """A file that stays is not a rule that stays, and what stays is not what is gone."""
    row = FILE
    rule = about("DEL-01", "it stays", left("iptables", None, FirewallLine(RULE.format("0", "10.1.0.2", "c1"))))
    file = about("DEL-05", "it stays", left("files", None, row))
    gone = about("DEL-14", "it stays", left("files", row, None))

    assert len(found(rule, file, gone)) == 3


def test_the_same_error_is_one_cause():
    """The text of a failed call counts, whichever address is in it; another text is another cause."""
    one = about("DEL-09", "the first fails", failed("DEL", "no chain for 10.1.0.2"), CallFault.FAILS)
    same = about("ADD-16", "and this, too", failed("ADD", "no chain for 10.1.0.7"), CallFault.FAILS)
    other = about("DEL-02", "the first fails", failed("DEL", "no such file"), CallFault.FAILS)
    code = about("DEL-16", "the first fails", failed("DEL", "no chain for 10.1.0.2", 7), CallFault.FAILS)

    assert found(one, same, other, code) == [
        ("bridge", ("ADD-16", "DEL-09")),
        ("bridge", ("DEL-02",)),
        ("bridge", ("DEL-16",)),
    ]


def test_the_same_words_about_another_interface_of_ours_are_one_cause():
    """Whatever name a test asks for, what is missing is the same."""
    names = ("eth0", "net15-long-name")

    assert found(*(case("ADD-08", f"the result has no interface {name} in the container") for name in names)) == [
        ("bridge", ("ADD-08",))
    ]


def test_the_same_words_about_other_things_are_other_causes():
    """What a complaint is about decides, not how it reads; its words do where it is about nothing."""
    link, route = (left(table, None, row) for table, row in (("files", FILE), ("iptables", RULE)))
    reported = case("DEL-01", "one is left at 10.1.0.2"), case("DEL-05", "one is left at 10.1.0.3")

    assert len(found(about("DEL-01", "one is left", link), about("DEL-05", "one is left", route))) == 2
    assert len(found(*reported)) == 1


def test_what_blocks_is_one_cause_by_its_call():
    """Requirements that the same failure of a call blocks are one cause, apart from those that fail for it."""
    record = failed("ADD", "no chain for 10.1.0.2")
    blocked = [
        replace(
            about(name, "", record, CallFault.FAILS),
            verdict=CaseVerdict.UNDECIDED,
            details=(),
            reason=f"{name} is blocked",
        )
        for name in ("DEL-01", "DEL-05")
    ]

    assert found(*blocked, about("ADD-01", "it fails", record, CallFault.FAILS)) == [
        ("bridge", ("ADD-01",)),
        ("bridge", ("DEL-01", "DEL-05")),
    ]


def test_a_blind_check_is_one_cause():
    """A CHECK that succeeds whatever is broken is reported once, an ADD that accepts each thing by itself."""
    blind = [
        about(name, f"{what}: it succeeds", replace(failed("CHECK", ""), exit_code=0), CallFault.ACCEPTS)
        for name, what in (("CHK-08", "the route is gone"), ("CHK-11", "the rule is gone"), ("CHK-20", "the MTU is 9"))
    ]
    careless = [
        about(name, "it succeeds", replace(failed("ADD", ""), exit_code=0), CallFault.ACCEPTS)
        for name in ("PROTO-03", "PROTO-23")
    ]

    assert ("bridge", ("CHK-08", "CHK-11", "CHK-20")) in found(*blind)
    assert len(found(*careless)) == 2


def test_the_own_plugin_comes_first_and_the_worst_of_it():
    """What is named, or in the first directory, is reported before all others, failures before warnings."""
    reported = found(
        case("DEL-01", "a file is left"),
        case("DEL-05", "one thing", plugin="mine", verdict=CaseVerdict.WARNING),
        case("CHK-02", "another thing", plugin="mine"),
        own=("mine",),
    )

    assert reported == [("mine", ("CHK-02",)), ("mine", ("DEL-05",)), ("bridge", ("DEL-01",))]


def test_ten_defects_are_two_screens():
    """Ten causes, whatever they print, with the table and the totals are at most a hundred lines of 120 columns."""
    long = "this and that is wrong with it in a way that takes many words to say " * 40
    names = [name for name in registry() if not name.startswith("GC")][:40:4]
    failures = [
        case(name, f"{letter * 4} {long}", f"{letter * 5} more")
        for name, letter in zip(names, "abcdefghij", strict=True)
    ]
    ended = summary.outcome(failures, [subject("bridge")], "spec", whole=True)

    sections = list(ending.sections(ended, (), command=again.command(again.Asked(["/x/n.conf"])), json="--json"))
    lines = [line for _, each in sections for line in each]

    assert len(ended.causes) == 10
    assert all(any(name in line for line in sections[0][1]) for name in names)
    assert len(lines) + len(sections) <= 100
    assert max(map(len, lines)) <= 120


def test_however_many_causes_there_are_all_that_fail_are_reported():
    """Fifty warnings do not hide a failure, and what is left out is counted."""
    names = list(registry())
    warnings = [
        case(name, f"thing {number * 'x'} is off", verdict=CaseVerdict.WARNING)
        for number, name in enumerate(names[:100])
    ]
    failures = [case("NET-01", "no packet arrives", plugin="mine")]
    both = causes.causes([*warnings, *failures], [subject("bridge"), subject("mine")])

    lines = listing.entries(both, again.command(again.Asked([])), "--json")

    assert any(line.startswith("FAIL     mine: NET-01") for line in lines)
    assert "causes more, none of which fails the run" in lines[-1]
    assert len(lines) <= 62


@pytest.mark.parametrize(("failing", "lines"), [(14, 4), (18, 3), (30, 1)])
def test_what_fails_says_its_requirement_as_long_as_there_is_room(failing, lines):
    """Warnings make room for the requirement's sentence of what fails; then it is the command, then the headline."""
    names = list(registry())
    failures = [case(name, f"thing {'x' * number} is off") for number, name in enumerate(names[:failing])]
    warnings = [
        case(name, f"another {'y' * number} is off", verdict=CaseVerdict.WARNING)
        for number, name in enumerate(names[:50])
    ]
    both = causes.causes([*failures, *warnings], [subject("bridge")])

    printed = listing.entries(both, again.command(again.Asked([])), "--json")

    at = [number for number, line in enumerate(printed) if line.startswith("FAIL ")]
    assert len(at) == failing
    assert at[1] - at[0] == lines
    assert (registry()[names[0]].says[:90] in printed[1]) is (lines == 4)
    assert len(printed) <= 62


def test_an_entry_says_what_shows_it():
    """The command is what a person would type, with the member of the list and the options of the run."""
    (cause,) = causes.causes([case("CHK-02", "it fails")], [subject("bridge")])

    typed = again.command(again.Asked(["/nowhere/my.conflist"], ["/opt/bin"], "", ["--cni-version", "1.0.0"]))(cause)
    shipped = again.command(again.Asked([]))(cause)

    assert typed == (
        "cnitest run /nowhere/my.conflist --plugin bridge --cni-path /opt/bin --cni-version 1.0.0 "
        "--requirement CHK-02 --repro DIR"
    )
    assert shipped == "cnitest run --plugin bridge --requirement CHK-02 --repro DIR"


def test_a_script_that_cannot_be_written_costs_no_finding(tmp_path: Path):
    """The cases stay, without a script; one line says which file, and why, and the others are not tried."""
    (tmp_path / "file").write_text("")
    found = [replace(case(name), script="exit 1") for name in ("ADD-01", "DEL-01")]

    kept, unwritten = scripts.written(found, str(tmp_path / "file/x"), found)
    whole, nothing = scripts.written(found, str(tmp_path / "there"), found[:1])

    assert [(each.requirement, each.script) for each in kept] == [("ADD-01", ""), ("DEL-01", "")]
    assert unwritten.endswith("-test.sh could not be written: Not a directory")
    assert ([bool(each.script) for each in whole], nothing) == ([True, False], "")


def test_what_is_left_on_the_machine_is_said_once_with_the_case_that_left_it():
    """Later cases of the same lab have it, too; of many files the first five are shown, with -v all."""
    paths = [f"/tmp/mine-{number}.lock" for number in range(7)]
    one = replace(case("PREV-05", "x"), machine=(paths[0],))
    later = replace(case("DEL-01", "y"), machine=tuple(paths))
    shown = {}
    for verbose in (False, True):
        ended = summary.outcome([one, later], [subject("bridge")], "spec", whole=True)
        command = again.command(again.Asked(["/x/n.conf"]))
        sections = dict(ending.sections(ended, (), command=command, json="--json", verbose=verbose))
        shown[verbose] = sections["left on this machine"]

    assert shown[False][0].startswith("The hosts of labs share /tmp and home directories of this machine")
    assert shown[False][1] == "/tmp/mine-0.lock: bridge, PREV-05 test (1.0.0)"
    assert shown[False][2:-1] == [f"{path}: bridge, DEL-01 test (1.0.0)" for path in paths[1:5]]
    assert shown[False][-1] == "and 2 more (-v shows all)"
    assert len(shown[True]) == 8


def test_nothing_is_said_of_the_machine_where_nothing_is_left():
    """There is no such part of the report."""
    ended = summary.outcome([case("PREV-05", "x")], [subject("bridge")], "spec", whole=True)

    sections = dict(ending.sections(ended, (), command=again.command(again.Asked([])), json="--json"))

    assert "left on this machine" not in sections
