"""The dhcp plugin's daemon: its flags and files, several clients, CHECK, and what its end and a new start change."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import distrusted
from cnitest.suites.plugins.leases import (
    FIRST,
    GIVES_UP,
    MARKS,
    NET,
    SERVER,
    SOCKET,
    await_leases,
    await_message,
    daemon,
    messages,
    network,
    serving,
)
from cnitest.suites.plugins.seen import source

from cnitest import PluginError
from cnitest.deadline import Deadline

pytestmark = MARKS


@pytest.mark.covers("dhcp.daemonSocketPath", "refused")
def test_add_without_the_daemon_is_refused(node, cni):
    """ADD without the daemon says which socket is not there."""
    error = _rejection(cni, node.sandbox("c1"), NET)

    assert f"{SOCKET}: connect: no such file or directory" in error


@pytest.mark.covers("dhcp", "refused")
def test_status_without_the_daemon_is_refused(node, cni):
    """STATUS of a network of 1.1.0 whose daemon is not there says that no ADD can work."""
    if "1.1.0" not in cni.version("dhcp", node).supported:
        pytest.skip("this dhcp speaks no 1.1.0, which has STATUS")
    with pytest.raises(PluginError, match="code 50"):
        cni.status({**NET, "cniVersion": "1.1.0"}, node)


@GIVES_UP
@pytest.mark.covers("dhcp", "refused", "packet")
def test_add_without_a_server_is_refused(node, server, impatient, cni):
    """Where nobody answers ADD gives up, says so, and leaves neither link nor client."""
    sandbox = node.sandbox("c1")
    with server.capture("ens33") as wire:
        error = _rejection(cni, sandbox, NET)

    assert "no more tries" in error
    assert messages(wire, "DISCOVER")
    assert [link.name for link in sandbox.links] == ["lo"]


@GIVES_UP
@pytest.mark.covers("dhcp", "refused", "packet")
def test_a_second_container_is_refused_where_one_address_is_left(node, server, impatient, cni):
    """A server with one address serves one container: the second is rejected, and the first keeps what it has."""
    with serving(server, first=FIRST, last=FIRST):
        first = cni.add(node.sandbox("c1"), NET)
        rejected = _rejection(cni, node.sandbox("c2"), NET)
        reach = first.sandbox.ping(SERVER)

    assert "no more tries" in rejected
    assert source(reach) == first.address


@GIVES_UP
@pytest.mark.covers("dhcp", "DEL", "packet")
def test_an_address_that_was_released_serves_the_next(node, server, impatient, cni):
    """A server with one address serves one container after the other: DEL makes room at once."""
    with serving(server, first=FIRST, last=FIRST):
        cni.delete(cni.add(node.sandbox("c1"), NET))
        second = cni.add(node.sandbox("c2"), NET)
        reach = second.sandbox.ping(SERVER)

    assert source(reach) == FIRST


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_two_containers_have_a_lease_each(node, server, running, cni):
    """Two containers have addresses and leases of their own, and reach each other; DEL of one leaves the other's."""
    with serving(server) as dhcp:
        first, second = (cni.add(node.sandbox(name), NET) for name in ("c1", "c2"))
        await_leases(dhcp, sorted([first.address, second.address]))
        reach = first.sandbox.ping(second.address)
        cni.delete(first)
        still = server.ping(second.address)

    assert first.address != second.address
    assert source(reach) == first.address
    assert still
    assert second.address in [lease.address for lease in dhcp.leases]


@pytest.mark.covers("dhcp", "kernel", "packet")
def test_two_interfaces_of_one_container_have_a_lease_each(node, server, running, cni):
    """One container with two interfaces of one network has two leases; DEL of the second leaves the first."""
    sandbox = node.sandbox("c1")
    with serving(server) as dhcp:
        first, second = (cni.add(sandbox, NET, name) for name in ("eth0", "eth1"))
        clients = {lease.client_id for lease in dhcp.leases}
        cni.delete(second)

    assert len(clients) == 2
    assert first.address in [lease.address for lease in dhcp.leases]
    assert sandbox.addresses_on("eth0") == (first.address,)
    assert source(sandbox.ping(SERVER)) == first.address


@pytest.mark.covers("dhcp", "CHECK", "packet")
def test_check_asks_the_server_nothing(node, server, running, cni):
    """CHECK of a lease that is held succeeds without a word to the server: it changes nothing."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        said = len(messages(wire))
        cni.check(attachment)
        more = [message.kind for message in messages(wire)[said:]]

    assert more == []


@pytest.mark.covers("dhcp", "CHECK")
def test_check_notices_that_the_lease_is_not_held(node, server, running, cni):
    """After the daemon was started again nobody renews the lease: CHECK has to say so, not to get another one."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        first = messages(wire, "DISCOVER")
        running.stop()
        daemon(node, cni.path)

        assert distrusted(cni, attachment)
        assert len(messages(wire, "DISCOVER")) == len(first)


