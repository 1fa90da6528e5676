"""``cnitest explain``: from a topology and a question to a cause, with exit codes and clear words for what is wrong."""

from __future__ import annotations

import json

import pytest

from cnitest.cli.commands import main

TOPOLOGY = "bridge-walkthrough"


def explain(capsys, *words: str) -> tuple[int, str, str]:
    """The exit code and both outputs."""
    code = main(["explain", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_delivered_packet_ends_with_0(capsys):
    """The whole way there and back, and who answered."""
    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "ns02")

    assert code == 0
    assert "delivered, answered by 10.40.80.12" in out
    assert "node/ns02:eth02 in" in out


def test_a_dropped_packet_ends_with_1_and_its_cause(capsys):
    """The cause, the place and the remedy."""
    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "8.8.8.8", "--after", "node: sysctl -qw net.ipv4.ip_forward=0")

    assert code == 1
    assert "dropped on node at br01, hook routing" in out
    assert "would pass with: sysctl -w" in out


def test_what_proves_nothing_ends_with_3(capsys):
    """A sender that cannot send proves no drop, but its cause is reported."""
    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "8.8.8.8", "--after", "node/ns01: ip route del default")

    assert code == 3
    assert "no route" in out


@pytest.mark.parametrize("kind", [["--tcp", "8080"], ["--udp", "53"], ["-6"], ["--size", "1400", "--df"]], ids=" ".join)
def test_every_kind_of_packet_can_be_asked_for(capsys, kind):
    """TCP, UDP, IPv6 and large pings reach a neighbour on the bridge."""
    assert explain(capsys, TOPOLOGY, "ns01", "ns02", *kind)[0] == 0


def test_a_place_is_asked_for_by_the_address_that_it_had(capsys):
    """The address of TO is looked up before the commands run, which may take it away."""
    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "ns02", "--after", "node/ns02: ip addr flush dev eth02")

    assert code == 1
    assert "node/ns01 → 10.40.80.12 icmp: dropped" in out


def test_json_is_the_same_as_data(capsys):
    """The verdict, the cause with its fields, each hop."""
    code, out, _ = explain(
        capsys, TOPOLOGY, "ns01", "8.8.8.8", "--json", "--after", "node: sysctl -qw net.ipv4.ip_forward=0"
    )

    found = json.loads(out)

    assert code == 1
    assert (found["verdict"], found["dropped_by"], found["cause"]["id"]) == (
        "dropped",
        "forwarding off",
        "routing.forwarding-off",
    )
    assert found["hops"][0]["place"] == "node/ns01"


@pytest.mark.requires(plugin=["bridge", "host-local"])
def test_sandboxes_are_attached_first(capsys, tmp_path):
    """Those that a command line names are made and attached by the plugins of a configuration."""
    conf = tmp_path / "net.conf"
    ipam = {"type": "host-local", "subnet": "10.40.80.0/24"}
    conf.write_text(
        json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "isGateway": True, "ipam": ipam})
    )

    code, out, err = explain(capsys, "node-with-uplink", "node/c1", "node/c2", "--conf", str(conf))

    assert code == 0, (out, err)


@pytest.mark.requires(plugin=("bridge", "host-local"))
def test_what_is_wrong_in_a_configuration_is_warned_of(capsys, tmp_path):
    """A line each on stderr, with the file, before the packet is sent; stdout has the answer alone."""
    conf = tmp_path / "net.conf"
    twice = '"mtu": 0, "mtu": -1, "isGatway": true, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}'
    conf.write_text(f'{{"cniVersion": "1.0.0", "name": "n", "type": "bridge",\n {twice}}}')

    code, out, err = explain(capsys, "node-with-uplink", "node/c1", "node/c2", "--conf", str(conf))

    assert (code, "warning" in out) == (0, False)
    assert [line.partition("net.conf")[2] for line in err.splitlines()] == [
        ":2:12: 'mtu' is given twice, first at 2:2; only the last one counts",
        ": bridge has no key 'isGatway', and ignores it; did you mean 'isGateway'?",
        ": bridge: 'mtu' is -1, and 0 and 68 to 65535 are accepted",
    ]


