"""The bridge plugin's other keys: MAC, MTU, a promiscuous bridge, DNS, DAD, a link that stays down, IPs asked for."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import address, host_end, network, pool, without_dad

from cnitest import PluginError
from cnitest.deadline import Deadline

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

MAC, OTHER_MAC, THIRD_MAC = "02:42:ac:11:00:02", "02:42:ac:11:00:03", "02:42:ac:11:00:04"
OWN_DNS = {"nameservers": ["192.0.2.53"], "search": ["example.com"]}
IPAM_DNS = {"nameservers": ["192.0.2.99"], "domain": "example.net"}
FAMILY = pytest.mark.parametrize("family", [4, 6])
#: Bytes of IP and ICMP headers in front of a ping's payload.
HEADERS = {4: 28, 6: 48}


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


def _with_macs(cni, sandbox, *, runtime="", args="", cni_args=""):
    wanted = network(4, capabilities={"mac": True}, **({"args": {"cni": {"mac": args}}} if args else {}))
    return cni.add(
        sandbox,
        wanted,
        args={"IgnoreUnknown": "1", "MAC": cni_args} if cni_args else None,
        capabilities={"mac": runtime} if runtime else None,
    )


@pytest.mark.covers("bridge", "kernel")
def test_what_is_not_asked_for_is_as_the_kernel_makes_it(node, cni):
    """Bridge, port and both ends of the veth have no settings but those of links that ip(8) makes without a word."""
    node.run(["ip", "link", "add", "plain0", "type", "bridge"])
    node.run(["ip", "link", "add", "plain1", "type", "veth", "peer", "name", "plain2"])
    node.run(["ip", "link", "set", "plain1", "master", "plain0"])
    sandbox = cni.add(node.sandbox("c1"), network(4)).sandbox
    rows = {row.bridge: row for row in node.state(firewall=False).ports}

    assert _settings(node.link("cni0")) == _settings(node.link("plain0"))
    assert rows["cni0"].detail == rows["plain0"].detail
    assert _settings(sandbox.link("eth0")) == _settings(node.link("plain2"))
    assert _settings(node.link(rows["cni0"].name)) == _settings(node.link("plain1"))


def _settings(link):
    """What of a link somebody can have set, but for the length of its queue, which the plugin's library has at 0."""
    return link.mtu, link.group, link.flags, link.promiscuity, link.allmulti, link.alias, link.detail


@pytest.mark.covers("bridge.runtimeConfig.mac", "kernel", "packet")
@pytest.mark.covers("bridge.args.cni.mac", "kernel", "packet")
@pytest.mark.covers("bridge.CNI_ARGS.MAC", "kernel", "packet")
@pytest.mark.parametrize(
    "given",
    [
        {"runtime": MAC},
        {"args": MAC},
        {"cni_args": MAC},
        {"runtime": MAC, "args": OTHER_MAC, "cni_args": THIRD_MAC},
        {"args": MAC, "cni_args": OTHER_MAC},
    ],
    ids=["runtimeConfig", "args", "CNI_ARGS", "runtimeConfig first", "args before CNI_ARGS"],
)
def test_a_mac_that_was_asked_for(node, cni, given):
    """The container's link has the MAC that was asked for, in the result too, and its neighbours learn it by ARP."""
    peer = cni.add(node.sandbox("c2"), network(4))
    attachment = _with_macs(cni, node.sandbox("c1"), **given)

    assert attachment.sandbox.link("eth0").mac == MAC
    assert attachment.result.interfaces[2].mac == MAC
    assert peer.sandbox.arp(attachment.address, on="eth0").answered_by == MAC


@pytest.mark.covers("bridge.runtimeConfig.mac", "refused")
@pytest.mark.covers("bridge.args.cni.mac", "refused")
@pytest.mark.covers("bridge.CNI_ARGS.MAC", "refused")
@pytest.mark.parametrize("by", ["runtime", "args", "cni_args"])
@pytest.mark.parametrize("mac", ["02:42:ac:11:00", "zz:42:ac:11:00:02"], ids=["too short", "not hexadecimal"])
def test_a_mac_that_is_none_is_refused(node, cni, by, mac):
    """What is no MAC is an error, and neither end of a veth is left."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        _with_macs(cni, sandbox, **{by: mac})

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [link.name for link in node.links if link.kind == "veth" and link.master] == []


@FAMILY
@pytest.mark.covers("bridge.mtu", "kernel", "packet")
def test_the_mtu_bounds_packets(node, cni, family):
    """With mtu 1400 both ends and a new bridge have it; with DF 1400 bytes pass, and one more never leaves."""
    first, second = (cni.add(node.sandbox(name), network(family, mtu=1400)) for name in ("c1", "c2"))
    there = address(second, family)

    assert first.sandbox.link("eth0").mtu == node.link(host_end(first)).mtu == node.link("cni0").mtu == 1400
    assert first.sandbox.ping(there, size=1400 - HEADERS[family], df=True)
    assert not first.sandbox.ping(there, size=1401 - HEADERS[family], df=True)


@pytest.mark.covers("bridge.mtu", "kernel", "packet")
@pytest.mark.parametrize(("mtu", "is_set"), [(0, 1500), (68, 68), (576, 576), (9000, 9000), (65535, 65535)])
def test_mtus_at_the_bounds(node, cni, mtu, is_set):
    """0 is the kernel's own MTU; the smallest and largest that the kernel takes are set, and a full packet passes."""
    first, second = (cni.add(node.sandbox(name), network(4, mtu=mtu)) for name in ("c1", "c2"))

    assert first.sandbox.link("eth0").mtu == is_set
    assert first.sandbox.ping(second.address, size=is_set - HEADERS[4], df=True)


