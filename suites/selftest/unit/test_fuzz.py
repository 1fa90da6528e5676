"""Scenarios of ``cnitest fuzz`` without any plugin: how they are written, distinguished and minimised."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_strategies import NETWORK, Conf, draws, scenario, scenarios
from hypothesis import given
from hypothesis import strategies as st

from cnitest.fuzz.model.example import Example, Validity
from cnitest.fuzz.model.scenario import LIFE, Raw, Scenario, Step, loads
from cnitest.fuzz.model.violation import RULES, Violation
from cnitest.fuzz.oracles import allocator
from cnitest.fuzz.search.reduce import reduced

# --- scenarios


@draws
@given(scenarios)
def test_a_scenario_reads_as_it_was_written(one: Scenario):
    """What `Scenario.dumps` wrote `loads` reads: any bytes, any text, any JSON."""
    assert loads(one.dumps()) == one
    assert loads(one.dumps()).dumps() == one.dumps()


@pytest.mark.parametrize("stdin", [b"", b"\x00\xff\xfe", "ä\U0001f4a9".encode(), bytes(range(256))])
def test_raw_bytes_survive(stdin: bytes):
    """Each byte of a raw call's standard input is kept."""
    one = Scenario((Example(NETWORK),), (), Raw("bridge", stdin=stdin, variables={"CNI_IFNAME": "ä'\""}))

    again = loads(one.dumps())

    assert again.raw is not None
    assert again.raw.stdin == stdin
    assert again.raw.variables == {"CNI_IFNAME": "ä'\""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "null",
        "{}",
        '{"networks": 1, "steps": []}',
        '{"networks": [{"validity": "maybe"}], "steps": []}',
        '{"networks": [], "steps": [1]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_scenario_is_a_value_error(text: str):
    """Whatever else stands in a database raises ValueError, and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        loads(text)


# --- causes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the address 10.1.0.2/24 is not there", "the address 192.168.7.130/29 is not there"),
        ("the address 10.1.0.2 is not there", "the address 2001:db8:1::2 is not there"),
        ("host: links veth0a1b2c3d", "host: links veth99887766"),
        ("mac is 02:00:5e:00:53:11", "mac is 02:00:5E:00:53:AB"),
        ("Expected Route {IP:10.1.0.0 Mask:ffffff00}", "Expected Route {IP:10.2.0.0 Mask:ffff0000}"),
        ("mtu is 1400, the interface has 1500", "mtu is 1280, the interface has 1499"),
        (":CNI-0123456789abcdef01234567 -", ":CNI-ffffffffffffffff01234567 -"),
        ("c1: + files /run/x", "c2-14: + files /run/y"),
        ('no such "eth0"', 'no such "a b"'),
        ("eth0 is down", "eth1 is down"),
    ],
)
def test_other_values_are_the_same_cause(one: str, other: str):
    """Addresses, names and numbers do not make another cause."""
    assert Violation("left", "bridge", one).cause == Violation("left", "bridge", other).cause


@pytest.mark.parametrize(
    "others",
    [
        (Violation("left", "bridge", "x"), Violation("harm", "bridge", "x")),
        (Violation("left", "bridge", "x"), Violation("left", "ptp", "x")),
        (Violation("left", "bridge", "+ links"), Violation("left", "bridge", "- links")),
        (Violation("untrue", "", "mtu is 1, it has 2"), Violation("untrue", "", "mac is 1, it has 2")),
        (Violation("delete", "", "code 11: busy"), Violation("delete", "", "code 11: missing")),
    ],
)
def test_other_words_are_another_cause(others: tuple[Violation, Violation]):
    """Another rule, plugin or complaint is another cause."""
    assert others[0].cause != others[1].cause


def test_evidence_is_no_part_of_a_cause():
    """Where and how it was seen does not tell causes apart."""
    assert Violation("left", "p", "x", "c1: x", "test 1").cause == Violation("left", "p", "x", "c2: x").cause


@draws
@given(st.text(max_size=300))
def test_a_cause_is_one_short_line(text: str):
    """Whatever a plugin says, its cause is one line that fits a screen."""
    cause = Violation("error", "p", text).cause

    assert len(cause.splitlines()) == 1
    assert len(cause) < 200


def test_every_rule_says_why_it_matters():
    """The rules are sentences without an end, fit for a script's head."""
    assert all(says and not says.endswith(".") for says in RULES.values())


# --- reduction


def _operations(one: Scenario) -> list[str]:
    return [step.operation for step in one.steps]


def test_needless_steps_go():
    """Of many steps only those stay that are needed, in their order."""
    one = scenario("ADD", "CHECK", "ADD", "LOSE", "CHECK", "DEL", "GC", "DEL")

    small = reduced(one, lambda it: "LOSE" in _operations(it) and "GC" in _operations(it))

    assert _operations(small) == ["LOSE", "GC"]


def test_needless_networks_go():
    """A network that no step is about goes, and steps about later ones still are about them."""
    one = Scenario(
        tuple(Example({**NETWORK, "name": name}) for name in ("a", "b", "c")),
        (Step("ADD", 0), Step("ADD", 2), Step("DEL", 1)),
    )

    small = reduced(one, lambda it: any(it.networks[step.network].network["name"] == "c" for step in it.steps))

    assert [example.network["name"] for example in small.networks] == ["c"]
    assert small.steps == (Step("ADD", 0),)


def test_needless_keys_and_items_go():
    """Keys at any depth, items of lists, arguments, capabilities and halves of long texts go."""
    network = {
        "cniVersion": "1.0.0",
        "name": "net",
        "dns": {},
        "plugins": [
            {"type": "a", "x": 1},
            {"type": "b", "y": {"z": [1, 2, {"deep": 7, "other": 1}], "w": 1}, "long": "l" * 100},
        ],
    }
    one = Scenario((Example(network, ifname="eth7", args={"A": "1"}, capabilities={"mac": "x"}),), LIFE)

    small = reduced(one, lambda it: '"deep": 7' in it.dumps() and '"long"' in it.dumps())

    (plugin,) = small.networks[0].plugins
    assert plugin["y"] == {"z": [{"deep": 7}]}
    assert len(plugin["long"]) <= 24
    assert set(small.networks[0].network) == {"cniVersion", "name", "plugins"}
    assert (small.networks[0].ifname, small.networks[0].args, small.networks[0].capabilities) == ("eth0", {}, {})
    assert len(small.steps) == 1


def test_needless_variables_of_a_raw_call_go():
    """A raw call keeps the variables that are needed."""
    one = Scenario((Example(NETWORK),), (), Raw("bridge", variables={"CNI_IFNAME": "eth%d", "CNI_PATH": ""}))

    small = reduced(one, lambda it: it.raw is not None and "CNI_IFNAME" in it.raw.variables)

    assert small.raw is not None
    assert small.raw.variables == {"CNI_IFNAME": "eth%d"}


POOL = {"type": "host-local", "subnet": "10.1.0.0/24"}


def _configured(conf: Conf, **changes: Any) -> Scenario:
    return Scenario((Example({"cniVersion": "1.0.0", "name": "net", "plugins": [conf]}, **changes),))


def test_what_is_invalid_stays_so():
    """The keys that make a network invalid stay as they are; where it is not known which, all of it."""
    conf = {"type": "bridge", "mtu": 70000, "bridge": "br1"}
    known = _configured(conf, validity=Validity.INVALID, wrong=("mtu",))
    unknown = _configured(conf, validity=Validity.INVALID)

    assert reduced(known, lambda _: True).networks[0].plugins == [{"type": "bridge", "mtu": 70000}]
    assert reduced(unknown, lambda _: True).networks[0].plugins == [conf]


@pytest.mark.parametrize(
    ("conf", "left"),
    [
        (
            {"type": "macvlan", "master": "e0", "mtu": 1, "ipam": POOL},
            {"type": "macvlan", "master": "e0", "ipam": POOL},
        ),
        ({"type": "bridge", "mtu": 1400, "ipam": {**POOL, "routes": []}}, {"type": "bridge", "ipam": POOL}),
        ({"type": "nobodys", "key": 1}, {"type": "nobodys", "key": 1}),
    ],
)
def test_what_is_rejected_stays_valid(conf: Conf, left: Conf):
    """What a plugin cannot do without stays; of one that is not known, everything."""
    assert reduced(_configured(conf), lambda _: True, rule="refused").networks[0].plugins == [left]


def test_what_is_needed_is_kept():
    """Where every part is needed nothing goes."""
    one = scenario("ADD", "DEL")

    assert reduced(one, lambda it: it == one) == one


@draws
@given(scenarios, st.integers(0, 3))
def test_reduction_is_deterministic_and_final(one: Scenario, least: int):
    """The same predicate gives the same scenario, which holds and cannot be reduced again."""

    def holds(it: Scenario) -> bool:
        return len(it.dumps()) % 4 != least

    small = reduced(one, holds)

    assert small == reduced(one, holds)
    assert small == one or holds(small)
    assert not holds(small) or reduced(small, holds) == small


# --- the allocator's model


@pytest.mark.parametrize(
    ("rows", "reserved", "last", "wanted"),
    [
        ([{"subnet": "10.1.0.0/24"}], [], None, "10.1.0.2"),
        ([{"subnet": "10.1.0.0/24"}], ["10.1.0.2"], "10.1.0.2", "10.1.0.3"),
        ([{"subnet": "10.1.0.0/24"}], [], "10.1.0.2", "10.1.0.3"),
        ([{"subnet": "10.1.0.0/24"}], [], "10.9.9.9", "10.1.0.2"),
        ([{"subnet": "10.1.0.0/24"}], [], "10.1.0.254", "10.1.0.2"),
        ([{"subnet": "10.1.0.0/29"}], ["10.1.0.2", "10.1.0.3"], "10.1.0.6", "10.1.0.4"),
        ([{"subnet": "10.1.0.0/24", "gateway": "10.1.0.3"}], ["10.1.0.1", "10.1.0.2"], "10.1.0.2", "10.1.0.4"),
        ([{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}], [], None, "10.1.0.1"),
        ([{"subnet": "10.1.0.0/30"}], ["10.1.0.2"], "10.1.0.2", None),
        ([{"subnet": "10.1.0.0/30"}], [], "10.1.0.2", "10.1.0.2"),
        ([{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.7", "rangeEnd": "10.1.0.7"}], [], None, "10.1.0.7"),
        ([{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.7", "rangeEnd": "10.1.0.7"}], ["10.1.0.7"], None, None),
        ([{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}], ["10.1.0.2"], "10.1.0.2", "10.2.0.2"),
        ([{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}], ["10.2.0.2"], "10.2.0.2", "10.1.0.2"),
        ([{"subnet": "2001:db8::/64"}], [], None, "2001:db8::2"),
        ([{"subnet": "2001:db8::/126"}], ["2001:db8::2"], "2001:db8::2", "2001:db8::3"),
        ([{"subnet": "2001:db8::/126"}], ["2001:db8::2", "2001:db8::3"], "2001:db8::3", None),
    ],
)
def test_the_allocator_gives_the_next_address(
    rows: list[Conf], reserved: list[str], last: str | None, wanted: str | None
):
    """The first address, the one after the last, round the end, past gateways and what is taken, in each family."""
    found = allocator.following([allocator.range_of(row) for row in rows], reserved, last)

    assert (str(found) if found else None) == wanted
