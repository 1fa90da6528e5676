"""What chained plugins have to bring, by their rules and rows: nothing is missed, nothing too much is reported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cnitest.conformance.bench.bench import Bench
from cnitest.conformance.bench.leftovers import Leftover
from cnitest.fuzz.model.example import Example
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.oracles import effects, effects_meta, ports
from cnitest.fuzz.oracles.attached import Attached
from cnitest.fuzz.oracles.registry import EFFECTS
from cnitest.kernel.rows.records import Qdisc, Route, Rule
from cnitest.lab.snapshot.difference import Difference
from cnitest.lab.snapshot.firewall_line import FirewallLine

NOWHERE: Any = None
WEB = {"hostPort": 8000, "containerPort": 80, "protocol": "tcp"}
DNS = {"hostPort": 8001, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1"}
NAT = "iptables nat: -A"
SIX = "ip6tables nat: -A"
TABLE = "nft table ip cni_hostport chain"
CHAIN = "iptables nat: :CNI-DN-1 -"
MARKED = f"{NAT} CNI-DN-1 -s 10.1.0.0/24 -p tcp -m tcp --dport 8000 -j CNI-HOSTPORT-SETMARK"
WEB_RULE = f"{NAT} CNI-DN-1 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 10.1.0.2:80"
DNS_RULE = f"{NAT} CNI-DN-1 -d 192.0.2.1/32 -p udp -m udp --dport 8001 -j DNAT --to-destination 10.1.0.2:53"
WEB_RULE6 = f"{SIX} CNI-DN-1 -p tcp -m tcp --dport 8000 -j DNAT --to-destination [fd00::2]:80"


def rule(text: str) -> Leftover:
    """A rule that came, from its backend and its line."""
    backend, _, line = text.partition(" ")
    return Leftover("node", Difference(backend, "rule", None, FirewallLine(line)))


def row(table: str, came: Any) -> Leftover:
    """A row that came."""
    return Leftover("node/c1", Difference(table, str(came), None, came))


def attached(
    *own: str | Leftover, ips: tuple[str, ...] = ("10.1.0.2/24",), interfaces: Any = (), **capabilities: Any
) -> Attached:
    """An attachment: what its ADD brought, the addresses and interfaces of its result, and capability arguments."""
    target: Any = SimpleNamespace(ifname="eth0")
    network = {"cniVersion": "1.0.0", "plugins": [{"type": "bridge"}]}
    result = {
        "cniVersion": "1.0.0",
        "ips": [{"address": address, "gateway": "10.1.0.1"} for address in ips],
        "interfaces": list(interfaces),
    }
    example = Example(network, capabilities=capabilities)
    return Attached(
        Step("ADD"),
        example,
        target,
        {},
        frozenset(rule(one) if isinstance(one, str) else one for one in own),
        result=result,
    )


@pytest.mark.parametrize(
    ("own", "mappings", "conf", "words"),
    [
        ([WEB_RULE, MARKED], [WEB], {}, []),
        ([WEB_RULE, DNS_RULE, MARKED], [WEB, DNS], {}, []),
        ([WEB_RULE, MARKED], [WEB, DNS], {}, ["no rule for udp 192.0.2.1:8001 to 10.1.0.2:53"]),
        ([WEB_RULE, DNS_RULE, MARKED], [WEB], {}, ["a rule too many for udp 192.0.2.1:8001 to 10.1.0.2:53"]),
        ([CHAIN, WEB_RULE], [WEB], {}, ["snat is True, and sources are not hidden"]),
        ([CHAIN, WEB_RULE, MARKED], [WEB], {"snat": False}, ["snat is False, and sources are hidden"]),
        ([WEB_RULE], [WEB], {}, []),
        ([WEB_RULE], [WEB], {"snat": False}, []),
        (
            [f"{TABLE} hostports: tcp dport 8000 dnat to 10.1.0.2:80", f"{TABLE} masquerading: ip saddr x masquerade"],
            [WEB],
            {},
            [],
        ),
        (
            [f"{TABLE} hostip_hostports: ip daddr 192.0.2.1 udp dport 8001 dnat to 10.1.0.2:53"],
            [DNS],
            {"snat": False},
            [],
        ),
        ([f"{TABLE} hostports: tcp dport 8000 dnat to 10.1.0.2:81"], [WEB], {"snat": False}, ["no rule", "too many"]),
        (
            [WEB_RULE, f"{NAT} CNI-HOSTPORT-DNAT -s 10.0.0.0/8 -p tcp -m multiport --dports 8000 -j CNI-DN-1"],
            [WEB],
            {"snat": False, "conditionsV4": ["-s", "10.0.0.0/8"]},
            [],
        ),
        (
            [WEB_RULE, f"{NAT} CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8000 -j CNI-DN-1"],
            [WEB],
            {"snat": False, "conditionsV4": ["-s", "10.0.0.0/8"]},
            ["a port is open without"],
        ),
    ],
)
def test_rules_are_those_of_the_mappings(own: list[str], mappings: list[Any], conf: dict[str, Any], words: list[str]):
    """Each mapping has its rule and no other is there, for iptables and for nftables."""
    one = attached(*own, portMappings=mappings)

    found = list(ports.wrong(one, {"capabilities": {"portMappings": True}, **conf}))

    assert len(found) == len(words), found
    assert all(part in text for part, text in zip(words, found, strict=True))


def test_a_mapping_is_for_the_families_that_it_fits():
    """Without a host address each family gets a rule; with one only its own does."""
    conf = {"capabilities": {"portMappings": True}}
    one = attached(WEB_RULE, WEB_RULE6, DNS_RULE, MARKED, ips=("10.1.0.2/24", "fd00::2/64"), portMappings=[WEB, DNS])

    assert not list(ports.wrong(one, conf))
    assert not list(ports.promised(one, {}))
    assert ports.Forward("tcp", "", 8000, "[fd00::2]:80") in set(ports.promised(one, conf))


SHAPED = row("qdiscs", Qdisc("veth1", "tbf", "1:", "root", (("buffer", 312500), ("limit", 45000), ("rate", 1000000))))
SHAPED_OUT = row(
    "qdiscs", Qdisc("bwp1", "tbf", "1:", "root", (("buffer", 2500000), ("limit", 23125), ("rate", 125000)))
)
BOTH = {"ingressRate": 8000000, "ingressBurst": 160000, "egressRate": 1000000, "egressBurst": 160000}


@pytest.mark.parametrize(
    ("own", "conf", "words"),
    [
        ([SHAPED, SHAPED_OUT], BOTH, []),
        ([SHAPED], BOTH, ["egressRate is 1000000, shapers have none"]),
        ([SHAPED_OUT], BOTH, ["ingressRate is 8000000, shapers have none"]),
        ([SHAPED], {"ingressRate": 4000000, "ingressBurst": 160000}, ["ingressRate is 4000000, shapers have 8000000"]),
        ([SHAPED], {"ingressRate": 8000000, "ingressBurst": 80000}, ["ingressBurst is 80000, the shaper has another"]),
        ([], {}, []),
    ],
)
def test_each_way_has_its_shaper(own: list[Leftover], conf: dict[str, Any], words: list[str]):
    """The host's end shapes what comes in, an ifb what goes out, each with its rate and its burst."""
    one = attached(*own, interfaces=[{"name": "veth1"}, {"name": "eth0", "sandbox": "/n"}, {"name": "bwp1"}])

    assert list(effects_meta.bandwidth(NOWHERE, one, conf)) == words


