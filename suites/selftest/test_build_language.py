"""Tables, tunnels, settings and commands of a topology: seen in the kernel and by packets."""

from __future__ import annotations

import pytest

from cnitest import Lab, TopologyError
from cnitest.topology import Bridge, Host, Topology, loads
from cnitest.topology import load as load_file

_PAIR = """name: t
hosts:
  a: {A}
  b: {B}
veths:
  - ends:
      - {at: a, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: b, name: eth0, mac: "02:00:00:00:00:0b", addresses: [10.0.0.2/24, "2001:db8::2/64"]}
"""


def pair(a="{}", b="{}"):
    """Two hosts on a wire."""
    return Lab(loads(_PAIR.replace("{A}", a).replace("{B}", b)))


def test_a_link_has_several_addresses_of_a_subnet():
    """As ip(8) adds them: each has its prefix and answers, of both families, whichever comes first."""
    declared = ["10.0.0.7/24", "10.0.0.9/25", "2001:db8::7/64", "2001:db8::9/64"]
    loaded = _PAIR.replace("{A}", "{}").replace("{B}", "{}").replace("10.0.0.2/24", ", ".join(map(repr, declared)))
    with Lab(loads(loaded)) as lab:
        found = {address.address for address in lab.host("b").addresses if address.link == "eth0"}

        assert set(declared) <= found
        assert all(lab.host("a").ping(address.split("/")[0]) for address in declared)


@pytest.mark.parametrize("address", ["10.0.0.2", "2001:db8::2"])
def test_a_static_neighbour_is_not_asked_for(address):
    """A permanent entry is used as it is: with the wrong MAC nothing arrives, with the right one all does."""
    wrong, right = (f"{address} lladdr 02:00:00:00:00:{last} dev eth0 nud permanent" for last in ("cc", "0b"))
    with pair(f'{{neighbours: ["{wrong}"]}}') as lab:
        assert not lab.host("a").ping(address)
    with pair(f'{{neighbours: ["{right}"]}}') as lab:
        assert lab.host("a").ping(address)


@pytest.mark.requires(kernel="tap")
def test_a_proxy_entry_is_answered_for():
    """ARP for an address with a proxy entry is answered by the link, with ip_forward on."""
    b = """{role: router, neighbours: [{to: 10.0.0.77, dev: eth0, proxy: true}],
            taps: {t0: {}}, routes: [10.0.0.77/32 dev t0]}"""
    with pair(b=b) as lab:
        assert "10.0.0.77 dev eth0 proxy" in lab.host("b").run(["ip", "neigh", "show", "proxy"]).stdout
        assert lab.host("a").arp("10.0.0.77", on="eth0")


@pytest.mark.requires(kernel="tap")
def test_a_forwarding_entry_sends_to_its_port_only():
    """A static entry of a bridge is in its table, and frames to that MAC leave by that port."""
    topology = """
name: t
hosts:
  h:
    bridges: {br0: {addresses: [10.0.0.1/24]}}
    taps: {t0: {bridge: br0}, t1: {bridge: br0}}
    neighbours: [10.0.0.9 lladdr 02:00:00:00:00:09 dev br0]
    fdb: [02:00:00:00:00:09 dev t1 master static, "02:00:00:00:00:08 dev t0 self permanent"]
"""
    with Lab(loads(topology)) as lab:
        shown = lab.host("h").run(["bridge", "fdb"]).stdout

    assert "02:00:00:00:00:09 dev t1 master br0 static" in shown


def test_a_link_has_further_names():
    """ip(8) finds a link by each of its names, also by one that is longer than a link's own can be."""
    with Lab(
        Topology(name="t", hosts={"h": Host(bridges={"br0": Bridge(altnames=["lan", "enp0s20f0u1u4-bridge"])})})
    ) as lab:
        for name in ("lan", "enp0s20f0u1u4-bridge"):
            assert "br0" in lab.host("h").run(["ip", "link", "show", "dev", name]).stdout