@pytest.mark.covers("bridge.mtu", "refused")
@pytest.mark.parametrize("mtu", [70000, -1, "1400"], ids=["too large", "negative", "text"])
def test_mtus_that_no_link_has_are_refused(node, cni, mtu):
    """What no link can have as MTU is an error, and the container gets no link."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        cni.add(sandbox, network(4, mtu=mtu))

    assert [link.name for link in sandbox.links] == ["lo"]


@FAMILY
@pytest.mark.covers("bridge.mtu", "packet")
def test_a_smaller_link_beyond_the_gateway_is_told(node, cni, lab, family):
    """Where the path is smaller than the bridge the gateway's ICMP error reaches the container, which keeps to it."""
    router = lab.host("router")
    attachment = cni.add(node.sandbox("c1"), network(family, isDefaultGateway=True, ipMasq=True))
    internet = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}[family]
    router.run(["ip", "link", "set", "wan0", "mtu", "1300"])
    too_large = attachment.sandbox.ping(internet, size=1400, df=True)

    assert not too_large
    assert attachment.sandbox.ping(internet, size=1300 - HEADERS[family], df=True)
    assert attachment.sandbox.tcp(internet, 443, size=100_000)


@pytest.mark.covers("bridge.promiscMode", "kernel", "packet")
@pytest.mark.parametrize("promiscuous", [True, False])
def test_a_promiscuous_bridge_sees_its_ports_frames(node, cni, promiscuous):
    """With promiscMode frames between containers come up on the bridge's own link, without it they do not."""
    first, second = (cni.add(node.sandbox(name), network(4, promiscMode=promiscuous)) for name in ("c1", "c2"))
    assert first.sandbox.ping(second.address)
    with node.capture() as everywhere:
        assert first.sandbox.ping(second.address)
    # IPv4 alone: multicast of IPv6 comes up by itself.
    links = {frame.link for frame in everywhere.frames if frame.data[12:14] == b"\x08\0"}

    assert (node.link("cni0").promiscuity > 0) is promiscuous
    assert host_end(first) in links
    assert ("cni0" in links) is promiscuous


@pytest.mark.covers("bridge.promiscMode", "refused")
@pytest.mark.covers("bridge.hairpinMode", "refused")
def test_promiscuous_mode_and_hairpin_exclude_each_other(node, cni):
    """Both at once are an error that names them, and there is no bridge."""
    with pytest.raises(PluginError, match="hairpin.*promisc|promisc.*hairpin"):
        cni.add(node.sandbox("c1"), network(4, promiscMode=True, hairpinMode=True))

    assert "cni0" not in [link.name for link in node.links]


@pytest.mark.covers("bridge.dns", "kernel")
@pytest.mark.parametrize(("own", "reported"), [({"dns": OWN_DNS}, OWN_DNS), ({}, IPAM_DNS)], ids=["its own", "of IPAM"])
@pytest.mark.requires(plugin="static")
def test_dns_of_the_network_goes_before_that_of_ipam(node, cni, own, reported):
    """The result has the network's own DNS where it has any, and else that of IPAM."""
    ipam = {"type": "static", "addresses": [{"address": "10.22.0.7/24"}], "dns": IPAM_DNS}
    attachment = cni.add(node.sandbox("c1"), network(ipam=ipam, **own))

    assert attachment.result.dns == reported


@pytest.mark.covers("bridge.enabledad", "kernel", "packet")
@pytest.mark.parametrize("enabled", [True, False])
def test_duplicate_address_detection(node, cni, enabled):
    """With enabledad the container asks for its own address before it uses it; without, the peer sees no question."""
    peer = cni.add(node.sandbox("c2"), network(6))
    with node.capture() as wire:
        attachment = cni.add(node.sandbox("c1"), network(6, enabledad=enabled))
        assert attachment.sandbox.ping(peer.address)
    asked = wire.matching("ICMPv6ND_NS", tgt=attachment.address)

    assert attachment.sandbox.sysctl("net/ipv6/conf/eth0/accept_dad") == ("1" if enabled else "0")
    assert any(packet["IPv6"].src == "::" for packet in asked) is enabled


