"""Nodes of a cluster whose networks flannel's daemon announces: subnet.env in its forms, and networks that use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cnitest import Host
from cnitest.topology import loads

SUBNET_FILE, DATA = "/run/flannel/subnet.env", "/var/lib/cni/flannel"
MTU = 1450
IPV4 = {"FLANNEL_NETWORK": "10.244.0.0/16", "FLANNEL_SUBNET": "10.244.1.1/24"}
IPV6 = {"FLANNEL_IPV6_NETWORK": "fd10:244::/48", "FLANNEL_IPV6_SUBNET": "fd10:244:0:1::1/64"}
FAMILIES: Mapping[int, Mapping[str, str]] = {4: IPV4, 6: IPV6}
#: The gateways of the node's subnet, containers of the other node, the node's uplink, and what is in no cluster.
GATEWAY = {4: "10.244.1.1", 6: "fd10:244:0:1::1"}
FAR = {4: "10.244.2.9", 6: "fd10:244:0:2::9"}
UPLINK = {4: "192.168.80.101", 6: "2001:db8:80::101"}
OUTSIDE = {4: "203.0.113.1", 6: "2001:db8:ffff::1"}
#: Two nodes of a cluster, as host-gw joins them, and a host of the LAN that knows the nodes alone.
CLUSTER = loads("""
name: flannel-cluster
hosts:
  node:
    role: router
    routes:
      - 10.244.2.0/24 via 192.168.80.102
      - 10.245.0.0/16 via 192.168.80.102
      - fd10:244:0:2::/64 via 2001:db8:80::102
      - fd10:245::/48 via 2001:db8:80::102
      - default via 192.168.80.103
      - default via 2001:db8:80::103
    sysctls: {net.ipv6.conf.default.accept_dad: 0}
  other:
    role: router
    loopback: [10.244.2.9/32, 10.245.2.9/32, "fd10:244:0:2::9/128", "fd10:245:0:2::9/128"]
    routes:
      - 10.244.1.0/24 via 192.168.80.101
      - fd10:244:0:1::/64 via 2001:db8:80::101
  outside:
    loopback: [203.0.113.1/32, "2001:db8:ffff::1/128"]
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33, addresses: [192.168.80.101/24, "2001:db8:80::101/64"]}, {at: lan}]
  - ends: [{at: other, name: ens33, addresses: [192.168.80.102/24, "2001:db8:80::102/64"]}, {at: lan}]
  - ends: [{at: outside, name: ens33, addresses: [192.168.80.103/24, "2001:db8:80::103/64"]}, {at: lan}]
""")


def env(*families: int, masq: str = "true", mtu: str = str(MTU), **more: str) -> dict[str, str]:
    """What flannel's daemon announces of these families (IPv4 unless said), by its words."""
    of_families = {key: value for family in families or (4,) for key, value in FAMILIES[family].items()}
    return {**of_families, "FLANNEL_MTU": mtu, "FLANNEL_IPMASQ": masq, **more}


def announce(host: Host, words: Mapping[str, str] | str, file: str = SUBNET_FILE) -> None:
    """Write a subnet.env on a host: the daemon's words, or a text as it is."""
    text = words if isinstance(words, str) else "".join(f"{key}={value}\n" for key, value in words.items())
    host.run(["sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", file], stdin=text)


def network(**keys: Any) -> dict[str, Any]:
    """A network of flannel's, in a version that every release of its plugin speaks."""
    return {"cniVersion": "0.4.0", "name": "cbr0", "type": "flannel", **keys}


def delegated(host: Host, container_id: str, directory: str = DATA) -> dict[str, Any]:
    """The configuration that was made for the plugin that does the work, as it is kept for DEL."""
    return dict(json.loads(host.run(["cat", f"{directory}/{container_id}"]).stdout))


def leases(host: Host, directory: str = "/var/lib/cni/networks/cbr0") -> list[str]:
    """The addresses that host-local keeps for somebody."""
    paths = [file.path for file in host.files() if file.kind == "file"]
    names = [path.rpartition("/")[2] for path in paths if path.startswith(f"{directory}/")]
    return sorted(name for name in names if name[0].isdigit() or name.startswith("fd"))
