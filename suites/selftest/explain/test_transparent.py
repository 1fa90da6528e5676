"""Packets that a rule of TPROXY hands to a proxy, and that are routed elsewhere.

As in istio/istio issues 22500 and 37701, and openwrt/openwrt issue 23480.
"""

from __future__ import annotations

import pytest

from cnitest import Lab
from cnitest.topology import loads

# A proxy as envoy is one: its socket takes what is for anybody (IP_TRANSPARENT), and what it gets it sends back.
PROXY = """
import os, socket
listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.IPPROTO_IPV6, 75, 1)
listener.setsockopt(socket.SOL_IP, 19, 1)
listener.bind(('::', 15006))
listener.listen()
os.fork() and os._exit(0)
os.setsid()
for number in range(3):
    os.close(number)
while True:
    connection, _ = listener.accept()
    try:
        while data := connection.recv(4096):
            connection.sendall(data)
    except OSError:  # a client that ends before it has read what came back
        pass
"""
TOPOLOGY = """
name: transparent
hosts:
  proxy:
    role: router
    rules: [fwmark 0x539 lookup 133, "-6 fwmark 0x539 lookup 133"]
    routes: [local default dev lo table 133, "local ::/0 dev lo table 133"]
  client: {routes: [default via 10.0.0.1, "default via 2001:db8::1"]}
  server: {routes: [default via 10.1.0.1, "default via 2001:db8:1::1"]}
veths:
  - ends:
      - {at: proxy, name: eth0, addresses: [10.0.0.1/24, "2001:db8::1/64"]}
      - {at: client, name: eth0, addresses: [10.0.0.2/24, "2001:db8::2/64"]}
  - ends:
      - {at: proxy, name: eth1, addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}
      - {at: server, name: eth0, addresses: [10.1.0.2/24, "2001:db8:1::2/64"]}
"""
SERVER = {4: "10.1.0.2", 6: "2001:db8:1::2"}
RULES = {
    "iptables": "{t} -t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 15006 --tproxy-mark 0x539",
    "nft": "nft 'table inet p {{ chain c {{ type filter hook prerouting priority mangle; tcp dport 80 "
    "tproxy ip{n} to :15006 meta mark set 0x539 accept; }}; }}'",
}
BROKEN = {
    "no rule": ("{ip} rule del fwmark 0x539", "{ip} rule add fwmark 0x539 lookup 133"),
    "no route": ("{ip} route flush table 133", "{ip} route replace local default dev lo table 133"),
    "no router": (
        "{ip} route flush table 133; sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        "{ip} route replace local default dev lo table 133",
    ),
    "neither": (
        "{ip} rule del fwmark 0x539; {ip} route flush table 133",
        "{ip} rule add fwmark 0x539 lookup 100 && {ip} route add local default dev lo table 100",
    ),
}


@pytest.mark.requires(kernel="conntrack", binary=["iptables", "nft"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(("command", "remedy"), BROKEN.values(), ids=BROKEN)
def test_a_proxy_without_its_local_route_is_named(command, remedy, rule, family):
    """What TPROXY hands over has to be routed to the place itself: what is missing for that is the cause."""
    six = family == 6
    words = {"ip": "ip -6" if six else "ip", "t": "ip6tables" if six else "iptables", "n": 6 if six else ""}
    with Lab(loads(TOPOLOGY)) as lab:
        client, proxy = lab.host("client"), lab.host("proxy")
        proxy.run(["python3", "-c", PROXY])
        proxy.run(["sh", "-ec", rule.format(**words)])
        assert client.tcp(SERVER[family], 80).answered_by
        proxy.run(["sh", "-ec", command.format(**words)])

        reach = client.tcp(SERVER[family], 80)

        assert not reach
        assert (reach.cause.id, reach.cause.place) == ("routing.transparent-proxy", "proxy"), reach.explanation
        assert reach.cause.remedy == remedy.format(**words)
        proxy.run(["sh", "-ec", reach.cause.remedy])
        assert client.tcp(SERVER[family], 80)