@pytest.mark.requires(kernel="vxlan")
@pytest.mark.parametrize("family", [4, 6])
def test_a_vxlan_carries_frames_between_hosts(family):
    """A remote on one side and a forwarding entry on the other carry pings; those of another VNI do not arrive."""
    one, two = ("10.0.0.1", "10.0.0.2") if family == 4 else ("2001:db8::1", "2001:db8::2")
    a = f'{{vxlans: {{vx: {{id: 42, remote: "{two}", addresses: [10.9.0.1/24]}}}}}}'
    b = f"""{{vxlans: {{vx: {{id: 42, local: "{two}", learning: false, addresses: [10.9.0.2/24]}}}},
              fdb: ["00:00:00:00:00:00 dev vx dst {one}"]}}"""
    with pair(a, b) as lab:
        assert lab.host("a").ping("10.9.0.2")
    with pair(a, b.replace("id: 42", "id: 43")) as lab:
        assert not lab.host("a").ping("10.9.0.2")


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.requires(kernel=mode)) for mode in ("gre", "gretap", "ipip", "sit")]
)
def test_a_tunnel_carries_packets(mode):
    """Two ends of a tunnel reach each other through it."""
    inner = ("2001:db8:9::1/64", "2001:db8:9::2/64") if mode == "sit" else ("10.9.0.1/24", "10.9.0.2/24")
    ends = [
        f'{{tunnels: {{tun: {{mode: {mode}, local: {local}, remote: {remote}, addresses: ["{address}"]}}}}}}'
        for local, remote, address in (("10.0.0.1", "10.0.0.2", inner[0]), ("10.0.0.2", "10.0.0.1", inner[1]))
    ]
    with pair(*ends) as lab:
        assert lab.host("a").ping(inner[1].partition("/")[0])


@pytest.mark.requires(kernel="wireguard")
def test_a_wireguard_link_is_made():
    """The link is there; its keys are set by commands."""
    with pair("{wireguards: {wg0: {addresses: [10.9.0.1/24]}}}") as lab:
        assert lab.host("a").link("wg0").kind == "wireguard"


@pytest.mark.requires(kernel="ifb")
def test_an_ifb_is_made():
    """The link is there and up."""
    with pair("{ifbs: {ifb0: {}}}") as lab:
        assert lab.host("a").link("ifb0").up


@pytest.mark.requires(kernel="vlan_filtering")
def test_a_bridge_heeds_the_vlans_of_its_ports():
    """A port is in the VLANs that it declares, and ports of different VLANs do not hear each other."""
    topology = """
name: t
hosts:
  h: {bridges: {br0: {vlan_filtering: true, default_pvid: 0}}, sandboxes: {a: {}, b: {}}}
veths:
  - ends: [{at: h, name: pa, bridge: br0, vlans: [10 pvid untagged]}, {at: h/a, name: eth0, addresses: [10.0.0.1/24]}]
  - ends: [{at: h, name: pb, bridge: br0, vlans: [VID pvid untagged]}, {at: h/b, name: eth0, addresses: [10.0.0.2/24]}]
"""
    with Lab(loads(topology.replace("VID", "10"))) as lab:
        assert lab.sandbox("a").ping("10.0.0.2")
    with Lab(loads(topology.replace("VID", "20"))) as lab:
        assert not lab.sandbox("a").ping("10.0.0.2")


@pytest.mark.requires(binary="tc")
def test_lines_of_tc_are_applied():
    """A queueing discipline, a class and a filter are there; a line that tc refuses fails the build with its place."""
    lines = [
        "qdisc add dev eth0 root handle 1: htb default 10",
        "class add dev eth0 parent 1: classid 1:10 htb rate 1mbit",
    ]
    with pair(f"{{tc: {lines}}}") as lab:
        assert "htb 1: root" in lab.host("a").run(["tc", "qdisc", "show", "dev", "eth0"]).stdout
        assert "rate 1Mbit" in lab.host("a").run(["tc", "class", "show", "dev", "eth0"]).stdout
    with (
        pytest.raises(TopologyError, match=r"hosts\.a\.tc\[0\]: a: tc qdisc add dev eth0 root nosuch"),
        pair("{tc: [qdisc add dev eth0 root nosuch]}"),
    ):
        pass


