"""What becomes of a DHCP lease: renewal, rejection, expiry, release, and a server or a daemon that goes away."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.leases import (
    FIRST,
    GIVES_UP,
    MARKS,
    NET,
    SERVER,
    await_leases,
    await_message,
    daemon,
    messages,
    network,
    serving,
    short_leases,
)
from cnitest.suites.plugins.node_networks import caller
from cnitest.suites.plugins.seen import source

from cnitest.deadline import Deadline

pytestmark = MARKS


@pytest.mark.covers("dhcp", "packet")
def test_a_lease_is_renewed_at_its_time(node, server, running, cni):
    """At T1 the client asks for its own address again, by ciaddr, and goes on with what it has."""
    with serving(server, "58,3"):
        attachment = cni.add(node.sandbox("c1"), NET)
        with server.capture("ens33") as wire:
            ack = await_message(wire, "ACK")
            (request,) = messages(wire, "REQUEST")
        reach = attachment.sandbox.ping(SERVER)

    assert request.packet["BOOTP"].ciaddr == attachment.address
    assert ack.packet["BOOTP"].yiaddr == attachment.address
    assert attachment.sandbox.addresses_on("eth0") == (attachment.address,)
    assert source(reach) == attachment.address


@pytest.mark.covers("dhcp", "packet")
def test_a_lease_is_renewed_again_and_again(node, server, running, cni):
    """Each renewal begins the lease anew: with a T1 of one second the client asks every second."""
    short_leases(server, "ack", lease=5, renewal=1, rebinding=4)
    attachment = cni.add(node.sandbox("c1"), NET)
    with server.capture("ens33") as wire:
        Deadline.after(6.0, "three renewals").poll(lambda: len(messages(wire, "ACK")) >= 3)

    assert {message.packet["BOOTP"].ciaddr for message in messages(wire, "REQUEST")} == {FIRST}
    assert messages(wire, "DISCOVER") == []
    assert attachment.sandbox.addresses_on("eth0") == (FIRST,)


@pytest.mark.covers("dhcp", "packet")
@pytest.mark.covers("dhcp.request", "packet")
@pytest.mark.covers("dhcp.provide", "packet")
def test_a_renewal_says_what_the_first_request_said(node, server, running, cni):
    """A renewal asks for the same options and provides the same, and names no server and no address (RFC 2131)."""
    said = network(request=[{"option": "26"}], provide=[{"option": "host-name", "value": "web1"}])
    short_leases(server, "ack")
    cni.add(node.sandbox("c1"), said)
    with server.capture("ens33") as wire:
        options = await_message(wire, "REQUEST").options

    assert sorted(options.get("param_req_list", [])) == [1, 3, 26]
    assert options.get("hostname") == b"web1"
    assert options["client_id"] == b"\0c1/leased/eth0"
    assert not {"server_id", "requested_addr"} & options.keys()


@GIVES_UP
@pytest.mark.covers("dhcp", "packet")
def test_a_server_that_was_away_renews_later(node, server, impatient, cni):
    """A renewal that nobody answers is tried again: the lease goes on once the server is back."""
    with short_leases(server, "ack", "silence"):
        attachment = cni.add(node.sandbox("c1"), NET)
        with server.capture("ens33") as wire:
            await_message(wire, "REQUEST")
    with short_leases(server, "ack"), server.capture("ens33") as later:
        ack = await_message(later, "ACK")

    assert messages(wire, "ACK") == []
    assert ack.packet["BOOTP"].yiaddr == attachment.address
    assert attachment.sandbox.ping(SERVER)


@GIVES_UP
@pytest.mark.covers("dhcp", "packet")
def test_rebinding_asks_every_server(node, server, impatient, cni):
    """Past T2 the client asks whoever is there, as at the beginning, and not its server alone."""
    with short_leases(server, "ack", "silence", renewal=1, rebinding=2):
        cni.add(node.sandbox("c1"), NET)
        with server.capture("ens33") as wire:
            asked = await_message(wire, "DISCOVER")

    assert asked.packet.dst == "ff:ff:ff:ff:ff:ff"
    assert asked.packet["IP"].dst == "255.255.255.255"


@GIVES_UP
@pytest.mark.covers("dhcp", "kernel", "packet")
def test_an_address_is_not_used_beyond_its_lease(node, server, impatient, cni):
    """When a lease has run out, and no server gave another, the container's interface is down: nobody reaches it."""
    with short_leases(server, "ack", "silence", lease=2, renewal=1, rebinding=1):
        attachment = cni.add(node.sandbox("c1"), NET)
        before = server.ping(FIRST)
        deadline = Deadline.after(8.0, "the interface to be taken down")
        deadline.poll(lambda: not attachment.sandbox.link("eth0").up)

    assert before
    assert not server.ping(FIRST)


