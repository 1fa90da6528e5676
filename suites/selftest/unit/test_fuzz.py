"""The decisions of ``cnitest fuzz``, without any plugin: what is drawn, kept, told apart, made small, and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from cnitest.cli.main import main
from cnitest.errors import ConfigError
from cnitest.fuzz import allocator, configs, keys, oddities
from cnitest.fuzz.example import Example, Validity
from cnitest.fuzz.mutations import mutations
from cnitest.fuzz.reduce import reduced
from cnitest.fuzz.scenario import LIFE, Raw, Scenario, Step, loads
from cnitest.fuzz.schema import from_schema
from cnitest.fuzz.store import Store, database
from cnitest.fuzz.trouble import RULES, Trouble

Conf = dict[str, Any]
NETWORK: Conf = {
    "cniVersion": "1.0.0",
    "name": "net",
    "plugins": [{"type": "bridge", "mtu": 1400, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}],
}
VALIDITIES = ("valid", "boundary", "invalid")
draws = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
values = st.recursive(
    scalars, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=4), of, max_size=3), max_leaves=6
)
examples = st.builds(
    Example,
    st.fixed_dictionaries({"plugins": st.lists(st.dictionaries(st.text(max_size=4), values, max_size=3), max_size=2)}),
    st.sampled_from(Validity),
    ifname=st.text(max_size=5),
    args=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    capabilities=st.dictionaries(st.text(max_size=3), values, max_size=2),
    why=st.text(max_size=5),
)
steps = st.builds(Step, st.sampled_from(["ADD", "DEL"]), st.integers(0, 1), st.text(max_size=3), st.text(max_size=3))
raws = st.builds(
    Raw,
    st.text(max_size=5),
    st.sampled_from(["ADD", "VERSION"]),
    st.none() | st.binary(max_size=20),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    st.sampled_from([None, True, False]),
)
scenarios = st.builds(
    Scenario,
    st.lists(examples, min_size=1, max_size=2).map(tuple),
    st.lists(steps, max_size=3).map(tuple),
    st.none() | raws,
)


def scenario(*verbs: str, network: Conf | None = None, more: tuple[Example, ...] = ()) -> Scenario:
    """A scenario with one network, and perhaps more."""
    return Scenario((Example(network or NETWORK), *more), tuple(Step(verb) for verb in verbs) or LIFE)


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
    assert Trouble("left", "bridge", one).cause == Trouble("left", "bridge", other).cause


@pytest.mark.parametrize(
    "others",
    [
        (Trouble("left", "bridge", "x"), Trouble("harm", "bridge", "x")),
        (Trouble("left", "bridge", "x"), Trouble("left", "ptp", "x")),
        (Trouble("left", "bridge", "+ links"), Trouble("left", "bridge", "- links")),
        (Trouble("untrue", "", "mtu is 1, it has 2"), Trouble("untrue", "", "mac is 1, it has 2")),
        (Trouble("delete", "", "code 11: busy"), Trouble("delete", "", "code 11: missing")),
    ],
)
def test_other_words_are_another_cause(others: tuple[Trouble, Trouble]):
    """Another rule, plugin or complaint is another cause."""
    assert others[0].cause != others[1].cause


def test_evidence_is_no_part_of_a_cause():
    """Where and how it was seen does not tell causes apart."""
    assert Trouble("left", "p", "x", "c1: x", "test 1").cause == Trouble("left", "p", "x", "c2: x").cause


@draws
@given(st.text(max_size=300))
def test_a_cause_is_one_short_line(text: str):
    """Whatever a plugin says, its cause is one line that fits a screen."""
    cause = Trouble("error", "p", text).cause

    assert len(cause.splitlines()) == 1
    assert len(cause) < 200


# --- reduction


def _verbs(one: Scenario) -> list[str]:
    return [step.verb for step in one.steps]


def test_needless_steps_go():
    """Of many steps only those stay that are needed, in their order."""
    one = scenario("ADD", "CHECK", "ADD", "LOSE", "CHECK", "DEL", "GC", "DEL")

    small = reduced(one, lambda it: "LOSE" in _verbs(it) and "GC" in _verbs(it))

    assert _verbs(small) == ["LOSE", "GC"]


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


# --- tables of keys


@pytest.mark.parametrize("plugin", keys.plugins())
def test_every_table_loads(plugin: str):
    """Each shipped table is well-formed, and its plugin is one that it can be drawn for."""
    table = keys.table(plugin)

    assert table.plugin == plugin
    assert all(key.valid or key.boundary or key.invalid or key.rare or table.ipam for key in table.keys.values())
    assert all(name in table.keys and table.keys[name].valid for name in table.always)


@pytest.mark.parametrize("plugin", keys.plugins())
def test_every_value_is_on_one_side(plugin: str):
    """No value is valid and at an edge, or valid and to be refused."""
    for key in keys.table(plugin).keys.values():
        sides = [text for values in (key.valid, key.boundary, key.wrong) for text in set(map(json.dumps, values))]
        assert len(sides) == len(set(sides)), key.name


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("[]", "keys", "a mapping"),
        ("about: x", "keys", "a mapping"),
        ("keys: [a]", "keys", "a mapping"),
        ("keys: {}\nipma: none", "ipma", "nobody reads"),
        ("keys: {}\nipam: sometimes", "ipam", "none of"),
        ("keys: {}\nalways: master", "always", "no list"),
        ("keys: {mtu: 7}", "keys.mtu", "no mapping"),
        ("keys: {mtu: {type: integer}}", "keys.mtu.type", "none of"),
        ("keys: {mtu: {vaild: [1]}}", "keys.mtu", "nobody reads"),
        ("keys: {mtu: {type: number, valid: 1500}}", "keys.mtu.valid", "no list"),
        ("keys: {mtu: {type: number, valid: [1], invalid: [1]}}", "keys.mtu", "both valid and invalid"),
        ("keys: {mtu: {type: number, valid: ['1500']}}", "keys.mtu", "both valid and invalid"),
        ("keys: {mtu: {with: [mut]}}", "keys.mtu.with", "no key"),
        ("keys: {mtu: {needs: mut}}", "keys.mtu.needs", "no key"),
        ("keys: {", "", "not YAML"),
    ],
)
def test_a_malformed_table_is_told(tmp_path: Path, text: str, key: str, why: str):
    """What is wrong with a table is one line with the file, the key, and why."""
    file = tmp_path / "bridge.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        keys.read(file)

    words = str(caught.value)
    assert len(words.splitlines()) == 1
    assert str(file) in words
    assert key in words
    assert why in words


def test_a_plugin_without_a_table_is_told():
    """A plugin that nothing is known of is named, with those that there are."""
    with pytest.raises(ConfigError, match=r"'brigde'.*bridge"):
        keys.table("brigde")


# --- what is drawn


def conflicts(plugin: str, conf: Mapping[str, Any]) -> list[str]:
    """What in a configuration goes against its table."""
    table, found = keys.table(plugin), []
    for key in table.keys.values():
        if key.name not in conf:
            continue
        if not conf[key.name]:
            continue
        found += [f"{key.name} with {name}" for name in (*key.not_with, *key.without) if conf.get(name)]
        found += [f"{key.name} without {name}" for name in key.with_ if name not in conf]
        found += [f"{key.name} needs {key.needs}"] if key.needs and key.needs not in conf else []
    return found


@pytest.mark.parametrize("validity", VALIDITIES)
@pytest.mark.parametrize("plugin", keys.plugins())
def test_networks_of_every_plugin_are_drawn(plugin: str, validity: str):
    """Every plugin has networks of each validity, which are conflists, JSON, and have the plugin last."""

    @draws
    @given(configs.network_configs(plugin, validity))
    def every(network: Conf) -> None:
        assert json.loads(json.dumps(network)) == network
        assert network["plugins"][-1]["type"] == plugin
        assert {"cniVersion", "name"} <= set(network)

    every()


@pytest.mark.parametrize("release", ["1.1.1", "1.9.1"])
@pytest.mark.parametrize("plugin", keys.plugins())
def test_what_is_valid_has_no_conflicts(plugin: str, release: str):
    """A valid configuration has only known keys of its release, with valid values, and all that they go with."""

    @draws
    @given(configs.examples(plugin, "valid", release))
    def every(example: Example) -> None:
        conf = example.plugins[-1]
        there = {key.name: key for key in keys.table(plugin).of(release)}
        assert not conflicts(plugin, conf)
        assert set(conf) - set(there) <= {"type", "ipam", "capabilities"}
        assert all(conf[name] in key.valid for name, key in there.items() if name in conf)
        assert not example.why

    every()


@pytest.mark.parametrize("plugin", keys.plugins())
def test_what_is_invalid_differs_from_valid(plugin: str):
    """Something in an invalid network has no valid value, and it is said what."""

    @draws
    @given(configs.examples(plugin, "invalid"))
    def every(example: Example) -> None:
        assert example.why
        conf, table = example.plugins[-1], keys.table(plugin)
        wrong = [name for name, key in table.keys.items() if name in conf and not _has(key.valid, conf[name])]
        bad_network = (example.network["cniVersion"], example.network["name"])
        odd = bad_network[1] != "net" or bad_network[0] not in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
        assert wrong or odd or "(ipam)" in example.why

    every()


def _has(found: tuple[Any, ...], value: Any) -> bool:
    """Whether JSON tells a value from none of some; Python takes 1 for true."""
    return json.dumps(value) in map(json.dumps, found)


@draws
@given(configs.chains(always=("portmap",)))
def test_chains_hold_what_they_must(example: Example):
    """A chain begins with bridge, holds what it always has to, and has each plugin once."""
    names = [conf["type"] for conf in example.plugins]

    assert names[0] == "bridge"
    assert "portmap" in names
    assert len(names) == len(set(names)) <= 5


@draws
@given(st.data())
def test_calls_by_hand_are_drawn(data: st.DataObject):
    """Variables are text, standard input is no object, oddities are bytes, previous results tell if they are right."""
    for validity in ("invalid", "boundary"):
        why, variables = data.draw(oddities.environments(validity))
        assert why
        assert all(key.startswith("CNI_") and "\0" not in value for key, value in variables.items())
    assert not _is_object(data.draw(oddities.stdin_bytes()))
    assert isinstance(data.draw(oddities.oddities({"type": "x", "name": "n"})), bytes)
    for version in ("0.2.0", "0.4.0", "1.0.0"):
        right, previous = data.draw(oddities.prev_results(version))
        json.dumps(previous)
        assert not right or previous["cniVersion"] == version


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


@draws
@given(mutations(NETWORK, 3))
def test_mutations_keep_what_was_given(example: Example):
    """A mutation is JSON, leaves its source alone, says what it changed, and is valid only when that is nothing."""
    assert json.loads(json.dumps(example.network)) == example.network
    assert NETWORK["plugins"][0]["mtu"] == 1400
    assert (example.validity is Validity.VALID) is (example.network == NETWORK and not example.why)
    assert example.plugins[0]["type"] == "bridge"


def test_a_schema_is_drawn_from():
    """What a JSON Schema allows is drawn, with the plugin's type in it."""
    pytest.importorskip("hypothesis_jsonschema")
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    try:
        from_schema(schema, NETWORK)
    except ConfigError as error:
        pytest.skip(str(error))

    @draws
    @given(from_schema(schema, NETWORK))
    def every(example: Example) -> None:
        assert example.plugins[-1]["type"] == "bridge"
        assert example.plugins[-1]["n"] >= 3

    every()


