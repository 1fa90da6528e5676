"""Pods: processes that share one network namespace, and the forms in which runtimes name it to plugins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.node_networks import INTERNET, UPLINK, caller, network, pending, ptp
from cnitest.suites.plugins.seen import source

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(
        kernel="conntrack", plugin=["bridge", "host-local", "loopback"], binary=["iptables", "nsenter"]
    ),
]

#: A process that holds the pod's namespace, and tells its number.
HOLDER = ["sh", "-c", "echo $$; exec sleep infinity"]
#: What containers of the pod run: a server that answers with what it was given, and a client that prints the answer.
SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    while True:
        with server.accept()[0] as client:
            client.sendall(client.recv(99))
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as server:
    server.sendall(b"hello")
    print(server.recv(99).decode())
"""
PORT = 8080


@pytest.fixture
def pod(node, cni):
    """A pod's namespace with a loopback and an address behind masquerading, as a runtime makes it."""
    sandbox = node.sandbox("pod")
    cni.add(sandbox, {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}, "lo")
    return cni.add(sandbox, network(4, isDefaultGateway=True, ipMasq=True))


@pytest.fixture
def infra(pod):
    """The process that was started in the pod first, and holds its namespace."""
    with pod.sandbox.start(HOLDER, ready=r"^\d+$") as holder:
        yield holder


def _joined(holder, *argv):
    """A command line in the namespace of the holder, entered from the host by the holder's entry in /proc."""
    return ["nsenter", f"--net=/proc/{holder.stdout.strip()}/ns/net", *argv]


def _links(node, holder):
    shown = node.run(_joined(holder, "ip", "-o", "link")).stdout
    return [line.split(": ")[1].partition("@")[0] for line in shown.splitlines()]


@pytest.mark.covers("bridge", "kernel")
@pytest.mark.covers("loopback", "kernel")
def test_who_joins_sees_the_pods_links(node, pod, infra):
    """A process that joins by /proc/PID/ns/net sees the links that plugins gave to the pod, and no other."""
    assert _links(node, infra) == ["lo", "eth0"]
    assert pod.address in node.run(_joined(infra, "ip", "address", "show", "eth0")).stdout


@pytest.mark.covers("loopback", "packet")
@pytest.mark.parametrize("address", ["127.0.0.1", "eth0"])
def test_processes_of_a_pod_talk_over_the_loopback(node, pod, infra, address):
    """A server of one container and a client of another talk over 127.0.0.1, and over the pod's own address."""
    to = pod.address if address == "eth0" else address
    server = _joined(infra, "python3", "-c", SERVER, to, str(PORT))
    with pod.sandbox.capture() as wire, node.start(server) as running:
        running.wait_for(lambda: _listens(node, infra))
        said = node.run(_joined(infra, "python3", "-c", CLIENT, to, str(PORT))).stdout

    assert said == "hello\n"
    assert {frame.link for frame in wire.frames if _is_tcp(frame)} == {"lo"}


def _listens(node, holder):
    table = node.run(_joined(holder, "cat", "/proc/net/tcp")).stdout
    return f":{PORT:04X} 00000000:0000 0A" in table


def _is_tcp(frame):
    return frame.data[12:14] == b"\x08\x00" and frame.data[23] == 6


@pytest.mark.covers("bridge", "packet")
def test_who_joins_is_reached_at_the_pods_address(node, cni, pod, infra):
    """A server of a container that joined answers at the pod's address, to another pod and to the host."""
    peer = cni.add(node.sandbox("other"), network(4, isDefaultGateway=True, ipMasq=True))
    with node.start(_joined(infra, "python3", "-c", SERVER, "0.0.0.0", str(PORT))) as running:
        running.wait_for(lambda: _listens(node, infra))

        assert peer.sandbox.tcp(pod.address, PORT)
        assert node.tcp(pod.address, PORT)


@pytest.mark.covers("bridge", "packet")
def test_the_pod_keeps_its_network_when_a_container_ends(node, pod, infra):
    """A container that joined ends, and the pod goes on: its links, its address, its way out."""
    with node.start(_joined(infra, *HOLDER), ready=r"^\d+$"):
        assert _links(node, infra) == ["lo", "eth0"]

    assert _links(node, infra) == ["lo", "eth0"]
    assert source(pod.sandbox.ping(INTERNET[4])) == UPLINK[4]