@GIVES_UP
@pytest.mark.covers("dhcp", "packet")
def test_an_address_that_the_server_refuses_is_given_up(node, server, impatient, cni):
    """After a NAK the address is the client's no more, at once (RFC 2131): the container no longer answers for it."""
    with short_leases(server, "ack", "nak"):
        attachment = cni.add(node.sandbox("c1"), NET)
        with server.capture("ens33") as wire:
            await_message(wire, "NAK")
        rejected = Deadline.after(1.0, f"{FIRST} to be given up after a NAK")
        rejected.poll(lambda: FIRST not in attachment.sandbox.addresses_on("eth0"))

    assert not server.arp(FIRST, on="ens33")


@GIVES_UP
@pytest.mark.covers("dhcp", "packet")
def test_a_range_that_moved_is_followed(node, server, impatient, cni):
    """A server whose range has moved rejects the renewal; what it leases instead is the container's address then."""
    with serving(server, "58,3", "59,4"):
        attachment = cni.add(node.sandbox("c1"), NET)
    server.run(["rm", "/run/dnsmasq-ens33.leases"])
    with serving(server, first="192.168.80.170", last="192.168.80.180") as moved, server.capture("ens33") as wire:
        await_message(wire, "ACK", 9.0)
        rejected = messages(wire, "NAK")
        leased = tuple(lease.address for lease in moved.leases)
        followed = Deadline.after(0.5, f"the container to have {leased} and no other address")
        followed.poll(lambda: attachment.sandbox.addresses_on("eth0") == leased)

    assert rejected


@pytest.mark.covers("dhcp", "DEL", "packet")
def test_del_releases_the_lease(node, server, running, cni):
    """DEL gives the lease back: the server has it no more, and the link is gone."""
    with serving(server) as dhcp, server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        await_leases(dhcp, [attachment.address])
        cni.delete(attachment)
        await_message(wire, "RELEASE")
        await_leases(dhcp, [])

    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@pytest.mark.covers("dhcp", "DEL", "packet")
def test_a_release_says_whose_lease_it_is(node, server, running, cni):
    """The RELEASE of DEL names the lease's server, and the address and the identifier that the lease was taken by:
    a server knows a client that named itself by nothing else (RFC 2131)."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        cni.delete(attachment)
        release = await_message(wire, "RELEASE")
        requests = messages(wire, "REQUEST")

    assert release.packet["BOOTP"].ciaddr == attachment.address
    assert release.options["server_id"] == SERVER
    assert {message.options.get("client_id") for message in [*requests, release]} == {b"\0c1/leased/eth0"}


@pytest.mark.covers("dhcp", "DEL", "packet")
@pytest.mark.covers("dhcp.provide", "DEL", "packet")
def test_a_release_has_the_identifier_that_was_provided(node, server, running, cni):
    """A lease that was taken by an identifier of one's own is released by it."""
    named = network(provide=[{"option": "dhcp-client-identifier", "value": "me"}])
    with serving(server), server.capture("ens33") as wire:
        cni.delete(cni.add(node.sandbox("c1"), named))
        await_message(wire, "RELEASE")
        identifiers = {message.options.get("client_id") for message in messages(wire, "REQUEST", "RELEASE")}

    assert len(identifiers) == 1, identifiers
    assert identifiers.pop().endswith(b"me")


