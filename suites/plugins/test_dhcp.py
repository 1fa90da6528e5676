"""Addresses by DHCP from a real server on the LAN: leases, what they are made of, gateways and routes."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.leases import (
    BEYOND_ROUTER,
    BEYOND_SERVER,
    FIRST,
    GATEWAY,
    LAST,
    MARKS,
    NET,
    ROUTER,
    SERVER,
    daemon,
    messages,
    network,
    routes,
    serving,
)
from cnitest.suites.plugins.seen import source

from cnitest import PluginError

pytestmark = MARKS


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_a_container_gets_a_lease_of_the_server(node, server, running, cni):
    """The address is one of the server's range with its mask, the container's, leased to its MAC, and it works."""
    with serving(server) as dhcp:
        attachment = cni.add(node.sandbox("c1"), NET)
        leases = dhcp.leases

    assert FIRST <= attachment.address <= LAST
    assert [ip.address for ip in attachment.result.ips] == [f"{attachment.address}/24"]
    assert attachment.sandbox.addresses_on("eth0") == (attachment.address,)
    assert [(lease.address, lease.mac) for lease in leases] == [
        (attachment.address, attachment.sandbox.link("eth0").mac)
    ]
    assert source(attachment.sandbox.ping(SERVER)) == attachment.address
    assert server.tcp(attachment.address, 80)


@pytest.mark.covers("dhcp", "packet")
def test_the_four_messages_of_a_lease(node, server, running, cni):
    """DISCOVER, OFFER, REQUEST, ACK: from the container's MAC, the REQUEST for what was offered by that server."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        said = messages(wire)

    mac = attachment.sandbox.link("eth0").mac
    assert [message.kind for message in said] == ["DISCOVER", "OFFER", "REQUEST", "ACK"]
    assert {message.packet.src for message in said if message.kind in ("DISCOVER", "REQUEST")} == {mac}
    assert said[2].options["requested_addr"] == said[1].packet["BOOTP"].yiaddr == attachment.address
    assert said[2].options["server_id"] == SERVER


@pytest.mark.covers("dhcp", "packet")
def test_the_client_is_told_by_container_network_and_interface(node, server, running, cni):
    """The client identifier is of type 0, with the container's ID, the network's name and the interface's."""
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), NET, "net7", container_id="pod-1")
        found = {message.options["client_id"] for message in messages(wire, "DISCOVER", "REQUEST")}

    assert found == {b"\0pod-1/leased/net7"}