@pytest.mark.covers("bridge.enabledad", "kernel")
def test_add_waits_until_the_address_is_proved(node, cni):
    """With enabledad and a gateway ADD returns once the container's IPv6 address is its own: it is not tentative."""
    attachment = cni.add(node.sandbox("c1"), network(6, isGateway=True, enabledad=True))

    assert [a.address for a in attachment.sandbox.addresses if a.scope == "global" and a.tentative] == []


@pytest.mark.requires(plugin="static")
@pytest.mark.covers("bridge.enabledad", "kernel", "packet")
def test_an_address_that_somebody_has_is_not_used(node, cni):
    """With enabledad a container whose IPv6 address another one has does not use it; the first one answers alone."""
    ipam = {"type": "static", "addresses": [{"address": "2001:db8:22::7/64"}]}
    peer, first = (
        cni.add(node.sandbox(name), network(**keys))
        for name, keys in (("c3", {"ipam": pool(6)}), ("c1", {"ipam": ipam}))
    )
    second = cni.add(node.sandbox("c2"), network(ipam=ipam, enabledad=True))

    def rejected():
        return [a for a in second.sandbox.addresses if a.ip == second.address and "dadfailed" in a.flags]

    assert Deadline.after(10, "the kernel to find the duplicate").poll(rejected)
    assert peer.sandbox.arp(first.address, on="eth0").answered_by == first.sandbox.link("eth0").mac


@pytest.mark.requires(plugin=["bridge>=1.4.1"])
@pytest.mark.covers("bridge.disableContainerInterface", "kernel", "packet")
def test_a_container_interface_that_stays_down(node, cni):
    """disableContainerInterface leaves eth0 down, so nothing leaves by it until the container sets it up."""
    peer = cni.add(node.sandbox("c2"), network())
    attachment = cni.add(node.sandbox("c1"), network(disableContainerInterface=True))
    was_up = attachment.sandbox.link("eth0").up
    for sandbox, own in ((attachment.sandbox, "172.31.7.1/24"), (peer.sandbox, "172.31.7.2/24")):
        sandbox.run(["ip", "address", "add", own, "dev", "eth0"])
    with node.capture(host_end(attachment)) as wire:
        assert not peer.sandbox.arp("172.31.7.1", on="eth0")
    from_it = wire.matching("Ether", src=attachment.sandbox.link("eth0").mac)
    attachment.sandbox.run(["ip", "link", "set", "eth0", "up"])

    assert not was_up
    assert from_it == []
    assert attachment.sandbox.ping("172.31.7.2")


@pytest.mark.requires(plugin=["bridge>=1.4.1"])
@pytest.mark.covers("bridge.disableContainerInterface", "refused")
def test_a_disabled_interface_has_no_ipam(node, cni):
    """disableContainerInterface together with IPAM is an error, and no lease is taken."""
    with pytest.raises(PluginError, match="(?i)ipam"):
        cni.add(node.sandbox("c1"), network(4, disableContainerInterface=True))

    assert [file for file in node.files() if "/networks/net/10." in file.path] == []


@FAMILY
@pytest.mark.covers("bridge.runtimeConfig.ips", "kernel", "packet")
def test_addresses_that_the_runtime_asks_for(node, cni, family):
    """The capability ips chooses the address, at which the container is reached."""
    wanted = {4: "10.22.0.123", 6: "2001:db8:22::123"}[family]
    peer = cni.add(node.sandbox("c2"), network(family))
    attachment = cni.add(
        node.sandbox("c1"), network(family, capabilities={"ips": True}), capabilities={"ips": [wanted]}
    )

    assert attachment.address == wanted
    assert peer.sandbox.ping(wanted)


@pytest.mark.covers("bridge.CNI_ARGS.IP", "kernel", "packet")
@pytest.mark.covers("bridge.args.cni.ips", "kernel", "packet")
@pytest.mark.parametrize("by", ["CNI_ARGS", "args"])
def test_addresses_that_args_ask_for(node, cni, by):
    """IP in CNI_ARGS and ips in args of the configuration choose the address as well."""
    peer = cni.add(node.sandbox("c2"), network(4))
    keys = {"args": {"cni": {"ips": ["10.22.0.77"]}}} if by == "args" else {}
    given = {"IgnoreUnknown": "1", "IP": "10.22.0.77"} if by == "CNI_ARGS" else None
    attachment = cni.add(node.sandbox("c1"), network(4, **keys), args=given)

    assert attachment.address == "10.22.0.77"
    assert peer.sandbox.ping("10.22.0.77")


@pytest.mark.covers("bridge.runtimeConfig.ips", "refused")
def test_an_address_outside_of_the_range_is_refused(node, cni):
    """An address that no range has is an error, and no veth and no lease are left."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        cni.add(sandbox, network(ipam=pool(4), capabilities={"ips": True}), capabilities={"ips": ["10.99.0.1"]})

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [file for file in node.files() if "/networks/net/10." in file.path] == []