@pytest.mark.requires(plugin=["bridge"])
@pytest.mark.covers("dhcp", "DEL", "packet")
def test_del_of_a_bridge_network_releases_the_lease(node, server, cni):
    """The same where the bridge plugin made the interface: it must be there still when the lease is released."""
    daemon(node, cni.path, "-timeout", "1s")
    node.run(["ip", "link", "add", "lan0", "type", "bridge"])
    node.run(["ip", "link", "set", "lan0", "up"])
    node.run(["ip", "link", "set", "ens33", "master", "lan0"])
    bridged = {**network(), "type": "bridge", "bridge": "lan0"}
    with serving(server) as dhcp:
        attachment = cni.add(node.sandbox("c1"), bridged)
        reach = attachment.sandbox.ping(SERVER)
        cni.delete(attachment)
        await_leases(dhcp, [])

    assert reach


@pytest.mark.covers("dhcp", "DEL", "packet")
def test_del_ends_the_renewals(node, server, running, cni):
    """After DEL nothing more is said: the renewal that would have come does not."""
    short_leases(server, "ack")
    attachment = cni.add(node.sandbox("c1"), NET)
    cni.delete(attachment)
    other = cni.add(node.sandbox("c2"), NET)
    with server.capture("ens33") as wire:
        await_message(wire, "REQUEST")
        clients = {message.options["client_id"] for message in messages(wire, "REQUEST")}

    assert clients == {b"\0c2/leased/eth0"}
    assert other.address == FIRST


@pytest.mark.covers("dhcp", "DEL", "kernel")
def test_del_does_not_wait_for_an_answer_to_a_renewal(node, server, running, cni):
    """A container goes while its renewal is under way and the server is silent: DEL ends, and so does the client."""
    cni.timeout = 3.0
    with short_leases(server, "ack", "silence"), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        Deadline.after(5.0, "a renewal").poll(lambda: len(messages(wire, "REQUEST")) > 1)
        cni.attachments.remove(attachment)  # a daemon that waits for ever would let no second DEL end either
        caller(cni).delete(attachment.target, attachment.result.document)

    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@pytest.mark.covers("dhcp", "DEL", "packet")
def test_a_container_that_comes_back_asks_anew(node, server, running, cni):
    """After DEL nothing is remembered of a lease: an ADD with the same ID asks the server as the first one did."""
    with serving(server) as dhcp, server.capture("ens33") as wire:
        cni.delete(cni.add(node.sandbox("c1"), NET))
        await_message(wire, "RELEASE")
        attachment = cni.add(node.sandbox("c1"), NET)
        await_leases(dhcp, [attachment.address])
        asked = messages(wire, "DISCOVER")

    assert len(asked) == 2
    assert attachment.sandbox.ping(SERVER)


@pytest.mark.covers("dhcp", "DEL")
def test_del_twice_is_no_error(node, server, running, cni):
    """A second DEL, and one of a container that was never added, succeed and release nothing."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        cni.delete(attachment)
        await_message(wire, "RELEASE")
        cni.delete(attachment)
        released = messages(wire, "RELEASE")

    assert len(released) == 1


@pytest.mark.covers("dhcp", "DEL")
def test_del_without_the_namespace_is_no_error(node, server, running, cni):
    """DEL of a container whose namespace is gone succeeds, though its lease cannot be released from there."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)
        node.lose("c1")
        cni.delete(attachment)

    assert cni.attachments == []


@pytest.mark.covers("dhcp", "DEL")
def test_del_without_a_server_is_no_error(node, server, running, cni):
    """A RELEASE is not answered: DEL succeeds where the server is gone, and takes the link away."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)
    cni.delete(attachment)

    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@GIVES_UP
@pytest.mark.covers("dhcp", "DEL")
def test_del_does_not_wait_for_a_renewal(node, server, running, cni):
    """DEL amid a renewal that nobody answers is done at once, and the link goes."""
    with short_leases(server, "ack", "silence"):
        attachment = cni.add(node.sandbox("c1"), NET)
        with server.capture("ens33") as wire:
            await_message(wire, "REQUEST")
        late = Deadline.after(3.0, "DEL to end a renewal")
        cni.delete(attachment)

    late.check()
    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@pytest.mark.covers("dhcp", "DEL")
def test_del_without_the_daemon_is_no_error(node, server, running, cni):
    """A lease runs out by itself, so DEL without the daemon is no error (SPEC, DEL), and the link goes."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)
    running.stop()
    error = cni.delete(attachment, may_fail=True)

    assert error is None, str(error)
    assert [link.name for link in attachment.sandbox.links] == ["lo"]