def test_limits_of_the_runtime_count():
    """What the runtime passes for a declared capability is a limit, too."""
    one = attached(interfaces=[{"name": "veth1"}], bandwidth={"ingressRate": 8000000, "ingressBurst": 160000})

    assert list(effects_meta.bandwidth(NOWHERE, one, {"capabilities": {"bandwidth": True}}))
    assert not list(effects_meta.bandwidth(NOWHERE, one, {}))


def test_firewall_accepts_both_ways():
    """A rule for what an address sends, and one for what belongs to it."""
    filtering = "iptables filter: -A CNI-FORWARD"
    out, back = f"{filtering} -s 10.1.0.2/32 -j ACCEPT", f"{filtering} -d 10.1.0.2/32 -m conntrack -j ACCEPT"

    assert not list(effects_meta.firewall(NOWHERE, attached(out, back), {}))
    assert list(effects_meta.firewall(NOWHERE, attached(out), {})) == ["no rule accepts what goes to 10.1.0.2/32"]
    assert len(list(effects_meta.firewall(NOWHERE, attached(out, back, ips=("fd00::2/64",)), {}))) == 2


def policy(table: int) -> Leftover:
    """A rule for the container's address."""
    return row("rules", Rule(4, 32765, "10.1.0.2/32", "", table, 0, "", "", "lookup"))


def way(table: int) -> Leftover:
    """A default route by the gateway."""
    default = Route(4, table, "default", "10.1.0.1", "eth0", "", "unicast", "global", "boot", 0, 0)
    return row("routes", default)


@pytest.mark.parametrize(
    ("own", "conf", "words"),
    [
        ([policy(100), way(100)], {}, []),
        ([way(100)], {}, ["no rule leads packets from 10.1.0.2 to a table"]),
        ([policy(100)], {}, ["the table of 10.1.0.2 has no default route by 10.1.0.1"]),
        ([policy(100)], {"table": 100}, []),
        ([policy(100)], {"table": 200}, ["table is 200, packets from 10.1.0.2 are led to 100"]),
        ([policy(254)], {"table": 254}, []),
        ([policy(100)], {"table": 254}, ["table is 254, packets from 10.1.0.2 are led to 100"]),
        ([policy(254)], {"table": 200}, ["table is 200, packets from 10.1.0.2 are led to main"]),
        ([policy(254), way(254)], {}, []),
    ],
)
def test_sbr_leads_each_address_to_a_table(own: list[Leftover], conf: dict[str, Any], words: list[str]):
    """There is a rule, and a way out in its table unless that was given."""
    assert list(effects_meta.sbr(NOWHERE, attached(*own), conf)) == words


def test_no_key_is_expected_of_a_build_without_it(tmp_path, monkeypatch):
    """What an older build of the reference plugins does not read is no effect that is missing; a stranger reads all."""
    monkeypatch.setitem(EFFECTS, "bridge", lambda _bench, _one, conf: [key for key in conf if key.startswith("port")])
    conf = {"type": "bridge", "portIsolation": True}
    one = cast(Attached, SimpleNamespace(example=SimpleNamespace(plugins=[conf]), is_ipam=False))
    found = {}
    for name, content in {
        "older": b'path\tgithub.com/containernetworking/plugins/plugins/main/bridge json:"type"',
        "newer": b'path\tgithub.com/containernetworking/plugins/plugins/main/bridge json:"type" json:"portIsolation"',
        "stranger": b"",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "bridge").write_bytes(content)
        bench = cast(Bench, SimpleNamespace(subject=SimpleNamespace(path=(str(tmp_path / name),))))
        found[name] = [each.words for each in effects.missing(bench, one)]

    assert found == {"older": [], "newer": ["portIsolation"], "stranger": ["portIsolation"]}
