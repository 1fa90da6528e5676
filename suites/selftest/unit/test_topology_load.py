"""Reading topology files: what is accepted, and every word of what is said about the rest."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest.errors import TopologyError
from cnitest.topology import find, json_schema, load, loads, shipped

_INVALID = sorted((Path(__file__).parent / "invalid").glob("*.yaml"))
_SMALL = "name: small\nhosts:\n  h1: {}\n"


@pytest.mark.parametrize("path", _INVALID, ids=lambda path: path.stem)
def test_each_invalid_file_has_all_its_faults_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the reviewed text beside the file: every fault with its place, path and remedy."""
    monkeypatch.chdir(path.parent)

    with pytest.raises(TopologyError) as caught:
        load(path.name)

    assert f"{caught.value}\n" == path.with_suffix(".expected.txt").read_text()


def test_every_expectation_has_its_file() -> None:
    """No expected text is left over from a file that has gone, and there are enough of them."""
    expected = {path.name.removesuffix(".expected.txt") for path in _INVALID[0].parent.glob("*.expected.txt")}

    assert expected == {path.stem for path in _INVALID}
    assert len(expected) >= 25


@pytest.mark.parametrize("name", shipped())
def test_shipped_topologies_load(name: str) -> None:
    """Each shipped topology is valid, is called as its file, and says what it is about."""
    topology = load(find(name))

    assert topology.name == name
    assert topology.about


def test_the_promised_topologies_are_shipped() -> None:
    """The names on which suites and users rely are there."""
    promised = {"bridge-walkthrough", "node-with-uplink", "three-nodes-one-lan", "macvlan-modes-lan"}

    promised |= {"macvlan-hairpin-lan", "two-nodes-routed", "two-uplinks", "docker-host", "firewalld-zones"}
    promised |= {"kube-proxy-iptables", "kube-proxy-nftables", "both-iptables-variants"}

    assert promised <= set(shipped())


@pytest.mark.parametrize("name", ["bridge-walkthrough", "node-with-uplink"])
def test_the_internet_answers_the_uplink_lan_only(name: str) -> None:
    """The internet host has no route back but to the LAN, so only a masqueraded packet is answered."""
    topology = load(find(name))

    targets = [route.to for route in topology.hosts["internet"].routes]
    inwards = [route.to for route in topology.hosts["router"].routes]

    assert targets == ["192.168.80.0/24", "2001:db8:80::/64"]
    assert inwards == ["default", "default"]


def test_names_that_yaml_takes_for_truths_and_numbers_stay_text() -> None:
    """Where the model wants text, ``no``, ``on``, ``8.8``, 0x10 and sexagesimal MACs stay as written."""
    topology = loads(
        "name: no\nabout: 8.8\nhosts:\n  on:\n    dummies:\n"
        "      off: {mac: 12:22:33:44:55:56}\n      0x10: {}\n      1_0: {}\n      ~: {}\n"
    )

    dummies = topology.hosts["on"].dummies

    assert (topology.name, topology.about) == ("no", "8.8")
    assert list(dummies) == ["off", "0x10", "1_0", "~"]
    assert dummies["off"].mac == "12:22:33:44:55:56"


def test_switches_of_ip_are_read_as_truths() -> None:
    """``on``, ``off``, ``yes`` and ``no`` are true and false where the model wants one of them."""
    topology = loads("name: x\nhosts: {h: {bridges: {a: {stp: on}, b: {stp: Off}, c: {stp: yes}, d: {stp: false}}}}")

    assert [bridge.stp for bridge in topology.hosts["h"].bridges.values()] == [True, False, True, False]