def test_setup_runs_when_all_else_is_there(tmp_path):
    """Commands see addresses and routes, in order, split as a shell would; sandboxes have their own."""
    commands = ["sh -c 'ip -br address show eth0 > /run/seen'", ["sh", "-c", "echo second >> /run/seen"]]
    with pair(f"{{setup: {commands}}}") as lab:
        assert lab.host("a").run(["cat", "/run/seen"]).stdout.splitlines()[1] == "second"
        assert "10.0.0.1/24" in lab.host("a").run(["cat", "/run/seen"]).stdout
        assert lab.host("b").run(["test", "-e", "/run/seen"], check=False).exit_code == 1

    file = tmp_path / "t.yaml"
    file.write_text("name: t\nhosts:\n  h:\n    setup:\n      - 'true'\n      - sh -c 'echo words >&2; exit 3'\n")
    with pytest.raises(TopologyError) as caught, Lab(load_file(file)):
        pass
    assert str(caught.value).splitlines() == [
        f"topology t: {file}:6:9: hosts.h.setup[1]: h: sh -c echo words >&2; exit 3: exit code 3",
        "words",
    ]


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("iptables: [-P FORWRD DROP]", "4:5: hosts.h.iptables: h: iptables "),
        ("ip6tables: [-P FORWRD DROP]", "4:5: hosts.h.ip6tables: h: ip6tables "),
        ("nft: table inet filter {", "4:10: hosts.h.nft: h: nft -f -: "),
    ],
)
def test_rules_that_their_program_rejects_are_placed(tmp_path, declared, said):
    """What a program says of its rules has the file and line where they are declared before it."""
    file = tmp_path / "t.yaml"
    file.write_text(f"name: t\nhosts:\n  h:\n    {declared}\n")

    with pytest.raises(TopologyError) as caught, Lab(load_file(file)):
        pass

    assert str(caught.value).startswith(f"topology t: {file}:{said}")


_DUMP = """# Generated
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
*filter
:FORWARD DROP [0:0]
COMMIT
"""


@pytest.mark.requires(binary="iptables-restore")
@pytest.mark.parametrize("way", ["list", "text", "file"])
@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_dump_is_restored(way, program, tmp_path):
    """What iptables-save wrote is loaded whole, whichever way it is given."""
    (tmp_path / "rules.v4").write_text(_DUMP)
    given = {
        "list": str([line for line in _DUMP.splitlines() if not line.startswith("#")]),
        "text": "|\n" + "".join(f"      {line}\n" for line in _DUMP.splitlines()),
        "file": "{file: rules.v4}",
    }[way]
    file = tmp_path / "t.yaml"
    file.write_text(f"name: t\nhosts:\n  h:\n    {program}: {given}\n")
    with Lab(load_file(file)) as lab:
        rules = lab.host("h").state().firewall[program]

    assert "nat: -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER" in rules
    assert "filter: :FORWARD DROP" in rules


@pytest.mark.requires(binary="nft")
def test_a_file_of_nft_is_loaded(tmp_path):
    """A script for nft may lie beside the topology."""
    (tmp_path / "rules.nft").write_text("table inet mine {\n chain c { tcp dport 9 drop; }\n}\n")
    file = tmp_path / "t.yaml"
    file.write_text("name: t\nhosts:\n  h:\n    nft: {file: rules.nft}\n")
    with Lab(load_file(file)) as lab:
        assert any("tcp dport 9 drop" in line for line in lab.host("h").state().firewall["nft"])


@pytest.mark.parametrize(
    ("word", "expected"), [("kernel", "0"), ("debian", "2"), ("ubuntu", "2"), ("rhel", "1"), ("debian12", "0")]
)
def test_defaults_are_those_of_a_distribution(word, expected):
    """Links take rp_filter from the distribution's word, forwarding is off, and own sysctls go before."""
    a = f"{{defaults: {word}, sysctls: {{net.ipv4.conf.all.arp_ignore: 1}}}}"
    with pair(a) as lab:
        h = lab.host("a")
        assert h.sysctl("net.ipv4.conf.eth0.rp_filter") == expected
        assert h.sysctl("net.ipv4.ip_forward") == "0"
        assert h.sysctl("net.ipv4.conf.all.arp_ignore") == "1"


def test_a_wrong_sysctl_is_reported_with_the_right_one():
    """What the kernel lacks is reported with the nearest name of its own, also where a link's name has dots."""
    for name, meant in {
        "net.ipv4.nothing_of_the_kind_at_all_here": "",
        "net.ipv6.imcp.ratelimit": "net.ipv6.icmp.ratelimit",
        "net.bridgy.bridge-nf-call-iptables": "net.bridge.bridge-nf-call-iptables",
    }.items():
        topology = Topology(name="t", hosts={"h": Host(bridges={"eth0.5": Bridge()}, sysctls={name: 1})})
        with pytest.raises(TopologyError, match="this kernel has none of that name") as caught, Lab(topology):
            pass
        assert str(caught.value).endswith(f"Did you mean {meant!r}?" if meant else "none of that name")