@pytest.mark.covers("bridge", "packet", "DEL")
def test_the_pod_keeps_its_network_when_its_first_process_ends(node, cni, pod, infra):
    """The process that held the namespace ends, one that joined stays: links, address and connections do, too."""
    with node.start(_joined(infra, *HOLDER), ready=r"^\d+$") as second:
        with pod.sandbox.connection(INTERNET[4], 443) as connection:
            infra.stop()

            assert connection.alive()
        assert _links(node, second) == ["lo", "eth0"]
        cni.delete(pod)
        assert _links(node, second) == ["lo"]


@pytest.fixture
def form(request, node):
    """What CNI_NETNS is for a sandbox, in one of the forms that runtimes use, while the test runs."""
    sandbox = node.sandbox("pod")
    with sandbox.start(HOLDER, ready=r"^\d+$") as holder:
        paths = {
            "/run/netns/NAME": sandbox.path,
            "/var/run/netns/NAME": sandbox.path.replace("/run/", "/var/run/", 1),
            "/proc/PID/ns/net": f"/proc/{holder.stdout.strip()}/ns/net",
            "/proc/PID/task/TID/ns/net": f"/proc/{holder.stdout.strip()}/task/{holder.stdout.strip()}/ns/net",
        }
        yield paths[request.param]


FORMS = ["/run/netns/NAME", "/var/run/netns/NAME", "/proc/PID/ns/net", "/proc/PID/task/TID/ns/net"]
FORM = pytest.mark.parametrize("form", FORMS, indirect=True)


@FORM
@pytest.mark.covers("bridge", "kernel", "packet")
def test_each_form_of_the_namespaces_path(node, cni, form):
    """ADD attaches the pod by each form of its namespace's path, and the result names it in that form."""
    sandbox = node.sandbox("pod")
    target = replace(pending(cni, sandbox, network(4, isDefaultGateway=True, ipMasq=True)), netns=form)
    result = caller(cni).add(target)

    assert [link["sandbox"] for link in result["interfaces"] if link.get("sandbox")] == [form]
    assert "eth0" in [link.name for link in sandbox.links]
    assert source(sandbox.ping(INTERNET[4])) == UPLINK[4]


@FORM
@pytest.mark.covers("bridge", "CHECK", "DEL")
def test_check_and_delete_by_each_form(node, cni, form):
    """CHECK passes and DEL takes the link by the form of the path that ADD was given."""
    sandbox = node.sandbox("pod")
    target = replace(pending(cni, sandbox, network(4, isGateway=True)), netns=form)
    result = caller(cni).add(target)
    caller(cni).check(target, result)
    caller(cni).delete(target, result)

    assert [link.name for link in sandbox.links] == ["lo"]


@FORM
@pytest.mark.covers("bridge", "DEL")
def test_delete_by_another_form_than_add(node, cni, form):
    """DEL works by /run/netns whatever the form was at ADD: a restarted runtime may name it anew."""
    sandbox = node.sandbox("pod")
    target = replace(pending(cni, sandbox, network(4, isGateway=True)), netns=form)
    result = caller(cni).add(target)
    caller(cni).delete(replace(target, netns=sandbox.path), result)

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [link.name for link in node.links if link.master == "cni0"] == []


@pytest.mark.covers("loopback", "kernel", "packet")
@FORM
def test_loopback_by_each_form(node, cni, form):
    """The loopback plugin brings lo up by each form of the namespace's path."""
    sandbox = node.sandbox("pod")
    target = pending(cni, sandbox, {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}, "lo")
    caller(cni).add(replace(target, netns=form))

    assert sandbox.ping("127.0.0.1")


@pytest.mark.requires(plugin="ptp")
@pytest.mark.covers("ptp", "kernel", "packet")
@FORM
def test_ptp_by_each_form(node, cni, form):
    """The ptp plugin attaches the pod by each form of the namespace's path."""
    sandbox = node.sandbox("pod")
    caller(cni).add(replace(pending(cni, sandbox, ptp(4)), netns=form))

    assert node.ping("10.22.0.2")