@pytest.mark.parametrize("target", ["10.2.0.2", "2001:db8::2"])
def test_an_address_is_the_prefix_of_it_alone(target: str) -> None:
    """A route or rule to an address, in a mapping or on one line, is what ip(8) makes of it."""
    whole = f"{target}/{128 if ':' in target else 32}"
    text = (
        f"name: x\nhosts:\n  a:\n    routes: [{{to: '{target}', link: lo}}, '{target} dev lo metric 7']\n"
        f"    rules: [{{to: '{target}', source: '{target}', table: 7}}, 'to {target} from {target} lookup 8']\n"
    )

    host = loads(text).hosts["a"]

    assert [each.to for each in host.routes] == [whole] * 2
    assert [(each.to, each.source) for each in host.rules] == [(whole, whole)] * 2
    assert loads("name: x\nhosts: {a: {routes: [blackhole any]}}").hosts["a"].routes[0].to == "default"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (gzip.compress(b"name: x", mtime=0), "t.yaml:1:2: the file is compressed by gzip: unpack it first (gunzip)"),
        ("name: x".encode("utf-16"), "t.yaml:1:1: the file is UTF-16; save it as UTF-8"),
        (
            "name:\xa0x\nhosts: {}".encode(),
            "In line 1 column 6 is a no-break space (U+00A0), no ordinary blank: type one",
        ),
        (
            "name: x\n\u200bhosts: {}".encode(),
            "Column 1 is a zero width space (U+200B), which shows nothing: delete it",
        ),
        ("name\uff1ax\nhosts: {}".encode(), "In line 1 column 5 is a fullwidth colon (U+FF1A): type :"),
        (b"name: x\nhosts: {a: {loopback: [::1/128]}}", "what begins with ':' wants quotes, such as an IPv6 address"),
    ],
)
def test_what_only_looks_like_yaml_is_named(tmp_path: Path, raw: bytes, said: str) -> None:
    """An archive, another encoding, and characters that look like others are what the message says."""
    file = tmp_path / "t.yaml"
    file.write_bytes(raw)

    with pytest.raises(TopologyError) as caught:
        load(file)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value).partition("Did you mean")[0]


def test_a_number_may_be_hexadecimal() -> None:
    """A mark is usually thought of in hexadecimal."""
    topology = loads("name: x\nhosts: {h: {rules: [{table: 7, mark: 0x10}]}}")

    assert topology.hosts["h"].rules[0].mark == 16


def test_sysctls_keep_numbers_as_numbers_and_the_rest_as_text() -> None:
    """A sysctl's value is a number where it is written as one, and the text as written otherwise."""
    topology = loads(
        'name: x\nhosts: {h: {sysctls: {net.ipv4.ip_forward: 1, net.ipv4.tcp_rmem: "4096 1 2", '
        "net.core.default_qdisc: fq}}}"
    )

    assert list(topology.hosts["h"].sysctls.values()) == [1, "4096 1 2", "fq"]


def test_what_is_left_empty_is_empty() -> None:
    """A key without a value means nothing declared, not a fault."""
    topology = loads("name: x\nabout:\nhosts:\n  h1:\n    bridges:\n      br0:\n    routes:\n    nft:\nveths:\n")

    host = topology.hosts["h1"]

    assert (topology.about, topology.veths, host.routes, host.nft) == ("", (), (), "")
    assert host.bridges["br0"].addresses == ()


def test_aliases_and_merges_are_followed() -> None:
    """An alias repeats what its anchor says; a merge brings in what is not said in its place."""
    topology = loads(
        "name: x\nhosts:\n  h:\n    dummies:\n      a: &a {mtu: 1400, state: down}\n      b: *a\n"
        "      c: {<<: *a, mtu: 1300}\n"
    )

    a, b, c = topology.hosts["h"].dummies.values()

    assert a == b
    assert (c.mtu, c.state) == (1300, "down")


def test_loading_twice_gives_equal_frozen_values() -> None:
    """A topology is a value: two readings are equal and nothing in it can be assigned."""
    first, second = loads(_SMALL), loads(_SMALL)

    assert first == second
    with pytest.raises(AttributeError):
        first.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        first.hosts["h2"] = first.hosts["h1"]  # type: ignore[index]