def test_a_schema_that_is_none_is_told():
    """What cannot be drawn from is one ConfigError."""
    pytest.importorskip("hypothesis_jsonschema")

    with pytest.raises(ConfigError, match="JSON Schema cannot be used"):
        from_schema({"type": "no such"}, NETWORK)


# --- what is kept


@pytest.fixture(params=["directory", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database of Hypothesis's."""
    return DirectoryBasedExampleDatabase(tmp_path) if request.param == "directory" else InMemoryExampleDatabase()


def test_the_store_keeps_and_drops(place: Any):
    """What is kept comes back smallest first, once each, and only for its subject; what is dropped does not."""
    store, small, large = Store(place, "bridge"), scenario("ADD"), scenario("ADD", "DEL")
    for one in (large, small, large):
        store.keep(one)

    assert store.kept() == [small, large]
    assert Store(place, "ptp").kept() == []

    store.drop(small)

    assert store.kept() == [large]


def test_the_store_passes_over_what_it_cannot_read(place: Any):
    """Values that somebody else wrote are no trouble."""
    store, one = Store(place, "bridge"), scenario("ADD")
    store.keep(one)
    for value in (b"\xff\xfe", b"{}", b"", b"[1]", b'{"networks": 7, "steps": 7}'):
        place.save(b"cnitest fuzz bridge", value)

    assert store.kept() == [one]


def test_several_databases_are_written_to(tmp_path: Path):
    """Of several places each has what was kept."""
    first, second = str(tmp_path / "one"), str(tmp_path / "two")
    Store(database([first, second], tmp_path / "usual"), "bridge").keep(scenario("ADD"))

    for place in (first, second):
        assert Store(database([place], tmp_path / "usual"), "bridge").kept() == [scenario("ADD")]


def test_a_server_that_is_not_there_is_told(tmp_path: Path):
    """A Redis server that does not answer is one ConfigError."""
    pytest.importorskip("redis")

    with pytest.raises(ConfigError, match=r"redis://127.0.0.1:1/0: does not answer"):
        database(["redis://127.0.0.1:1/0"], tmp_path)


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bridge", "--time", "0"], "--time '0'"),
        (["bridge", "--time", "abc"], "--time 'abc'"),
        (["bridge", "--time", "-5s"], "--time"),
        (["bridge", "--examples", "0"], "--examples '0'"),
        (["bridge", "--examples", "many"], "--examples 'many'"),
        (["bridge", "--seed", "x"], "--seed 'x'"),
        (["bridge", "-n", "0"], "-n '0'"),
        (["bridge", "-n", "two"], "-n 'two'"),
        (["brigde"], "did you mean 'bridge'?"),
        (["./nowhere.conf"], "nowhere.conf"),
        (["text.conf"], "text.conf"),
        (["list.conflist"], "list.conflist"),
        (["missing.conf"], "no-such-plugin"),
        (["bridge", "--only", "nothing"], "--only"),
        (["bridge", "--cni-path-next", "/nowhere"], "--cni-path-next"),
        (["bridge", "--cni-path", "/nowhere"], "bridge"),
        (["bridge", "--database", "redis://127.0.0.1:1/0"], "redis://127.0.0.1:1/0"),
        (["bridge", "--database", "redis://:x"], "redis://:x"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """What cannot be asked for is one line on stderr and exit code 4; nothing is run, nothing written."""
    (tmp_path / "text.conf").write_text("this is no JSON")
    (tmp_path / "list.conflist").write_text("[]")
    (tmp_path / "missing.conf").write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "no-such-plugin"}))
    monkeypatch.chdir(tmp_path)
    there = sorted(tmp_path.iterdir())

    try:
        code = main(["fuzz", *arguments])
    except SystemExit as end:  # argparse's own way out
        code = end.code  # type: ignore[assignment]

    out, err = capsys.readouterr()
    assert code == 4
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert sorted(tmp_path.iterdir()) == there


def test_every_rule_says_why_it_matters():
    """The rules are sentences without an end, fit for a script's head."""
    assert all(says and not says.endswith(".") for says in RULES.values())
