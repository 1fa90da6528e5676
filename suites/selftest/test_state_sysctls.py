"""A state has the sysctls of each link as their files have them."""

from __future__ import annotations

import pytest

from cnitest import difference
from cnitest.topology import Host, Topology

pytestmark = pytest.mark.topology(Topology(name="one", hosts={"node": Host()}))

#: Each with values that are not what a new link has.
OF_IPV4 = {"rp_filter": 2, "route_localnet": 1, "proxy_arp": 1, "arp_notify": 1, "arp_ignore": 8}
OF_IPV6 = {"accept_ra": 2, "disable_ipv6": 1, "accept_dad": -1, "keep_addr_on_down": -1}
SYSCTLS = [("ipv4", *item) for item in OF_IPV4.items()] + [("ipv6", *item) for item in OF_IPV6.items()]
#: A name may have dots, as those of VLANs do.
LINK = "a0.7"


@pytest.mark.parametrize(("family", "name", "value"), SYSCTLS, ids=[f"{row[0]}-{row[1]}" for row in SYSCTLS])
def test_a_sysctl_of_a_link_alone_is_a_difference(lab, family, name, value):
    """A sysctl of one link that gets a value differs by it, and nothing else does."""
    node = lab.host("node")
    node.run(["ip", "link", "add", LINK, "type", "veth", "peer", "name", "b0"])
    before = node.state(firewall=False)
    node.run(["sysctl", "-qw", f"net/{family}/conf/{LINK}/{name}={value}"])

    (found,) = difference(before, node.state(firewall=False))

    assert found.key == f"net.{family}.conf.{LINK}.{name}"
    assert found.after == str(value)


def test_sysctls_of_links_are_what_their_files_have(lab):
    """Each sysctl of each link in a state has its file's value, and a link too small for IPv6 has none of IPv6."""
    node = lab.host("node")
    node.run(["ip", "link", "add", LINK, "type", "veth", "peer", "name", "b0"])
    node.run(["ip", "link", "set", "b0", "mtu", "1000"])

    sysctls = node.state(firewall=False).sysctls

    wanted = {
        (link, family, name)
        for link in ("lo", LINK, "b0")
        for family, name, _ in SYSCTLS
        if (link, family) != ("b0", "ipv6")
    }
    files = {f"net.{family}.conf.{link}.{name}": f"net/{family}/conf/{link}/{name}" for link, family, name in wanted}
    of_links = {name for name in sysctls if any(f".conf.{link}." in name for link in ("lo", LINK, "b0"))}
    assert of_links == files.keys()
    assert {name: sysctls[name] for name in files} == {
        name: node.run(["cat", f"/proc/sys/{file}"]).stdout.strip() for name, file in files.items()
    }
