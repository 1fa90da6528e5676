"""Strategies for topologies that can be built: made of parts that agree, rather than tried and thrown away."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]

_counts = st.integers(1, 3)
_booleans = st.booleans()
_mtus = st.sampled_from((None, None, 1500, 1400, 1280, 9000))
_families = st.sampled_from(((4,), (4, 6), (6,)))
_sysctls: st.SearchStrategy[Document] = st.sampled_from(
    (
        {},
        {},
        {"sysctls": {"net.ipv4.ip_forward": 1}},
        {"sysctls": {"net.ipv6.conf.all.forwarding": 1, "net.ipv4.ip_forward": 1}},
    )
)
_firewalls: st.SearchStrategy[Document] = st.sampled_from(
    (
        {},
        {},
        {},
        {"iptables": ["-P FORWARD DROP"]},
        {"iptables": ["-t nat -A POSTROUTING -s 10.81.0.0/16 -j MASQUERADE"]},
    )
)


@st.composite
def topologies(draw: st.DrawFn) -> Document:
    """Declared topologies, as a file would say them: nodes on a switch or in a row, sandboxes on bridges, a gateway
    and the internet behind it. `cnitest.topology.rules.check` accepts every one; `loads(json.dumps(…))` reads it."""
    families = draw(_families)
    nodes = draw(_counts)
    made: Document = {"name": "generated", "hosts": {}, "veths": []}
    _lan(made, nodes, families, switched=nodes > 1 and draw(_booleans), mtu=draw(_mtus))
    for number in range(1, nodes + 1):
        _place(made, number, draw(_sysctls) | draw(_firewalls))
        for inner in range(draw(st.integers(0, 2))):
            _sandbox(made, number, inner, families, addressed=draw(_booleans))
    if draw(_booleans):
        _gateway(made, families)
    return made


def _place(made: Document, number: int, more: Document) -> None:
    made["hosts"].setdefault(f"node{number}", {}).update(more)


def _lan(made: Document, nodes: int, families: tuple[int, ...], *, switched: bool, mtu: int | None) -> None:
    """All nodes on one switch; without one, each node wired to the next."""
    made["hosts"].update({f"node{number}": {} for number in range(1, nodes + 1)})
    if switched:
        made["switches"] = {"lan": {"mtu": mtu} if mtu else {}}
        for number in range(1, nodes + 1):
            _wire(made, _end(f"node{number}", "ens33", _addresses(families, 80, number + 100), mtu), _port(mtu))
        return
    for number in range(1, nodes):
        left = _end(f"node{number}", "right", _addresses(families, 81 + number, 1), mtu)
        _wire(made, left, _end(f"node{number + 1}", "left", _addresses(families, 81 + number, 2), mtu))


def _wire(made: Document, *ends: Document) -> None:
    made["veths"].append({"ends": list(ends)})


def _end(place: str, name: str, addresses: list[str], mtu: int | None = None) -> Document:
    end = {"at": place, "name": name, "addresses": addresses}
    return {**end, "mtu": mtu} if mtu else end


def _port(mtu: int | None) -> Document:
    return {"at": "lan", "mtu": mtu} if mtu else {"at": "lan"}


def _addresses(families: tuple[int, ...], subnet: int, number: int) -> list[str]:
    written = {4: f"192.168.{subnet}.{number}/24", 6: f"2001:db8:{subnet}::{number}/64"}
    return [written[family] for family in families]


def _sandbox(made: Document, number: int, inner: int, families: tuple[int, ...], *, addressed: bool) -> None:
    """A sandbox of a node: empty, or on a bridge of the node with an address and a default route."""
    host, name, subnet = made["hosts"][f"node{number}"], f"c{inner + 1}", 100 + number
    sandboxes = host.setdefault("sandboxes", {})
    sandboxes[name] = {}
    if not addressed:
        return
    host.setdefault("bridges", {})["br0"] = {"addresses": _addresses(families, subnet, 1)}
    gateways = {4: f"192.168.{subnet}.1", 6: f"2001:db8:{subnet}::1"}
    sandboxes[name] = {"routes": [{"via": gateways[family]} for family in families]}
    port = {"at": f"node{number}", "name": f"to-{name}", "bridge": "br0"}
    _wire(made, port, _end(f"node{number}/{name}", "eth0", _addresses(families, subnet, inner + 10)))


def _gateway(made: Document, families: tuple[int, ...]) -> None:
    """A router behind the first node, and the internet behind that."""
    made["hosts"]["gateway"] = {"role": "router"}
    remote = {4: "8.8.8.8/32", 6: "2001:4860:4860::8888/128"}
    made["hosts"]["internet"] = {"role": "internet", "loopback": [remote[family] for family in families]}
    near, far = _addresses(families, 90, 2), _addresses(families, 90, 1)
    _wire(made, _end("node1", "up", near), _end("gateway", "lan0", far))
    outside, inside = _addresses(families, 91, 1), _addresses(families, 91, 2)
    _wire(made, _end("gateway", "wan0", outside), _end("internet", "eth0", inside))
    made["hosts"]["node1"]["routes"] = [{"via": address.partition("/")[0]} for address in far]
    made["hosts"]["gateway"]["routes"] = [{"via": address.partition("/")[0]} for address in inside]