@pytest.mark.covers("dhcp", "CHECK")
def test_check_notices_that_the_daemon_is_gone(node, server, running, cni):
    """Without the daemon nobody renews the lease: CHECK has to say so."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)
        cni.check(attachment)
        running.stop()
        said = distrusted(cni, attachment)
        daemon(node, cni.path)
        cni.delete(attachment)

    assert said


@pytest.mark.covers("dhcp", "CHECK")
def test_check_notices_another_address(node, server, running, cni):
    """CHECK of a container whose address was changed by hand fails."""
    with serving(server):
        attachment = cni.add(node.sandbox("c1"), NET)
        attachment.sandbox.run(["ip", "address", "flush", "dev", "eth0"])
        attachment.sandbox.run(["ip", "address", "add", "192.168.80.99/24", "dev", "eth0"])

        assert distrusted(cni, attachment)


@pytest.mark.covers("dhcp", "DEL", "packet")
def test_a_daemon_that_was_started_again_releases(node, server, running, cni):
    """A lease is released by DEL also where the daemon was started again in between."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)
        running.stop()
        daemon(node, cni.path)
        cni.delete(attachment)

        assert await_message(wire, "RELEASE", 1.0)


@pytest.mark.covers("dhcp", "packet")
def test_containers_keep_working_while_the_daemon_starts_again(node, server, running, cni):
    """The end of the daemon takes no address away; the next one serves new containers beside the old."""
    with serving(server):
        old = cni.add(node.sandbox("c1"), NET)
        running.stop()
        between = old.sandbox.ping(SERVER)
        daemon(node, cni.path)
        new = cni.add(node.sandbox("c2"), NET)

    assert source(between) == old.address
    assert source(new.sandbox.ping(old.address)) == new.address
    assert new.address != old.address


@pytest.mark.covers("dhcp", "kernel")
def test_a_daemon_starts_where_another_was_killed(node, cni):
    """A socket that a killed daemon left behind does not keep the next one from starting."""
    first = daemon(node, cni.path)
    node.run(["kill", "-KILL", node.run(["pidof", "dhcp"]).stdout.strip()])
    Deadline.after(2.0, "the daemon to be gone").poll(lambda: not first.running)

    with node.start(first.argv, ready=lambda: SOCKET in node.run(["ss", "-lxH"]).stdout) as second:
        assert second.running


@pytest.mark.covers("dhcp", "packet")
def test_the_broadcast_flag_asks_for_broadcast_answers(node, server, cni):
    """A daemon with -broadcast sets the flag by which servers answer to everyone (RFC 2131 section 4.1)."""
    with serving(server), daemon(node, cni.path, "-broadcast"), server.capture("ens33") as wire:
        cni.delete(cni.add(node.sandbox("c1"), NET))

    assert {str(message.packet["BOOTP"].flags) for message in messages(wire, "DISCOVER", "REQUEST")} == {"B"}
    assert {message.packet.dst for message in messages(wire, "OFFER", "ACK")} == {"ff:ff:ff:ff:ff:ff"}


@pytest.mark.covers("dhcp", "packet")
def test_answers_go_to_the_client_alone(node, server, running, cni):
    """Without -broadcast the flag is not set, and the server answers to the container's MAC."""
    with serving(server), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), NET)

    assert {str(message.packet["BOOTP"].flags) for message in messages(wire, "DISCOVER", "REQUEST")} == {""}
    mac = attachment.sandbox.link("eth0").mac
    assert {message.packet.dst for message in messages(wire, "OFFER", "ACK")} == {mac}


@pytest.mark.covers("dhcp", "kernel")
def test_the_daemon_writes_its_process_id(node, cni):
    """-pidfile names a file with the daemon's process ID."""
    with daemon(node, cni.path, "-pidfile", "/run/dhcp.pid"):
        written = node.run(["cat", "/run/dhcp.pid"]).stdout.strip()
        own = node.run(["pidof", "dhcp"]).stdout.strip()

    assert written == own


@pytest.mark.covers("dhcp", "kernel")
def test_a_daemon_that_ends_takes_its_files_along(node, cni):
    """A daemon that is asked to end removes its socket and the file with its process ID."""
    with daemon(node, cni.path, "-pidfile", "/run/dhcp.pid"):
        _rejection(cni, node.sandbox("c1"), network(request=[{"option": "none"}]))  # so it serves, and heeds signals
        there = {file.path for file in node.files()}

    assert {SOCKET, "/run/dhcp.pid"} <= there
    assert not {SOCKET, "/run/dhcp.pid"} & {file.path for file in node.files()}


def _rejection(cni, sandbox, wanted):
    with pytest.raises(PluginError) as rejected:
        cni.add(sandbox, wanted)
    return str(rejected.value)
