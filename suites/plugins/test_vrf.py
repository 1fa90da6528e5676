"""vrf: routing tables that are apart in one container, and by which one packets are routed."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import ready_sandbox, rejected
from cnitest.suites.plugins.seen import source
from cnitest.suites.plugins.vrf_networks import HOST, masters, network, subnet, vrfs

pytestmark = [pytest.mark.topology(HOST), pytest.mark.requires(kernel=["vrf"], plugin=["vrf", "bridge", "host-local"])]

FAMILY = pytest.mark.parametrize("family", [4, 6])
ROUTES_MOVE = pytest.mark.requires(plugin=["vrf>=1.3"])

#: A program that is bound to the VRF, and connects to the address that it is given.
BOUND = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as bound:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"red")
    bound.settimeout(20)
    bound.connect((sys.argv[1], 9000))
    bound.sendall(b"hello")
    assert bound.recv(5)
"""


@FAMILY
@pytest.mark.covers("vrf", "kernel", "packet")
@pytest.mark.covers("vrf.vrfname", "kernel", "packet")
def test_an_interface_is_put_into_a_vrf(node, cni, family):
    """The VRF is made, up, and the interface's master; addresses stay, routes stand in its table alone, and the
    gateway reaches the container over them."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(family=family))
    sandbox = attachment.sandbox

    assert list(vrfs(sandbox)) == ["red"]
    assert sandbox.link("red").up
    assert masters(sandbox) == {"eth0": "red"}
    assert sandbox.addresses_on("eth0") == (attachment.address,)
    connected = {route.table for route in sandbox.routes if route.to == subnet(family, 1)[0]}
    assert connected == {vrfs(sandbox)["red"]}
    assert node.ping(attachment.address)


@pytest.mark.covers("vrf", "kernel")
def test_the_result_is_passed_on(node, cni):
    """The result of the plugins before is the result of the list, unchanged."""
    wanted = network()
    plain = cni.add(node.sandbox("c0"), {**wanted, "plugins": wanted["plugins"][:1]})
    attachment = cni.add(node.sandbox("c1"), wanted)

    assert len(attachment.result.interfaces) == len(plain.result.interfaces)
    assert attachment.result.ips[0].gateway == plain.result.ips[0].gateway
    assert attachment.result.interfaces[-1].sandbox == attachment.sandbox.path


@FAMILY
@pytest.mark.covers("vrf", "packet")
def test_programs_reach_the_network_from_within_the_vrf_alone(node, cni, family):
    """Who is not bound to the VRF has no route to its network; who is reaches its gateway, under the container's
    address."""
    attachment = cni.add(ready_sandbox(node, "c1"), network(family=family))
    gateway = subnet(family, 1)[1]
    unbound = attachment.sandbox.ping(gateway)
    with node.service(9000, "tcp") as service:
        attachment.sandbox.run(["python3", "-c", BOUND, gateway])
        (peer,) = service.wait_for(1)

    assert unbound.dropped_by == "no route"
    assert peer.address == attachment.address


@FAMILY
@pytest.mark.covers("vrf.vrfname", "kernel", "packet")
def test_two_networks_in_one_vrf(node, cni, family):
    """Two interfaces of one container may be in one VRF, whose table has both networks: both gateways reach it."""
    sandbox = ready_sandbox(node, "c1")
    first = cni.add(sandbox, network(1, family), "eth0")
    second = cni.add(sandbox, network(2, family), "eth1")

    assert masters(sandbox) == {"eth0": "red", "eth1": "red"}
    assert len(vrfs(sandbox)) == 1
    assert node.ping(first.address)
    assert node.ping(second.address)


@FAMILY
@pytest.mark.covers("vrf.vrfname", "kernel", "packet")
def test_two_networks_in_two_vrfs(node, cni, family):
    """Two interfaces in two VRFs have a table each, with their own network alone: both gateways reach it."""
    sandbox = ready_sandbox(node, "c1")
    first = cni.add(sandbox, network(1, family, vrf="red"), "eth0")
    second = cni.add(sandbox, network(2, family, vrf="blue"), "eth1")

    tables = vrfs(sandbox)
    assert masters(sandbox) == {"eth0": "red", "eth1": "blue"}
    assert len(set(tables.values())) == 2
    for number, name in ((1, "red"), (2, "blue")):
        assert {r.table for r in sandbox.routes if r.to == subnet(family, number)[0]} == {tables[name]}
    assert node.ping(first.address)
    assert node.ping(second.address)


@FAMILY
@pytest.mark.covers("vrf.vrfname", "kernel", "packet")
def test_the_same_address_in_two_vrfs(lab, node, cni, family):
    """Two networks of the same subnet give one container the same address twice, a VRF each: each network's own
    gateway is answered, over its own interface."""
    sandbox = ready_sandbox(node, "c1")
    same = {"type": "host-local", "ranges": [[{"subnet": subnet(family, 1)[0]}]]}
    for name, bridge, vrf, ifname in (("a", "bra", "red", "eth0"), ("b", "brb", "blue", "eth1")):
        wanted = network(1, family, vrf=vrf)
        wanted["name"] = name
        wanted["plugins"][0] |= {"bridge": bridge, "isGateway": False, "ipam": same}
        attachment = cni.add(sandbox, wanted, ifname)

    assert sandbox.addresses_on("eth0") == sandbox.addresses_on("eth1") == (attachment.address,)
    for bridge, link in (("bra", "eth0"), ("brb", "eth1")):
        prefix = subnet(family, 1)[1] + ("/24" if family == 4 else "/64")
        node.run(["ip", "address", "add", prefix, "dev", bridge])
        reach = node.ping(attachment.address)
        node.run(["ip", "address", "delete", prefix, "dev", bridge])
        assert reach.path[-1] == f"node/c1:{link} in"


@pytest.mark.parametrize("table", [10, 1001])
@pytest.mark.covers("vrf.table", "kernel", "packet")
def test_a_table_of_ones_own(node, cni, table):
    """The VRF has the table that is said, and its routes are there."""
    attachment = cni.add(node.sandbox("c1"), network(table=table))

    assert vrfs(attachment.sandbox) == {"red": table}
    assert {r.table for r in attachment.sandbox.routes if r.to == "10.1.0.0/24"} == {table}
    assert node.ping(attachment.address)


@pytest.mark.covers("vrf.table", "kernel", "packet")
def test_one_vrf_with_the_same_table_again(node, cni):
    """A second interface for a VRF that names the VRF's own table is put into it."""
    sandbox = node.sandbox("c1")
    cni.add(sandbox, network(1, table=100), "eth0")
    second = cni.add(sandbox, network(2, table=100), "eth1")

    assert vrfs(sandbox) == {"red": 100}
    assert node.ping(second.address)