def test_a_structural_fault_hides_no_fault_of_meaning() -> None:
    """Both kinds are reported at once, and nobody is blamed for what depends on the unreadable part."""
    text = "name: x\nhosts:\n  h1:\n    bridges: 7\n    dummies:\n      d1: {bridge: br0, mtu: 1}\n"

    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yaml")

    assert str(caught.value).splitlines() == [
        "x.yaml:4:14: hosts.h1.bridges: expected a mapping of names, not '7'",
        "x.yaml:6:30: hosts.h1.dummies.d1.mtu: 1 is not an MTU (68-65535)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name: x\ndefaults: debian",
            "defaults: unknown key. It is a key of a host: hosts: NAME: defaults; of a sandbox: ",
        ),
        ("name: x\nsysctl: {}", "'sysctls' is a key of a host: hosts: NAME: sysctls"),
        ("name: x\nhosts: {h: {about: y}}", "hosts.h.about: unknown key. It is a key of the topology: about"),
        (
            "name: x\nhosts: {h: {addresses: []}}",
            "It is a key of a link: veths: - ends: - addresses; of a link: hosts: ",
        ),
        (
            "name: x\nhosts: {h: {bridges: {b: {routes: []}}}}",
            "b.routes: unknown key. It is a key of a host: hosts: NAME",
        ),
        ("name: x\nhosts: {h: {routes: [{iif: y}]}}", "It is a key of a rule: hosts: NAME: rules: - iif"),
        (
            "name: x\nveths: [{at: h, ends: []}]",
            "veths[0].at: unknown key. It is a key of a veth end: veths: - ends: - at",
        ),
        (
            "name: x\nswitches: {s: {vlan_filtering: true}}",
            "It is a key of a bridge: hosts: NAME: bridges: NAME: vlan_f",
        ),
        ("name: x\nhosts: {h: {bridge: {}}}", "hosts.h.bridge: unknown key. Did you mean 'bridges'?"),
    ],
)
def test_a_key_in_the_wrong_section_is_reported_where_it_belongs(text: str, said: str) -> None:
    """Whose key it is and how it is written there; a misspelling of the section's own key comes first."""
    with pytest.raises(TopologyError) as caught:
        loads(text)

    assert said in str(caught.value)


def test_every_key_of_the_language_has_a_home() -> None:
    """Those of every section of the schema, as the loader says them of a document's top level."""
    made = json_schema()
    keys = {word for definition in (made, *made["$defs"].values()) for word in definition["properties"]}
    lines = "".join(f"{word}: 1\n" for word in sorted(keys - {*made["properties"]}))

    with pytest.raises(TopologyError) as caught:
        loads(f"name: x\n{lines}")

    reported = {
        line.split(": ")[1] for line in str(caught.value).splitlines() if f"{line.split(': ')[1]}: unknown key" in line
    }
    assert reported == keys - {*made["properties"]}
    assert not [
        line for line in str(caught.value).splitlines() if "It is a key of " not in line and "Did you" not in line
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bridge-walkthru", "no topology is called 'bridge-walkthru'. Did you mean 'bridge-walkthrough'?"),
        ("qqq", "no topology is called 'qqq'. Shipped: both-iptables-variants, bridge-walkthrough, "),
        ("./nowhere.yaml", "nowhere.yaml: no such file"),
        ("nowhere.yml", "nowhere.yml: no such file"),
        ("/", "/: is a directory, not a topology file"),
    ],
)
def test_an_unknown_name_says_what_there_is(name: str, said: str) -> None:
    """A name that nothing answers to is reported with the nearest one and the list; a path plainly."""
    with pytest.raises(TopologyError) as caught:
        find(name)

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_path_is_found_as_it_is(tmp_path: Path) -> None:
    """What has a slash or ends in .yaml is a path, and a near miss beside it is offered."""
    path = tmp_path / "mine.yaml"
    path.write_text(_SMALL)

    assert find(str(path)) == path
    with pytest.raises(TopologyError, match=r"mime.yaml: no such file. Did you mean 'mine.yaml'\?"):
        find(str(tmp_path / "mime.yaml"))


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    """Loading what is not there, or what is a directory, names it and the reason."""
    with pytest.raises(TopologyError, match=r"^.*/none.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "none.yaml")
    with pytest.raises(TopologyError, match=r": cannot be read: Is a directory$"):
        load(tmp_path)


def test_importing_the_topologies_imports_no_heavy_library() -> None:
    """PyYAML and pydantic are paid for by those who load a file or ask for the schema."""
    code = "import sys, cnitest.topology; print(sorted({'yaml', 'pydantic'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())

    assert done.stdout == "[]\n"


def _root() -> Path:
    return Path(__file__).parents[3]