@pytest.mark.parametrize("letters", [100, 242], ids=["long", "longer than an option"])
@pytest.mark.covers("dhcp", "packet")
def test_containers_with_long_ids_have_a_lease_each(node, server, running, cni, letters):
    """IDs that differ in their last letter are two clients, unless the option (of 255 bytes) has no room for that; the
    longest ID gets a lease all the same."""
    with serving(server), server.capture("ens33") as wire:
        attachments = [
            cni.add(node.sandbox(f"c{end}"), NET, container_id="p" * letters + end, ifname="net0") for end in "12"
        ]
        said = [message.options["client_id"] for message in messages(wire, "REQUEST")]

    assert len({attachment.address for attachment in attachments}) == 2
    assert said == [(b"\0" + b"p" * letters + end + b"/leased/net0")[:255] for end in (b"1", b"2")]


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_option_3_is_the_default_gateway(node, server, running, cni):
    """The router of the lease is the address's gateway and the default route, and packets leave by it."""
    with serving(server, GATEWAY):
        attachment = cni.add(node.sandbox("c1"), NET)

    assert attachment.gateway == SERVER
    assert [(route.dst, route.gw) for route in attachment.result.routes] == [("0.0.0.0/0", SERVER)]
    assert routes(attachment.sandbox) == [("default", SERVER)]
    assert source(attachment.sandbox.ping(BEYOND_SERVER)) == attachment.address


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_of_several_routers_the_first_is_the_gateway(lab, node, server, running, cni):
    """Option 3 lists routers by preference: the default route leads to the first."""
    with serving(server, f"3,{ROUTER},{SERVER}"):
        attachment = cni.add(node.sandbox("c1"), NET)

    assert routes(attachment.sandbox) == [("default", ROUTER)]
    assert attachment.sandbox.ping(BEYOND_ROUTER)


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_without_option_3_there_is_no_way_out(node, server, running, cni):
    """A lease without routers gives no gateway and no route, and the container reaches its LAN only."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)

    assert attachment.gateway is None
    assert routes(attachment.sandbox) == []
    assert attachment.sandbox.ping(SERVER)
    assert attachment.sandbox.ping(BEYOND_SERVER).dropped_by == "no route"


@pytest.mark.covers("dhcp.request", "kernel", "packet")
def test_option_33_gives_static_routes(node, server, running, cni):
    """A static route of the lease, which is of a class, leads to its router, beside the default route."""
    with serving(server, GATEWAY, f"33,198.51.100.0,{ROUTER}"):
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "33"}]))

    assert routes(attachment.sandbox) == [("198.51.100.0/24", ROUTER), ("default", SERVER)]
    assert attachment.sandbox.ping(BEYOND_ROUTER)
    assert attachment.sandbox.ping(BEYOND_SERVER)


@pytest.mark.covers("dhcp.request", "kernel", "packet")
def test_option_121_gives_classless_routes(node, server, running, cni):
    """A classless route of any prefix leads to its router."""
    with serving(server, f"121,{BEYOND_ROUTER}/32,{ROUTER},0.0.0.0/0,{SERVER}"):
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "121"}]))

    assert routes(attachment.sandbox) == [(f"{BEYOND_ROUTER}/32", ROUTER), ("default", SERVER)]
    assert attachment.sandbox.ping(BEYOND_ROUTER)
    assert attachment.sandbox.ping(BEYOND_SERVER)


@pytest.mark.covers("dhcp.request", "kernel", "packet")
def test_option_121_goes_before_33_and_3(node, server, running, cni):
    """Where there are classless routes, static ones and routers are ignored (RFC 3442)."""
    with serving(server, GATEWAY, f"33,203.0.113.0,{SERVER}", f"121,198.51.100.0/25,{ROUTER}"):
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "33"}, {"option": "121"}]))

    assert routes(attachment.sandbox) == [("198.51.100.0/25", ROUTER)]
    assert attachment.sandbox.ping(BEYOND_ROUTER)
    assert attachment.sandbox.ping(BEYOND_SERVER).dropped_by == "no route"


@pytest.mark.covers("dhcp.request", "kernel", "packet")
def test_a_classless_route_without_router_is_on_the_link(lab, node, server, running, cni):
    """A classless route by 0.0.0.0 leads to the link itself: its hosts are asked for there (RFC 3442)."""
    lab.host("second").run(["ip", "address", "add", "192.168.90.1/24", "dev", "ens33"])
    with serving(server, f"121,192.168.90.0/24,0.0.0.0,0.0.0.0/0,{ROUTER}"):
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "121"}]))

    found = [route for route in attachment.sandbox.routes if route.to == "192.168.90.0/24"]
    assert [(route.via, route.scope) for route in found] == [("", "link")]
    assert attachment.sandbox.ping("192.168.90.1").path[-1] == "second:ens33 in"


@pytest.mark.requires(plugin=["dhcp>=1.6"])
@pytest.mark.covers("dhcp.priority", "kernel", "packet")
def test_priority_is_the_metric_of_the_routes(node, server, running, cni):
    """Each route of a lease has the network's priority; of two default routes packets take the lower one's."""
    with serving(server, GATEWAY):
        first = cni.add(node.sandbox("c1"), {**network(priority=300), "name": "far"})
        second = cni.add(node.sandbox("c1"), {**network(priority=200), "name": "near"}, "eth1")

    found = [(route.link, route.metric) for route in first.sandbox.routes if route.to == "default"]
    assert sorted(found) == [("eth0", 300), ("eth1", 200)]
    reach = first.sandbox.ping(BEYOND_SERVER)
    assert source(reach) == second.address
    assert reach.path[0] == "node/c1:eth1 out"


@pytest.mark.covers("dhcp.priority", "kernel")
def test_without_priority_routes_have_the_kernels_metric(node, server, running, cni):
    """Routes of a lease have no metric unless the network says one."""
    with serving(server, GATEWAY):
        attachment = cni.add(node.sandbox("c1"), NET)

    assert [route.metric for route in attachment.sandbox.routes if route.to == "default"] == [0]


@pytest.mark.covers("dhcp.daemonSocketPath", "kernel", "packet")
def test_the_daemon_is_asked_where_it_listens(node, server, cni):
    """daemonSocketPath leads to a daemon with a socket of its own, and only there."""
    with serving(server), daemon(node, cni.path, "-socketpath", "/run/other/dhcp.sock", socket="/run/other/dhcp.sock"):
        attachment = cni.add(node.sandbox("c1"), network(daemonSocketPath="/run/other/dhcp.sock"))
        with pytest.raises(PluginError, match=r"/run/cni/dhcp\.sock"):
            cni.add(node.sandbox("c2"), NET)
        reach = attachment.sandbox.ping(SERVER)
        cni.delete(attachment)

    assert reach


@pytest.mark.covers("dhcp.daemonSocketPath", "kernel")
def test_two_daemons_know_their_own_leases(node, server, running, cni):
    """Two daemons with a socket each serve a network each; ending one leaves the other's containers alone."""
    other = network(daemonSocketPath="/run/cni/other.sock")
    with serving(server) as dhcp:
        with daemon(node, cni.path, "-socketpath", "/run/cni/other.sock", socket="/run/cni/other.sock"):
            first = cni.add(node.sandbox("c1"), NET)
            second = cni.add(node.sandbox("c2"), {**other, "name": "other"})
            cni.delete(second)
        cni.check(first)
        assert first.address in [lease.address for lease in dhcp.leases]