@pytest.mark.covers("vrf.table", "refused", "packet")
def test_one_vrf_with_two_tables_is_refused(node, cni):
    """A VRF has one table: a network that names another is rejected, and the first interface works on."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(1, table=100), "eth0")
    said = rejected(cni, sandbox, network(2, table=200), "eth1")

    assert "VRF red already exist with different routing table 100" in said
    assert vrfs(sandbox) == {"red": 100}
    assert node.ping(first.address)


@pytest.mark.covers("vrf.table", "kernel", "packet")
def test_two_vrfs_with_one_table(node, cni):
    """Two VRFs may share a table, as the kernel has it unless net.vrf.strict_mode is on: both gateways reach it."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(1, vrf="red", table=100), "eth0")
    second = cni.add(sandbox, network(2, vrf="blue", table=100), "eth1")

    assert vrfs(sandbox) == {"red": 100, "blue": 100}
    assert node.ping(first.address)
    assert node.ping(second.address)


@pytest.mark.covers("vrf.table", "refused", "packet")
def test_two_vrfs_with_one_table_where_the_kernel_is_strict(node, cni):
    """With net.vrf.strict_mode a table that another VRF has is rejected, and the first interface works on."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(1, vrf="red", table=100), "eth0")
    if sandbox.sysctl("net.vrf.strict_mode", 1) is None:
        pytest.skip("this kernel has no net.vrf.strict_mode")
    said = rejected(cni, sandbox, network(2, vrf="blue", table=100), "eth1")

    assert "could not add VRF blue" in said
    assert vrfs(sandbox) == {"red": 100}
    assert node.ping(first.address)


class TestFreeTable:
    """The table of a VRF of which none is said: the first that no VRF has."""

    @pytest.mark.parametrize(
        ("taken", "free"),
        [((), 1), ((1,), 2), ((1, 2, 3), 4), ((2,), 1), ((1, 3), 2)],
        ids=["none", "first", "first ones", "second", "a gap"],
    )
    @pytest.mark.covers("vrf.table", "kernel")
    def test_the_first_free_one(self, node, cni, taken, free):
        """Tables of other VRFs are left out, and gaps are used."""
        sandbox = node.sandbox("c1")
        for table in taken:
            sandbox.run(["ip", "link", "add", f"vrf{table}", "type", "vrf", "table", str(table)])
        cni.add(sandbox, network())

        assert vrfs(sandbox)["red"] == free

    @pytest.mark.requires(kernel=["dummy"])
    @pytest.mark.covers("vrf.table", "kernel")
    def test_other_links_take_none(self, node, cni):
        """Links that are no VRFs take no table."""
        sandbox = node.sandbox("c1")
        sandbox.run(["ip", "link", "add", "d1", "type", "dummy"])
        cni.add(sandbox, network())

        assert vrfs(sandbox) == {"red": 1}

    @pytest.mark.covers("vrf.table", "kernel")
    def test_many_are_taken(self, node, cni):
        """With a hundred VRFs the first table after them is taken."""
        sandbox = node.sandbox("c1")
        lines = "".join(f"link add v{table} type vrf table {table}\n" for table in range(1, 101))
        sandbox.run(["ip", "-batch", "-"], stdin=lines, timeout=120.0)
        cni.add(sandbox, network())

        assert vrfs(sandbox)["red"] == 101


@ROUTES_MOVE
@FAMILY
@pytest.mark.covers("vrf", "kernel", "packet")
def test_routes_of_the_interface_move_along(lab, node, cni, family):
    """Routes by the interface stand in the VRF's table then, with their gateways, and packets take them."""
    beyond = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}[family]
    prefix = {4: "203.0.113.0/24", 6: "2001:db8:ffff::/64"}[family]
    node.run(["ip", "address", "add", f"{beyond}/{32 if family == 4 else 128}", "dev", "lo"])
    attachment = cni.add(ready_sandbox(node, "c1"), network(family=family, ipam={"routes": [{"dst": prefix}]}))
    sandbox = attachment.sandbox

    found = [(route.table, route.via) for route in sandbox.routes if route.to == prefix]
    assert found == [(vrfs(sandbox)["red"], subnet(family, 1)[1])]
    assert node.ping(attachment.address, source=beyond)


@ROUTES_MOVE
@pytest.mark.covers("vrf", "kernel", "packet")
def test_routes_of_other_interfaces_stay(node, cni):
    """Only the interface's own routes move: those by another interface stay in the main table, and work."""
    sandbox = node.sandbox("c1")
    plain = network(2, ipam={"routes": [{"dst": "0.0.0.0/0"}]})
    first = cni.add(sandbox, {**plain, "plugins": plain["plugins"][:1]}, "eth0")
    cni.add(sandbox, network(1, ipam={"routes": [{"dst": "198.51.100.0/24"}]}), "eth1")

    tables = {route.to: route.table for route in sandbox.routes if route.to in ("default", "198.51.100.0/24")}
    assert tables == {"default": 254, "198.51.100.0/24": vrfs(sandbox)["red"]}
    assert source(sandbox.ping("10.1.0.1")) == first.address