@pytest.mark.requires(plugin="macvlan")
def test_a_plugin_that_fails_is_explained_too(capsys, tmp_path):
    """Its own words, then the likely causes, the likeliest first, with what helps on a command line."""
    conf = tmp_path / "net.conf"
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    written = {"cniVersion": "1.0.0", "name": "n", "type": "macvlan", "master": "ens5", "ipam": ipam}
    conf.write_text(json.dumps(written))

    code, out, err = explain(capsys, "node-with-uplink", "node/c1", "8.8.8.8", "--conf", str(conf))

    assert (code, out) == (4, "")
    first, second = err.splitlines()
    assert first.startswith("cnitest: macvlan ADD (container c1, ifname eth0): exit code 1")
    assert second.startswith("  likely: master is 'ens5', and the host has no such link; there are ens33; did you mean")
    assert "with setup in a topology of yours" in second


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bridge-walkthroug", "ns01", "ns02"], "Did you mean 'bridge-walkthrough'"),
        ([TOPOLOGY, "ns01", "ns03"], "Did you mean 'node/ns02'"),
        ([TOPOLOGY, "ns1", "ns02"], "Did you mean 'node/ns01'"),
        ([TOPOLOGY, "ns01", "ns02", "--after", "node ip route"], "name a place before the command"),
        ([TOPOLOGY, "ns01", "ns02", "--after", "nod: ip route"], "Did you mean 'node'"),
        ([TOPOLOGY, "ns01", "ns02", "--after", "node: ip rout del defaul"], "exit code"),
        ([TOPOLOGY, "ns01", "ns02", "--after", "node: iptbles -L"], "did you mean 'iptables'"),
        ([TOPOLOGY, "ns01", "ns02", "--after", "node: echo 'x"], "No closing quotation"),
        ([TOPOLOGY, "ns01", "ns02", "--df", "--tcp", "80"], "--df is of pings"),
        ([TOPOLOGY, "node", "router", "--conf", "x.conf"], "none is named"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_makes_no_sense_is_one_clear_line(capsys, words, says):
    """Exit code 4 and one line that says what is meant."""
    code, _, err = explain(capsys, *words)

    assert code == 4
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_is_asked_for_with_its_listener(capsys, protocol):
    """--listener is who is to receive what is translated on the way, at a port of its own."""
    rule = f"iptables -t nat -A PREROUTING -p {protocol} --dport 8080 -j DNAT --to-destination 10.40.80.11:80"
    words = (TOPOLOGY, "router", "192.168.80.100", f"--{protocol}", "8080", "--after", f"node: {rule}")

    assert explain(capsys, *words, "--listener", "ns01:80")[0] == 0
    code, out, _ = explain(capsys, *words)
    assert code == 1
    assert f"would pass with: listen on {protocol} port 80 at node/ns01" in out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--listener", "ns02"), "--listener is of --tcp and --udp"),
        (("--tcp", "80", "--listener", "ns02:0"), "'0' is no port (1 to 65535); expected PLACE or PLACE:PORT"),
        (("--tcp", "80", "--listener", "ns3"), "has no place 'ns3'; it has node, router"),
    ],
)
def test_listeners_that_cannot_be_are_reported(capsys, more, says):
    """A ping has none, a port is a number, a place is one of the topology's."""
    code, _, err = explain(capsys, TOPOLOGY, "ns01", "ns02", *more)

    assert code == 4
    assert says in err


HINDERED = (
    "node: sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
    "node: {} -t raw -A PREROUTING -s {} -j DROP",
    "node: {} -P FORWARD DROP",
    "ns02: {} -A INPUT -s {} -j DROP",
)
FAMILIES = {"IPv4": ("iptables", "10.40.80.11", []), "IPv6": ("ip6tables", "2001:db8:40::11", ["-6"])}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_loss_behind_another_is_tried_until_it_passes(capsys, family):
    """Each is explained, and in the end there are the commands of all three, which were run in this order."""
    program, source, more = FAMILIES[family]
    after = [word for command in HINDERED for word in ("--after", command.format(program, source))]

    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "ns02", *more, *after, "--try")

    *_, end = out.partition("delivered with 3 commands:\n")
    assert code == 1
    assert out.count("would pass with: ") == out.count("\ntried at ") == 3
    assert [line.partition(": ")[0] for line in end.splitlines()] == ["  node", "  node", "  node/ns02"]
    assert all(f"tried at {line.strip()}\n" in out for line in end.splitlines())


def test_what_was_tried_is_in_the_json(capsys):
    """Each command with its place, and what became of the packet then."""
    after = ["node: sysctl -qw net.ipv4.ip_forward=0", "node: iptables -P FORWARD DROP"]
    words = [word for command in after for word in ("--after", command)]

    code, out, _ = explain(capsys, TOPOLOGY, "ns01", "8.8.8.8", *words, "--try", "--json")

    found = json.loads(out)
    assert code == 1
    assert found["verdict"] == "dropped"
    assert [(one["place"], one["failure"], one["then"]["verdict"]) for one in found["tried"]] == [
        ("node", "", "dropped"),
        ("node", "", "dropped"),
        ("node", "", "delivered"),
    ]
    assert [one["then"]["returning"] for one in found["tried"][:2]] == [False, True]


def test_where_nothing_is_known_nothing_is_tried(capsys):
    """Advice that is no command is not run, and that is said; of a delivered packet nothing is."""
    _, lost, _ = explain(capsys, TOPOLOGY, "ns01", "203.0.113.9", "--try")
    _, passed, _ = explain(capsys, TOPOLOGY, "ns01", "ns02", "--try")

    assert lost.endswith("tried: nothing, as no command is known that would let it pass\n")
    assert "tried" not in passed


def test_a_command_that_fails_ends_it(monkeypatch, capsys):
    """What it said is reported."""
    from cnitest.explain.causes.routing import forwarding

    monkeypatch.setattr(forwarding, "set_to", lambda *_: "ip route add nowhere")

    code, out, _ = explain(
        capsys, TOPOLOGY, "ns01", "8.8.8.8", "--after", "node: sysctl -qw net.ipv4.ip_forward=0", "--try"
    )

    assert code == 1
    assert "tried at node: ip route add nowhere\n  the command fails: " in out
    assert out.endswith("still lost: no further command is known that would let it pass\n")
