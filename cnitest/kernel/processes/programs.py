"""Where programs are looked for: where a host of a lab finds them, whatever the PATH of who calls us lacks."""

from __future__ import annotations

import os
import shutil

from cnitest.typos import meant

#: The PATH of a host's programs. Debian's ordinary users have none of the sbin directories in theirs.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Programs that tests of networks ask for, so that a misspelt one is reported otherwise than one that is not installed.
WELL_KNOWN = (
    *("arping", "arptables", "bash", "bird", "bridge", "conntrack", "curl", "dhclient", "dhcpcd", "dig", "dnsmasq"),
    *("ebtables", "ethtool", "firewall-cmd", "firewalld", "fping", "gcc", "go", "hping3", "ip", "ip6tables"),
    *("ip6tables-legacy", "ip6tables-nft", "iperf", "iperf3", "ipset", "iptables", "iptables-legacy", "iptables-nft"),
    *("iptables-restore", "iptables-save", "ipvsadm", "modprobe", "mount", "mtr", "nc", "ncat", "netperf", "nft"),
    *("nmap", "nsenter", "openssl", "ovs-ofctl", "ovs-vsctl", "perl", "ping", "ping6", "python3", "radvd", "rdisc6"),
    *("setpriv", "sh", "socat", "ss", "strace", "sysctl", "tc", "tcpdump", "traceroute", "tshark", "udhcpc", "udhcpd"),
    *("unshare", "vtysh", "wg", "wget", "wpa_supplicant", "zebra"),
)
#: The packages of Debian that have the programs which labs, plugins and those who look at networks call.
PACKAGES = {
    **dict.fromkeys(("iptables", "ip6tables", "iptables-legacy", "iptables-save", "iptables-restore"), "iptables"),
    **dict.fromkeys(("ip", "tc", "bridge", "ss"), "iproute2"),
    **dict.fromkeys(("sysctl",), "procps"),
    "nft": "nftables",
    "mount": "mount",
    **{name: name for name in ("arptables", "conntrack", "ebtables", "ethtool", "ipset", "firewalld", "dnsmasq")},
    **{name: name for name in ("socat", "tcpdump", "strace", "curl", "arping", "fping", "iperf3", "nmap")},
    "ping": "iputils-ping",
}
_SHORT = 4


def find(name: str) -> str:
    """The path of a program: in a host's PATH, else in that of who calls us; empty when it is in neither."""
    return shutil.which(name, path=PATH) or shutil.which(name) or ""


def how_to_get(name: str) -> str:
    """What to do about a program that is not there."""
    return f"apt-get install {PACKAGES[name]}" if name in PACKAGES else "install it"


def absent(name: str) -> str:
    """Why a program is not there, in one line; empty when it is."""
    return "" if find(name) else f"no program {name!r} in PATH, nor in {PATH}"


def misspelt(name: str) -> str | None:
    """The program that was meant where ``name`` is not there and looks like a misspelling of one; else None."""
    if find(name) or name in WELL_KNOWN:
        return None
    return meant(name, WELL_KNOWN) or (meant(name, _installed()) if len(name) > _SHORT else None)


def _installed() -> set[str]:
    """The names of all programs in a host's PATH."""
    found: set[str] = set()
    for directory in PATH.split(":"):
        if os.path.isdir(directory):
            found.update(os.listdir(directory))
    return found
